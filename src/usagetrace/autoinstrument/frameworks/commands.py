"""One command or route, whatever made it: which operation it is, where its fields are found, and how it is tracked.

A command's parameters are what its user gives, by name, whatever the signature of the function that runs it: that may
be ``**kwargs``, or behind decorators. A selector may name a parameter that only some of the commands have.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Mapping

from usagetrace.autoinstrument.patches import Ledger, Patch, TargetError
from usagetrace.autoinstrument.target import FIELDS
from usagetrace.autoinstrument.verbs import operation_of
from usagetrace.track import conventions, track
from usagetrace.track.call import Call, Parameters
from usagetrace.track.plan import Plan, build
from usagetrace.track.wrappers import unbound, wrap, wrapper_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

    from usagetrace.autoinstrument.target import Target

_SEARCH: Final = "search"
# Parameters that hold what a search looks for, beside the one that is called `query`.
_QUERIES: Final = ("q",)
# Commands that a message lists.
_LISTED: Final = 20


class Argument:
    """What a user gives a command by its place, not by the name of an option.

    Attributes:
        name: The parameter.
        many: Whether any number can be given.
        step: What leads from the parameter's value to the text that was given: ``.name`` for a file that was opened,
            ``[0]`` for the first of a fixed number.
    """

    __slots__ = ("many", "name", "step")

    def __init__(self, name: str, *, many: bool = False, step: str = "") -> None:
        self.name = name
        self.many = many
        self.step = step


class Command:
    """One command or route.

    Attributes:
        names: What it is called, with the groups that it is in; a verb of the first counts most.
        aliases: By what else the target's ``events`` may name it.
        parameters: Those of its user, by name.
        arguments: Of these, the ones that are given by place.
    """

    __slots__ = ("aliases", "arguments", "names", "parameters")

    def __init__(
        self,
        names: Iterable[str],
        parameters: Iterable[str],
        arguments: Iterable[Argument] = (),
        aliases: Iterable[str] = (),
    ) -> None:
        self.names = tuple(names)
        self.parameters = tuple(name for name in parameters if name.isidentifier() and not keyword.iskeyword(name))
        self.arguments = tuple(argument for argument in arguments if argument.name in self.parameters)
        self.aliases = tuple(aliases)


class _Signature:
    """Stands for a command where what tracks it asks for a function: its parameters, and whose code it is."""

    def __init__(self, function: Any, qualname: str, parameters: Iterable[str], *, is_open: bool) -> None:
        code = unbound(function)
        self.__module__ = getattr(code, "__module__", None) or ""
        self.__qualname__ = getattr(code, "__qualname__", None) or qualname
        kinds = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in parameters]
        if is_open:
            kinds.append(inspect.Parameter("_others", inspect.Parameter.VAR_KEYWORD))
        self.__signature__ = inspect.Signature(kinds)

    def __call__(self, **_given: Any) -> None:
        """Do nothing: only the signature is asked for."""


def event_of(target: Target, command: Command) -> str | None:
    """Return the event type of a command; None where it is no operation."""
    for name in (*command.names, *command.aliases):
        if name in target.events:
            return target.events[name] or None
    return next(filter(None, map(operation_of, command.names)), None)


def plan_of(target: Target, event: str, command: Command, function: Any) -> Plan:
    """Return what is recorded of a command.

    Args:
        target: The command is one of its.
        event: What the command is.
        command: The command.
        function: Runs the command.
    """
    fields = _fields(target.fields, event, command)
    # Open: a parameter that only other commands have is None here.
    stand_in = _Signature(function, target.qualname, command.parameters, is_open=True)
    return build(event, fields, stand_in, _where(target, event), module=stand_in.__module__, origin=unbound(function))


def track_function(target: Target, event: str, command: Command, function: Any, patch: Patch) -> Any:
    """Return the function that runs a command, tracked, its calls counted by a patch; otherwise as for :func:`plan_of`.

    The function has to be called with the command's parameters by name.
    """
    return wrap(function, patch.counted(wrapper_of(function, plan_of(target, event, command, function))))


def hook(ledger: Ledger, target: Target, holder: Any, attribute: str, around: Callable[[Patch, Any], Any]) -> Patch:
    """Replace a function of a framework, and return the patch.

    Args:
        ledger: Takes it.
        target: What asked for it.
        holder: The module, class or object that has the function in its own table.
        attribute: Its name there.
        around: Is given the patch and the function, and returns what takes its place.
    """
    original = vars(holder)[attribute]
    patch = Patch(target, holder, attribute, original, inherited=False)
    patch.replacement = around(patch, original)
    ledger.put(patch)
    return patch


def require(target: Target, commands: Iterable[Command], faults: list[str], *, is_closed: bool, what: str) -> None:
    """See that a target fits the commands that were found.

    Args:
        target: The target.
        commands: All of them that there are so far.
        faults: Takes what is wrong and keeps no command from being tracked.
        is_closed: Whether nothing suggests that more commands are made later.
        what: What they are: ``command`` or ``route``.

    Raises:
        TargetError: There are commands, and none is an operation.
        SelectorError: A selector is wrong.
        TypeError: There is no such field.
    """
    found = list(commands)
    check_fields(target, {name for command in found for name in command.parameters} if is_closed and found else None)
    if not is_closed or not found:
        return
    names = {name for command in found for name in (*command.names, *command.aliases)}
    shown = list(dict.fromkeys(command.names[0] for command in found if command.names))
    listed = ", ".join(shown[:_LISTED]) + (", ..." if len(shown) > _LISTED else "")
    faults.extend(
        f"events: no {what} {name!r} in {target.function}{_hint(name, names, listed)}"
        for name in target.events
        if name not in names
    )
    if not any(event_of(target, command) for command in found):
        raise TargetError(
            f"no {what} of it is an operation; there are {listed}. Name those that are, events = "
            f'{{ "{shown[0]}" = "deploy" }}; or, where {what}s are added later, the module that adds them'
        )


def check_fields(target: Target, parameters: Iterable[str] | None) -> None:
    """See that a target's fields can be read; otherwise as for :func:`require`.

    Args:
        target: The target.
        parameters: All that any of its commands has; None where that is not known yet.
    """
    for name in target.fields:
        if name not in FIELDS:
            raise TypeError(f"unknown field {name!r}; the fields are {', '.join(FIELDS)}")
    for event in filter(None, target.events.values()):
        track(event)
    stand_in = _Signature(None, target.qualname, sorted(parameters or ()), is_open=parameters is None)
    build("deploy", target.fields, stand_in, _where(target, "deploy"), module=target.module)


def _where(target: Target, event: str) -> str:
    return f"track.{event} on {target.qualname}"


def _hint(name: str, names: Iterable[str], listed: str) -> str:
    # Imported here: only a mistake needs it.
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {listed}"


def _fields(given: Mapping[str, Any], event: str, command: Command) -> dict[str, Any]:
    """Return the fields of one command: the target's, and what its arguments say."""
    fields = dict(given)
    if event == _SEARCH:
        metadata = fields.get("metadata", {})
        if isinstance(metadata, Mapping) and "query" not in metadata and "query" not in command.parameters:
            query = _query(command)
            if query is not None:
                fields["metadata"] = {**metadata, "query": query}
    elif fields.get("artifact_name") is None and fields.get("each") is None:
        fields.update(_subject(command))
    return fields


