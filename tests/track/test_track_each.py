"""``each``: a call that touched several artifacts is one span with parallel arrays, and as many events."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usagetrace import track
from usagetrace.errors import SelectorError

ITEM = "usage.item."


def hit(name: str, kind: str = "skill", score: float | None = 1.0) -> Any:
    """Return a match."""
    return types.SimpleNamespace(name=name, kind=kind, score=score)


def items(spans: Any) -> dict[str, list[Any]]:
    """Return the parallel arrays of the only span."""
    found = spans.attributes().items()
    return {key[len(ITEM) :]: list(value) for key, value in found if key.startswith(ITEM)}


def test_contract_example(spans: Any) -> None:
    """The search of the contract: five artifacts at most, each with score and rank, and the total on the span."""

    @track.search(
        each="$result.matches[:5]",
        artifact_name="$item.name",
        artifact_type="$item.kind",
        metadata={"query": "$query", "score": "$item.score", "rank": "$rank", "total_results": "$result.total"},
    )
    def search(query: str, limit: int = 50) -> Any:
        return types.SimpleNamespace(matches=[hit(f"a{n}", score=9.0 - n) for n in range(8)], total=8)

    search("design")
    assert items(spans) == {
        "artifact.name": ["a0", "a1", "a2", "a3", "a4"],
        "artifact.type": ["skill"] * 5,
        "metadata.score": [9.0, 8.0, 7.0, 6.0, 5.0],
        "metadata.rank": [1, 2, 3, 4, 5],
    }
    assert spans.metadata() == {"query": "design", "total_results": 8}
    assert spans.counts() == {
        (("usage.artifact.type", "skill"), ("usage.event.type", "search"), ("usage.outcome", "success")): 5
    }


RESULTS: dict[str, Any] = {
    "list": lambda hits: hits,
    "tuple": tuple,
    "matches": lambda hits: types.SimpleNamespace(matches=hits),
    "results as key": lambda hits: {"results": hits},
    "hits": lambda hits: {"hits": hits},
    "items": lambda hits: types.SimpleNamespace(items=hits),
}


@pytest.mark.parametrize("form", RESULTS)
def test_bare_search_finds_its_matches(spans: Any, form: str) -> None:
    """A bare search finds name, kind, score and rank of the first five artifacts in the usual forms of a result."""
    track.search(lambda query: RESULTS[form]([hit(f"a{n}", score=float(n)) for n in range(7)]))("q")
    found = items(spans)
    assert found["artifact.name"] == ["a0", "a1", "a2", "a3", "a4"]
    assert (found["metadata.score"], found["metadata.rank"]) == ([0.0, 1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4, 5])
    assert spans.metadata()["query"] == "q"


def test_search_of_texts(spans: Any) -> None:
    """A search that returns names alone names its artifacts."""
    track.search(lambda query: ["a", "b"])("q")
    assert items(spans)["artifact.name"] == ["a", "b"]
    assert spans.metadata()["total_results"] == 2


@pytest.mark.parametrize("result", [[], (), {"matches": [], "total": 0}])
def test_search_without_results_is_one_event(spans: Any, result: Any) -> None:
    """A search that found nothing is one event without artifact, with total_results 0."""
    track.search(lambda query: result)("q")
    assert items(spans) == {}
    assert spans.metadata() == {"query": "q", "total_results": 0}
    assert not spans.attributes().get("usage.artifact.name")
    assert sum(spans.counts().values()) == 1


@pytest.mark.parametrize("result", [lambda: iter(["a"]), lambda: 0, lambda: object()])
def test_search_whose_results_are_not_known_claims_no_total(spans: Any, result: Any) -> None:
    """Where the result can't be counted, nothing is said of how many there were: 0 would be false."""
    track.search(lambda query: result())("q")
    assert "total_results" not in spans.metadata()


def test_failed_search_claims_no_total(spans: Any) -> None:
    """A search that raised is one event that says nothing of results."""

    @track.search
    def search(query: str) -> None:
        raise KeyError("planted")

    with pytest.raises(KeyError):
        search("q")
    assert spans.metadata() == {"query": "q"}


def test_a_search_lists_artifacts_not_matches(spans: Any) -> None:
    """Several matches of one artifact are one artifact; the slice counts artifacts; kinds keep names apart."""
    hits = [hit("a"), hit("a"), hit("a", "command"), hit("b"), hit("a"), hit("b"), hit("c"), hit("d"), hit("e")]
    track.search(lambda query: hits)("q")
    found = items(spans)
    assert list(zip(found["artifact.name"], found["artifact.type"], strict=True)) == [
        ("a", "skill"), ("a", "command"), ("b", "skill"), ("c", "skill"), ("d", "skill")
    ]  # fmt: skip
    assert found["metadata.rank"] == [1, 2, 3, 4, 5]
    assert spans.metadata()["total_results"] == 9


def test_other_operations_keep_repeated_artifacts(spans: Any) -> None:
    """Outside of searches an artifact touched twice is two events."""
    track.deploy(each="$names", artifact_name="$item")(lambda names: None)(["a", "a"])
    assert items(spans)["artifact.name"] == ["a", "a"]
    assert sum(spans.counts().values()) == 2


SLICES = ["[:5]", "[:0]", "[2:4]", "[-2:]", "[:-1]", "[::2]", "[1:]", "[::-1]", "[5:99]", "[-3:-1]", "[:3:2]"]


