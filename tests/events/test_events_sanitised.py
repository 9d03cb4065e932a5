"""Redaction of what events carry: secrets go, and the structure stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import example, given, settings

from usagetrace.payloads import ErrorPayload, Payload, Usage
from usagetrace.redaction import redact

from .payload_strategies import PAYLOADS, SECRETS  # isort: skip


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Yield where two values differ in structure: other containers, numbers of keys or items, or types of leaves."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        if len(before) != len(after):
            yield f"{place}: {len(before)} keys became {len(after)}"
        for (key, value), other in zip(before.items(), after.values(), strict=False):
            yield from differences(value, other, f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{place}: {len(before)} items became {len(after)}"
        for value, other in zip(before, after, strict=False):
            yield from differences(value, other, f"{place}[]")
    elif type(before) is not type(after) and not (is_leaf(before) and is_marker(after)):
        yield f"{place}: {type(before).__name__} became {type(after).__name__}"


def is_leaf(value: object) -> bool:
    """Return whether a value holds no others."""
    return not isinstance(value, Mapping | list)


def is_marker(value: object) -> bool:
    """Return whether a value stands for one that was taken out."""
    return isinstance(value, str) and value.startswith("[redacted")


@settings(max_examples=25)
@given(payload=PAYLOADS)
@example(payload=ErrorPayload("E1", f"failed with key {SECRETS[1]}", component="backend", stack_trace=SECRETS[0]))
@example(payload=Usage("a", "b", extra={"api_key": 1, "nested": [{"password": SECRETS[0], "n": [1, 2.5, None]}]}))
def test_redaction_of_a_payload_keeps_its_structure_and_no_secret(payload: Payload) -> None:
    """Keys, nesting and types stay, but for a number under a secret's name; no planted secret does; twice is once."""
    metadata = payload.to_metadata()
    redacted = redact("usage.metadata", metadata)
    assert list(differences(metadata, redacted)) == []
    assert [secret for secret in SECRETS if secret.removeprefix("Bearer ") in repr(redacted)] == []
    assert redact("usage.metadata", redacted) == redacted
