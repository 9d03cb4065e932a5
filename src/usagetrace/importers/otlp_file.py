"""Reads OTLP in its JSON form: one request a line, as the Collector's file exporter writes them, or one a file.

Spans, log records and metric points are read as the receiver reads them, with the ids that they have: what came both
ways counts once. This module needs what the extra ``otlp`` installs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from usagetrace.events import Event
from usagetrace.importers.model import Found, FoundPoint, ImportFileError, Skipped
from usagetrace.importers.source import UNREADABLE, FileReader
from usagetrace.otlp.decode import LOGS, METRICS, TRACES, Decoded, Decoder, Limits, MalformedError, TooManyError

if TYPE_CHECKING:
    from usagetrace.otlp.mapping import Mapping

# Members of a request, and the signal that each belongs to.
_SIGNALS: Final = {
    "resourceSpans": TRACES, "resource_spans": TRACES, "resourceLogs": LOGS, "resource_logs": LOGS,
    "resourceMetrics": METRICS, "resource_metrics": METRICS,
}  # fmt: skip
# Largest request that is a whole file of many lines, in bytes.
_DOCUMENT_LIMIT: Final = 256 * 1024 * 1024
# Lines of a file are the user's own, and need no limits against a sender; these only keep memory bounded.
_LIMITS: Final = Limits(members=1_000_000, rows=2_000_000)
_MARK: Final = b"\xef\xbb\xbf"


class OtlpReader(FileReader):
    """Reads a file of OTLP-JSON, packed or not.

    Args:
        path: The file, in UTF-8.
        mappings: Make events of other instrumentations' spans and log records.
        lenient: Skip requests with a fault.
    """

    name = "otlp"

    def __init__(
        self, path: str | os.PathLike[str], mappings: Sequence[Mapping] = (), *, lenient: bool = False
    ) -> None:
        super().__init__(path, lenient=lenient)
        self._decoder = Decoder(mappings=mappings, limits=_LIMITS)

    def read(self) -> Iterator[Found | FoundPoint | Skipped]:
        """Yield events and metric points of each request, and what of it is none.

        Raises:
            ImportFileError: The file can't be read; or a request has a fault, and is not to be skipped.
        """
        for place, body in self._requests():
            try:
                parts = _parts(body)
                decoded = [self._decoder.decode(signal, part, json=True) for signal, part in parts]
            except (ValueError, MalformedError, TooManyError) as error:
                yield self.fault(place, str(error))
                continue
            for each in decoded:
                yield from self._members(each, place)

    def _members(self, decoded: Decoded, place: str) -> Iterator[Found | FoundPoint | Skipped]:
        for row in decoded.rows:
            event = Event(*row)
            yield Found(event, self.identity(event), place, redacted=True)
        for point in decoded.points:
            identity = f"{point.stream.hex()}:{point.start_ns}:{point.time_ns}:{point.cumulative}"
            yield FoundPoint(point, identity, place)
        for _ in range(decoded.ignored):
            yield Skipped(place, "no usage event: a span, a record or a point of something else")
        left = decoded.rejected
        for reason in decoded.reasons:
            # The decoder tells each reason with how often it held.
            why, _, number = reason.removesuffix(")").rpartition(" (")
            for _ in range(int(number)):
                yield Skipped(place, why)
            left -= int(number)
        for _ in range(left):
            yield Skipped(place, "can't be an event, for further reasons")

    def _requests(self) -> Iterator[tuple[str, bytes]]:
        """Yield each request with its place."""
        with self.opened() as file:
            first = True
            for number, line in self.lines(file):
                text = line.removeprefix(_MARK) if number == 1 else line
                if not text.strip():
                    continue
                if first and not _is_whole(text):
                    yield "the whole file", self._rest(text, file)
                    return
                first = False
                yield f"line {number}", text.rstrip()

    def _rest(self, begun: bytes, file: Any) -> bytes:
        """Return a request that takes more than one line."""
        try:
            rest: bytes = file.read(_DOCUMENT_LIMIT)
        except UNREADABLE as error:
            raise self.unreadable(error, "the whole file") from error
        if len(rest) == _DOCUMENT_LIMIT:
            raise ImportFileError(
                str(self.path), f"one request of more than {_DOCUMENT_LIMIT} bytes: write one request a line"
            )
        return begun + rest


def _is_whole(line: bytes) -> bool:
    """Return whether a line looks like a request of its own: what is one document of many lines opens and goes on."""
    text = line.strip()
    return text.endswith(b"}") and text.count(b"{") == text.count(b"}")


def _parts(body: bytes) -> list[tuple[str, bytes]]:
    """Return the signals that a request has, each with its text.

    Raises:
        ValueError: It is no request.
    """
    try:
        read = json.loads(body)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"{at}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1}: not in UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON that this program has room for") from None
    found = [key for key in _SIGNALS if isinstance(read, dict) and key in read]
    if not found:
        raise ValueError("expected an object with resourceSpans, resourceLogs or resourceMetrics")
    if len(found) == 1:
        return [(_SIGNALS[found[0]], body)]
    return [(_SIGNALS[key], json.dumps({key: read[key]}).encode()) for key in found]