def _subject(command: Command) -> Iterator[tuple[str, Any]]:
    """Yield the fields that the argument gives which names what a command is about."""
    usual = [name for name in conventions.FIELDS["artifact_name"].parameters if name in command.parameters]
    parameters = Parameters(_Signature(None, "", command.parameters, is_open=False))
    if not usual and conventions.field_reader("artifact_name", parameters) is not None:
        # The parameter's name says the kind as well: skill_name.
        return
    named = next((argument for argument in command.arguments if argument.name in usual), None)
    subject = named or next(iter(command.arguments), None)
    if subject is None:
        return
    if subject.many:
        # A command that fails has failed for all that it was given; nobody knows of which it was done before.
        yield "each", _unless_failed(subject.name)
        yield "requested", f"${subject.name}"
        yield "artifact_name", f"$item{subject.step}"
    elif named is None or subject.step:
        options = [name for name in usual if name != subject.name]
        yield "artifact_name", " | ".join(f"${name}" for name in (*options, subject.name + subject.step))


def _unless_failed(name: str) -> Callable[[Call], Any]:
    """Return what reads a parameter of a call that did not raise."""
    return lambda call: call.kwargs.get(name) if call.error is None else None


def _query(command: Command) -> Any:
    """Return how the text that a search looks for is found; None where its parameters do not say."""
    first = next(iter(command.arguments), None)
    if first is None:
        return next((f"${name}" for name in _QUERIES if name in command.parameters), None)
    if not first.many:
        return f"${first.name}{first.step}"
    name = first.name

    def joined(call: Call) -> str | None:
        return " ".join(map(str, call.kwargs.get(name) or ())) or None

    return joined
