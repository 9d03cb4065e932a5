"""Names that tell a file system's path from an URL's: first directories of either, as data.

Both start with a slash, and no grammar tells ``/api/v1/items`` from ``/data/v1/items``: a list must.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# First directories of file systems: Linux, macOS, BSD, containers, clusters, hosted notebooks and builders.
FILE_ROOTS: Final = words(
    """
    bin boot cdrom cores cygdrive dev etc export gpfs home host_mnt lib lib32 lib64 libexec lost+found lustre
    mnt net nfs nix opt private proc root run sbin scratch sdcard selinux snap srv storage sys tmp usr vagrant
    var volume1 volumes Applications Library Network System Users Volumes workspace workspaces dbfs kaggle
    github __w builds code work repo repos src mount mounts
    """
)
# First parts of URLs' paths and routes. With an ending that web servers don't serve, it is a file after all.
URL_ROOTS: Final = words(
    """
    about account accounts actuator admin ajax analytics api apis app apps archive articles assets auth
    authorize avatar basket billing blog blogs book bookings books cart catalog categories category cdn cgi-bin
    channels chat checkout comments companies contact css customers dashboard de devices doc docs download
    downloads en es events explore favicon.ico faq feed feeds files fonts forum forums fr gallery graphql groups
    health healthcheck healthz help images img index.html info internal invoices issues it items ja jobs js
    latest legal livez login logout me media members messages metrics messages news notes notifications oauth
    oauth2 openapi openapi.json orders org organizations orgs pages payment payments people ping playlists plans
    post posts pricing privacy products profile profiles project projects public pulls rest pt queries readyz
    register releases reports reservations resources reviews robots.txt rpc rss search sessions settings shop
    signin signup sitemap.xml sso stats static status store stores subscriptions support swagger tag tags tasks
    teams telemetry terms tickets topics topic transactions trips upload uploads user users v1 v2 v3 v4 version
    videos webhook webhooks widgets wiki wp-admin wp-content wp-json zh .well-known _next restapis functions
    repositories html body invoice order product customer message event task team session
    """
)
# Endings of files that web servers hand out.
SERVED_ENDINGS: Final = words(
    """
    .html .htm .php .css .js .mjs .png .jpg .jpeg .gif .svg .webp .ico .json .xml .woff .woff2 .aspx .jsp .map
    .rss .do .cgi .pdf .mp4
    """
)
# Directories whose members are users' homes, most special first.
HOME_PARENTS: Final = (
    ("System", "Volumes", "Data", "Users"),
    ("var", "lib", "home"),
    ("export", "home"),
    ("usr", "home"),
    ("private", "home"),
    ("var", "home"),
    ("mnt", "home"),
    ("nfs", "home"),
    ("mnt", "c", "Users"),
    ("mnt", "d", "Users"),
    ("cygdrive", "c", "Users"),
    ("host_mnt", "Users"),
    ("c", "Users"),
    ("home",),
    ("Users",),
)
# A request's verb right before the path.
HTTP_VERB_BEFORE: Final = lazy(r"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|TRACE|CONNECT)[ \t]+[\"'`]?$")

# A regular expression between slashes.
_REGEX: Final = lazy(r"[\]\)+*?$]/[dgimsuvy]{0,4}\Z|\A/\[[^\]/]{1,64}\][+*?{/]")
_SIGNS: Final = frozenset("[]()+*?$")
# Signs that end a path in a text, and stand inside one that is quoted, or goes on with a slash right behind.
STOPS: Final = frozenset(" ,;&'(){}[]")
JOINED: Final = lazy(r"(?:[,;&'(\[](?=[^\W_])[^\s,;\"'`<>|/\\:]{0,64}(?:[\\/][^\s,;\"'`<>|:\\/]{1,128})+)+")
LIST: Final = lazy(r"[,;&]\s*(?:[/~\\]|[A-Za-z]:)")
_GRPC: Final = lazy(r"/[A-Za-z_]\w*(?:\.\w+)+/[A-Z]\w*\Z")


def _is_regex(core: str) -> bool:
    """Say whether what is between slashes is a regular expression of a script."""
    return not _SIGNS.isdisjoint(core) and _REGEX.search(core) is not None


def ending(name: str) -> str:
    """Return the ending of a file's name in lower case, with its dot; nothing where it has none that looks like it."""
    _, dot, last = name.rpartition(".")
    known = dot and len(last) <= 10 and last.isascii() and last.isalnum() and last[0].isalpha()
    return dot + last.lower() if known else ""


def is_urn(text: str, start: int) -> bool:
    """Say whether a slash behind a colon goes on with an ARN or another name of names."""
    begin = max(text.rfind(" ", max(0, start - 256), start), text.rfind('"', max(0, start - 256), start)) + 1
    return text.startswith(("arn:", "urn:", "pkg:"), begin)


