"""``usagetrace redact``: what would become of a text, and why.

It reads standard input or a file and writes to standard output. Bytes that are no UTF-8 survive. What belongs together
(a document in JSON, a private key) is looked at in one piece; a long text is taken in pieces of whole lines.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
from click.core import ParameterSource

from usagetrace.cli.context import Cli, pass_cli
from usagetrace.cli.options import format_option
from usagetrace.cli.output import Column, Page, emit, say
from usagetrace.redaction import Redactor
from usagetrace.redaction.explain import Acted, explain
from usagetrace.redaction.jsontext import JSON_LIMIT
from usagetrace.redaction.policy_table import redaction_policy
from usagetrace.redaction.rules import all_rules, marker
from usagetrace.reports.jsonshape import dump

# Length in bytes from which a text is taken in pieces; a document in JSON is parsed up to its own limit.
PIECE = 65_536
# Longest line, or private key, that is kept in one piece, in bytes.
_LONGEST = 4 * 1_048_576
_BEGIN, _END = b"-----BEGIN ", b"-----END "
_DENSE = marker("dense")
# Where a long line may be halved, behind two signs.
_BETWEEN = ("},", "],", '",')
# What a policy and a limit put there, and no rule that finds something.
_BESIDES = (
    ("depth", "what lies deeper in others than is looked at"),
    ("key", "a value whose key the settings name"),
    ("unlisted", "the name of an artifact that the settings' allow-list does not name"),
)


@click.command()
@click.option("--file", "file", type=click.File("rb"), default="-", metavar="FILE", help="Read this file.")
@click.option("--key", default="", metavar="KEY", help="Take the text for the value of an attribute of this name.")
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="Show which rule acted on which line instead of the text; JSON has both.",
)
@click.option("--rules", is_flag=True, help="List all rules: what each finds, and why. Nothing is read.")
@format_option("text", "json")
@pass_cli
def redact(cli: Cli, file: BinaryIO, key: str, explained: bool, rules: bool, form: str) -> None:
    """Show what would become of a text, by the rules and the settings in force here.

    Without --file standard input is read. Nothing is recorded.
    """
    if rules:
        _require_alone("--rules", "file", "key", "explained")
    redactor = Redactor(policy=redaction_policy(cli.environ, cli.cwd))
    if rules:
        _list_rules(cli, redactor, form)
    elif form == "json":
        pieces = list(_pieces(redactor, key, file))
        texts = [text for text, _ in pieces if text is not None]
        whole = "".join(texts) if len(texts) == len(pieces) else None
        emit(dump(_shape(whole, [each for _, acted in pieces for each in acted])))
    elif explained:
        _draw(Page(cli.environ), [each for _, found in _pieces(redactor, key, file, True) for each in found])
    else:
        _write(redactor, key, file)


def _require_alone(option: str, *others: str) -> None:
    """Refuse an option that reads nothing beside those that say what is read, or how it is shown."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in others and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} lists the rules and reads nothing: leave {parameter.opts[0]} out")


def _write(redactor: Redactor, key: str, file: BinaryIO) -> None:
    """Write the redacted text as it comes, byte for byte."""
    out = sys.stdout.buffer
    for text, _ in _pieces(redactor, key, file, False):
        if text is None:
            say("usagetrace: the settings leave this attribute out")
            continue
        out.write(text.encode("utf-8", "surrogateescape"))
    out.flush()


def _pieces(
    redactor: Redactor, key: str, file: BinaryIO, with_reasons: bool = True
) -> Iterator[tuple[str | None, list[Acted]]]:
    """Yield each piece redacted, and what acted in it by the lines of the whole text."""
    line = 0
    for raw in read_pieces(file, whole=bool(key)):
        text = raw.decode("utf-8", "surrogateescape")
        # The end of the last line is the stream's and not the value's.
        end = "\n" if text.endswith("\n") else ""
        value = text[: len(text) - len(end)]
        for new, acted in _redacted(redactor, key, value, with_reasons):
            yield new, [each._replace(line=line + each.line) for each in acted]
        if end:
            yield end, []
        line += text.count("\n")


