"""Counts invocations: totals, paths, errors, what followed, durations, and sessions.

This module owns the SQL that adds a batch's invocations to their rollups, and reads in Python what
:mod:`usagetrace.store.schema_invocations` reads in SQL from an event. It is given the columns of a batch as they are
stored, by the writer.

Every distinct path, error and action is counted by itself, however many there are: what is left over in a row for
"others" could not be told apart again. A row takes its texts and some 20 bytes; paths that are all different take less
than their events do, but stay when those go.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from usagetrace.store import bulk, rollups
from usagetrace.store import schema_invocations as texts
from usagetrace.store.bulk import Insert

INVOKE: Final = texts.INVOKE

_ADD_TOTALS: Final = Insert(
    "INSERT INTO invocation_totals (artifact_type, artifact_name, invocations, completed, durations, duration_ms, "
    "min_ms, max_ms, first_ms, last_ms)",
    width=10,
    tail=texts.ADD_TOTALS,
)
_ADD_VALUES: Final = Insert(
    "INSERT INTO invocation_counts (artifact_type, artifact_name, kind, value, invocations)",
    width=5,
    tail=texts.ADD_VALUES,
)
_ADD_DURATIONS: Final = Insert(
    "INSERT INTO invocation_durations (artifact_type, artifact_name, bucket, bucket_ms, invocations)",
    width=5,
    tail=texts.ADD_DURATIONS,
)
_ADD_SESSIONS: Final = Insert(
    "INSERT INTO invocation_sessions (session_id, artifact_type, artifact_name, invocations, duration_ms, first_ms, "
    "last_ms)",
    width=7,
    tail=texts.ADD_SESSIONS,
)

Column = Sequence[Any]
Artifact = tuple[str, str]
# What neither a JSON parser of SQLite's nor every reader takes: a lone surrogate, and NUL.
_UNREADABLE: Final = "\ufffd"
_ESCAPED_NUL: Final = "\\u0000"


class Said(NamedTuple):
    """What the metadata of an invocation say.

    Attributes:
        completed: Whether it was completed; None where they don't say.
        succeeded: Whether its outcome is success, or not told.
        path: Its path; None where there is none.
        error: The error's type; None where there is none.
        actions: What followed.
    """

    completed: bool | None = None
    succeeded: bool = True
    path: str | None = None
    error: str | None = None
    actions: tuple[str, ...] = ()


_NOTHING: Final = Said()


def said(metadata: str | None) -> Said:
    """Read an invocation's metadata, as SQL does.

    Args:
        metadata: JSON text as it is stored, or None.
    """
    if not metadata:
        return _NOTHING
    decoder = _decoder()
    try:
        found, end = decoder.raw_decode(metadata)
        if end != len(metadata):
            # With spaces around it, or more behind it.
            found = decoder.decode(metadata)
    except (ValueError, RecursionError):
        # What is no JSON for SQLite says nothing; nor does an object that is nested too deeply for either.
        return _NOTHING
    if type(found) is not dict:
        return _NOTHING
    completed = found.get("completed")
    actions = found.get("follow_up_actions")
    return Said(
        completed != 0 if type(completed) in (bool, int) else None,
        found.get("outcome") in (None, "success"),
        _shown(found.get("workflow_path"), metadata) or None,
        _shown(found.get("error_type"), metadata) or None,
        tuple(text for each in actions if (text := _shown(each, metadata)) is not None)
        if type(actions) is list
        else (),
    )


def is_completed(status: str, told: Said) -> bool:
    """Return whether an invocation was completed: what did not end was not, whatever its metadata say."""
    if status == "abandoned":
        return False
    return status == "ok" and told.succeeded if told.completed is None else told.completed


@functools.cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _shown(value: object, metadata: str) -> str | None:
    """Return a text of the metadata as it is counted; None for what is none."""
    if type(value) is not str:
        return None
    if value.isascii() and _ESCAPED_NUL not in metadata:
        return value
    if not _is_text(value):
        # Another tool's: as it stands in the JSON of nearly all of them.
        return json.dumps(value)[1:-1]
    if _UNREADABLE in value or _ESCAPED_NUL in metadata:
        # As it stands in the JSON, which this package wrote.
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return value


def _is_text(value: str) -> bool:
    """Return whether a text can be written in UTF-8: a lone surrogate can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def add(
    connection: sqlite3.Connection,
    types: Column,
    kinds: Column,
    names: Column,
    times: Column,
    durations: Column,
    statuses: Column,
    errors: Column,
    sessions: Column,
    metadata: Column,
) -> None:
    """Add the invocations of a batch to what was counted. A batch that has none costs a look at its types.

    Args:
        connection: A connection inside a transaction.
        types: Event types, one an event; so are the others, as they are stored.
        kinds: Artifact types.
        names: Artifact names.
        times: When each began, in milliseconds since 1970 UTC; 0 where nobody knows.
        durations: Milliseconds, or None.
        statuses: ``ok``, ``error`` or ``abandoned``.
        errors: Error types, or None.
        sessions: Sessions, or None.
        metadata: JSON texts, or None.

    Raises:
        sqlite3.Error: They could not be counted; the caller rolls back.
    """
    if INVOKE not in types:
        return
    batch = _Batch()
    for event_type, *fields in zip(
        types, kinds, names, times, durations, statuses, errors, sessions, metadata, strict=True
    ):
        if event_type == INVOKE:
            batch.count(*fields)
    bulk.add(connection, _ADD_TOTALS, batch.totals())
    bulk.add(connection, _ADD_VALUES, batch.values())
    bulk.add(connection, _ADD_DURATIONS, batch.durations())
    bulk.add(connection, _ADD_SESSIONS, batch.sessions())


