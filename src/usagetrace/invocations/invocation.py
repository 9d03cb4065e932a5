"""One invocation of a skill: begun by a call, completed by another one, wherever and whenever that comes.

This module owns what an invocation records. Where it is recorded is the runtime's; nothing here raises into the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from usagetrace.events import NAME_LIMIT, bound_text
from usagetrace.guard import guard
from usagetrace.invocations.claims import Claim
from usagetrace.semconv import ARTIFACT_NAME, ARTIFACT_TYPE, ERROR_TYPE, METADATA_PREFIX, SESSION_ID
from usagetrace.track import runtime as runtime_module
from usagetrace.track import session
from usagetrace.track.call import Call, Parameters, Stage
from usagetrace.track.plan import Plan
from usagetrace.track.reading import put
from usagetrace.track.rows import INVOKE
from usagetrace.track.values import qualified_name, to_text

if TYPE_CHECKING:
    from types import TracebackType

    from usagetrace.track.operation import Operation
    from usagetrace.track.runtime import Runtime

# Kind of what is invoked, unless somebody says otherwise.
SKILL: Final = "skill"
# Most follow-up actions of one invocation that are kept.
_ACTIONS: Final = 100


class Invocation:
    """An invocation that has begun; made by :func:`track_invocation`.

    It counts as completed once :meth:`completer` was called, or once its ``with`` or ``async with`` block has ended.
    The first of these counts, in whichever thread or task it comes; what comes later does nothing. One that is never
    completed counts as abandoned when its process has ended, however that ended.

    A forked child may complete it by :meth:`completer`; the first process to do so counts. That a child leaves the
    block means nothing while the process lives that began the invocation. A copy is the invocation itself; one that was
    pickled completes nothing.
    """

    __slots__ = ("_claim", "_operation")

    def __init__(self, operation: Operation | None) -> None:
        self._operation = operation
        # Where nothing is recorded there is nothing to claim.
        self._claim = None if operation is None else Claim()

    def completer(
        self, completed: bool = True, follow_up_actions: Iterable[str] | None = (), error_type: object = None
    ) -> None:
        """Complete the invocation; again does nothing. Never raises.

        Args:
            completed: Whether it did what it was invoked for. Without, it ended in an error where ``error_type`` says
                which, else it was cancelled.
            follow_up_actions: What its user did next, or is to do: texts, a hundred at most.
            error_type: What went wrong: a name, an exception or its class.
        """
        try:
            # Before it is claimed: what has no truth must not leave it claimed and open for ever.
            said: dict[str, Any] = {"completed": bool(completed)}
            operation = self._begin_to_end()
            if operation is None:
                return
            outcome: object = None
            error: str | None = None
            # What can't be read is left out.
            with guard:
                error = _error_name(error_type)
            with guard:
                actions = _texts(follow_up_actions)
                if actions:
                    said["follow_up_actions"] = actions
            if not completed:
                outcome = "cancelled" if error is None else "error"
                operation.failed_with = None if error is None else _recorded(operation.runtime, error)
            elif error is not None:
                said["error_type"] = error
            operation.set(metadata=said, outcome=outcome)
            operation.succeed(None)
        except Exception as failure:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(failure)

    # As it is called where a completer is all that is handed on.
    __call__ = completer

    def __copy__(self) -> Invocation:
        return self

    def __deepcopy__(self, memo: object) -> Invocation:
        return self

    def __reduce__(self) -> tuple[type[Invocation], tuple[None]]:
        # A tool may pickle what holds it, which must not fail because something is recorded.
        return Invocation, (None,)

    def __enter__(self) -> Invocation:
        operation = self._operation
        if operation is not None and not operation.entered and not operation.ended:
            with guard:
                operation.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        try:
            self._leave(error)
        except Exception as failure:  # noqa: BLE001 -- the boundary that the package promises
            guard.note(failure)
        return False

    async def __aenter__(self) -> Invocation:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    def _leave(self, error: BaseException | None) -> None:
        if self._operation is None or self._claim is None:
            return
        self._operation.leave_if_current()
        if self._claim.is_elsewhere():
            return
        if error is None:
            self.completer()
            return
        operation = self._begin_to_end()
        if operation is not None:
            from usagetrace.track.exits import is_good_exit

            operation.set(metadata={"completed": is_good_exit(error)})
            operation.fail(error)

    def _begin_to_end(self) -> Operation | None:
        """Return the operation to whoever may end it, which is the first to ask; None to anybody else."""
        return self._operation if self._claim is not None and self._claim.make() else None


def track_invocation(
    skill_name: str,
    workflow_path: str | None = None,
    session_id: str | None = None,
    *,
    artifact_type: str = SKILL,
    metadata: Mapping[str, Any] | None = None,
) -> Invocation:
    """Begin an invocation, recorded where all tracked calls are. Never raises.

    ::

        invocation = track_invocation("review", workflow_path="comprehensive")
        ...
        invocation.completer(completed=True, follow_up_actions=["git commit"])

    or ``with track_invocation("review"): ...``, in which what is tracked inside is a part of the same trace.

    Args:
        skill_name: What is invoked.
        workflow_path: Which way of it is taken.
        session_id: Session that it belongs to; by default that of the context (:class:`session`), else of the
            environment (``USAGETRACE_SESSION_ID``), else one that is made for this process.
        artifact_type: Kind of what is invoked.
        metadata: Further keys.

    Returns:
        The invocation, to be completed. Where nothing is recorded, completing it does nothing.
    """
    # Whatever a runtime's start costs is caught there.
    return begin(runtime_module.current(), _plan, skill_name, workflow_path, session_id, artifact_type, metadata)


def begin(
    runtime: Runtime,
    plan: Plan,
    skill_name: object,
    workflow_path: object,
    session_id: object,
    artifact_type: object,
    metadata: Mapping[str, Any] | None,
) -> Invocation:
    """Begin an invocation under a runtime. Never raises.

    Args:
        runtime: Where it is recorded.
        plan: From :func:`new_plan`, for this runtime alone.
        skill_name: As for :func:`track_invocation`, like the rest.
        workflow_path: So too.
        session_id: So too.
        artifact_type: So too.
        metadata: So too.
    """
    if not runtime.active:
        return Invocation(None)
    if session_id is None or (type(session_id) is str and not session_id):
        session_id = session.current()
        if session_id is None:
            session_id = session.process_session()
    fields = {
        ARTIFACT_NAME: skill_name,
        ARTIFACT_TYPE: artifact_type,
        SESSION_ID: session_id,
        _WORKFLOW_PATH: workflow_path,
        _MORE: metadata,
    }
    return Invocation(runtime.begin(plan, runtime, Call(_NO_PARAMETERS, None, (), fields)))


_WORKFLOW_PATH: Final = METADATA_PREFIX + "workflow_path"
# Holds the further metadata among the arguments of a call; no attribute has this name.
_MORE: Final = ""
_NO_PARAMETERS: Final = Parameters(None)


def new_plan() -> Plan:
    """Return what is recorded of an invocation, to be used under one runtime: a change of it costs microseconds."""
    attributes = (
        (ARTIFACT_NAME, lambda call: call.kwargs[ARTIFACT_NAME]),
        (ARTIFACT_TYPE, lambda call: call.kwargs[ARTIFACT_TYPE]),
        (SESSION_ID, lambda call: call.kwargs[SESSION_ID]),
        (_WORKFLOW_PATH, lambda call: call.kwargs[_WORKFLOW_PATH]),
    )
    # A part of nothing: each counts.
    return Plan(INVOKE, None, _NO_PARAMETERS, Stage(attributes, (lambda call: call.kwargs[_MORE],)), Stage(), Stage())


_plan: Final = new_plan()


def _texts(actions: object) -> list[str]:
    """Return follow-up actions as texts; one text is one action, and what is none is left out."""
    if actions is None:
        return []
    if isinstance(actions, str) or not isinstance(actions, Iterable):
        actions = (actions,)
    return [text for text in map(to_text, islice(actions, _ACTIONS)) if text]


def _error_name(error: object) -> str | None:
    """Return the name of what went wrong; None where nothing is said."""
    if isinstance(error, BaseException):
        return qualified_name(type(error))
    if isinstance(error, type):
        return qualified_name(error)
    return to_text(error) or None


def _recorded(runtime: Runtime, error: str) -> str:
    """Return the name of an error as it may be recorded."""
    found: dict[str, Any] = {}
    put(runtime, found, ERROR_TYPE, error)
    # The semantic conventions' word where there is no name, as for a policy that leaves it out.
    return bound_text(str(found.get(ERROR_TYPE, "_OTHER")), NAME_LIMIT)
