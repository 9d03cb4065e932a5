"""The reference of the public Python names as Markdown, from signatures and docstrings.

This module owns which names are public beyond ``usagetrace.__all__``, and how a docstring of this package's style
(one sentence, then ``Args:``, ``Returns:``, ``Raises:``, ``Attributes:``) becomes Markdown.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

# Title, module, names; a name with a dot is an attribute of a class.
SECTIONS = (
    ("The front door", "usagetrace", ("configure", "event", "record_event", "flush", "shutdown", "__version__")),
    ("Tracking", "usagetrace.track", ("track", "Track", "Tracker", "Operation.set", "Call")),
    ("Event types", "usagetrace.event_types",
     ("EventType", "Sampling", "register", "lookup", "all_types", "default_sampling")),
    ("", "usagetrace.payloads", ("Payload", "payload_of", "to_metadata")),
    ("", "usagetrace.validation", ("validate", "time_problems", "Validation")),
    ("Sampling", "usagetrace.sampling", ("set_rate", "reset", "rate_in_force", "UsageSampler", "make_sampler")),
    ("Invocations", "usagetrace.invocations",
     ("track_invocation", "Invocation", "session", "get_store", "SkillMetricsStore", "check_database_health",
      "JsonMetricsTracker", "DualWriteMetricsTracker", "DualReadMetricsTracker", "DataMigrator", "MigrationRunner")),
    ("Redaction", "usagetrace.redaction",
     ("redact", "Redactor", "default_redactor", "RedactingSpanProcessor", "RedactingSpanExporter",
      "RedactingMetricExporter", "RedactingLogRecordProcessor", "RedactingLogRecordExporter", "RedactingMeterProvider",
      "protect")),
    ("Exporters", "usagetrace.exporters.sqlite", ("SQLiteSpanExporter",)),
    ("", "usagetrace.exporters.sqlite_logs", ("SQLiteLogRecordExporter",)),
    ("", "usagetrace.exporters.sqlite_metrics", ("SQLiteMetricExporter",)),
    ("", "usagetrace.exporters.otlp",
     ("RedactingOTLPSpanExporter", "RedactingOTLPMetricExporter", "RedactingOTLPLogExporter")),
    ("Facades", "usagetrace.analytics", ("AnalyticsManager", "AnalyticsDB", "AnalyticsConfig")),
    ("", "usagetrace.event_logger", ("EventLogger", "AnalyticsEvent")),
    ("", "usagetrace.server.telemetry_router",
     ("router", "EventLogRequest", "EventLogResponse", "TelemetryHealthResponse")),
    ("Testing", "usagetrace.testing", ("capture_events", "expect_events", "FixedClock", "SequentialIds")),
    ("", "usagetrace.events", ("Event",)),
    ("Errors", "usagetrace.errors",
     ("UsageTraceError", "ConfigurationError", "SelectorError", "EventError", "RedactionError", "StoreError",
      "NotAStoreError", "NewerSchemaError", "ChangedMigrationError", "StoreUnavailableError", "ImportFileError")),
)  # fmt: skip

_DOCUMENTED = frozenset(name for _, _, names in SECTIONS for name in names)

# Classes whose objects the package makes: how is nobody's business.
_MADE_HERE = frozenset({"Call", "Invocation", "Track", "Tracker"})

_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):\s*$")
_ITEM = re.compile(r"^    (\*{0,2}[\w.]+): (.*)$")
_TITLES = {
    "Args": "Arguments", "Returns": "Returns", "Raises": "Raises", "Attributes": "Attributes", "Yields": "Yields",
}  # fmt: skip


def render() -> str:
    """Return the whole reference."""
    parts: list[str] = []
    for title, module_name, names in SECTIONS:
        if title:
            parts.append(f"## {title}")
        module = importlib.import_module(module_name)
        parts.extend(part for name in names for part in _name(module, module_name, name))
    return "\n\n".join(parts)


def _name(module: object, module_name: str, name: str) -> Iterator[str]:
    thing: object = module
    for attribute in name.split("."):
        thing = getattr(thing, attribute)
    yield f"### `{module_name}.{name}`"
    if isinstance(thing, str):
        yield "Version of the package, as a text."
    elif inspect.isclass(thing):
        yield from _class(thing, name.rpartition(".")[2])
    elif inspect.isfunction(thing):
        yield f"```text\n{signature(thing, name.rpartition('.')[2])}\n```"
        yield markdown(inspect.getdoc(thing) or "")
    elif isinstance(routes := getattr(thing, "routes", None), list):
        yield "The object to include, with these routes:"
        yield "\n".join(line for route in routes for line in _route(route))
    else:
        yield f"The object to use, of type `{type(thing).__name__}`, see below."


def _route(route: Any) -> Iterator[str]:
    """Yield a route of FastAPI, and below it each answer that is none of success."""
    answers = f"Answers `{route.response_model.__name__}`{', or:' if route.responses else '.'}"
    yield f"- `{' '.join(sorted(route.methods))} {route.path}`: {route.description} {answers}"
    yield from (f"    - {status}: {answer['description']}" for status, answer in route.responses.items())


def _class(thing: type, called_here: str) -> Iterator[str]:
    own_init = thing.__dict__.get("__init__")
    called = thing.__name__ not in _MADE_HERE and not issubclass(thing, Exception) and not _is_protocol(thing)
    if inspect.isfunction(own_init) and called:
        yield f"```text\n{signature(own_init, called_here).removesuffix(' -> None')}\n```"
    elif issubclass(thing, Exception):
        yield "Is a " + ", ".join(f"`{base.__name__}`" for base in thing.__bases__) + "."
    yield markdown(inspect.getdoc(thing) or "")
    for name, member in _members(thing).items():
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(member, property):
            yield f"#### `{thing.__name__}.{name}`"
            yield markdown(inspect.getdoc(member) or "")
        elif inspect.isfunction(member) and inspect.getdoc(member):
            yield f"#### `{thing.__name__}.{name}()`"
            yield f"```text\n{signature(member, name)}\n```"
            yield markdown(inspect.getdoc(member) or "")


def _members(thing: type) -> dict[str, object]:
    """Return a class's own members, then those of bases in this package that have no place on the page themselves."""
    members = dict(vars(thing))
    for base in thing.__mro__[1:]:
        if base.__module__.startswith("usagetrace.") and base.__name__ not in _DOCUMENTED:
            members.update({name: member for name, member in vars(base).items() if name not in members})
    return members


