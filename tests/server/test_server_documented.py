"""The page about the receiver says what the receiver does: its statuses, its bounds, its routes."""

from __future__ import annotations

import configparser
from pathlib import Path

import grpc

from usagetrace.otlp.decode import Decoder, Limits
from usagetrace.server import refusal
from usagetrace.server.app import create_app
from usagetrace.server.bounds import MIB, Bounds
from usagetrace.server.receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/receiver.md").read_text("utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    rows = [line.strip("| \n").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_refusal_is_in_the_table() -> None:
    """Each kind of refusal has its row, with its status and its code, and there is no other."""
    kinds = [each for each in vars(refusal).values() if isinstance(each, refusal.Kind)]
    codes = {code.value[0]: code.name for code in grpc.StatusCode}
    expected = sorted([str(kind.http), f"`{codes[kind.grpc]}`"] for kind in kinds)
    assert sorted(row[:2] for row in table("Refusals")) == expected


def test_every_bound_is_in_the_table() -> None:
    """The values in the table are those of the code."""
    bounds = Bounds()
    expected = {
        "Body as it is sent": f"{bounds.body // MIB} MiB",
        "Body once decompressed": f"{bounds.decompressed // MIB} MiB",
        "Message of gRPC, compressed or not": f"{bounds.grpc_message // MIB} MiB",
        "Spans, log records or metric points in one request": f"{Limits().members:,}",
        "Time for a body": f"{bounds.body_s:g} s",
        "Time to read a body that is here, in a process of its own": f"{bounds.decode_s:g} s",
        "Time for a connection to say what it wants": f"{bounds.head_s:g} s",
        "Rest of a connection between two requests": f"{bounds.idle_s:g} s",
        "Requests that wait, together": f"{bounds.waiting_requests}",
        "Bytes of bodies that wait, together": f"{bounds.waiting_bytes // MIB} MiB",
        "Events that are read and wait to be written": f"{bounds.waiting_rows:,}",
        "Connections of HTTP": f"{bounds.connections}",
        "Events after which a transaction takes no further request": f"{bounds.commit_rows:,}",
        "Requests in one transaction": f"{bounds.commit_requests}",
        "Time to end, once told to": f"{bounds.stop_s:g} s",
    }
    assert dict(table("Bounds")) == expected


def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    """The routes of the application, and no others, are listed."""
    app = create_app(Receiver(tmp_path / "a.db", Decoder(), Bounds()))
    routes = {f"`{min(route.methods - {'HEAD'})} {route.path}`" for route in app.routes}  # type: ignore[attr-defined]  # all are of one kind
    assert {row[0] for row in table("Routes") if row[0].startswith("`")} == routes


def test_the_unit_runs_the_command() -> None:
    """The unit of systemd can be read, and starts `usagetrace serve`."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are
    unit.read(ROOT / "examples/systemd/usagetrace-serve.service")
    assert unit["Service"]["ExecStart"].split()[1:] == ["--service", "received", "serve"]
    assert int(unit["Service"]["TimeoutStopSec"]) > Bounds().stop_s
