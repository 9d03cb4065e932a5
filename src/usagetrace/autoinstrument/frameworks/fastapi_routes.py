"""Routes of a FastAPI application or router.

A route is tracked where FastAPI calls its endpoint, and at the endpoint itself: routers that are included elsewhere
make routes of their own from that. The framework looks at a tracked endpoint as at the one that it wraps, so requests,
responses, dependencies and the OpenAPI document are what they were.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import threading

from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.autoinstrument.frameworks.commands import (
    Argument,
    Command,
    event_of,
    hook,
    require,
    track_function,
)
from usagetrace.autoinstrument.incoming import names_a_trace, taken_up
from usagetrace.autoinstrument.patches import Ledger, Patch, TargetError, find
from usagetrace.autoinstrument.target import Target
from usagetrace.guard import guard
from usagetrace.track.wrappers import without_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any, Final

    from usagetrace.track.call import Call

_KINDS: Final = frozenset(("FastAPI", "APIRouter"))
_PARAMETER: Final = re.compile(r"\{[^}]*\}")
# From here on a status is a failure.
_FAILURE: Final = 400


def apply_fastapi(ledger: Ledger, target: Target, module: ModuleType, faults: list[str]) -> list[Patch]:
    """Track the routes of an application or router; otherwise as for :func:`..apply`."""
    root = find(module, target.qualname)[2]
    if not _is_router(root):
        raise TargetError(f"{target.qualname} is no FastAPI application or router: it is a {type(root).__name__}")
    routes = _Routes(ledger, target, is_part=not hasattr(root, "router"))
    routes.add_router(root, "")
    require(target, [command for _route, command in routes.found], faults, is_closed=True, what="route")
    return routes.begin(module)


def _is_router(value: Any) -> bool:
    return any(
        kind.__name__ in _KINDS and kind.__module__.partition(".")[0] == "fastapi" for kind in type(value).__mro__
    )


def _outcome(call: Call) -> str | None:
    """Return how a request ended whose endpoint returned a response of its own."""
    status = getattr(call.result, "status_code", None)
    return "error" if isinstance(status, int) and hasattr(call.result, "body") and status >= _FAILURE else None


class _Routes:
    """The routes of a router, of those that it includes, and of applications that are mounted.

    Attributes:
        found: The routes that are to be tracked yet, each described.
    """

    def __init__(self, ledger: Ledger, target: Target, *, is_part: bool) -> None:
        fields = {"outcome": _outcome, **target.fields}
        self._ledger = ledger
        self._asked = target
        # Whether it may be included in something else.
        self._is_part = is_part
        self._target = Target(
            target.function, "", fields, where=target.where, framework=target.framework, events=target.events
        )
        self._routers: dict[int, tuple[Any, str]] = {}
        self._routes: dict[int, Any] = {}
        # The functions that are tracked, and what stands for each.
        self._tracked: dict[int, tuple[Any, Any]] = {}
        self._counter: Patch | None = None
        self._lock = threading.RLock()
        self.found: list[tuple[Any, Command]] = []

    def begin(self, module: ModuleType) -> list[Patch]:
        """Track what is there, and watch for what is not; return the patches."""
        patches = self._track_found()
        with guard:
            # Of an included router FastAPI may have made copies by now, for requests that came.
            for route in list(self._routes.values()):
                patches += self._track_copy(route)
            if self._is_part:
                patches += self._track_copies(module)
        for router, _prefix in list(self._routers.values()):
            for attribute in ("add_api_route", "include_router"):
                kind = next((base for base in type(router).__mro__ if attribute in vars(base)), None)
                if kind is not None and not any((p.parent, p.attribute) == (kind, attribute) for p in patches):
                    patches.append(hook(self._ledger, self._asked, kind, attribute, self._around))
        patches += self._take_up_traces()
        self._counter = next(iter(patches), None)
        return patches

    def _take_up_traces(self) -> list[Patch]:
        """Let the requests of tracked routes be of the traces that they came in."""
        usual = getattr(sys.modules.get("fastapi.routing"), "APIRoute", None)
        kinds = dict.fromkeys((usual, *(type(route) for route in self._routes.values() if _is_api_route(route))))
        holders = (next((base for base in kind.__mro__ if "handle" in vars(base)), None) for kind in kinds if kind)
        return [
            hook(self._ledger, self._asked, holder, "handle", self._handling)
            for holder in dict.fromkeys(holders)
            if holder is not None
        ]

    def _handling(self, patch: Patch, original: Any) -> Any:
        @functools.wraps(original)
        async def handle(route: Any, scope: Any, receive: Any, send: Any) -> None:
            try:
                if patch.live and names_a_trace(scope) and self._ledger.made(getattr(route, "endpoint", None)):
                    with taken_up(scope):
                        await original(route, scope, receive, send)
                else:
                    await original(route, scope, receive, send)
            except BaseException as error:
                # A program's traceback looks as it does without us: a bare `raise` does not add this frame again.
                error.__traceback__ = without_own(error.__traceback__)
                raise

        return handle

    # --- finding ---------------------------------------------------------------------------------------------

    def add_router(self, router: Any, prefix: str) -> None:
        """Find the routes of a router or an application.

        Args:
            router: It, or anything else with ``routes``.
            prefix: What stands before the paths of its routes.
        """
        # An application hands everything on to a router of its own.
        router = getattr(router, "router", router)
        if id(router) in self._routers:
            return
        self._routers[id(router)] = router, prefix
        for route in list(router.routes):
            self._add(route, prefix)

    def _add(self, route: Any, prefix: str) -> None:
        if id(route) in self._routes:
            return
        self._routes[id(route)] = route
        included = getattr(route, "original_router", None)
        if included is not None:
            self.add_router(included, prefix + str(getattr(route.include_context, "prefix", "")))
        elif _is_api_route(route):
            self.found.append((route, _described(route, prefix)))
        elif getattr(getattr(route, "app", None), "routes", None):
            # An application that is mounted.
            self.add_router(route.app, prefix + str(getattr(route, "path", "")))

    def _around(self, patch: Patch, original: Any) -> Any:
        @functools.wraps(original)
        def add(router: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(router, *args, **kwargs)
            if patch.live:
                with guard:
                    self._added(router)
            return result

        return add

    def _added(self, router: Any) -> None:
        """Track what a router was given last."""
        with self._lock:
            known = self._routers.get(id(getattr(router, "router", router)))
            if known is not None and known[0].routes:
                self._add(known[0].routes[-1], known[1])
                self._track_found()

    # --- tracking --------------------------------------------------------------------------------------------

    def _track_found(self) -> list[Patch]:
        patches: list[Patch] = []
        found, self.found = self.found, []
        for route, command in found:
            with guard:
                event = event_of(self._target, command)
                if event is not None:
                    for holder, attribute in _places(route):
                        patches += self._track(holder, attribute, event, command)
        return patches

    def _track(self, holder: Any, attribute: str, event: str, command: Command) -> Iterator[Patch]:
        function = getattr(holder, attribute)
        if self._ledger.made(function):
            return
        patch = Patch(self._asked, holder, attribute, function, inherited=False)
        known = self._tracked.get(id(function))
        if known is None:
            made = track_function(self._target, event, command, function, self._counter or patch)
            known = self._tracked[id(function)] = function, made
        patch.replacement = known[1]
        self._ledger.put(patch)
        yield patch

    def _track_copies(self, module: ModuleType) -> Iterator[Patch]:
        """Track what the applications of a package have made of a router's routes before."""
        package = str(namespace_of(module).get("__name__", "")).partition(".")[0]
        modules = [other for name, other in list(sys.modules.items()) if name.partition(".")[0] == package]
        for other in {id(other): other for other in (module, *modules)}.values():
            for value in list(namespace_of(other).values()):
                if not _is_router(value):
                    continue
                copies = _Routes(self._ledger, self._asked, is_part=False)
                copies.add_router(value, "")
                for route in list(copies._routes.values()):
                    yield from self._track_copy(route)

    def _track_copy(self, route: Any) -> Iterator[Patch]:
        for holder, attribute in _places(route):
            function = getattr(holder, attribute)
            known = self._tracked.get(id(function))
            if known is not None:
                patch = Patch(self._asked, holder, attribute, known[0], inherited=False)
                patch.replacement = known[1]
                self._ledger.put(patch)
                yield patch


def _is_api_route(route: Any) -> bool:
    return hasattr(route, "dependant") and hasattr(route, "endpoint") and hasattr(route, "methods")


def _places(route: Any) -> Iterator[tuple[Any, str]]:
    """Yield where a route holds its endpoint; of an included router, where it holds those of its routes by now."""
    if _is_api_route(route):
        yield route, "endpoint"
        yield route.dependant, "call"
    for candidate in getattr(route, "_effective_candidates", ()):
        yield from _places(candidate)


def _described(route: Any, prefix: str) -> Command:
    dependant = route.dependant
    name = getattr(route.endpoint, "__name__", "") or route.name
    groups = ("path_params", "query_params", "header_params", "cookie_params", "body_params")
    fields = [field for group in groups for field in getattr(dependant, group, ())]
    parameters = dict.fromkeys((*(field.name for field in fields), *inspect.signature(route.endpoint).parameters))
    paths = dict.fromkeys((prefix + route.path, route.path))
    words = " ".join(_PARAMETER.sub(" ", prefix + route.path).split("/")).strip()
    aliases = [*paths, *(f"{method} {path}" for path in paths for method in sorted(route.methods)), route.name]
    return Command((name, words), parameters, [Argument(field.name) for field in dependant.path_params], aliases)
