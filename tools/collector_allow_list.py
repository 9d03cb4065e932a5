"""Writes what the Collector's configurations take from the code: which attributes pass, which values are masked.

A configuration holds generated text between ``# generated: NAME`` and ``# end generated``. The names come from
:mod:`usagetrace.semconv`, the tokens from the redaction's own table of vendors. This module owns those blocks; what
stands around them is written by people::

    python tools/collector_allow_list.py            # write the blocks
    python tools/collector_allow_list.py --check    # write them, and exit with 1 where one was out of step
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src")]

from usagetrace import semconv  # noqa: E402 -- found by the path above
from usagetrace.redaction.vendors import TOKENS  # noqa: E402

CONFIGURATIONS = tuple(ROOT / "collector-config" / name for name in ("agent.yaml", "gateway.yaml", "local.yaml"))

_BLOCK = re.compile(r"^( *)# generated: ([\w-]+)[^\n]*\n(.*?)^ *# end generated$", re.DOTALL | re.MULTILINE)
_PREFIXES = (semconv.METADATA_PREFIX, semconv.ITEM_METADATA_PREFIX)
# Of the resource: what our providers set, and what tells deployments apart without naming a machine or a person.
_RESOURCE = (
    semconv.SERVICE_NAME,
    semconv.SERVICE_VERSION,
    semconv.OS_TYPE,
    semconv.OS_VERSION,
    semconv.HOST_ARCH,
    semconv.LOCALE,
    semconv.TIMEZONE_OFFSET,
    "service.namespace",
    "deployment.environment.name",
    "app.installation.id",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "service.instance.id",
)
# Metrics of two processes are told apart by it. As an UUID it is a random number; otherwise it may name a machine.
_NO_UUID = (
    '- delete_key(resource.attributes, "service.instance.id") where resource.attributes["service.instance.id"] != nil '
    'and not IsMatch(resource.attributes["service.instance.id"], "^[0-9a-fA-F-]{32,36}$$")'
)
# The attributes of metrics are those with few values.
_DATA_POINT = (semconv.EVENT_TYPE, semconv.ARTIFACT_TYPE, semconv.OUTCOME, semconv.ERROR_TYPE)
_NO_ATTRIBUTES = frozenset({"SCOPE_NAME", "SCHEMA_URL", "PREFIX"})
# A key of metadata is an identifier: what else could stand in its place may be private itself.
_METADATA_KEY = "[A-Za-z0-9_.-]{1,64}"
# What an organisation lets pass beside it; as it stands, a name that passes anyway.
_ALSO = "${env:USAGETRACE_ALSO_ALLOW:-service[.]name}"

# What a statement is about: its first argument.
_CONTEXT = re.compile(r"\((resource|scope|spanevent|span|metric|datapoint|exemplar|log)[.]")
# The masking processor looks at attributes alone: names stand in one of this key while it runs.
_NAME = '"usagetrace.collector.name"'
_NAMES_OF_TRACES = (("span.attributes", "span.name"), ("spanevent.attributes", "spanevent.name"))
_NAMES_OF_LOGS = (("log.attributes", "log.event_name"),)

# Tokens that are found often and known by their first characters alone.
WELL_KNOWN = (
    "aws-key", "google-key", "google-token", "digitalocean-token", "databricks-token", "hashicorp-token",
    "gh-token", "gitlab-token", "atlassian-token", "npm-token", "package-token", "docker-token", "slack-token",
    "stripe-key", "sendgrid-key", "shopify-token", "huggingface-token", "grafana-token", "jwt",
)  # fmt: skip
# The Collector's expressions are RE2's: no look-around, no more than this many repetitions.
_MOST_REPETITIONS = 1000
# Each begins with fixed characters, for which a value is searched two hundred times faster than for alternatives.
_SHAPES = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[\s\S]*",
    r"sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}",
    r"sk-[A-Za-z0-9]{32,}",
    r"://[^\s/@:]*:[^\s/@]+@",
    r"earer\s+[A-Za-z0-9._~+/=-]{16,}",
    *(rf"{word}[\x22']?\s*[=:]\s*[^\s,;&]+" for word in ("assword", "ASSWORD", "asswd", "ASSWD")),
    # A colon and no space is also that of a function's place: module_of_token:function.
    *(
        rf"{word}[\x22']?\s*(?:=|:\s)\s*[^\s,;&]+"
        for word in ("ecret", "ECRET", "oken", "OKEN", "pi_key", "PI_KEY", "pi-key", "piKey")
    ),
    r"/home/[^/\s]+",
    r"/Users/[^/\s]+",
    r":\\Users\\[^\\\s]+",
)


def span_attributes() -> tuple[str, ...]:
    """Return the names of all attributes of spans and log records, in the order in which they are declared."""
    declared = {
        name: value
        for name, value in vars(semconv).items()
        if name.isupper() and isinstance(value, str) and name not in _NO_ATTRIBUTES and not name.startswith("METRIC_")
    }
    return tuple(value for value in declared.values() if not value.endswith(".") and value not in _RESOURCE)


def _keys(names: Sequence[str], prefixes: Sequence[str] = ()) -> str:
    """Return an expression for just these keys; a full stop in brackets, for a backslash would be OTTL's."""
    dotted = [name.replace(".", "[.]") for name in names]
    dotted += [prefix.replace(".", "[.]") + _METADATA_KEY for prefix in prefixes]
    return f"^(?:{'|'.join([*dotted, _ALSO])})$$"


