"""Targets of one module, held against the module itself: all that is wrong with each, not only the first.

Runs in a process of its own (see :mod:`usagetrace.autoinstrument.check`), since it imports the module, which may print,
exit or hang; nothing of it is undone. What tracks a function at run time is asked here as well, field by field.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import pickle
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any, Final

from usagetrace.autoinstrument import active
from usagetrace.autoinstrument.annotated import missing_attributes
from usagetrace.autoinstrument.finder import namespace_of
from usagetrace.autoinstrument.kept import holders_of, kept
from usagetrace.autoinstrument.patches import Ledger, Patch, TargetError, find, tracked
from usagetrace.autoinstrument.target import FIELDS, Target
from usagetrace.errors import UsageTraceError
from usagetrace.track.call import is_cases

FAULT: Final = "fault"
WARNING: Final = "warning"
# A severity, and what is said.
Said = tuple[str, str]

# What tracking says before the field that is at fault: which function it is follows from the target.
_BEFORE: Final = re.compile(r"\Atrack[^\s]* on [^\s,:]+(?:, field |: )")
_NO_PARAMETER: Final = re.compile(r"no parameter '(\w+)'")
# What Python says of a module that was asked for something while it was still being imported, in all its wordings.
_IN_CIRCLE: Final = "circular import"
_NOT_CHECKED: Final = "not checked: "
_SCRIPTS: Final = "console_scripts"
# Places that one warning names.
_HELD: Final = 3
# Roots that any function has.
_ROOTS: Final = ("self", "cls", "result", "error", "item", "index", "rank", "module", "function", "yielded")


def main(request: str, answer: str) -> None:
    """Verify the targets of one module, and end the process.

    Args:
        request: File with the targets, pickled: from the process that started this one.
        answer: File to write: for each target what is said of it, and which function it is. JSON, since the program
            that was imported could have written there as well.
    """
    with open(request, "rb") as file:
        targets: list[Target] = pickle.load(file)  # noqa: S301 -- its directory is the parent process's alone
    sys.argv = [targets[0].module]
    # As for a program that is started there.
    sys.path.insert(0, os.getcwd())
    said, functions = verify(targets)
    written = f"{answer}.part"
    with open(written, "w", encoding="utf-8") as out:
        json.dump({"said": said, "functions": functions}, out)
    os.replace(written, answer)
    # What the program does when it ends, and threads that it left, are no concern of ours.
    os._exit(0)


def verify(targets: list[Target]) -> tuple[list[list[Said]], list[str | None]]:
    """Import the module of some targets, and return what is wrong with each.

    Args:
        targets: Of one module.

    Returns:
        For each target what is said of it; and the qualified name of its function, where it stands in a module.
    """
    missing = [_missing_framework(target) for target in targets]
    module = _imported(targets[0].module)
    said: list[list[Said]] = []
    functions: list[str | None] = []
    for target, lacks in zip(targets, missing, strict=True):
        found: list[Said] = []
        function = None
        if target.module.partition(".")[0] in active._OWN:
            found.append((FAULT, "what records can't be recorded"))
        elif lacks:
            found.append((FAULT, lacks))
        elif isinstance(module, str):
            is_harmless = module.startswith(_NOT_CHECKED) or (target.optional and module.startswith("no module"))
            found.append((WARNING if is_harmless else FAULT, module))
        else:
            function = _verify_one(target, module, found)
        said.append(found)
        functions.append(function)
    return said, functions


def _missing_framework(target: Target) -> str:
    if not target.framework or importlib.util.find_spec(target.framework) is not None:
        return ""
    return f"{target.framework}: the package {target.framework} is not installed for this Python"


def _imported(name: str) -> ModuleType | str:
    """Return a module, or why there is none. Where it can't be the first of its package, a program's imports go before.

    Compiled packages have such circles of imports, which the order of their own program's imports goes around.
    """
    found = _imported_next(name)
    if not (isinstance(found, str) and _IN_CIRCLE in found):
        return found
    for program in _programs(name.partition(".")[0]):
        if not isinstance(_imported_next(program), str):
            again = _imported_next(name)
            if not isinstance(again, str):
                return again
    return f"{_NOT_CHECKED}{found}; a program that imports other modules before may well get it"


def _imported_next(name: str) -> ModuleType | str:
    """Return a module, or why there is none."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            return f"no module {error.name}{_near_module(error.name)}"
        return f"its module can't be imported: {error}"
    except SystemExit as stop:
        return f"its module ends the program when it is imported, with {stop.code!r:.60}"
    except BaseException as error:  # noqa: BLE001 -- a foreign module may raise anything
        return f"its module can't be imported: {type(error).__name__}: {_text(error)}"


def _programs(package: str) -> list[str]:
    """Return the modules that the console scripts of a package import."""
    modules = (point.value.partition(":")[0].strip() for point in importlib.metadata.entry_points(group=_SCRIPTS))
    return sorted({module for module in modules if module.partition(".")[0] == package})


def _near_module(name: str) -> str:
    above, _, last = name.rpartition(".")
    try:
        places = importlib.import_module(above).__path__ if above else None
        known = [found.name for found in pkgutil.iter_modules(places)]
    except Exception as error:  # noqa: BLE001 -- only a hint is missing
        return f" ({above} can't be looked at: {type(error).__name__})"
    near = get_close_matches(last, known, 1)
    if near:
        return f"; did you mean {f'{above}.{near[0]}' if above else near[0]}?"
    # Another environment's Python, or another folder, may have it.
    return "" if above else f"; looked for by {sys.executable}, from {os.getcwd()}"