@pytest.mark.parametrize("text", SLICES)
@settings(max_examples=25)
@given(names=st.lists(st.sampled_from("abcdefgh"), max_size=12))
def test_slices_count_artifacts(capture: Any, text: str, names: list[str]) -> None:
    """A slice at the end of each is taken of the artifacts, after repeated ones were left out, for every slice."""
    spans = capture()
    track.search(each="$result" + text, artifact_name="$item", artifact_type="x")(lambda query: names)("q")
    expected = eval(f"list(dict.fromkeys(names)){text}", {"names": names})
    assert items(spans).get("artifact.name", []) == expected


def test_an_impossible_slice_is_refused(spans: Any) -> None:
    """A slice that can't be taken raises at decoration, not at the call."""
    with pytest.raises(SelectorError, match="field each"):
        track.search(each="$result[::0]", artifact_name="$item")(lambda query: ["a"])


def test_missing_values_keep_the_arrays_parallel(spans: Any) -> None:
    """An item that lacks a value has None, or an empty text for name and type, in its place."""
    hits = [types.SimpleNamespace(name="a", score=1.0), types.SimpleNamespace(kind="skill"), types.SimpleNamespace()]
    track.deploy(
        each="$hits", artifact_name="$item.name", artifact_type="$item.kind", metadata={"score": "$item.score"}
    )(lambda hits: None)(hits)
    assert items(spans) == {
        "artifact.name": ["a", "", ""], "artifact.type": ["", "skill", ""], "metadata.score": [1.0, None, None]
    }  # fmt: skip


def test_kind_of_the_call_is_that_of_its_items(spans: Any) -> None:
    """A kind that is known before the call holds for every item that has none of its own."""
    track.deploy(each="$names", artifact_name="$item", artifact_type="$kind")(lambda names, kind: None)(["a", "b"], "k")
    assert items(spans)["artifact.type"] == ["k", "k"]


def test_kind_of_the_result_is_that_of_its_items(spans: Any) -> None:
    """A kind that is known after the call holds for every item as well."""
    track.deploy(each="$result.names", artifact_name="$item", artifact_type="$result.kind")(
        lambda: types.SimpleNamespace(names=["a"], kind="skill")
    )()
    assert items(spans)["artifact.type"] == ["skill"]


def test_name_of_the_call_is_that_of_its_items(spans: Any) -> None:
    """A name that is the same for every item is every item's name: the rows are made from the arrays."""
    track.deploy(each="$files", artifact_name="$name", metadata={"file": "$item"})(lambda name, files: None)(
        "canvas", ["a", "b"]
    )
    assert items(spans)["artifact.name"] == ["canvas", "canvas"]


def test_iterators_are_not_used_up(spans: Any) -> None:
    """A generator as result, or as what each names, arrives at the caller whole."""

    def numbers() -> Iterator[str]:
        yield from "abc"

    assert list(track.search(lambda query: numbers())("q")) == ["a", "b", "c"]
    assert list(track.deploy(each="$result", artifact_name="$item")(numbers)()) == ["a", "b", "c"]
    given = numbers()
    track.deploy(each="$names", artifact_name="$item")(lambda names: None)(given)
    assert list(given) == ["a", "b", "c"]


def test_many_items_are_bounded(spans: Any) -> None:
    """A call that touches endlessly many artifacts records a bounded number of them."""
    track.deploy(each="$names", artifact_name="$item")(lambda names: None)([str(n) for n in range(5000)])
    assert len(items(spans)["artifact.name"]) == 1000


@pytest.mark.parametrize("value", [None, 5, "text", b"bytes", object()])
def test_each_of_what_is_no_collection_is_nothing(spans: Any, value: Any) -> None:
    """Where each does not lead to a collection, the call is one event."""
    track.deploy(each="$value", artifact_name="$item")(lambda value: None)(value)
    assert items(spans) == {}
    assert sum(spans.counts().values()) == 1


def test_mappings_and_sets(spans: Any) -> None:
    """A mapping gives its values in order, a set its elements."""
    track.deploy(each="$table", artifact_name="$item")(lambda table: None)({"x": "a", "y": "b"})
    assert items(spans)["artifact.name"] == ["a", "b"]
    spans.clear()
    track.deploy(each="$names", artifact_name="$item")(lambda names: None)({"a"})
    assert items(spans)["artifact.name"] == ["a"]


def test_index_counts_from_zero_and_rank_from_one(spans: Any) -> None:
    """$index and $rank tell the place of an artifact."""
    metadata = {"i": "$index", "r": "$rank", "c": lambda call: call.rank}
    track.deploy(each="$names", artifact_name="$item", metadata=metadata)(lambda names: None)(["a", "b"])
    found = items(spans)
    assert (found["metadata.i"], found["metadata.r"], found["metadata.c"]) == ([0, 1], [1, 2], [1, 2])


def test_items_of_an_inner_search_fill_the_outer(spans: Any) -> None:
    """A search inside a search that shows nothing of its own, such as a command, gives its artifacts to the outer."""
    find = track.search(lambda query: [hit("a"), hit("b")])
    command = track.search(lambda query: 0 if find(query) else 1)
    assert command("q") == 0
    assert items(spans)["artifact.name"] == ["a", "b"]


def test_a_search_that_yields_does_not_claim_to_have_found_nothing(spans: Any) -> None:
    """A search that yields what it finds is not recorded as one without results."""

    @track.search
    def search(query: str) -> Iterator[str]:
        yield from ("a", "b")

    assert list(search("q")) == ["a", "b"]
    assert spans.metadata().get("total_results") != 0