def is_route(core: str, parts: tuple[str, ...], following: str) -> bool:
    """Say whether a path whose first part is no directory's usual name looks like an URL's."""
    first = parts[0]
    if (
        _is_regex(core)
        or "{" in core
        or "*" in core
        or "<" in core
        or following[:1] in ("{", "<")
        or core[1] == "^"
        or "$/" in core
    ):
        return True
    if first in ("app", "media", "projects") and len(parts) > 2 and not any(map(str.isdigit, parts)):
        # A container's program or a removable disk: an URL so deep under these names is rarer.
        return False
    if core[-1] == "/" and following[:1] == ":" and following[1:].isidentifier():
        return True
    if first.isdigit() or ("?" in core and re.search(r"[?]\w+=", core)) or ("." in first and _GRPC.match(core)):
        return True
    if first in URL_ROOTS:
        last = ending(parts[-1])
        return not last or last in SERVED_ENDINGS
    return False


# Bytes, written one by one.
_BYTES: Final = lazy(r"(?:/+x[0-9a-fA-F]{2})+\Z")
# What a link in markup has before its target: Markdown's, reStructuredText's.
_LINK_BEFORE: Final = lazy(r"(?:\]\(|:(?:\w{1,16}:)?(?:doc|ref|any|link|numref|option):`[^`\n]{0,60}<?)\Z")
# Where a slash is the border of a pattern, not of a directory's name: behind an editor's or a language's substitution,
# match or translation.
_PATTERN_BEFORE: Final = lazy(
    r"(?:=~\s{0,2}\w{0,2}|\.(?:replace|replaceAll|match|matchAll|split|search|sub|gsub|test|scan)\(\s?|(?<![\w-])(?:tr|qr|y)\s?"
    r"|(?<![\w/.~-])(?:[%g.]|\d{1,4},[$\d]{1,4})?(?:s|tr|y)/[^\s/]{1,40}(?:/[^\s/]{1,40})?)\Z"
)
_EDITOR: Final = lazy(r"(?<![\w-])(?:sed|perl|awk|gawk|vim?|ex|ed)(?:\s[^\n]{0,80})?[\s'\";]\Z")
_EDIT: Final = lazy(r"/[^/]{1,64}/(?:[dpqgimsx]{1,3}|[!,;{].*)?\Z")
# A measure's unit behind its name.
_UNIT: Final = lazy(
    r":(?:cpu-)?(?:bytes|seconds|objects|events|calls|threads|goroutines|percent|gc-cycles|cycles|cleanups)(?![\w/])"
)


def is_code(core: str, parts: tuple[str, ...], text: str, start: int, end: int) -> bool:
    """Say whether what surrounds a path whose first part is no directory's usual name makes it a link or a pattern.

    Args:
        core: The path, without the punctuation behind it.
        parts: Its parts.
        text: Where it stands.
        start: Where it begins there.
        end: Where it ends.
    """
    if parts[0][0] == "-" or "~1" in core or "%2" in core or _BYTES.match(core) is not None:
        # Flags side by side, a pointer into JSON, bytes.
        return True
    if core[0] == "\\" and len(parts) == 1:
        # A pattern's slashes.
        return True
    if len(parts) == 2 and len(parts[1]) > 3 and parts[1].isupper() and parts[1].replace("_", "").isalpha():
        # A page about a name of code.
        return True
    head, sign, _ = core.partition("#")
    if sign and ending(head) in ("", *SERVED_ENDINGS):
        return True
    if text[end : end + 1] == ":" and _UNIT.match(text, end) is not None:
        return True
    if text[start - 1 : start] == "<" and text[end : end + 1] == ">" and not ending(parts[-1]):
        return True
    before = text[max(0, start - 100) : start]
    if _LINK_BEFORE.search(before) is not None or _PATTERN_BEFORE.search(before) is not None:
        return True
    return _EDIT.match(core) is not None and _EDITOR.search(before) is not None


# Letters behind a backslash that stand for a sign which has no form of its own, one after the other.
_ESCAPED_DRIVE: Final = lazy(r"[A-Za-z]:(?:\\{1,2}[nrtbfv0])+\Z")
# A part of a text whose backslashes were doubled, which is no directory's name: a character by its number, a sign of
# a regular expression.
_ESCAPES: Final = lazy(r"\\\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-9a-fA-F]{2}(?![A-Za-z])|[.$^bBdDsSwWnrt])")


def is_escape(text: str, start: int, end: int) -> bool:
    r"""Say whether what looks like a drive's path, or like one on a server, is letters behind backslashes: ``%s:\n``.

    Args:
        text: Where the candidate stands.
        start: Where it begins there.
        end: Where it ends.
    """
    path = text[start:end]
    if path[1:2] == ":":
        if len(path) < 5 and (text[end : end + 2] in (":", ":/") or text[start - 2 : start] == ":/"):
            # Drives side by side.
            return True
        return _ESCAPED_DRIVE.match(path) is not None
    server = path.lstrip("\\")
    lead = len(path) - len(server)
    name, _, rest = server.partition("\\")
    if lead != 2 or server[:1] == "?" or not rest.startswith("\\") or rest.startswith("\\\\"):
        # A server has twice as many backslashes before it as there are behind it.
        return False
    shares = [part for part in rest.split("\\") if part]
    return name.lower() != "users" and (_ESCAPES.match(path) is not None or len(shares) < 2)
