"""Finds and masks secrets and personal data in one text: the rules' tables applied, overlaps joined.

Pure: text in, text out. It knows neither keys of attributes nor nested values.
"""

from __future__ import annotations

import functools
import re

from usagetrace.patterns import any_of, lazy, trie
from usagetrace.redaction.commands import COMMANDS
from usagetrace.redaction.dense import LONG, before_dense, bounded, letters_of, present
from usagetrace.redaction.invisible import ESCAPES, HAS_UNSEEN, visible
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.named import Named
from usagetrace.redaction.numbers import numbered
from usagetrace.redaction.personal import PERSONAL
from usagetrace.redaction.prices import searches
from usagetrace.redaction.rules import MARKER, Rule, marker, secret_group
from usagetrace.redaction.shapes import SECRETS
from usagetrace.redaction.told import told
from usagetrace.redaction.vendors import TOKENS
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from usagetrace.redaction.rules import Form

    # Gives the first match in a text from a position on.
    Search = Callable[..., re.Match[str] | None]

# Most findings of one text; the rest of a text with more is masked whole, so that time stays bounded.
DENSE_LIMIT: Final = 2000
# The same for a text that is long in itself.
_DENSE_IN_LONG: Final = 1400
# Longest value, in characters, that may be called harmless although its name means a secret.
SPARED_LENGTH: Final = 512
# Where a finding starts and ends, and the rule that found it.
Finding = tuple[int, int, str]

_PREFIXES: Final[tuple[str, ...]] = tuple({prefix for token in TOKENS for prefix in token.prefixes})
# Behind a sign, at which a search can skip the letters between: a prefix inside a word begins no token.
# A line's end may be written out before it.
_PREFIX: Final = lazy(lambda: rf"[^A-Za-z0-9](?:(?<=\\)[nrt])?({trie(_PREFIXES)})")
_FIRST: Final = lazy(lambda: f"({trie(_PREFIXES)})")
# What is left of a token that a limit of length cut off.
_CUT: Final = lazy(r"(?=[a-z0-9_-]{0,64}[A-Z])(?=[A-Za-z_-]{0,64}[0-9])(?<=[_-])[A-Za-z0-9_-]{8,64}\Z")


