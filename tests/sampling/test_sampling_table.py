"""What people write to say how much is kept, and what is told them where it can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usagetrace.config import load_settings
from usagetrace.errors import ConfigurationError
from usagetrace.sampling_table import Rule, rules_of
from usagetrace.setting_types import InvalidTableError

WRITTEN: list[tuple[Any, dict[str, Rule]]] = [
    ("search=0.1", {"search": Rule(0.1)}),
    (" search = 0.1 , view=1, ", {"search": Rule(0.1), "view": Rule(1.0)}),
    ("view=0.01/20/60,category.performance=0.5",
     {"view": Rule(0.01, 20, 60.0), "category.performance": Rule(0.5)}),
    ("view=0.5//5", {"view": Rule(0.5, None, 5.0)}),
    ("view=/20", {"view": Rule(None, 20)}),
    ({"search": 0}, {"search": Rule(0.0)}),
    ({"search": "0.25"}, {"search": Rule(0.25)}),
    ({"view": {"rate": 0.01, "minimum": 20, "window": 60}}, {"view": Rule(0.01, 20, 60.0)}),
    ({"view": {"minimum": 3}}, {"view": Rule(None, 3)}),
    ({"category": {"error": 1, "custom": {"rate": 0.5}}},
     {"category.error": Rule(1.0), "category.custom": Rule(0.5)}),
    ({"category.error": 1, "app.start": 0.5}, {"category.error": Rule(1.0), "app.start": Rule(0.5)}),
    ({"category": 0.5}, {"category": Rule(0.5)}),
    ({}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "meant"), WRITTEN)
def test_what_is_written_is_meant(said: Any, meant: dict[str, Rule]) -> None:
    """Pairs and tables say the same; a part that is not said is left open; a category is a table or a dotted name."""
    assert rules_of(said) == meant


RATES = "expected a rate from 0 to 1"
WRONG: list[tuple[Any, str, str]] = [
    ({"search": 1.1}, "search", RATES),
    ({"search": -0.1}, "search", RATES),
    ({"search": float("nan")}, "search", RATES),
    ({"search": True}, "search", RATES),
    ({"search": None}, "search", "expected a rate from 0 to 1, or a table"),
    ({"search": {}}, "search", RATES),
    ({"search": {"rate": 2}}, "search.rate", RATES),
    ({"search": {"minimum": -1}}, "search.minimum", "whole number of events"),
    ({"search": {"minimum": 1.5}}, "search.minimum", "whole number of events"),
    ({"search": {"window": 0}}, "search.window", "number of seconds"),
    ({"search": {"window": 1e9}}, "search.window", "number of seconds"),
    ({"search": {"ratio": 0.5}}, "search.ratio", "unknown key, expected rate, minimum, window"),
    ({"app": {"start": 0.5}}, "app.start", "is quoted"),
    ({"category": {"speed": 0.5}}, "category.speed", "usage, performance"),
    ({"": 0.5}, "", "name of an event type"),
    ({5: 0.5}, "5", "name of an event type"),
    ("search", "", "name=rate"),
    ("search=", "search", RATES),
    ("search=1/2/3/4", "", "name=rate"),
    ("search=x", "search", RATES),
    ("search=1/x", "search, minimum", "whole number of events"),
    ("=0.5", "", "name of an event type"),
]


@pytest.mark.parametrize(("said", "key", "why"), WRONG)
def test_what_cannot_be_meant_is_named(said: Any, key: str, why: str) -> None:
    """Each entry that can't be taken is a fault with its key and what was expected."""
    with pytest.raises(InvalidTableError) as caught:
        rules_of(said)
    ((found, expected, _raw),) = caught.value.faults
    assert found == key
    assert why in expected


def test_every_fault_of_every_source_is_named_with_its_place(tmp_path: Path) -> None:
    """Argument, environment and file each tell all of their faults, with key and source, at once."""
    (tmp_path / "usagetrace.toml").write_text("[sampling]\nsearch = 7\nview = { window = -1 }\n")
    environ = {"HOME": str(tmp_path), "USAGETRACE_SAMPLING": "sync=9,search"}
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"sampling": {"deploy": "often"}}, environ=environ, cwd=tmp_path)
    file = f"{tmp_path / 'usagetrace.toml'}: sampling"
    assert [fault.partition(": expected")[0] for fault in caught.value.faults] == [
        "configure(sampling=...): deploy",
        "environment variable USAGETRACE_SAMPLING: sync",
        "environment variable USAGETRACE_SAMPLING",
        f"{file}.search",
        f"{file}.view.window",
    ]


def test_a_table_that_is_none_is_a_fault(tmp_path: Path) -> None:
    """[sampling] has to be a table."""
    (tmp_path / "usagetrace.toml").write_text("sampling = 5\n")
    with pytest.raises(ConfigurationError, match=r"sampling: expected a table from event types.* found 5"):
        load_settings(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


def test_each_name_is_that_of_the_strongest_source(tmp_path: Path) -> None:
    """Sources are joined name by name, and the settings say which of them had a part."""
    (tmp_path / "usagetrace.toml").write_text("[sampling]\nsearch = 0.3\nview = 0.3\n")
    config = tmp_path / "config" / "usagetrace" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[sampling]\nsearch = 0.4\nview = 0.4\nsync = 0.4\ncategory.error = 0.4\n")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "APPDATA": str(tmp_path / "config")}
    environ["USAGETRACE_SAMPLING"] = "search=0.2,deploy=0.2"
    settings = load_settings({"sampling": {"deploy": {"minimum": 7}}}, environ=environ, cwd=tmp_path)
    assert settings.sampling == {
        "deploy": Rule(None, 7),
        "search": Rule(0.2),
        "view": Rule(0.3),
        "sync": Rule(0.4),
        "category.error": Rule(0.4),
    }
    assert settings.sampling.lasting == {"deploy", "search"}
    assert settings.sources["sampling"].count(";") == 3


@given(
    st.dictionaries(
        st.text("abcdefgh_", min_size=1, max_size=8),
        st.tuples(
            st.none() | st.floats(0, 1, allow_subnormal=False).map(lambda number: round(number, 6)),
            st.none() | st.integers(0, 1000),
            st.none() | st.integers(1, 86_400),
        ).filter(lambda parts: any(part is not None for part in parts)),
        max_size=4,
    )
)
def test_what_is_shown_can_be_written(rules: dict[str, tuple[float | None, int | None, int | None]]) -> None:
    """The text of a table, as `usagetrace config` shows it, means the same where the environment says it."""
    names = ("rate", "minimum", "window")
    table = {
        name: {key: part for key, part in zip(names, parts, strict=True) if part is not None}
        for name, parts in rules.items()
    }
    assert rules_of(str(rules_of(table))) == rules_of(table)