class _Alike:
    """Invocations of a batch that differ in nothing but time, duration and session: mostly there are many."""

    __slots__ = ("artifact", "completed", "count", "error", "said")

    def __init__(self, artifact: _Artifact, status: str, error: str | None, metadata: str | None) -> None:
        told = said(metadata)
        self.artifact = artifact
        self.said = told
        self.count = 0
        self.error = error or told.error
        self.completed = is_completed(status, told)


class _Artifact:
    """What a batch has of one artifact: all times and durations of what was completed."""

    __slots__ = ("done", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.done: list[float] = []


class _Batch:
    """What a batch's invocations add up to, in the order of the tables' keys."""

    def __init__(self) -> None:
        self._alike: dict[tuple[str, str, str, str | None, str | None], _Alike] = {}
        self._artifacts: defaultdict[Artifact, _Artifact] = defaultdict(_Artifact)
        self._sessions: defaultdict[tuple[str, str, str], _Artifact] = defaultdict(_Artifact)

    def count(
        self,
        kind: str,
        name: str,
        ts_ms: int,
        duration_ms: float | None,
        status: str,
        error: str | None,
        session: str | None,
        metadata: str | None,
    ) -> None:
        """Count one invocation."""
        key = (kind, name, status, error, metadata)
        alike = self._alike.get(key)
        if alike is None:
            alike = self._alike[key] = _Alike(self._artifacts[kind, name], status, error, metadata)
        alike.count += 1
        artifact = alike.artifact
        artifact.times.append(ts_ms)
        done = alike.completed and duration_ms is not None
        if done:
            artifact.done.append(duration_ms)  # type: ignore[arg-type]  # as was asked in the line before
        if session is not None:
            of_session = self._sessions[session, kind, name]
            of_session.times.append(ts_ms)
            if done:
                of_session.done.append(duration_ms)  # type: ignore[arg-type]  # as above

    def values(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the paths, errors and follow-up actions."""
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for (kind, name, *_), alike in self._alike.items():
            if alike.said.path is not None:
                counts[kind, name, texts.PATH, alike.said.path] += alike.count
            if alike.error is not None:
                counts[kind, name, texts.ERROR, alike.error] += alike.count
            for action in alike.said.actions:
                counts[kind, name, texts.FOLLOW_UP, action] += alike.count
        for key in sorted(counts):
            yield (*key, counts[key])

    def totals(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the totals."""
        completed: Counter[Artifact] = Counter()
        for (kind, name, *_), alike in self._alike.items():
            completed[kind, name] += alike.count * alike.completed
        for key in sorted(self._artifacts):
            artifact = self._artifacts[key]
            done = artifact.done
            ends = (min(done), max(done)) if done else (None, None)
            times = _first_and_last(artifact.times)
            yield (*key, len(artifact.times), completed[key], len(done), sum(done), *ends, *times)

    def durations(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the durations."""
        for key in sorted(self._artifacts):
            found = Counter(map(rollups.bucket, self._artifacts[key].done))
            for bucket in sorted(found):
                yield (*key, bucket, _bucket_ms(bucket), found[bucket])

    def sessions(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the sessions."""
        for key in sorted(self._sessions):
            found = self._sessions[key]
            yield (*key, len(found.times), sum(found.done), *_first_and_last(found.times))


_bucket_ms = functools.lru_cache(maxsize=4096)(rollups.bucket_ms)


def _first_and_last(times: Sequence[int]) -> tuple[int | None, int | None]:
    """Return the first and the last time of some; those that nobody knows (0) are left out."""
    known = times if all(times) else [each for each in times if each]
    return (min(known), max(known)) if known else (None, None)