def _verify_one(target: Target, module: ModuleType, found: list[Said]) -> str | None:
    """Add what is wrong with a target; return its function's qualified name.

    Args:
        target: The target.
        module: Its module.
        found: What is wrong is added here.
    """
    try:
        if target.framework:
            found.extend((FAULT, fault) for fault in _framework_faults(target, module))
            return None
        parent, attribute, original, inherited = find(module, target.qualname)
        had = [] if inherited else holders_of(original)
    except TargetError as error:
        found.append((WARNING if target.optional else FAULT, f"{error}{_near_method(target, module, str(error))}"))
        return None
    except (UsageTraceError, TypeError) as error:
        found.append((FAULT, _sentence(error, ())))
        return None
    except Exception as error:  # noqa: BLE001 -- a program's objects may raise anything when they are looked at
        found.append((FAULT, f"it can't be looked at: {type(error).__name__}: {_text(error)}"))
        return None
    patch = Patch(target, parent, attribute, original, inherited=inherited)
    faults = list(dict.fromkeys(_faults(target, original, patch)))
    found.extend((FAULT, fault) for fault in faults)
    if not faults:
        found.extend((WARNING, warning) for warning in missing_attributes(target.fields, parent, original))
        found.extend(_kept(target, module, original, had))
    return _place_of(original) if parent is module else None


def _near_method(target: Target, module: ModuleType, said: str) -> str:
    """Return a hint where a function that a module lacks is a method of one of its classes."""
    name = target.qualname
    if "has no" not in said or "did you mean" in said or "." in name:
        return ""
    classes = [known for known, value in namespace_of(module).items() if type(value) is type and name in vars(value)]
    return f"; did you mean {classes[0]}.{name}?" if len(classes) == 1 else ""


def _kept(target: Target, module: ModuleType, original: Any, had: list[Any]) -> list[Said]:
    """Return what is to be said of those who keep the bare function."""
    try:
        held = kept(target, module, original, had)
    except TargetError as error:
        return [(FAULT, str(error))]
    if not held:
        return []
    more = f" and {len(held) - _HELD} more" if len(held) > _HELD else ""
    return [(WARNING, f"the function is also held by {', '.join(held[:_HELD])}{more}, where its calls are not seen")]


def _framework_faults(target: Target, module: ModuleType) -> list[str]:
    """Return what is wrong with some of a program's commands; what is wrong with the whole is raised."""
    from usagetrace.autoinstrument.frameworks import apply

    faults: list[str] = []
    apply(Ledger(), target, module, faults)
    return faults


def _faults(target: Target, original: Any, patch: Patch) -> Iterator[str]:
    """Yield every fault of a target whose function is there."""
    names = _parameters(original)

    def tried(event: Any, fields: Mapping[str, Any]) -> list[str]:
        try:
            tracked(Target(target.function, event, fields), original, patch)
        except (UsageTraceError, TypeError, ValueError) as error:
            return [_sentence(error, names)]
        except Exception as error:  # noqa: BLE001 -- a program's objects may raise anything when they are looked at
            return [f"it can't be looked at: {type(error).__name__}: {_text(error)}"]
        return []

    event = target.event
    is_sound = True
    if isinstance(event, Mapping):
        for key, value in event.items():
            for fault in tried({key: value}, {}):
                is_sound = False
                yield fault
        event = next(iter(event.values()))
    # Other fields are read with these; a faulty one must not hide what is wrong with the others.
    around: dict[str, Any] = {"requested": "$result"} if "requested" in target.fields else {}
    first = {"each": "$result", "artifact_name": "$item" if around else "name", "requested": "$result"}
    for name in (
        *(name for name in first if name in target.fields),
        *(name for name in target.fields if name not in first),
    ):
        value = target.fields[name]
        own = [fault for part in _parts(name, value) for fault in tried(event, {**around, name: part})]
        if name in first:
            around[name] = first[name] if own else value
        is_sound = is_sound and not own
        yield from own
    if is_sound:
        yield from tried(target.event, target.fields)


def _parts(name: str, value: Any) -> Iterator[Any]:
    """Yield a field's value in parts that are right or wrong by themselves: each key of a table, each of its cases."""
    if name == "metadata" and isinstance(value, Mapping):
        for key, inner in value.items():
            for part in _parts("", inner):
                yield {key: part}
    elif is_cases(value):
        for key, inner in value.items():
            if key != "else":
                yield {key: None}
            yield inner
    else:
        yield value


def _parameters(original: Any) -> tuple[str, ...]:
    function = getattr(original, "__func__", None) or getattr(original, "fget", None) or original
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _sentence(error: Exception, parameters: tuple[str, ...]) -> str:
    """Return what tracking says of a field as one sentence, with a hint where a name is nearly right."""
    lines = str(error).splitlines() or [type(error).__name__]
    text = _BEFORE.sub("", lines[0])
    if len(lines) > 1:
        text += f" in {lines[1].strip()!r}"
    unknown = _NO_PARAMETER.search(text)
    near = get_close_matches(unknown[1], (*parameters, *_ROOTS), 1) if unknown else []
    if near:
        return f"{text}; did you mean ${near[0]}?"
    unknown_field = re.search(r"unknown field '(\w+)'", text)
    near = get_close_matches(unknown_field[1], FIELDS, 1) if unknown_field else []
    return f"{text}; did you mean {near[0]}?" if near and "did you mean" not in text else text


def _place_of(original: Any) -> str | None:
    """Return where a function that stands in a module was defined: under two names it is still one function."""
    module, name = getattr(original, "__module__", None), getattr(original, "__qualname__", None)
    return f"{module}:{name}" if isinstance(module, str) and isinstance(name, str) else None


def _text(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception as second:  # noqa: BLE001 -- a foreign exception's text may raise anything
        return type(second).__name__
