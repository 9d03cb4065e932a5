"""``usagetrace status --check``: whether the endpoints of OTLP answer, and what is wrong with one that does not."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from usagetrace.cli.context import Cli
from usagetrace.cli.output import Column, Page, emit
from usagetrace.cli.settings import Examined, examine
from usagetrace.config import Settings
from usagetrace.errors import ConfigurationError
from usagetrace.reports.jsonshape import dump

if TYPE_CHECKING:
    from usagetrace.delivery.examine import Finding


def check(cli: Cli, endpoint: str | None, form: str) -> bool:
    """Ask the endpoints, say what came of it, and return whether all of them are fine.

    Where recording is off none is contacted, also not one that is named here.

    Args:
        cli: The surroundings.
        endpoint: Base URL to ask instead of what the settings name.
        form: ``table`` or ``json``.
    """
    # Its library would write its own view of each failure to standard error.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    examined = examine(cli.environ, cli.cwd)
    reason, findings = _asked(examined, endpoint)
    if form == "json":
        emit(dump(_shape(reason, findings)))
    else:
        page = Page(cli.environ)
        _draw(page, reason, findings)
        page.write()
    return bool(findings) and all(finding.ok for finding in findings)


def _asked(examined: Examined, endpoint: str | None) -> tuple[str, tuple[Finding, ...]]:
    """Return why nothing was asked, or what came of asking."""
    if examined.off_reason:
        faults = "".join(f"\n  {fault}" for fault in examined.faults)
        return f"recording is off, because {examined.off_reason}{faults}", ()
    try:
        # Imported here: it is of no use to who does not send.
        from usagetrace.delivery.examine import examine as examine_endpoints
    except ImportError as error:
        raise click.ClickException(
            f"asking an endpoint needs a package that is not installed ({error.name}): pip install 'usagetrace[otlp]'"
        ) from error
    try:
        return "", examine_endpoints(examined.settings, endpoint=endpoint, signals=_signals(examined.settings))
    except ConfigurationError as error:
        return "\n  ".join(error.faults), ()


def _signals(settings: Settings) -> tuple[str, ...]:
    """Return what these settings send, wherever to."""
    if settings.otlp_delivery == "outbox":
        return ("traces", "logs")
    return ("traces",) if settings.metrics == "off" else ("traces", "metrics")


def _shape(reason: str, findings: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "report": "status_check",
        "ok": bool(findings) and all(finding.ok for finding in findings),
        "reason": reason or None,
        "endpoints": [
            {**asdict(finding), "fault": finding.fault or None, "server": finding.server or None}
            for finding in findings
        ],
    }


def _draw(page: Page, reason: str, findings: tuple[Finding, ...]) -> None:
    if not findings:
        page.heading("No endpoint was asked")
        for line in reason.split("\n"):
            page.line(f"{line[:1].upper()}{line[1:]}")
        return
    fine = all(finding.ok for finding in findings)
    page.heading("Every endpoint answers" if fine else "Not every endpoint takes what is sent")
    rows = [(finding.signal, finding.url, finding.protocol, "ok" if finding.ok else "fault") for finding in findings]
    page.table((Column("signal"), Column("endpoint", limit=200), Column("protocol"), Column("result")), rows)
    page.line()
    for finding in findings:
        page.line(f"{finding.signal}: it {finding.message}")
