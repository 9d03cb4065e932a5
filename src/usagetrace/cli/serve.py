"""``usagetrace serve``: what is sent to a port of this machine by OTLP goes into a database."""

from __future__ import annotations

import importlib.util
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from usagetrace import places
from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.output import say
from usagetrace.cli.settings import Examined, examine
from usagetrace.errors import ConfigurationError

if TYPE_CHECKING:
    from usagetrace.otlp.decode import Decoder
    from usagetrace.server.run import Server

# The tool that events count as one of, in file names, where no other is named.
_SERVICE: Final = "received"
_TOKEN_VARIABLE: Final = "USAGETRACE_SERVER_TOKEN"  # noqa: S105 -- the name of a variable
_GRPC_PORT: Final = 4317
_MOST_DECODERS: Final = 4
_PORTS: Final = click.IntRange(0, 65535)
_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_NEEDED: Final = ("starlette", "uvicorn", "opentelemetry.proto")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Where to listen. Any other address than this machine's own needs a token.")  # fmt: skip
@click.option("--port", default=4318, show_default=True, type=_PORTS, metavar="N", help="Port of OTLP/HTTP; 0: any.")
@click.option("--grpc-port", type=_PORTS, metavar="N", help=f"Port of OTLP/gRPC; 0: any.  [default: {_GRPC_PORT}]")
@click.option("--no-grpc", is_flag=True, help="Do without gRPC.")
@click.option("--token-file", type=_FILE, metavar="FILE",
              help="Take the token that clients must send from the first line of this file.")  # fmt: skip
@click.option("--token", metavar="TEXT", help="The token itself. Others see it in the list of processes: better "
              f"use the environment variable {_TOKEN_VARIABLE}.")  # fmt: skip
@click.option("--tls-certificate", type=_FILE, metavar="FILE",
              help="Speak TLS, and show this certificate (PEM, with those between it and its authority).")  # fmt: skip
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key (PEM, without a password), if not in that file.")
@click.option("--decoders", type=click.IntRange(0, _MOST_DECODERS), metavar="N", help="Processes that read what is "
              "sent, beside the one that stores it; 0: none beside it.  [default: one less than there are processors, "
              f"{_MOST_DECODERS} at most]")  # fmt: skip
@pass_cli
def serve(
    cli: Cli,
    host: str,
    port: int,
    grpc_port: int | None,
    no_grpc: bool,
    token_file: Path | None,
    token: str | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    decoders: int | None,
) -> None:
    """Receive OTLP from tools and collectors, by HTTP and gRPC, into one database, until stopped.

    An answer of success means that the events are on the disk. Events that come twice count once. The database is that
    of the tool "received", unless --db or --service names another.
    """
    if no_grpc and grpc_port is not None:
        raise click.UsageError("--no-grpc and --grpc-port contradict each other: give one of them")
    if tls_key is not None and tls_certificate is None:
        raise click.UsageError("--tls-key: there is no certificate that it is the key of: give --tls-certificate")
    secret = _token(cli, token, token_file)
    _require_extra()
    # Imported here: who asks for help need not have it, nor wait for it.
    from usagetrace.server.access import Access
    from usagetrace.server.listening import is_open_to_others, resolve
    from usagetrace.server.run import Server
    from usagetrace.server.tls import Certificate

    address = resolve(host)
    if secret is None and is_open_to_others(address):
        raise click.UsageError(
            f"--host {host}: other machines may reach it, so clients must send a token: make one, for example with "
            "`openssl rand -hex 24`, and give it with --token-file FILE or in the environment variable "
            f"{_TOKEN_VARIABLE}; or listen on 127.0.0.1"
        )
    examined = examine(cli.environ, cli.cwd)
    if examined.faults:
        raise ConfigurationError(examined.faults)
    path = _store(cli)
    server = Server(
        path, _decoder(cli, examined), address=address, port=port, grpc_port=_grpc(grpc_port, no_grpc),
        access=Access(secret), certificate=None if tls_certificate is None else Certificate(tls_certificate, tls_key),
        retention_days=examined.settings.retention_days, archive=examined.settings.archive_dir,
        decoders=_decoders() if decoders is None else decoders,
    )  # fmt: skip
    server.run(lambda: _tell(cli, server, path, plainly=tls_certificate is None and is_open_to_others(address)))


def _token(cli: Cli, token: str | None, token_file: Path | None) -> str | None:
    """Return the token that clients must send; None where nobody says one."""
    from usagetrace.server.access import is_token

    if token is not None and token_file is not None:
        raise click.UsageError("--token and --token-file both name a token: give one of them")
    source, given = _TOKEN_VARIABLE, cli.environ.get(_TOKEN_VARIABLE, "").strip() or None
    if token is not None:
        source, given = "--token", token
    elif token_file is not None:
        lines = token_file.read_bytes()[:4096].decode("utf-8", "replace").splitlines()
        source, given = f"--token-file {token_file}", (lines[0].strip() if lines else "")
    if given is not None and not is_token(given):
        raise click.UsageError(
            f"{source}: expected a token: letters, digits and any of - . _ ~ + /, without spaces", None
        )  # fmt: skip
    return given


def _require_extra() -> None:
    missing = [name for name in _NEEDED if _is_missing(name)]
    if missing:
        raise click.ClickException(f"serving needs {', '.join(missing)}: pip install 'usagetrace[server]'")


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:
        return True


def _grpc(port: int | None, no_grpc: bool) -> int | None:
    """Return the port of gRPC, None for none."""
    if no_grpc:
        return None
    if _is_missing("grpc"):
        if port is not None:
            raise click.ClickException("--grpc-port: gRPC needs grpcio: pip install 'usagetrace[server]'")
        return None
    return _GRPC_PORT if port is None else port


def _store(cli: Cli) -> Path:
    if cli.db is not None:
        return cli.db.absolute()
    return places.store_path(cli.environ, cli.service or _SERVICE)


def _decoders() -> int:
    """Return how many processes are to read: what stores needs a processor of its own."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine - 1, _MOST_DECODERS)


def _decoder(cli: Cli, examined: Examined) -> Decoder:
    """Return what reads requests, by the policy and the mappings in force.

    Raises:
        ConfigurationError: A mapping has a fault.
    """
    from usagetrace.otlp.decode import Decoder
    from usagetrace.otlp.mapping import mappings_from_settings
    from usagetrace.redaction import Redactor

    redactor = Redactor(policy=examined.settings.redaction)
    return Decoder(redactor=redactor, mappings=mappings_from_settings(cli.environ, cli.cwd))


def _tell(cli: Cli, server: Server, path: Path, *, plainly: bool) -> None:
    """Say where it listens and writes, and how to look at what came."""
    grpc = f" and {server.grpc} (OTLP/gRPC)" if server.grpc else ""
    say(f"listening on {server.scheme}://{server.http} (OTLP/HTTP){grpc}")
    say(f"writing into {path}")
    name = ["--db", str(cli.db)] if cli.db is not None else ["--service", cli.service or _SERVICE]
    say(f"see it with: {shlex.join(['usagetrace', *name, 'report'])}")
    if plainly:
        say("without --tls-certificate, or a proxy that speaks TLS, whoever is on the way reads token and events")
