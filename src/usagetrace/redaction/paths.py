"""Absolute paths in values and inside texts: found, told from URLs and routes, and shortened in place.

Own home -> ``~/rest``; somebody else's home -> ``~/rest`` without the name; any other absolute path -> its last
part. This module is pure: homes are parameters, no file system is asked.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind
from usagetrace.redaction.places import (
    FILE_ROOTS,
    HOME_PARENTS,
    HTTP_VERB_BEFORE,
    JOINED,
    LIST,
    STOPS,
    URL_ROOTS,
    ending,
    is_code,
    is_escape,
    is_route,
    is_urn,
)
from usagetrace.redaction.rules import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from usagetrace.redaction.rules import Form

# Most paths that one text may hold; the rest of such a text is cut off, so that time stays bounded.
DENSE_LIMIT: Final = 2000
# Longer texts, in characters, are searched up to a cost: as `dense.LONG`.
_LONG: Final = 65_536
# Letters after which a slash goes on with a word: and/or, owner/name. Not those of scripts without spaces.
_LETTERS: Final = "A-Za-z0-9_\u00c0-\u024f"
# One piece of a path's part: a character, a bracketed group, an escaped space.
_PIECE: Final = (
    r"(?:[^\s/\\\"'`<>|:;,(){}\[\]\u3008-\u3011\uff08\uff09]"
    r"|\([^\s()\"'/\\]{0,64}\)|\{[^\s{}\"'/\\]{0,64}\}|\[[^\s\[\]\"'/\\]{0,64}\])"
)
# The same in runs, for patterns that need nothing after it: elsewhere a run in a repetition could be read twice.
_RUN: Final = _PIECE.replace(r"\uff09]", r"\uff09]+", 1)
_POSIX: Final = rf"/(?=[^/])(?:{_RUN}|\\ )+(?:/{{1,2}}(?:{_RUN}|\\ )+)*/?"
_ESCAPED: Final = rf"\\/(?:{_PIECE}+\\/)+{_PIECE}*"
_BACK_PART: Final = r"(?:[^\s/\\\"'`<>|:*?;,(){}\[\]]|\([^\s()\"'/\\]{0,64}\)|\[[^\s\[\]\"'/\\]{0,64}\])+"
# A space belongs to a Windows path if the next word or the next but two goes on with a backslash.
_BACK_SPACE: Final = rf"(?: (?:{_BACK_PART} ){{0,2}}{_BACK_PART}(?=[\\/]))?"
_BACKSLASHED: Final = rf"(?:[\\/]{{1,8}}(?:{_BACK_PART}{_BACK_SPACE})?)+"

# Every alternative begins with a literal: only then does the search skip from one separator to the next.
_STARTS: Final = lazy(
    rf":(?P<url>//[^\s\"'<>`]*)"
    rf"|:(?P<drive>(?:(?<![{_LETTERS}.%\\][A-Za-z]:)|(?<=[\s\"'=]-[A-Z][A-Za-z]:))(?<=[A-Za-z]:)(?=[\\/]){_BACKSLASHED})"
    rf"|/(?P<posix>(?<![{_LETTERS}~.\]}})/$%@#*+\\-]/){_POSIX[1:]})"
    rf"|\\(?P<escaped>(?<![{_LETTERS}~.\\]\\)(?=/){_ESCAPED[2:]})"
    rf"|\\(?P<unc>(?<![{_LETTERS}:.\\]\\)\\{{1,7}}(?:[?.]\\{{1,4}}(?:UNC\\{{1,4}})?(?:[A-Za-z]:\\{{1,4}})?)?"
    rf"[\w.$-]{{2,64}}\\{{1,4}}{_BACK_PART}(?:{_BACKSLASHED})?)"
    rf"|\\(?P<rooted>(?<![{_LETTERS}:.\\]\\)\\{{0,3}}Users\\{{1,4}}{_BACK_PART}(?:{_BACKSLASHED})?)"
    rf"|/(?P<glued>(?:(?<=[\s\"'=,(\[]-[A-Za-z]/)|(?<=\A-[A-Za-z]/)"
    # Behind a terminal's colour.
    rf"|(?<=%2[27]/)|(?<=%3[Dd]/)|(?<=\\f[\dBIRP]/)|(?<=-isystem/)|(?<=-iquote/)|(?<==-/)|(?<=\x1b\[\dm/)|(?<=\x1b\[\d\dm/)|(?<=\x1b\[\d;\d\dm/)|(?<=\x1b\[\d\d;\dm/)){_POSIX[1:]})"
    rf"|/(?P<share>(?<![{_LETTERS}:/]/)/(?=[A-Za-z][\w-]+/[^\s/]+/){_POSIX[1:]})"
)
_SPLIT: Final = lazy(r"[\\/]+")
_ENCODED: Final = lazy(r"%2[fF](?:home|Users)%2[fF][^%\s&\"'<>/]+")
# Another user's home as a shell writes it.
_TILDE: Final = lazy(rf"(?<![{_LETTERS}~/.@%$+=\\-])~[A-Za-z_][\w.-]{{0,31}}(?=/[^/\s])")
# What follows an unquoted path with spaces: capitalised words that go on with a slash, as in `My Files/x`.
_CAPITAL: Final = lazy(
    rf"(?:(?: (?:[A-Z][a-z0-9]|\d|\(|[A-Z](?=/))[^\s/\"'`<>|:]{{0,40}}){{1,3}}(?=/)(?!/\d)(?:/{_PIECE}+)+/?)+"
)
_QUERY_PATH: Final = lazy(r"(?<==)/[^&\s]+")
_SCHEME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-")
_GOES_ON: Final = lazy(r"\s[-/&|>~]|\s[A-Za-z]:[\\/]|\n|://")
_LAST_NAME: Final = lazy(r" [A-Z]\w+\Z")
_HOME_STARTS: Final = frozenset(parent[0] for parent in HOME_PARENTS) | {"root", "var", "private"}


class PathFinder:
    """Finds and shortens the absolute paths of a text.

    Args:
        homes: The own home directory in every spelling it has: as set, with links resolved. Empty and ``/``
            are ignored: there is nothing to tell them by.
    """

    def __init__(self, homes: Iterable[str]) -> None:
        parts = {_parts(home) for home in homes}
        self._homes = sorted((home for home in parts if home), key=len, reverse=True)
        self._folded = [tuple(part.lower() for part in home) for home in self._homes]
        self._plain = tuple("/" + "/".join(home) for home in self._homes if not _is_drive(home[0]))
        # The cheap test before the pattern: every spelling of a home holds its last part.
        self._ends = tuple({home[-1] for home in self._folded})
        self._own = lazy(lambda: "|".join(map(_home_pattern, self._homes))) if self._homes else None

    def shorten(self, text: str, kind: Kind = Kind.PLAIN, form: Form | None = None) -> str:
        """Return a text with its absolute paths shortened; the same object when there is none.

        Args:
            text: Any text, or one path.
            kind: What the key of the text says: a path may then hold spaces, a route is left alone.
            form: Says what stands in a path's place; without it, its short form does.
        """
        if len(text) > _LONG:
            # Imported here: few texts are long.
            from usagetrace.redaction.dense import bounded

            text = bounded(text)
        if self._own is not None:
            low = text.lower()
            for last in self._ends:
                if last in low:
                    text = self._own.sub(lambda match: _formed(match.group(), self._home_form(match), form), text)
                    break
        if "%2" in text:
            text = _ENCODED.sub(lambda match: _formed(match.group(), "~", form), text)
        if "~" in text:
            text = _TILDE.sub(lambda match: _formed(match.group(), "~", form), text)
        match = _STARTS.search(text)
        if match is None:
            return text
        pieces: list[str] = []
        done = 0
        tried = 0
        while match is not None:
            start, end, new = self._judge(text, match, kind)
            if start < done:
                # A drive's letter that ends what came before it: what follows is looked at by itself.
                end = match.start() + 1
            elif new is not None:
                pieces += (text[done:start], _formed(text[start:end], new, form))
                done = end
            tried += 1
            if tried >= DENSE_LIMIT:
                return "".join((*pieces, text[done : max(done, end)], marker("dense")))
            match = _STARTS.search(text, max(end, match.start() + 1))
        if not done:
            return text
        return "".join((*pieces, text[done:]))

    def shorten_plain(self, text: str, kind: Kind) -> str | None:
        """Return what :meth:`shorten` returns, without a pattern; None where that takes one.

        Args:
            text: ASCII letters, digits and ``. _ - /`` alone, a slash among them, and no space.
            kind: What the key of the text says.
        """
        if "//" in text or text[0] == "-":
            return None
        for home in self._plain:
            if text.startswith(home) and text[len(home) : len(home) + 1] == "/" and len(text) > len(home) + 1:
                return "~" + text[len(home) :]
        low = text.lower()
        if any(last in low for last in self._ends):
            return None
        if text[0] != "/":
            # A slash behind a letter, a digit or one of the three signs begins no absolute path.
            return text
        short = _judge_posix(text, 0, len(text), kind)
        return text if short is None else short

    def _home_form(self, match: re.Match[str]) -> str:
        path = match.group()
        for plain in self._plain:
            rest = path[len(plain) :]
            if len(rest) > 1 and path.startswith(plain) and rest[0] == "/" and "\\" not in rest and "//" not in rest:
                return "~" + rest
        core = path.rstrip(".!?")
        short = self.below_home(core)
        return path if short is None else short + path[len(core) :]

    def below_home(self, path: str) -> str | None:
        """Return the short form of one path in the own home; None where it lies elsewhere."""
        parts = _parts(path)
        folded = tuple(part.lower() for part in parts)
        for home in self._folded:
            if folded[: len(home)] == home:
                return _home(parts[len(home) :], path)
        return None

    def _judge(self, text: str, match: re.Match[str], kind: Kind) -> tuple[int, int, str | None]:
        """Return where a candidate starts and ends, and what it becomes; None leaves it."""
        start, end = match.span()
        form = match.lastgroup
        if form == "url":
            return _judge_url(self, text, start, end)
        if form in ("drive", "unc", "rooted"):
            if form == "drive":
                start -= 1
            if text[end : end + 1] in STOPS:
                end = _extent(text, start, end, kind, windows=True)
            return start, end, None if is_escape(text, start, end) else _shortened(text[start:end])
        if text[end : end + 1] in STOPS:
            end = _extent(text, start, end, kind, windows=False)
        return start, end, _judge_posix(text, start, end, kind)


def _formed(found: str, short: str, form: Form | None) -> str:
    """Return what stands in a path's place."""
    if form is None or short == found:
        return short
    return form("home" if short[:1] == "~" else "path", found, short)


