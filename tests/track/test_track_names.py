"""What the program itself wrote into a decorator: event types and metadata keys, redacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from usagetrace import semconv, track
from usagetrace.redaction import Policy, Redactor
from usagetrace.testing import capture_events
from usagetrace.track import runtime
from usagetrace.track.runtime import Runtime

TOKEN = "ghp" + "_" + "Canary7" * 6
MAIL = "bob" + "@" + "example.com"


def redactor(**said: Any) -> Redactor:
    return Redactor(home="/home/ada", user_name="ada", host_name="shelf", policy=Policy(**said) if said else None)


@contextmanager
def local(policy: Redactor) -> Iterator[list[tuple[Any, ...]]]:
    """Keep a runtime of local mode in force; the rows of events are caught."""
    rows: list[tuple[Any, ...]] = []

    def take(more: list[tuple[Any, ...]]) -> bool:
        rows.extend(more)
        return True

    with runtime.hold(Runtime(None, None, policy, record=take)):
        yield rows


def metadata_of(policy: Redactor, function: Callable[[], Any]) -> list[dict[str, Any]]:
    """Call a function once as a span and once in local mode; return the metadata of all events."""
    with capture_events(redactor=policy) as events:
        function()
    with local(policy) as rows:
        function()
    found = [dict(event.metadata or {}) for event in events]
    assert found == [row[6] or {} for row in rows]
    return found


def test_a_decorator_s_keys_are_redacted_under_each_policy_that_comes() -> None:
    """The function is decorated once, before anybody says what is to be redacted: each policy is followed."""

    @track.deploy(artifact_name="canvas", metadata={f"by {MAIL}": 1, "plain": 2})
    def deploy() -> None:
        """Do nothing."""

    kept = []
    for policy in (redactor(), redactor(mode="drop"), redactor(mode="hash"), redactor(values=[MAIL]), redactor()):
        (found,) = metadata_of(policy, deploy)[:1]
        assert found.pop("plain") == 2
        kept.append([key for key in found if key.startswith("by")])
    assert kept[0] == kept[4] == ["by [redacted:email]"]
    assert kept[1] == []
    assert [key[:6] for key in kept[2]] == ["by ~h:"]
    assert kept[3] == [f"by {MAIL}"]


def test_keys_that_become_one_marker_stay_apart() -> None:
    """Each value is there, also where two keys held two secrets, before the call and for each artifact."""

    @track(
        "look", artifact_name="$item", each="$result",
        metadata={f"k {TOKEN}": "$item", f"k {TOKEN}2": "$index", f"e {MAIL}": 1, f"e c{MAIL}": 2},
    )  # fmt: skip
    def look() -> list[str]:
        return ["canvas", "life-cycle"]

    for number, name in enumerate(["canvas", "life-cycle"]):
        found = metadata_of(redactor(), look)[number]
        assert TOKEN not in repr(found)
        assert sorted(map(str, found.values())) == sorted([name, str(number), "1", "2"])


@pytest.mark.parametrize("kind", ["static", "set", "mapping", "record"])
def test_in_drop_mode_a_key_with_a_finding_goes_with_its_value(kind: str) -> None:
    """However a metadata key is said, what stands below a private one is left out; the rest stays."""

    @track.deploy(artifact_name="canvas", metadata={MAIL: 1, "n": 2} if kind == "static" else "$table")
    def deploy(table: object = None) -> None:
        """Do nothing."""

    def act() -> None:
        if kind == "set":
            with track.deploy(artifact_name="canvas") as operation:
                operation.set(**{MAIL: 1, "n": 2})
        elif kind == "record":
            with track.deploy(artifact_name="canvas") as operation:
                operation.set(metadata={MAIL: 1, "n": 2})
        else:
            deploy({MAIL: 1, "n": 2})

    for found in metadata_of(redactor(mode="drop"), act):
        assert found.get("n") == 2
        assert [key for key in found if "email" in key or "bob" in key] == []


def test_an_event_type_that_holds_a_secret_is_redacted_everywhere() -> None:
    """The span's name, its attribute, the row and the attribute of the metrics."""
    reader = InMemoryMetricReader({})
    meters = MeterProvider([reader], shutdown_on_exit=False)
    rows: list[tuple[Any, ...]] = []
    made = Runtime(None, meters.get_meter("m"), redactor(), record=lambda more: not rows.extend(more))
    with runtime.hold(made), track(f"do {TOKEN}", artifact_name="canvas"):
        pass
    data = reader.get_metrics_data()
    assert data is not None
    meters.shutdown()
    assert "Canary7" not in data.to_json()
    assert rows[0][0] == "do [redacted:gh-token]"
    assert '"do [redacted:gh-token]"' in data.to_json()


@pytest.mark.parametrize("said", [{"only": ["strategy"]}, {}])
def test_artifacts_whose_names_become_one_marker_are_counted_all(said: dict[str, Any]) -> None:
    """A search finds four matches of three artifacts: three rows, whatever the names became."""

    @track.search
    def search(query: str) -> list[dict[str, str]]:
        """Return matches as dicts."""
        return [{"name": f"{who}{MAIL}", "type": "skill"} for who in ("a", "b", "b", "c")]

    with capture_events(redactor=redactor(**said)) as events:
        search("x")
    marker = "[redacted:unlisted]" if said else "[redacted:email]"
    assert [event.artifact_name for event in events] == [marker] * 3
    assert [event.item for event in events] == [0, 1, 2]


def test_names_that_the_program_wrote_are_looked_at_once() -> None:
    """A call after the first asks the redactor for none of them."""
    asked: list[str] = []

    class Asked(Redactor):
        def key(self, key: str) -> str:
            asked.append(key)
            return super().key(key)

    @track("own_kind", artifact_name="canvas", metadata={"strategy": 1})
    def act() -> None:
        """Do nothing."""

    with local(Asked(home="", user_name="", host_name="")) as rows:
        act()
        act()
    assert len(rows) == 2
    assert asked == ["strategy"]
    assert rows[1][6] == {"strategy": 1}
    assert semconv.METADATA_PREFIX + "strategy" not in asked
