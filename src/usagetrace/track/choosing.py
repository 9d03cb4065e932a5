"""Wrappers that choose among wrappers when a call begins: by the cases of an event type, or whether anything runs.

Loaded by functions that are tracked so. A call that is tracked runs through the very wrapper that it would have alone.
"""

from __future__ import annotations

import sys

from usagetrace.errors import SelectorError
from usagetrace.track import cases
from usagetrace.track import runtime as runtime_module
from usagetrace.track.call import Call, Parameters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from usagetrace.track.plan import Plan
    from usagetrace.track.wrappers import Wrapper


def by_event(
    events: Mapping[str, str], plans: Mapping[str, Plan], wrappers: Mapping[str, Wrapper], where: str
) -> Wrapper:
    """Return the wrapper of a function whose event type is chosen by conditions.

    Args:
        events: Conditions, and the event type of each; ``else`` where none holds.
        plans: Of the function, by event type.
        wrappers: Of the function, by event type.
        where: Name of the function, for the messages of errors.

    Raises:
        SelectorError: A key is no condition, or names what is only known after the call.
    """
    # They differ in what they record; what the function takes is the same.
    parameters = next(iter(plans.values())).parameters
    choose = _chooser(events, parameters, where)

    def call_chosen(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            chosen = choose(Call(parameters, instance, args, kwargs)) if runtime_module.current().active else None
        except RecursionError:
            # So deep in the stack that no condition found room; the function itself may yet.
            chosen = None
        return wrapped(*args, **kwargs) if chosen is None else wrappers[chosen](wrapped, instance, args, kwargs)

    return call_chosen


def _chooser(events: Mapping[str, str], parameters: Parameters, where: str) -> Callable[[Call], str | None]:
    # Imported here: plan imports this package's other modules when it needs them.
    from usagetrace.track.plan import Builder

    builder = Builder(where, parameters, has_each=False, literal_texts=False)
    pairs: list[tuple[Callable[[Call], bool], str]] = []
    for key, event_type in events.items():
        if key == cases.ELSE:
            continue
        holds, moment = cases.condition(builder, "event", key)
        if moment != "early":
            raise SelectorError(
                f"{where}, field event: {key!r} names what is known after the call; an event type is chosen when the "
                "call begins"
            )
        pairs.append((holds, event_type))
    otherwise = events.get(cases.ELSE)

    def choose(call: Call) -> str | None:
        for holds, event_type in pairs:
            if holds(call):
                return event_type
        return otherwise

    return choose


def only_inside(wrapper: Wrapper) -> Wrapper:
    """Return the wrapper of a function that is only looked at while an operation runs.

    Args:
        wrapper: The function's, which finds out whether it is a part of that operation.
    """

    def call_inside(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Nothing has run yet where nothing has loaded what runs; it is there before it is whole.
        running = getattr(sys.modules.get("usagetrace.track.operation"), "_running", None)
        if running is None or running.get() is None:
            return wrapped(*args, **kwargs)
        return wrapper(wrapped, instance, args, kwargs)

    return call_inside