def _judge_posix(text: str, start: int, end: int, kind: Kind) -> str | None:
    """Return what becomes of a candidate with slashes; None leaves it."""
    path = text[start:end]
    core = path.rstrip(".!?")
    parts = _parts(core.replace("\\ ", " "))
    if not parts or _is_left_alone(core, parts, text, start, end, kind):
        return None
    short = _short_form(core, parts)
    return None if short is None else short + path[len(core) :]


def _home_pattern(home: tuple[str, ...]) -> str:
    """Return a pattern of one home with what lies below it, whatever separators are used."""
    drive = _is_drive(home[0])
    body = r"(?:\\{1,8}|/{1,2}|\\/)".join(re.escape(part) for part in home)
    if drive:
        before = rf"(?<![{_LETTERS}])(?:(?<=[^\\])\\{{2,8}}[?.]\\{{1,4}}|^\\{{2,8}}[?.]\\{{1,4}})?(?i:"
    elif len(home) == 1:
        before = rf"(?:\\?/)(?<![{_LETTERS}~.\]}})/$%@#*+\\-]/)(?:"
    else:
        before = r"(?:\\?/)(?:"
    end = r"(?=[\\/]|[.,;:!?]*(?:\s|\Z)|[^\w.\-\u00c0-\u024f])"
    return rf"{before}{body}){end}(?:(?:\\{{1,8}}/?|/{{1,2}})(?:{_RUN})+)*[\\/]?"


