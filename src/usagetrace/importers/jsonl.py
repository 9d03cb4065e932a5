"""Reads JSON Lines: one event a line, in the shape of ``usagetrace events --format json``, or with names of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from usagetrace.importers.fields import ColumnMap, event_of
from usagetrace.importers.model import Found, Skipped
from usagetrace.importers.source import FileReader
from usagetrace.importers.times import FieldError, time_reader, zone_of

_MARK: Final = b"\xef\xbb\xbf"


class JsonLinesReader(FileReader):
    """Reads a file of JSON Lines, packed or not.

    Args:
        path: The file, in UTF-8.
        columns: Where fields are; by default below their own names.
        timezone: Of times that say none; see :func:`usagetrace.importers.times.zone_of`.
        time_format: Of times; see :func:`usagetrace.importers.times.time_reader`.
        lenient: Skip lines with a fault.

    Raises:
        UsageTraceError: One of the options can't be used.
    """

    name = "jsonl"

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: ColumnMap | None = None,
        *,
        timezone: str = "local",
        time_format: str = "auto",
        lenient: bool = False,
    ) -> None:
        super().__init__(path, lenient=lenient)
        self._columns = columns or ColumnMap()
        self._times = time_reader(time_format, zone_of(timezone))

    def read(self) -> Iterator[Found | Skipped]:
        """Yield an event for each line that is not empty.

        Raises:
            ImportFileError: The file can't be read; or a line has a fault, and is not to be skipped.
        """
        with self.opened() as file:
            for number, line in self.lines(file):
                text = (line.removeprefix(_MARK) if number == 1 else line).rstrip()
                if not text:
                    continue
                place = f"line {number}"
                try:
                    record = parsed(text)
                    identity = self.identity(record)
                    event = event_of(record, self._columns, self._times)
                except (ValueError, RecursionError) as error:
                    why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                    yield self.fault(place, why)
                    continue
                yield Found(event, identity, place)


def parsed(text: bytes) -> dict[str, Any]:
    """Return the object that a line holds.

    Raises:
        ValueError: It holds none; the message says at which column, and nothing of the line.
    """
    try:
        read = _decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FieldError(f"byte {error.start + 1}: not in UTF-8") from None
    except json.JSONDecodeError as error:
        raise FieldError(f"column {error.colno}: not valid JSON: {error.msg}") from None
    except RecursionError:
        raise FieldError("nested too deeply") from None
    except ValueError:
        # A number of thousands of digits, or a word that is none.
        raise FieldError("not valid JSON: a number that JSON or this program has no room for") from None
    if not isinstance(read, Mapping):
        raise FieldError("expected an object")
    return dict(read)


def _refuse(word: str) -> None:
    # NaN and its likes, which JSON has no word for.
    raise ValueError(word)


# `json.loads` with an argument makes a decoder at each call.
_decode: Final = json.JSONDecoder(parse_constant=_refuse).decode
