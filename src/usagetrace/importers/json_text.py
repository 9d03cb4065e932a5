"""One JSON text, read piece by piece: values come out one after the other, faults with line, column and byte.

This module owns the piece of the text that is in memory. It knows no format; who reads says what may stand where. The
scanner is the standard library's, whose C code reads a value of a piece as quickly as a whole text.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from usagetrace.errors import ImportFileError

# Bytes that are read at once.
_CHUNK: Final = 1 << 18
# Longest value that is read as one, in characters.
VALUE_LIMIT: Final = 1 << 22
# A fault so close to the end of what is in memory may be that end: the longest token is `-Infinity`.
_NEAR: Final = 16
# Most digits of a whole number.
_DIGITS_LIMIT: Final = 400
_TWICE: Final = "a key stands twice in one object; which one counts is not known"
_SPACE: Final = " \t\n\r"
# What a text that is cut short may end in the middle of.
_WORDS: Final = ("true", "false", "null", "-")
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_COMMA: Final = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_LITERAL: Final = re.compile(r'-?(?:NaN|Infinity)|-?[0-9.eE+-]+|true|false|null|"')


class _UnfitError(ValueError):
    """Something that the standard library would take, and JSON, or this package, does not."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _UnfitError(_TWICE)
    return found


def _no_constant(text: str) -> Any:
    raise _UnfitError(f"{text} is no number of JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT:
        raise _UnfitError(f"a number of {len(digits)} digits")
    return int(digits)


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant, parse_int=_whole_number)