def _is_drive(part: str) -> bool:
    return len(part) == 2 and part[1] == ":" and part[0].isascii() and part[0].isalpha()


def _shortened(path: str) -> str | None:
    """Return the short form of a path, with the punctuation behind it; None leaves it."""
    core = path.rstrip(".!?")
    parts = _parts(core)
    if not parts:
        return None
    short = _short_form(core, parts)
    return None if short is None else short + path[len(core) :]


def _short_form(core: str, parts: tuple[str, ...]) -> str | None:
    if parts[0] in _HOME_STARTS or ":" in parts[0] or len(parts) > 3:
        rest = _other_home(parts)
        if rest is not None:
            return _home(rest, core)
    if (len(parts) == 1 and core[0] == "/") or _is_drive(parts[-1]):
        return None
    return parts[-1]


def _parts(path: str) -> tuple[str, ...]:
    """Return the parts of a path, without a `\\\\?\\` before it and without empty ones."""
    if "\\" not in path:
        return tuple([part for part in path.split("/") if part])
    parts = [part for part in _SPLIT.split(path) if part]
    while parts and parts[0] in ("?", ".", "UNC") and path[:1] == "\\":
        parts.pop(0)
    return tuple(parts)


def _home(rest: tuple[str, ...], path: str) -> str:
    if not rest:
        return "~"
    return "~/" + "/".join(rest) + ("/" if path[-1] in "/\\" else "")