@functools.cache
def _by_prefix(prefix: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return name and pattern of the tokens that begin with a prefix, or with a shorter one that it begins with.

    The search finds the longest prefix at a place, and so hides a shorter one: ``sk-ant-`` hides ``sk-``.
    """
    own = [token for token in TOKENS if prefix in token.prefixes]
    hidden = [t for t in TOKENS if any(prefix != each and prefix.startswith(each) for each in t.prefixes)]
    return tuple((token.name, token.compiled()) for token in (*own, *hidden))


_REST: Final = lazy(r"[A-Za-z0-9_]*")
# One of these is in every text that holds an assignment, flag, header or parameter of a secret or a person.
_HINT_WORDS: Final = (
    words(
        """
        pass pw secret token key auth cred cookie bearer basic login mail phone pin otp cvv cvc ssn jwt dsn
        sess sig user name birth dob conn fax tel iban address code csrf xsrf sid mobile card account -u sso
        kennwort senha contrase motdepasse пароль 密码 パスワード social answer owner machine host privkey seed
        ip mac access sign requirepass bindpw rootpw psk clave passe wachtwoord hasło 密碼 密钥 비밀번호 salt unseal
        phrase mnemonic haslo licen national_id tax_ insurance_ parola lösenord losenord salasana şifre sifre heslo
        jelszó jelszo adgangskode art-api
        """
    )
    # The short word for a personal access token, which is in too many others.
    | {"_pat ", "_pat=", "_pat:", "-pat=", '_pat"', "_pat'", "pat=", "pat: "}
)
_HINT: Final = any_of(_HINT_WORDS)
# Texts longer than this, in characters, are searched for such words one by one.
_WORDWISE: Final = 4096

# Letters, digits and signs in the width of Chinese characters.
_FULL_WIDTH: Final = lazy("[\uff0d\uff0e\uff10-\uff19\uff1d\uff20-\uff3a\uff3f\uff41-\uff5a]")
_NARROW: Final = {
    code: code - 0xFEE0 for code in (0xFF0D, 0xFF0E, *range(0xFF10, 0xFF1A), 0xFF1D, *range(0xFF20, 0xFF3B), 0xFF3F,
                                     *range(0xFF41, 0xFF5B))
}  # fmt: skip


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def findings(text: str, kind: Kind = Kind.PLAIN) -> list[Finding]:
    """Return what the rules find in a text, in no order; findings may overlap.

    Args:
        text: Any text.
        kind: What the text's key says of it: below a version's key, four numbers are no address.
    """
    if not text.isascii():
        if HAS_UNSEEN.search(text) is not None:
            seen, places = visible(text)
            return [(places[start], places[end - 1] + 1, name) for start, end, name in findings(seen, kind)]
        if _FULL_WIDTH.search(text) is not None:
            # Full-width forms, of the same length as what they stand for.
            text = text.translate(_NARROW)
    if "\x1b[" in text:
        # A terminal's colours: no letters, but a boundary, and of the same length.
        text = ESCAPES.sub(_blank, text)
    low = text.lower()
    has_digit = _DIGIT.search(text) is not None
    # A token of letters in one case and no digit is as good as impossible.
    found = _tokens(text) if (has_digit or low != text) and _LONG.search(text) is not None else []
    if "://" in text:
        _collect(_URL_CREDENTIALS, text, found)
        if has_digit:
            _collect(_CUT_URL, text, found)
    if "-----BEGIN" in text:
        _collect(_PRIVATE_KEY, text, found)
    placed = has_digit or " -" in text
    quoted = placed or '"' in text or "'" in text
    if placed and len(text) >= INNER_LENGTH:
        _inner(text, low, found)
    if len(text) > _WORDWISE:
        text = _in_long(text, low, found, placed=placed)
    elif _ANY_HINT.search(low) is not None:
        # Most texts have none of either.
        if _HINT.search(low) is not None:
            _announced(_HINTED, text, low, found)
            found += told(text, low)
        if quoted and _PLACED_HINT.search(low) is not None:
            _announced(_PLACED, text, low, found)
    if "@" in text or "%40" in text:
        found += _emails(text, found)
    if has_digit and kind is not Kind.VERSION:
        for rule in numbered(text):
            _collect(rule, text, found)
    return found


def _announced(rules: tuple[Rule, ...], text: str, low: str, found: list[Finding]) -> None:
    """Add what those rules find of which a text holds a word or sign that each of their matches has."""
    for rule in rules:
        for need in rule.needs:
            if need in low:
                _collect(rule, text, found)
                break


def _inner(text: str, low: str, found: list[Finding]) -> None:
    """Add the tokens that are known by a sign in their middle."""
    for rule in _INNER:
        for need in rule.needs:
            if need in low:
                if rule not in _CLOSER or _CLOSER[rule].search(text) is not None:
                    _collect(rule, text, found)
                break


def _in_long(text: str, low: str, found: list[Finding], *, placed: bool) -> str:
    """Add what words announce in a long text, in less time for each character; return what is left to be searched.

    Args:
        text: The text.
        low: The same in lower case.
        found: What is added to.
        placed: Whether commands and formats may be in it.
    """
    letters = letters_of(low)
    # Most of a long text's words are in it many times.
    brief = "\n".join(frozenset(low.split()))
    text, low = before_dense(text, low, found)
    if present(_HINT_WORDS, low, letters, brief):
        text, low = _announced_in_long(_HINTED, text, low, found, (letters, brief))
        found += told(text, low)
    if placed:
        text, low = _announced_in_long(_PLACED, text, low, found, (letters, brief))
    return text


def _announced_in_long(
    rules: tuple[Rule, ...], text: str, low: str, found: list[Finding], held: tuple[frozenset[str], str]
) -> tuple[str, str]:
    """Add what some rules find; return what is left of the text. ``held`` are its letters, and each word once."""
    letters, brief = held
    for rule in rules:
        if present(rule.needs, low, letters, brief) and (rule not in _CLOSER or _CLOSER[rule].search(text) is not None):
            _collect(rule, text, found, _near(rule, low) if len(low) == len(text) else None)
            text, low = before_dense(text, low, found)
    return text, low


def _near(rule: Rule, low: str) -> Search | None:
    """Return a search that gives what the rule's own gives, and reads nothing but what is around the rule's words.

    None for a rule whose matches may lie further from them than is known here.
    """
    if rule not in _AROUND:
        return None
    signs, back, ahead = _AROUND[rule]
    pattern = rule.pattern
    named = Named(signs, _NAMING) if rule is _ASSIGNMENT else None
    sign = signs if named is None else named
    done = 0

    def search(text: str, position: int = 0) -> re.Match[str] | None:
        nonlocal done
        done = max(done, position)
        at = sign.search(low, done)
        while at is not None:
            begin = at.start() - back if named is None else named.begin
            match = pattern.search(text, max(done, begin), at.end() + ahead)
            if match is not None and (match := pattern.match(text, match.start())) is not None:
                return match
            # Where a match may begin that was not looked at whole: nothing is read more than twice.
            done = at.end() + max(0, ahead - _LONGEST)
            at = sign.search(low, done)
        return None

    return search


def mask(text: str, kind: Kind = Kind.PLAIN, form: Form | None = None) -> str:
    """Return a text with each finding replaced by its marker; the same object where nothing was found.

    Args:
        text: Any text.
        kind: What the text's key says of it.
        form: Says what stands in a finding's place; without it, the marker does.
    """
    if len(text) > LONG:
        text = bounded(text, searches(_HINTED, _PLACED))
    found = findings(text, kind)
    return _replaced(text, found, form) if found else text


def _replaced(text: str, found: list[Finding], form: Form | None) -> str:
    if "[redacted:" in text:
        found = _beside_markers(text, found)
        if not found:
            return text
    found.sort()
    pieces: list[str] = []
    done = 0
    start, end, name = found[0]
    longest = end - start
    for next_start, next_end, next_name in found[1:]:
        if next_start < end:
            if next_end - next_start > longest:
                name, longest = next_name, next_end - next_start
            end = max(end, next_end)
            continue
        pieces += (text[done:start], _formed(text[start:end], name, form))
        done, start, end, name, longest = end, next_start, next_end, next_name, next_end - next_start
    pieces += (text[done:start], _formed(text[start:end], name, form), text[end:])
    return "".join(pieces)


def _formed(found: str, name: str, form: Form | None) -> str:
    return marker(name) if form is None else form(name, found, marker(name))


def _emails(text: str, found: list[Finding]) -> list[Finding]:
    """Return the e-mail addresses of a text; what stands before and after an URL's @ is none."""
    if ":" in text:
        _collect(_BARE_LOGIN, text, found)
    emails: list[Finding] = []
    _collect(_EMAIL, text, emails)
    ends = {end for _, end, name in found if name == "url-credentials"}
    if not ends:
        return emails
    return [email for email in emails if text.find("@", email[0], email[1]) not in ends]


def _tokens(text: str) -> list[Finding]:
    found: list[Finding] = []
    tried = 0
    match = _FIRST.match(text) or _PREFIX.search(text)
    while match is not None:
        start = match.start(1)
        end = start + 1
        for name, pattern in _by_prefix(match[1]):
            whole = pattern.match(text, start)
            if whole is not None:
                rest = _REST.match(text, whole.end())
                end = rest.end() if rest is not None else whole.end()
                while text[end - 1] == ".":
                    # The end of a sentence.
                    end -= 1
                found.append((start, end, name))
                break
        else:
            if _CUT.match(text, match.end()) is not None and len(match[1]) > 3 and match[1] != "TEST-":
                found.append((start, len(text), _by_prefix(match[1])[0][0]))
                break
        tried += 1
        if tried > DENSE_LIMIT:
            found.append((start, len(text), "dense"))
            break
        match = _PREFIX.search(text, end - 1)
    return found


def _collect(rule: Rule, text: str, found: list[Finding], search: Search | None = None) -> None:
    """Add what one rule finds in a text; ``search`` gives its pattern's matches in less time than the pattern does."""
    search = rule.pattern.search if search is None else search
    tried, limit = 0, DENSE_LIMIT if len(text) <= LONG else _DENSE_IN_LONG
    match = search(text)
    while match is not None:
        position = max(match.end(), match.start() + 1)
        if rule.spare is None or not rule.spare(match):
            held = match if rule.value is None else rule.value.match(text, match.end())
            if held is not None and not _is_spared(rule, match, held):
                start, end = held.span(secret_group(held))
                if end > start:
                    found.append((start, end, rule.name))
                position = max(held.end(), position)
            if rule.value is not None:
                # It took a second search and a judgement.
                tried += 1
        tried += 1
        if tried > limit:
            found.append((position, len(text), "dense"))
            return
        match = search(text, position)


def _is_spared(rule: Rule, match: re.Match[str], held: re.Match[str]) -> bool:
    """Say whether a value is harmless; a long one never is: what is spared is read again from its second name on."""
    if rule.spare_value is None or held.end() - held.start() > SPARED_LENGTH:
        return False
    return rule.spare_value(match, held)


def _beside_markers(text: str, found: list[Finding]) -> list[Finding]:
    """Return the findings that are more than a marker, grown over the markers that they touch."""
    spans = [match.span() for match in MARKER.finditer(text)]
    kept: list[Finding] = []
    at = 0
    for start, end, name in sorted(found):
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        index, inside = at, False
        while index < len(spans) and spans[index][0] < end:
            left, right = spans[index]
            inside = inside or (left <= start and end <= right)
            start, end = min(start, left), max(end, right)
            index += 1
        if not inside:
            kept.append((start, end, name))
    return kept


_EMAIL, _BARE_LOGIN = PERSONAL[:2]
_DIGIT: Final = lazy(r"[0-9]")
# The shortest token has a run of this length.
_LONG: Final = lazy(r"[A-Za-z0-9_-]{11}")
_PRIVATE_KEY: Final = next(rule for rule in SECRETS if rule.name == "private-key")
_URL_CREDENTIALS: Final = next(rule for rule in SECRETS if rule.name == "url-credentials")
# Tokens that are known by a sign in their middle, and what is known by its command or format.
INNER_LENGTH: Final = 26
_INNER: Final = tuple(rule for rule in COMMANDS if rule.name.endswith(("-token", "azure-secret", "mailchimp-key")))
_CUT_URL: Final = next(rule for rule in COMMANDS if rule.needs == ("://",))
_PLACED: Final = tuple(rule for rule in COMMANDS if rule not in (*_INNER, _CUT_URL))
_PLACED_WORDS: Final = {need for rule in _PLACED for need in rule.needs}
_PLACED_HINT: Final = any_of(_PLACED_WORDS)
_ANY_HINT: Final = any_of(_HINT_WORDS | _PLACED_WORDS)
# Rules that one of the hints announces.
_HINTED: Final = tuple(rule for rule in SECRETS if rule not in (_PRIVATE_KEY, _URL_CREDENTIALS))
_ASSIGNMENT: Final = next(rule for rule in _HINTED if "=" in rule.needs)
_SQL: Final = next(rule for rule in _PLACED if "identified" in rule.needs)
# Longest match, in characters, of a rule below that reads on behind its sign.
_LONGEST: Final = 512
# Where else than around these no match of the rule is: the sign, and how many characters before and behind it.
_AROUND: Final[dict[Rule, tuple[re.Pattern[str], int, int]]] = {
    _ASSIGNMENT: (lazy(r"[=:\uff1a\uff1d](?<!\[redacted:)"), 192, 0),
    _SQL: (lazy("identified|password"), 256, 1024),
}
# What is in every match, for rules whose words are in many texts.
_CLOSER: Final[dict[Rule, re.Pattern[str]]] = {
    rule: lazy(sign)
    for rule in COMMANDS
    for word, sign in (
        ("telegram", r":[A-Za-z0-9_-]{30}"),
        ("discord", r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}"),
        (".pgpass", r":(?:54\d\d|6432|\*):"),
        ("glued to -p", r"-p"),
        ("mail-token", r"-[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-f-])"),
        ("identity-token", r"00[A-Za-z0-9_-]{40}"),
    )
    if word in rule.name or word in rule.why
}
# Names of secrets and persons hold one of these; the second line is too frequent elsewhere to announce a whole text.
_NAMING: Final = lazy(
    lambda: trie((*_HINT_WORDS, *words("haslo insurance licence license national pat private pem recovery sas tax")))
)
