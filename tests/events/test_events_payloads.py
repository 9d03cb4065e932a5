"""Payloads: to metadata and back, what fits an event type and what does not, and dataclasses of anybody's own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from hypothesis import given

from usagetrace import payloads
from usagetrace.errors import EventError
from usagetrace.event_types import EventType, lookup
from usagetrace.payload_checks import LEAST, fields_of
from usagetrace.payloads import (
    Business,
    BusinessMetric,
    Custom,
    ErrorPayload,
    Payload,
    Performance,
    Severity,
    Usage,
    payload_of,
)

from .payload_strategies import BY_KIND, PAYLOADS  # isort: skip

if TYPE_CHECKING:
    from decimal import Decimal


@given(payload=PAYLOADS)
def test_a_payload_comes_back_from_its_metadata(payload: Payload) -> None:
    """Metadata is JSON, and its text reads back to an equal payload; enums are their values in it."""
    metadata = payload.to_metadata()
    again = json.loads(json.dumps(metadata))
    assert type(payload).from_metadata(again) == payload
    assert type(payload).from_metadata(metadata).to_metadata() == metadata
    assert payloads.to_metadata(payload) == metadata


@given(payload=PAYLOADS)
def test_a_payload_fits_the_types_that_have_it(payload: Payload) -> None:
    """Whether as an object or as its metadata, it is the payload of its event type, without a fault."""
    own = EventType("page_opened", payload=type(payload))
    assert payload_of(own, payload) == (payload, [])
    assert payload_of(own, payload.to_metadata()) == (payload, [])


def test_every_kind_is_drawn_and_public() -> None:
    """No kind of payload is missing in these tests, nor in the public names."""
    kinds = {kind for kind in vars(payloads).values() if isinstance(kind, type) and issubclass(kind, Payload)}
    assert kinds - {Payload} == set(BY_KIND)
    assert {kind.__name__ for kind in kinds} <= set(payloads.__all__)


def test_severities_and_business_metrics_are_the_required_ones() -> None:
    """Five severities and seven business metrics, by the words that are stored."""
    assert [member.value for member in Severity] == ["debug", "info", "warning", "error", "critical"]
    assert [member.value for member in BusinessMetric] == [
        "input_tokens", "output_tokens", "total_tokens", "cost_usd", "cost_credits", "quota_used", "quota_remaining",
    ]  # fmt: skip
    assert Business("cost_usd", 1, "USD") == Business(BusinessMetric.COST_USD, 1, "USD")  # type: ignore[arg-type]


def test_further_keys_of_usage_stand_beside_its_own_and_a_field_goes_first() -> None:
    """``extra`` is flattened both ways; a key of it that is a field's is the field's."""
    usage = Usage("export", "run", extra={"rows": 3, "feature": "other", "target": "x"})
    assert usage.to_metadata() == {"rows": 3, "feature": "export", "action": "run", "success": True}
    assert Usage.from_metadata({"feature": "a", "action": "b", "more": [1]}).extra == {"more": [1]}


def test_a_payload_keeps_nothing_of_the_program_s() -> None:
    """It can't be changed, and a table that it was given may change afterwards."""
    tags = {"disk": "sda"}
    payload = Performance("reads", 1, "{read}", tags)
    tags["disk"] = "sdb"
    assert payload.tags == {"disk": "sda"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        payload.value = 2  # type: ignore[misc]


def test_making_a_payload_never_fails_for_what_it_holds() -> None:
    """A value of a wrong type is the running program's: making the payload works, and checking it tells."""
    wrong = Business("gold", None, 3)  # type: ignore[arg-type]
    known = lookup("tokens_consumed")
    assert known is not None
    found, faults = payload_of(known, wrong)
    assert found is None
    assert [fault.partition(":")[0] for fault in faults] == ["metric_type", "value", "unit"]


class Unreadable(Mapping[str, Any]):
    """A table, and a value, that raises whenever somebody looks at it."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("planted")

    def __iter__(self) -> Any:
        raise RuntimeError("planted")

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise RuntimeError("planted")


def test_making_a_payload_does_not_fail_for_what_raises_either() -> None:
    """A foreign object that raises is left as it is, and the fields beside it are brought into their form."""
    odd: Any = Unreadable()
    assert Performance("hits", 1, "1", tags=odd).tags is odd
    assert Usage("a", "b", extra=odd).extra is odd
    error = ErrorPayload("E1", "m", severity=odd)
    assert error.severity is odd
    assert Business("cost_usd", 1, "USD", backend=odd).metric_type is BusinessMetric.COST_USD  # type: ignore[arg-type]


METRICS = "one of input_tokens, output_tokens, total_tokens, cost_usd, cost_credits, quota_used, quota_remaining"
CASES: dict[str, tuple[str, Any, list[str]]] = {
    "nothing": ("command_executed", None, []),
    "no keys": ("command_executed", {}, []),
    "any keys": ("command_executed", {"shell": "zsh"}, []),
    "any keys of an operation": ("deploy", {"success": "perhaps"}, []),
    "any keys of security": ("auth_attempted", {"method": "key"}, []),
    "custom data": ("cache_hit", Custom({"a": [1]}), []),
    "its payload": ("cache_hit", Performance("hits", 1, "1"), []),
    "another payload": ("cache_hit", Usage("a", "b"), ["payload: expected Performance, got Usage"]),
    "half a payload": (
        "cpu_usage", {"metric": "load", "value": "high"},
        ["value: expected a number, got str", "unit: missing; expected text"],
    ),
    "needed": ("error_occurred", {}, ["code: missing; expected text", "message: missing; expected text"]),
    "needed, not custom": (
        "tokens_consumed", {"tokens": 3},
        [f"metric_type: missing; expected {METRICS}", "value: missing; expected a number",
         "unit: missing; expected text"],
    ),
    "a severity that is none": (
        "error_occurred", {"code": "E1", "message": "m", "severity": "bad"},
        ["severity: expected one of debug, info, warning, error, critical, got str"],
    ),
    "a truth that is a number": ("download", {"success": 1}, ["success: expected true or false, got int"]),
    "a number that is a truth": ("download", {"size_bytes": True}, ["size_bytes: expected a whole number, got bool"]),
    "a number that is not finite": (
        "compile", {"duration_ms": float("nan")},
        ["duration_ms: expected a number, got a number that is not finite"],
    ),
    "below zero": ("view", {"duration_ms": -1}, ["duration_ms: expected 0 or more"]),
    "tags that are no texts": (
        "cpu_usage", {"metric": "a", "value": 1, "unit": "1", "tags": {"a": 1}}, ["tags: expected a table of texts"],
    ),
    "a list": ("cpu_usage", [1], ["payload: expected a payload or a mapping, got list"]),
    "required of the type": (
        "chapter_visit", {"user_id": "u"}, ["chapter_id: missing; expected text or a whole number"],
    ),
    "optional of the type": ("error_event", {"error_type": "ValueError", "error_message": "m"}, []),
    "as the document has it": (
        "ai_block_used",
        {"user_id": "u", "chapter_id": 1, "section_id": "s", "block_type": "ask-question", "query": "why?"}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_named_by_its_field(case: str) -> None:
    """Each fault is one sentence that begins with the field."""
    name, given_payload, faults = CASES[case]
    known = lookup(name)
    assert known is not None
    assert payload_of(known, given_payload)[1] == faults


class Paper(Enum):
    """An enum of somebody's own."""

    A4 = 4
    A5 = 5


@dataclass
class Margin:
    """A part of the payload below."""

    left: float
    right: float = 0.0


@dataclass(frozen=True)
class Printed:
    """A payload of somebody's own, with every kind of field."""

    title: str
    paper: Paper
    margins: list[Margin]
    first: Margin | None = None
    sides: Literal["one", "both"] = "one"
    size: tuple[int, int] = (0, 0)
    words: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    copies: Annotated[int, "of each"] = field(default=1, metadata={LEAST: 1})
    table: Mapping[str, int] = field(default_factory=dict)
    price: Decimal | None = None
    anything: Any = None
    where: Path | None = None
    plain: dict = field(default_factory=dict)  # type: ignore[type-arg]
    made: int = field(init=False, default=3)


PRINTED = EventType("page_printed", payload=Printed)


def test_any_dataclass_is_a_payload() -> None:
    """Enums, nested dataclasses, lists, tuples and sets come from JSON values and go back to them."""
    metadata = {
        "title": "a", "paper": 4, "margins": [{"left": 1, "right": 2.5}], "first": {"left": 0, "right": 0.0},
        "sides": "both", "size": [1, 2], "words": ["x"], "marks": ["b", "a"], "copies": 2, "table": {"k": 1},
        "price": "unchecked", "anything": [None], "plain": {"k": []},
    }  # fmt: skip
    found, faults = payload_of(PRINTED, metadata)
    assert faults == []
    assert found == Printed(
        "a", Paper.A4, [Margin(1, 2.5)], Margin(0), "both", (1, 2), ("x",), frozenset("ab"), 2, {"k": 1},
        "unchecked", [None], plain={"k": []},  # type: ignore[arg-type]
    )  # fmt: skip
    assert payload_of(PRINTED, found) == (found, [])
    assert payloads.to_metadata(found) == {**metadata, "marks": ["a", "b"]}


def test_every_fault_of_a_dataclass_is_named_at_once() -> None:
    """Faults inside nested dataclasses, lists and tables say what was expected, and no value or key of others."""
    secret = "hun" + "ter2"
    _, faults = payload_of(
        PRINTED,
        {"title": 1, "paper": "A4", "margins": [{"left": secret}], "first": {secret: 1}, "sides": "none",
         "size": [1, secret], "words": secret, "marks": [[]], "copies": 0, "table": {secret: secret}, "where": secret},
    )  # fmt: skip
    assert faults == [
        "title: expected text, got int",
        "paper: expected one of 4, 5, got str",
        "margins: expected a list of tables",
        "first: expected a table, got dict",
        "sides: expected one of one, both, got str",
        "size: expected a list of whole numbers",
        "words: expected a list of texts, got str",
        "marks: expected a list of texts",
        "copies: expected 1 or more",
        "table: expected a table of whole numbers",
        "where: expected Path, got str",
    ]


def test_a_class_that_refuses_is_a_fault_and_no_failure() -> None:
    """What the author's own class raises is named by its type alone."""

    @dataclass
    class Picky:
        title: str

        def __post_init__(self) -> None:
            raise ValueError(self.title)

    found = payload_of(EventType("page_opened", payload=Picky), {"title": "hun" + "ter2"})
    assert found == (None, ["payload: Picky refuses it: ValueError"])


def test_fields_that_can_not_be_resolved_take_anything() -> None:
    """A type that is imported for type checkers alone costs its own check, and no other."""
    hints = {found.name: hint for found, hint in fields_of(Printed)}
    assert (hints["price"], hints["title"]) == (Any, str)
    assert "made" not in hints


def test_metadata_of_what_is_no_payload_is_refused() -> None:
    """A mapping gives its keys as texts; a class, a text or a number is refused by its type."""
    assert payloads.to_metadata({1: "a"}) == {"1": "a"}
    for wrong in ("text", 3, Printed, None):
        with pytest.raises(EventError, match="expected a payload, a dataclass or a mapping"):
            payloads.to_metadata(wrong)
    with pytest.raises(EventError, match=r"Business: metric_type: missing.*value: missing.*unit: missing"):
        Business.from_metadata({})
