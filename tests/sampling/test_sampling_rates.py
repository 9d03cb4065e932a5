"""What is in force of rates: who wins, that a change holds at once, and what a rate keeps."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace import event_types, sampling
from usagetrace.events import CATEGORIES, SAMPLING, SAMPLING_ELSE, Category
from usagetrace.sampling_table import Rule, rules_of
from usagetrace.track import rates
from usagetrace.track.rates import Rate, rate_of
from usagetrace.track.windows import Windows


def test_types_say_their_own_by_default() -> None:
    """Nobody says anything: each type has what its category has; most keep all."""
    for event_type, category in CATEGORIES.items():
        assert tuple(sampling.rate_in_force(event_type)) == SAMPLING.get(category, SAMPLING_ELSE)
    assert rate_of("deploy").bound is None
    assert rate_of("cache_hit").bound == round(0.1 * 2**64)
    assert (rate_of("cache_hit").minimum, rate_of("cache_hit").window_ms) == (10, 60_000)


def test_precedence_part_by_part() -> None:
    """Code before settings before the type, a type's name before its category, each part for itself; undone, what was
    below counts again."""
    rates.apply(rules_of({"cache_hit": {"minimum": 2}, "category.performance": {"rate": 0.5, "window": 5}}))
    assert sampling.rate_in_force("cache_hit") == Rule(0.5, 2, 5)
    assert sampling.rate_in_force("cache_miss") == Rule(0.5, 10, 5)
    sampling.set_rate("category.performance", 0.25)
    assert sampling.rate_in_force("cache_hit") == Rule(0.25, 2, 5)
    sampling.set_rate("cache_hit", 0.75, window_s=7)
    assert sampling.rate_in_force("cache_hit") == Rule(0.75, 2, 7)
    sampling.reset("cache_hit")
    assert sampling.rate_in_force("cache_hit") == Rule(0.25, 2, 5)
    sampling.reset()
    assert sampling.rate_in_force("cache_hit") == Rule(0.5, 2, 5)
    rates.apply(None)
    assert sampling.rate_in_force("cache_hit") == Rule(0.1, 10, 60)


def test_one_object_a_type_changed_in_place() -> None:
    """Whoever holds a type's rate sees each change; another type's is another."""
    held, other = rate_of("search"), rate_of("sync")
    sampling.set_rate("search", 0.5, minimum=3, window_s=0.5)
    assert (held.bound, held.minimum, held.window_ms) == (2**63, 3, 500)
    assert held is rate_of("search")
    assert other.bound is None
    sampling.set_rate("category.usage", 0)
    assert (held.bound, other.bound) == (2**63, 0)
    sampling.reset()
    assert (held.bound, other.bound) == (None, None)


def test_a_type_says_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered type's own sampling counts before its category's default, also where it is registered after its
    first call; settings and code count before it."""
    from usagetrace.event_types import EventType, Sampling, forget, register

    held = rate_of("page_turned")
    assert held.bound is None
    try:
        register(EventType("page_turned", Category.USAGE, sampling=Sampling(0.5, 4, 5.0)))
        assert (held.bound, held.minimum, held.window_ms) == (2**63, 4, 5000)
        rates.apply(rules_of("category.usage=0.25"))
        assert (held.bound, held.minimum) == (2**62, 4)
    finally:
        forget()