def _redacted(
    redactor: Redactor, key: str, value: str, with_reasons: bool, before: int = 0
) -> Iterator[tuple[str | None, list[Acted]]]:
    """Yield a text redacted; one with more findings than the rules look at is taken in halves."""
    if with_reasons:
        done = explain(redactor, key, value)
        new, acted = done.text, list(done.acted)
    else:
        found = redactor.redact(key, value)
        new, acted = (None if found is None else str(found)), []
    middle = _middle(value)
    if new is not None and not key and middle and _DENSE in new and _DENSE not in value:
        for half, at in ((value[:middle], before), (value[middle:], before + value.count("\n", 0, middle))):
            yield from _redacted(redactor, key, half, with_reasons, at)
        return
    yield new, [each._replace(line=before + each.line) for each in acted]


def _middle(text: str) -> int:
    """Return where a text is halved: at the end of a line, or of something that a list holds; 0 where it can't be."""
    half = len(text) // 2
    middle = text.find("\n", half) + 1 or text.rfind("\n") + 1
    if middle or len(text) <= PIECE // 8:
        return middle
    # One long line, as a document in JSON is: between its members, no text of it is torn.
    for sign in _BETWEEN:
        at = text.find(sign, half, half + PIECE // 4)
        if at >= 0:
            return at + 2
    return 0


def read_pieces(file: BinaryIO, *, whole: bool = False) -> Iterator[bytes]:
    """Yield what a stream holds in pieces that end with a line; what belongs together stays so.

    Args:
        file: Read to its end.
        whole: Make no pieces of what is one value, up to the longest that is kept.
    """
    kept = b""
    first = True
    while True:
        size = _LONGEST if whole else JSON_LIMIT if first else PIECE
        block = file.read(size)
        if not block:
            break
        kept += block
        if first and len(kept) < size:
            # A short stream gives less than was asked for only at its end, or where somebody types.
            more = file.read(size - len(kept))
            while more:
                kept += more
                more = file.read(size - len(kept)) if len(kept) < size else b""
            if len(kept) < size and (whole or len(kept) <= PIECE or kept.lstrip()[:1] in (b"{", b"[")):
                break
        first = False
        while (end := _cut(kept)) > 0:
            yield kept[:end]
            kept = kept[end:]
    if kept:
        yield kept


def _cut(text: bytes) -> int:
    """Return where the first piece of a text ends; 0 where more is needed to say."""
    if len(text) <= PIECE:
        return 0
    end = text.rfind(b"\n", 0, PIECE) + 1 or text.find(b"\n", PIECE) + 1
    begun = text.rfind(_BEGIN, 0, end)
    if begun >= 0 and text.find(_END, begun, end) < 0:
        # A private key goes on: up to its last line, or as long as one may be.
        closed = text.find(_END, begun)
        end = text.find(b"\n", closed) + 1 if closed >= 0 else 0
    return end or (len(text) if len(text) >= _LONGEST else 0)


def _list_rules(cli: Cli, redactor: Redactor, form: str) -> None:
    policy = redactor.policy
    own = [] if policy is None else [(rule.name, "a rule of your settings") for rule in policy.rules]
    found = [*((rule.name, rule.why) for rule in all_rules()), *_BESIDES, *own]
    if form == "json":
        emit(dump({"report": "rules", "rules": [{"name": name, "why": why} for name, why in found]}))
        return
    page = Page(cli.environ)
    page.table((Column("rule", whole=True), Column("what it finds, and why", limit=300)), found)
    page.write()


def _shape(text: str | None, acted: list[Acted]) -> dict[str, Any]:
    shown = None if text is None else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return {
        "report": "redact",
        "text": shown,
        "acted": [{"line": each.line, "rule": each.rule, "times": each.times} for each in acted],
    }


def _draw(page: Page, acted: list[Acted]) -> None:
    if not acted:
        page.line("No rule acted.")
        page.write()
        return
    page.table(
        (Column("line", right=True), Column("rule", whole=True), Column("times", right=True)),
        [(each.line, each.rule, each.times) for each in acted],
    )
    total: Counter[str] = Counter()
    for each in acted:
        total[each.rule] += each.times
    page.heading("In all")
    page.table((Column("rule", whole=True), Column("times", right=True)), sorted(total.items()))
    page.write()
