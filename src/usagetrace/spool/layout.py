"""The bytes of a segment: its name, its header, its records.

::

    segment := header record*
    header  := magic (8)  version (u32)  id (8)  CRC-32 of these (u32)
    record  := mark (4)  length of body (u32)  CRC-32 of body (u32)  sequence (u32)  events (u32)  body
    body    := marshal of a list with one tuple of Event's fields an event; or, where events is 0,
               of one such tuple: an operation that has begun; or of a number: events lost before;
               or of an empty list, and behind it of a tuple: how often functions were called,
               or what its first value, a text, names: events that sampling took away

A reader that knows nothing of what stands behind an empty list takes it for a record without events.

Numbers are little-endian. The CRC of a body starts from the record's two numbers, so it covers those as well.
This module is pure: bytes in, values out. It touches no file.
"""

from __future__ import annotations

import marshal
import os
import struct
from binascii import crc32

from usagetrace.errors import NewerSchemaError
from usagetrace.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from usagetrace.spool.calls import Calls
    from usagetrace.spool.sampled import Sampled

Row = tuple["Any", ...]

SUFFIX: Final = ".seg"
# The file beside the segments that says how long events are kept: days, and on a second line the archive's folder.
KEEPING: Final = "keeping"
VERSION: Final = 1
MAGIC: Final = b"\x89UTSPL\r\n"
# 0xFF and 0xFE occur in no UTF-8 text: nothing that a person typed looks like the beginning of a record.
MARK: Final = b"\xff\xfeUT"

# An odd factor lets no change of one of a record's two numbers go unseen.
NUMBERS_FACTOR: Final = 0x9E3779B1

_HEADER: Final = struct.Struct("<8sI8sI")
_HEADER_BODY: Final = struct.Struct("<8sI8s")
HEAD: Final = struct.Struct("<4sIIII")
HEADER_SIZE: Final = _HEADER.size
HEAD_SIZE: Final = HEAD.size

# The oldest format that holds floats exactly: it keeps no table of references, and costs a third less to write.
MARSHAL_VERSION: Final = 2
METADATA: Final = Event._fields.index("metadata")
PRIORITY: Final = Event._fields.index("priority")
TRACE_ID: Final = Event._fields.index("trace_id")
SPAN_ID: Final = Event._fields.index("span_id")

_WIDTH: Final = len(Event._fields)

# What stands before a tuple in a body.
NO_EVENTS: Final = marshal.dumps([], MARSHAL_VERSION)
# The name of a kind of tuples: events that sampling took away.
SAMPLED: Final = "sampled"

# What a body holds: the fields of each event, how many were lost before, an operation that has begun, and what a tuple
# tells.
Body = tuple[list[Row], int, Event | None, "Calls | Sampled | None"]


def spool_directory(db_path: str | os.PathLike[str]) -> str:
    """Return where the spool of a database lies: beside it, and no other database's."""
    folder, name = os.path.split(os.path.abspath(db_path))
    return os.path.join(folder, "spool" if name == "analytics.db" else f"{name}.spool")


def segment_name(created_ms: int, pid: int, identity: bytes) -> str:
    """Return a segment's file name: names sort by age, and the random part keeps any two apart."""
    return f"{max(created_ms, 0):013d}-{pid}-{identity.hex()}{SUFFIX}"


def segments(directory: str | os.PathLike[str]) -> list[str]:
    """Return the names of the segments in a directory, oldest first; none where there is no directory.

    Raises:
        OSError: The directory can't be read.
    """
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def header(identity: bytes) -> bytes:
    """Return the header of a segment with an id of 8 bytes."""
    body = _HEADER_BODY.pack(MAGIC, VERSION, identity)
    return body + crc32(body).to_bytes(4, "little")


def has_header(data: bytes) -> bool:
    """Return whether the bytes begin with a sound header.

    Raises:
        NewerSchemaError: The header is sound and of a version that this package does not know.
    """
    if len(data) < HEADER_SIZE:
        return False
    magic, version, identity, check = _HEADER.unpack_from(data)
    if magic != MAGIC or check != crc32(_HEADER_BODY.pack(magic, version, identity)):
        return False
    if version > VERSION:
        raise NewerSchemaError(
            f"a spool segment of version {version}, and this version of usagetrace knows {VERSION}: upgrade usagetrace"
        )
    return True