def _statements(target_names: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> list[str]:
    return [f'- keep_matching_keys({target}, "{_keys(names, prefixes)}")' for target, names, prefixes in target_names]


def allow_list() -> str:
    """Return the processor that removes every attribute without a known name, and free text, from all signals."""
    ours = span_attributes()
    traces = _statements([
        ("resource.attributes", _RESOURCE, ()),
        ("scope.attributes", (), ()),
        ("span.attributes", ours, _PREFIXES),
        ("spanevent.attributes", (), ()),
    ])  # fmt: skip
    metrics = _statements([
        ("resource.attributes", _RESOURCE, ()),
        ("scope.attributes", (), ()),
        ("metric.metadata", (), ()),
        ("datapoint.attributes", _DATA_POINT, ()),
        ("exemplar.filtered_attributes", (), ()),
    ])  # fmt: skip
    logs = _statements([
        ("resource.attributes", _RESOURCE, ()),
        ("scope.attributes", (), ()),
        ("log.attributes", ours, _PREFIXES),
    ])  # fmt: skip
    for statements in (traces, metrics, logs):
        statements.append(_NO_UUID)
    traces += ['- set(span.status.message, "")', '- set(span.trace_state, "")']
    traces += [f"- set({attributes}[{_NAME}], {name})" for attributes, name in _NAMES_OF_TRACES]
    logs += ['- set(log.body, "") where log.body != nil']
    logs += ['- set(log.severity_text, "") where not IsMatch(log.severity_text, "^[A-Za-z0-9]{0,12}$$")']
    logs += [f"- set({attributes}[{_NAME}], {name})" for attributes, name in _NAMES_OF_LOGS]
    return _transform("allow_list", trace=traces, metric=metrics, log=logs)


def names() -> str:
    """Return the processor that puts names back which were searched for secrets in an attribute's place."""

    def back(pairs: Sequence[tuple[str, str]]) -> list[str]:
        return [
            statement
            for attributes, name in pairs
            for statement in (f"- set({name}, {attributes}[{_NAME}])", f"- delete_key({attributes}, {_NAME})")
        ]

    return _transform("names", trace=back(_NAMES_OF_TRACES), log=back(_NAMES_OF_LOGS))


def _transform(name: str, **signals: list[str]) -> str:
    # What can't be done right is not passed on: with another mode it would pass as it came.
    lines = [f"transform/{name}:", "  error_mode: propagate"]
    for signal, statements in signals.items():
        lines.append(f"  {signal}_statements:")
        # One group for each context: statements of several in one group run only where the lowest of them has
        # something, so that an attribute of a span without events would pass.
        groups: dict[str, list[str]] = {}
        for statement in statements:
            found = _CONTEXT.search(statement)
            if found is None:
                raise ValueError(f"no context is named in the statement {statement}")
            groups.setdefault(found[1], []).append(statement)
        for context, grouped in groups.items():
            lines += [f"    - context: {context}", "      statements:", *(f"        {line}" for line in grouped)]
    return "\n".join(lines)


def _without_look_around(pattern: str) -> str:
    """Return a pattern of the vendors' table for RE2; a look-around in it is left out, which finds a little more."""
    pattern = re.sub(r"\(\?(?:[=!]|<[=!])(?:\[[^\]]*\]|[^()\[\]])*\)", "", pattern)

    def bounded(found: re.Match[str]) -> str:
        return found[0] if int(found[2]) <= _MOST_REPETITIONS else f"{{{found[1]},}}"

    return re.sub(r"\{(\d+),(\d+)\}", bounded, pattern)


def blocked_patterns() -> tuple[str, ...]:
    """Return the expressions, in RE2's syntax, of values that are masked wherever they stand."""
    tokens = [token for token in TOKENS if token.name in WELL_KNOWN]
    missing = set(WELL_KNOWN) - {token.name for token in tokens}
    if missing:
        raise ValueError(f"the redaction's table has no token named {', '.join(sorted(missing))}")
    found = [
        re.escape(prefix).replace(r"\-", "-").replace("/", "/") + _without_look_around(token.tail)
        for token in tokens
        for prefix in token.prefixes
    ]
    return (*_SHAPES, *found)


def blocked_values() -> str:
    """Return the processor that masks well-known secrets in the values of attributes that may pass."""
    quoted = (pattern.replace("$", "$$").replace("'", "''") for pattern in blocked_patterns())
    return "\n".join([
        "redaction/secrets:",
        "  # Which keys pass was decided before.",
        "  allow_all_keys: true",
        "  redact_all_types: true",
        "  summary: silent",
        "  blocked_values:",
        *(f"    - '{pattern}'" for pattern in quoted),
    ])  # fmt: skip


def buckets() -> str:
    """Return the bounds of the buckets of durations, in the Collector's spelling."""
    return f"buckets: [{', '.join(f'{bound:g}s' for bound in semconv.DURATION_BUCKETS)}]"


BLOCKS = {"allow-list": allow_list, "blocked-values": blocked_values, "names": names, "buckets": buckets}


def written(text: str) -> str:
    """Return a configuration with its generated blocks as they should be; raise KeyError for an unknown block."""

    def block(found: re.Match[str]) -> str:
        indent, name = found[1], found[2]
        lines = [indent + line for line in BLOCKS[name]().splitlines()]
        head = found[0].split("\n", 1)[0]
        return "\n".join([head, *lines, f"{indent}# end generated"])

    return _BLOCK.sub(block, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the blocks of every configuration; with ``--check``, exit with 1 where one was out of step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="exit with 1 where something was out of step")
    options = parser.parse_args(arguments)
    drifted = []
    for path in CONFIGURATIONS:
        text = path.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            path.write_text(new, encoding="utf-8")
            drifted.append(path.name)
            print(f"written: collector-config/{path.name}", file=sys.stderr)
    return 1 if drifted and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