def test_types_that_are_made_up_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound a type gets a rate that is right, and is not kept."""
    monkeypatch.setattr(rates, "_rates", {})
    monkeypatch.setattr(rates, "_MOST", 2)
    sampling.set_rate("category.custom", 0)
    assert {rate_of(f"made-up-{number}").bound for number in range(5)} == {0}
    assert len(rates._rates) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("search", 2), "rate from 0 to 1, found 2"),
        (("search", "x"), "rate from 0 to 1"),
        (("search", None), "rate from 0 to 1"),
        (("search", 0.5, -1), "whole number of events"),
        (("search", 0.5, 1, 0), "number of seconds"),
        (("", 0.5), "name of an event type"),
        (("category.speed", 0.5), "usage, performance"),
    ],
)
def test_what_cannot_be_set_raises(arguments: tuple[Any, ...], why: str) -> None:
    """A value that is none is refused with what was expected, and changes nothing."""
    with pytest.raises(ValueError, match=why):
        sampling.set_rate(*arguments)
    assert rate_of("search").bound is None


IDS = st.integers(0, 2**128 - 1)


def made(share: float) -> Rate:
    """Return a rate that keeps a share."""
    rate = Rate()
    rate.bound = None if share >= 1 else round(share * 2**64)
    return rate


@given(IDS, st.floats(0, 1), st.floats(0, 1))
def test_what_a_rate_keeps_a_higher_one_keeps(identity: int, one: float, other: float) -> None:
    """A rate decides by the id alone: the same each time, and a higher rate keeps whatever a lower one does."""
    low, high = made(min(one, other)), made(max(one, other))
    assert low.keeps(identity) == low.keeps(identity) == low.keeps(identity % 2**64)
    assert not low.keeps(identity) or high.keeps(identity)
    assert made(1).keeps(identity)
    assert not made(0).keeps(identity)


@given(
    st.lists(st.tuples(st.integers(0, 40_000), IDS, st.booleans()), max_size=60),
    st.integers(0, 5),
    st.floats(0, 0.9),
)
def test_windows_keep_their_minimum(calls: list[tuple[int, int, bool]], minimum: int, share: float) -> None:
    """Of calls in order of time each window has at least the minimum, or all; what the rate keeps, and what is sure, is
    kept in any case; nothing else beyond the minimum."""
    rate, windows = made(share), Windows()
    rate.minimum, rate.window_ms = minimum, 10_000
    kept = [
        (ts_ms, windows.keeps("x", rate, identity, ts_ms, sure=sure), sure or rate.keeps(identity))
        for ts_ms, identity, sure in sorted(calls)
    ]
    assert [each for each in kept if each[2] and not each[1]] == []
    for window in {ts_ms // 10_000 for ts_ms, _kept, _meant in kept}:
        here = [each for each in kept if each[0] // 10_000 == window]
        number, meant = sum(each[1] for each in here), sum(each[2] for each in here)
        assert min(minimum, len(here)) <= number <= max(meant, 0) + minimum


def test_a_window_without_end_is_a_very_long_one() -> None:
    """A type may have any window that is a number; in milliseconds it would be none any more."""
    event_types.register(event_types.EventType("rare", sampling=(0.5, 3, 1e308)))
    try:
        assert rate_of("rare").window_ms == 31_536_000_000_000
    finally:
        event_types.forget()


def test_a_clock_that_is_set_back_keeps_no_more_than_the_minimum() -> None:
    """Windows that are remembered of a time to come don't hide the present one: it fills, as every window does."""
    rate, windows = made(0), Windows()
    for number in range(20):
        assert windows.keeps("x", rate, 1, (1000 + number) * rate.window_ms)
    kept = [windows.keeps("x", rate, 1, 10 * rate.window_ms) for _ in range(50)]
    assert kept == [True] + [False] * 49
    assert len(windows._kept["x"]) <= 8


def test_windows_of_many_types_are_bounded() -> None:
    """Neither types nor windows pile up."""
    rate, windows = made(0), Windows()
    for number in range(20):
        windows.keeps("x", rate, 1, number * rate.window_ms)
    assert len(windows._kept["x"]) <= 8
    for number in range(5000):
        windows.keeps(f"x{number}", rate, 1, 0)
    assert len(windows._kept) <= 4096


def test_no_plugin_is_loaded_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins are imported before rates are locked: one that is being imported elsewhere may wait for its rate."""
    from usagetrace import event_plugins, events

    held: list[bool] = []

    def look() -> None:
        free = rates._lock.acquire(blocking=False)
        held.append(not free)
        if free:
            rates._lock.release()

    def load() -> bool:
        other = threading.Thread(target=look)
        other.start()
        other.join()
        # One is left for later: it is being imported.
        return True

    monkeypatch.setattr(event_plugins, "load", load)
    monkeypatch.setattr(events, "_plugins_wait", True)
    assert rate_of("of-a-plugin").bound is None
    rates.apply(rules_of("of-a-plugin=0.5"))
    assert rate_of("of-a-plugin").bound == 2**63
    sampling.set_rate("of-a-plugin", 0.25)
    assert sampling.rate_in_force("of-a-plugin").rate == 0.25
    assert held
    assert not any(held)


def test_windows_may_be_asked_in_the_middle_of_themselves() -> None:
    """A signal handler that tracks a call while its thread is in the windows neither waits for ever nor spoils them."""
    windows, inner = Windows(), made(0)
    answers: list[bool] = []

    class Interrupted(Rate):
        __slots__ = ()

        @property
        def minimum(self) -> int:
            answers.append(windows.keeps("search", inner, 2**64 - 1, 0))
            return 1

        @minimum.setter
        def minimum(self, value: int) -> None: ...

    rate = Interrupted()
    rate.bound = 0
    asked = threading.Thread(target=lambda: answers.append(windows.keeps("search", rate, 2**64 - 1, 0)), daemon=True)
    asked.start()
    asked.join(10)
    assert answers == [True, True]