def _is_protocol(thing: type) -> bool:
    return bool(getattr(thing, "_is_protocol", False))


def signature(function: object, name: str) -> str:
    """Return a function's signature without ``self``, on several lines where one is too long.

    :func:`str` of a signature spells annotations differently from one Python to the next; this does not.
    """
    shown: list[str] = []
    described = inspect.signature(function)  # type: ignore[arg-type]  # callers pass functions only
    parameters = [p for position, p in enumerate(described.parameters.values())
                  if not (position == 0 and p.name in ("self", "cls"))]  # fmt: skip
    positional_only = False
    keyword_only = False
    for parameter in parameters:
        if positional_only and parameter.kind is not parameter.POSITIONAL_ONLY:
            shown.append("/")
        positional_only = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            shown.append("*")
        keyword_only = keyword_only or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        shown.append(_parameter(parameter))
    if positional_only:
        shown.append("/")
    returns = "" if described.return_annotation is described.empty else f" -> {described.return_annotation}"
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in shown) + f"){returns}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = parameter.name
    if parameter.kind is parameter.VAR_POSITIONAL:
        text = "*" + text
    elif parameter.kind is parameter.VAR_KEYWORD:
        text = "**" + text
    annotated = parameter.annotation is not parameter.empty
    if annotated:
        text += f": {parameter.annotation}"
    if parameter.default is not parameter.empty:
        text += f" = {parameter.default!r}" if annotated else f"={parameter.default!r}"
    return text


def markdown(doc: str) -> str:
    """Return a docstring as Markdown."""
    lines: list[str] = []
    section = ""
    code = False
    for line in doc.splitlines():
        if code and line.strip() and not line.startswith("    "):
            lines[_last_text(lines) + 1 :] = ["```", ""]
            code = False
        if code:
            lines.append(line[4:])
        elif line.strip() == "::":
            code = True
            lines.append("```text")
        elif match := _SECTION.match(line):
            section = match[1]
            lines.extend([f"*{_TITLES[section]}*", ""])
        else:
            if line and not line[0].isspace():
                section = ""
            _add(lines, line, section)
    if code:
        lines[_last_text(lines) + 1 :] = ["```"]
    text = "\n".join(lines).replace("```text\n\n", "```text\n")
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _last_text(lines: list[str]) -> int:
    return max((number for number, line in enumerate(lines) if line.strip()), default=-1)


def _add(lines: list[str], line: str, section: str) -> None:
    plain = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", line.replace("``", "`"))
    if section in ("Args", "Raises", "Attributes") and (match := _ITEM.match(plain)):
        lines.append(f"- `{match[1]}`: {match[2]}")
    elif section and plain.strip():
        # A line that goes on belongs to the item above it.
        lines.append(f"  {plain.strip()}" if section in ("Args", "Raises", "Attributes") else plain.strip())
    else:
        lines.append(plain)