class JsonText:
    """A JSON text in a file of bytes, UTF-8 with or without a mark of that at its beginning.

    Args:
        file: Where it is read from; its position is where the text begins.
        name: What messages call it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._buffer = ""
        self._at = 0
        self._ended = False
        # Where the buffer begins: line and column from 1, byte from 0.
        self._line, self._column, self._byte = 1, 1, 0
        # Where the value that was taken last begins in the buffer; it holds until the next one is read.
        self.start = 0
        # Bytes that were read.
        self.done = 0

    def _more(self, most: int = 0) -> None:
        """Read on; what was taken from the buffer before leaves it."""
        self._forget(self._at)
        most = max(most, _CHUNK)
        data = self._file.read(most)
        if not self.done and data.startswith(codecs.BOM_UTF8):
            self._byte = self.done = len(codecs.BOM_UTF8)
            data = data[self.done :] or self._file.read(most)
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            if not self.done and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise self.fault("expected UTF-8, found UTF-16", at=0) from None
            self._buffer += error.object[: error.start].decode("utf-8")
            raise self.fault(f"expected UTF-8, found the byte 0x{error.object[error.start]:02x}", at=-1) from None
        self.done += len(data)
        self._ended = not data
        self._buffer += text

    def _forget(self, end: int) -> None:
        gone = self._buffer[:end]
        self._line, self._column, self._byte = self._position(end)
        self._buffer, self._at = self._buffer[len(gone) :], 0

    def _position(self, at: int) -> tuple[int, int, int]:
        before = self._buffer[:at]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self._column + len(before)
        # A lone surrogate can't be in it: it was UTF-8.
        return self._line + lines, column, self._byte + (len(before) if before.isascii() else len(before.encode()))

    def fault(self, why: str, path: str = "", *, at: int | None = None) -> ImportFileError:
        """Return an error that names the place.

        Args:
            why: What is wrong, and what was expected.
            path: Where in the document: ``invocations[17].duration_seconds``.
            at: Position in the piece in memory; the present one by default, its end where negative.
        """
        position = self._at if at is None else len(self._buffer) if at < 0 else at
        line, column, byte = self._position(position)
        within = f" ({path})" if path else ""
        return ImportFileError(f"{self._name}, line {line}, column {column}, byte {byte}{within}", why)

    def peek(self) -> str:
        """Return the next character that is no blank, without taking it; ``""`` at the end."""
        while True:
            match = _BLANKS.match(self._buffer, self._at)
            self._at = self._at if match is None else match.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._more()

    def take(self, characters: str, path: str = "") -> str:
        """Take the next character, which has to be one of some.

        Raises:
            ImportFileError: It is another one, or the text ends.
        """
        found = self.peek()
        if not found:
            raise self.fault("the text is cut short: it ends here", path)
        if found not in characters:
            words = " or ".join(f"'{character}'" for character in characters)
            raise self.fault(f"expected {words}", path)
        self._at += 1
        return found

    def value(self, path: str) -> Any:
        """Take the next value, of any kind.

        Args:
            path: Where in the document it stands, for messages.

        Raises:
            ImportFileError: It is no JSON, has a key twice, or is too large or too deep.
        """
        if not self.peek():
            raise self.fault("the text is cut short: it ends here", path)
        while True:
            try:
                value, end = _STRICT.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._may_be_the_end(error):
                    raise self._wrong(error, path) from None
            except (_UnfitError, RecursionError) as error:
                why = "nested too deep" if isinstance(error, RecursionError) else str(error)
                raise self.fault(why, path, at=self._unfit()) from None
            else:
                if self._ended or not self._may_go_on(end):
                    self.start, self._at = self._at, end
                    return value
            size = len(self._buffer) - self._at
            if size > VALUE_LIMIT:
                raise self.fault(f"one value of more than {VALUE_LIMIT} characters", path)
            # Twice as much each time: a long value is not read anew at every piece.
            self._more(size)

    def _may_go_on(self, end: int) -> bool:
        """Return whether a value that ends there may be a number that goes on in the next piece: ``1``, ``1e+``."""
        return end + 2 >= len(self._buffer) and not self._buffer[end:].strip(".eE+-")

    def _may_be_the_end(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._buffer) - _NEAR

    def _wrong(self, error: json.JSONDecodeError, path: str) -> ImportFileError:
        rest = self._buffer[error.pos :].rstrip(_SPACE)
        if self._ended and (error.msg.startswith("Unterminated string") or any(w.startswith(rest) for w in _WORDS)):
            return self.fault("the text is cut short: it ends in the middle of a value", path, at=-1)
        return self.fault(f"no JSON: {error.msg[:1].lower()}{error.msg[1:]}", path, at=error.pos)

    def _unfit(self) -> int | None:
        """Return where the value stands that is no JSON though the standard library takes it."""
        for at in self._tokens(self._at):
            text = self._buffer[at : at + _DIGITS_LIMIT + 2]
            if text.startswith(("NaN", "Infinity", "-Infinity")) or len(text.lstrip("-0123456789")) == 0:
                return at
        return None

    def _tokens(self, at: int) -> Iterator[int]:
        """Yield where numbers and words begin, strings left out."""
        while (match := _LITERAL.search(self._buffer, at)) is not None:
            at = match.end()
            if match[0] != '"':
                yield match.start()
                continue
            try:
                at = json.decoder.scanstring(self._buffer, at)[1]  # type: ignore[attr-defined]  # typeshed leaves it out
            except ValueError:
                return

    def members(self, path: str) -> Iterator[str]:
        """Take an object member by member: yield each key; the value is to be taken by then.

        Raises:
            ImportFileError: It is no object, or a key stands in it twice.
        """
        self.take("{", path)
        seen: set[str] = set()
        mark = ","
        if self.peek() == "}":
            mark = self.take("}")
        while mark == ",":
            if self.peek() not in ('"', ""):
                raise self.fault("expected a key in double quotes", path)
            key = self.value(path)
            if key in seen:
                raise self.fault(_TWICE, path, at=self.start)
            seen.add(key)
            self.take(":", path)
            yield key
            mark = self.take(",}", path)

    def values(self, path: str) -> Iterator[tuple[int, Any]]:
        """Take an array of values: yield each with its index.

        Args:
            path: Where in the document the array stands.

        Raises:
            ImportFileError: It is no array, or one of its values is none.
        """
        self.take("[", path)
        index = 0
        mark = self.take("]") if self.peek() == "]" else ","
        while mark == ",":
            value = self.value(f"{path}[{index}]")
            yield index, value
            index += 1
            # What lies whole in memory, up to the last of it, goes the short way.
            while (end := self._next()) is not None:
                try:
                    value, after = _STRICT.scan_once(self._buffer, end)  # type: ignore[attr-defined]  # typeshed leaves it out
                except (StopIteration, ValueError, RecursionError):
                    # The long way tells a fault from the end of the piece.
                    break
                if self._may_go_on(after):
                    break
                self.start, self._at = end, after
                yield index, value
                index += 1
            mark = self.take(",]", path)

    def _next(self) -> int | None:
        """Return where the next value of an array begins, if it lies in memory."""
        match = _COMMA.match(self._buffer, self._at)
        return None if match is None or match.end() >= len(self._buffer) else match.end()

    def member_position(self, key: str) -> int:
        """Return where the value of a key stands in the object that was taken last; its own place if it lacks it."""
        return next((at for name, at in self._members_at(self.start) if name == key), self.start)

    def _members_at(self, at: int) -> Iterator[tuple[str, int]]:
        buffer = self._buffer
        try:
            while buffer[at : at + 1] in ("{", ","):
                at = self._skip(at + 1)
                name, at = json.decoder.scanstring(buffer, at + 1)  # type: ignore[attr-defined]  # typeshed leaves it out
                at = self._skip(self._skip(at) + 1)
                yield name, at
                at = self._skip(json.JSONDecoder().raw_decode(buffer, at)[1])
        except ValueError:
            return

    def _skip(self, at: int) -> int:
        match = _BLANKS.match(self._buffer, at)
        return at if match is None else match.end()