def record(body: bytes, sequence: int, count: int) -> bytes:
    """Return a record: its head and its body.

    Args:
        body: What :func:`encode` or :func:`encode_lost` gave.
        sequence: Number of the record within its segment, from 0.
        count: How many events the body holds.
    """
    return HEAD.pack(MARK, len(body), checksum(body, sequence, count), sequence, count) + body


def checksum(body: bytes, sequence: int, count: int) -> int:
    """Return the CRC of a record."""
    return crc32(body, (sequence + count * NUMBERS_FACTOR) & 0xFFFFFFFF)


def encode(rows: list[Any]) -> bytes:
    """Return the body of a record that holds events, each given as the plain tuple of its fields.

    Raises:
        TypeError: A field other than the metadata is of no type that can be stored.
        ValueError: The same.
    """
    try:
        return marshal.dumps(rows, MARSHAL_VERSION)
    except ValueError:
        # Subclasses (an enum's member, a read-only mapping) have no form of their own there.
        return marshal.dumps([_plain(row) for row in rows], MARSHAL_VERSION)


def encode_start(row: tuple[Any, ...]) -> bytes:
    """Return the body of a record that says that an operation has begun.

    Raises:
        TypeError: As :func:`encode`.
        ValueError: The same.
    """
    try:
        return marshal.dumps(row, MARSHAL_VERSION)
    except ValueError:
        return marshal.dumps(_plain(row), MARSHAL_VERSION)


def encode_lost(count: int) -> bytes:
    """Return the body of a record that tells how many events were lost before it."""
    return marshal.dumps(count, MARSHAL_VERSION)


def decode(body: bytes, count: int) -> Body | None:
    """Return a body's events, the losses, the beginning and what else it tells of; None where it is none.

    Args:
        body: The bytes, whose checksum held.
        count: How many events the record's head announces.
    """
    try:
        value = marshal.loads(body)  # noqa: S302 -- the file is its owner's alone, and the checksum held
        kind = type(value)
        if kind is list:
            for row in value:
                if type(row) is not tuple or len(row) != _WIDTH:
                    # One that an older version wrote may have fewer fields.
                    value = [tuple(Event(*row)) for row in value]
                    break
            if len(value) != count:
                return None
            if value or len(body) <= len(NO_EVENTS):
                return value, 0, None, None
            return value, 0, None, _told(marshal.loads(body[len(NO_EVENTS) :]))  # noqa: S302 -- as above
        if count:
            return None
        if kind is int:
            return ([], value, None, None) if value >= 0 else None
        return ([], 0, Event(*value), None) if kind is tuple and _has_ids(value) else None
    except (ValueError, TypeError, EOFError):
        return None


def _told(value: object) -> Calls | Sampled | None:
    """Return what a tuple behind no events tells; None where it is of no kind that is known."""
    if type(value) is not tuple or not value:
        return None
    # Imported here: most processes have nothing to tell of.
    if value[0] == SAMPLED:
        from usagetrace.spool.sampled import sampled_in

        return sampled_in(value)
    from usagetrace.spool.calls import calls_in

    return calls_in(value)


def _has_ids(row: tuple[Any, ...]) -> bool:
    return len(row) > SPAN_ID and type(row[TRACE_ID]) is str and type(row[SPAN_ID]) is str


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_plain_metadata(value) if at == METADATA else _plain_value(value) for at, value in enumerate(row))


def _plain_value(value: Any) -> Any:
    """Return a field's value as one of the types that can be stored: a subclass becomes what it stands for."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, float) else value


def _plain_metadata(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    # Imported here: what is recorded is nearly always plain already.
    import json

    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(value), default=_as_json))
    except (TypeError, ValueError, RecursionError) as error:
        # One event's odd metadata must not cost the event; its type says what is missing.
        return {"usagetrace.metadata_error": type(error).__name__}
    return plain


def _as_json(value: Any) -> Any:
    try:
        return dict(value)
    except (TypeError, ValueError):
        return str(value)