def _other_home(parts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what follows the user's name if a path leads into some user's home."""
    first = parts[0]
    if first in _HOME_STARTS:
        for parent in HOME_PARENTS:
            if parts[: len(parent)] == parent and len(parts) > len(parent):
                return None if parts[len(parent)] in ("Shared", "Public") else parts[len(parent) + 1 :]
        for root in (("root",), ("var", "root"), ("private", "var", "root")):
            if parts[: len(root)] == root:
                return parts[len(root) :]
    second = parts[1].lower() if len(parts) > 2 else ""
    if _is_drive(first):
        if second in ("users", "documents and settings", "home"):
            return None if parts[2].lower() == "public" else parts[3:]
        return None
    # A server's share of homes: \\server\users\name.
    if second in ("users", "home", "homes", "profiles") and len(parts) > 3 and first not in FILE_ROOTS:
        return parts[3:] if first not in URL_ROOTS else None
    return None


def _extent(text: str, start: int, end: int, kind: Kind, *, windows: bool) -> int:
    """Return where a path really ends: further than its first space, if what follows belongs to it."""
    quote = text[start - 1 : start]
    limit = -1
    if quote and quote in "\"'`":
        limit = text.find(quote, end, end + 1024)
    elif start == 0 and (kind is Kind.PATH or windows) and len(text) < 1024:
        limit = len(text)
    path = text[start:end]
    spaced = text[end] == " "
    if limit > 0 and not spaced and LIST.search(text, end, limit) is not None:
        limit = -1
    if limit > 0 and not _is_command(path):
        more = text[end:limit]
        deeper = "/" in more or "\\" in more
        if (deeper or _other_home(_parts(path)) == ()) and not _GOES_ON.search(more):
            if deeper or quote:
                return limit
            word = _LAST_NAME.match(text, end)
            return word.end() if word is not None else end
    if not spaced:
        parts = _parts(path)
        joined = JOINED.match(text, end) if parts and not ending(parts[-1]) else None
        return end if joined is None or text[end] == quote else joined.end()
    if not windows and (following := _CAPITAL.match(text, end)) is not None and not _is_command(path):
        return following.end()
    return end


def _is_command(path: str) -> bool:
    parts = _parts(path)
    return len(parts) > 1 and parts[-2] in ("bin", "sbin", "Scripts")


def _is_left_alone(core: str, parts: tuple[str, ...], text: str, start: int, end: int, kind: Kind) -> bool:
    """Say whether something that starts with a slash is an URL's path, a route, a glob or a name of names."""
    first = parts[0]
    before = text[start - 1 : start]
    if before == ":" and is_urn(text, start):
        return True
    known = first in FILE_ROOTS
    if kind is Kind.ROUTE:
        return not known and _other_home(parts) is None
    if before and before in " \"'`\t" and HTTP_VERB_BEFORE.search(text[max(0, start - 10) : start]):
        return True
    if text.startswith((" HTTP/", '" HTTP/'), end):
        return True
    if known or first in _HOME_STARTS:
        return False
    return is_route(core, parts, text[end : end + 2]) or is_code(core, parts, text, start, end)


def _judge_url(finder: PathFinder, text: str, start: int, end: int) -> tuple[int, int, str | None]:
    """Return what becomes of an URL: a file's is a path; another's stays, unless it leads into a home."""
    begin = start
    while begin > 0 and start - begin < 32 and text[begin - 1] in _SCHEME:
        begin -= 1
    scheme = text[begin:start].lower()
    body = text[start + 3 : end].rstrip(".,;:!?)]}")
    end = start + 3 + len(body)
    host, slash, path = body.partition("/")
    if scheme in ("file", "git+file", "svn+file") and body:
        # Imported here: it takes 3 ms, and few texts hold such an URL.
        from urllib.parse import unquote

        return begin, end, _file_form(finder, host, slash + unquote(path))
    if not host:
        if path[:1] == ".":
            # A bundler's name of a source: relative.
            return start, end, None
        short = _shortened("/" + path.lstrip("/")) if "/" in path and path[0] != "~" else None
        return start + 3, end, None if short is None else "/" + short
    # Perhaps behind a terminal's colour.
    if not scheme.endswith(("http", "https", "ws", "wss")):
        parts = path.split("/")
        if len(parts) > 1 and parts[0] in ("home", "Users"):
            return start + 3, end, "/".join((host, "~", *parts[2:]))
    mark = body.find("?")
    if mark >= 0:
        query = _QUERY_PATH.sub(_query_form, body[mark:])
        if query != body[mark:]:
            return start + 3, end, body[:mark] + query
    return start, end, None


def _file_form(finder: PathFinder, host: str, path: str) -> str:
    """Return what becomes of a file URL's host and decoded path."""
    if host == "~":
        return "~" + path
    if host[1:3] == ":\\":
        return _shortened(host) or host
    local = path[1:] if re.match(r"/[A-Za-z]:", path) else path
    if host not in ("", "localhost"):
        return _parts(path)[-1] if _parts(path) else host
    # Not by `shorten`: an URL may hold another one, and that one the next.
    return finder.below_home(local) or _shortened(local) or (_parts(local) or (local,))[-1]


def _query_form(match: re.Match[str]) -> str:
    path = match.group()
    parts = _parts(path)
    if parts and (parts[0] in FILE_ROOTS or _other_home(parts) is not None):
        return _shortened(path) or path
    return path
