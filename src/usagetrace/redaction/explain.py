"""What becomes of a whole text, and which rule acted on which line of it.

For people who want to see what redaction does. It says where something was found, never what.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from usagetrace.redaction.care import HELD, PATH_RULES, Care
from usagetrace.redaction.engine import DROPPED, Redactor
from usagetrace.redaction.policy import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usagetrace.redaction.engine import Budget
    from usagetrace.redaction.keys import Kind


class Acted(NamedTuple):
    """That a rule acted on a line.

    Attributes:
        line: Number of the line, the first is 1.
        rule: Name of the rule.
        times: How often it acted there.
    """

    line: int
    rule: str
    times: int


class Explained(NamedTuple):
    """A redacted text, and why it is as it is.

    Attributes:
        text: As :meth:`Redactor.redact` gives it; None where the policy leaves it out.
        acted: By line and rule.
    """

    text: str | None
    acted: tuple[Acted, ...]


def explain(redactor: Redactor, key: str, text: str) -> Explained:
    """Return what becomes of a text, and which rule acted where.

    Args:
        redactor: Its policy holds.
        key: Name of the attribute; ``""`` where there is none.
        text: Any text.

    Raises:
        RedactionError: The text can't be looked into.
    """
    policy = redactor.policy or Policy()
    redacted = redactor.redact(key, text)
    if not policy.lets(key):
        return Explained(None if redacted is None else str(redacted), (Acted(1, "only", 1),) if text else ())
    care = _Locating(redactor, policy)
    marked = redactor.walk(key, text, care)
    return Explained(None if redacted is None else str(redacted), care.acted("" if marked is DROPPED else str(marked)))


class _Locating(Care):
    """Leaves a mark at each finding, which the text keeps up to its end."""

    __slots__ = ("_is_json", "_marks", "_rules")

    def __init__(self, engine: Redactor, policy: Policy) -> None:
        super().__init__(engine, policy)
        # Rule of each mark, and how many line ends the finding held.
        self._marks: list[tuple[str, int]] = []
        # How often each rule acted, with a mark or without.
        self._rules: dict[str, int] = {}
        self._is_json = False

    def note(self, rule: str) -> None:
        """Count a rule."""
        self._rules[rule] = self._rules.get(rule, 0) + 1

    def text(self, kind: Kind, key: str, value: str, budget: Budget) -> object:
        """Return a text redacted, with marks in it."""
        # Line ends inside JSON's texts are no line ends of the document.
        self._is_json = budget.json_depth > 0
        return super().text(kind, key, value, budget)

    def acted(self, marked: str) -> tuple[Acted, ...]:
        """Return the lines of the marks in a text."""
        found: dict[tuple[int, str], int] = {}
        left = self._rules.copy()
        line, done = 1, 0
        for match in HELD.finditer(marked):
            rule, lines = self._marks[int(match[1])]
            line += marked.count("\n", done, match.start())
            if left.get(rule):
                found[line, rule] = found.get((line, rule), 0) + 1
                left[rule] -= 1
            line, done = line + lines, match.end()
        for rule, times in left.items():
            if times:
                # What left no mark: the rest of a dense text, or what a policy leaves out. It is told with the first
                # line.
                found[1, rule] = found.get((1, rule), 0) + times
        return tuple(Acted(at, rule, times) for (at, rule), times in sorted(found.items()))

    def _in_whole(self, key: str, value: object, rule: str, text: str) -> str:
        new = super()._in_whole(key, value, rule, text)
        return text if new == text else self._hold("", text, rule)

    def _form(self, key: str, value: str, rule: str, found: str, replacement: str) -> str:
        new, settled = self._stand_in(key, value, rule, HELD.sub("", found), replacement)
        if settled or rule not in PATH_RULES:
            return self._hold("", self._raw_of(found), rule)
        if self._joins:
            return self._kept_of_path(rule, found, new, partial(self._form, key, value))
        # A mark stands for nothing beside a short path, which the rules that follow look at.
        return self._hold("", self._raw_of(found), rule) + new

    def _hold(self, text: str, raw: str, rule: str = "") -> str:
        # Also a hash that is to be left alone is held: it has no rule.
        self._marks.append((rule, 0 if self._is_json else raw.count("\n")))
        return super()._hold(text, raw, rule)

    def _released(self, text: str) -> str:
        # Not before the end: the marks tell the lines.
        return text
