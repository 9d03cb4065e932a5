"""Numbers and names that have the shape of an address, a phone number or an e-mail address, and are none.

Versions and sections of four numbers, symbols with a version, languages with a variant, numbers in a calculation.
What speaks against a person stands around the match, so each test is given the whole match. This module knows neither
the patterns nor what becomes of a finding.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Right before four numbers, in lower case: what has versions or sections, and the signs that stand between.
_COUNTED_BEFORE: Final = lazy(
    r"(?<![a-z])(?:versions?_{0,2}|releases?|revision|rev|since|sections?|sect?|chapters?|chap|appendix|annex|clauses?"
    r"|paragraphs?|tables?|figures?|standards-version|oid|rfc\s?\d{3,5},?|dpkg|base|package|until|\u00a7)\W{0,6}\Z"
    r"|[<>=~^!]=\s{0,2}[\"']?\Z"
)
# How far back they are looked for, in characters, and what numbers of versions and sections seldom reach.
_NEAR: Final = 28
_HIGHEST: Final = 50
_PACKAGE_BEFORE: Final = lazy(r"(?:^|[\s(\"'])[A-Za-z][A-Za-z0-9+.-]+\s$")
# Behind them: what a distribution adds to a version.
_REVISION_BEHIND: Final = lazy(r"~\w|\+\w|-\d+(?![\d.])[\w.+~]*(?=[\s,;:)\"'\]]|\Z)")
# The first numbers of object identifiers that certificates and protocols use.
_OBJECT: Final = lazy(r"(?:2\.5\.(?:4|29)|1\.3\.6\.1|1\.2\.840|2\.16\.840|0\.9\.2342)\.")
# Words near a machine's address, in lower case, and beginnings of such words.
_MACHINE: Final = words(
    """
    from ip ips ipv4 port ports peer peers dns gateway subnet subnets netmask bind bound nameserver lan wan vpn firewall
    node nodes nslookup dig via inet at by user visitor curl telnet http https tcp udp get post denied blocked banned
    relay domain dhcp src dst source cluster pod cidr log logs login logon
    """
)
_MACHINES: Final = (
    "host", "addr", "server", "client", "connect", "remote", "rout", "network", "listen", "ping", "prox", "logg", "ssh",
    "request", "resolv", "allow", "whitelist", "blacklist", "attack", "lease", "dest", "accept", "eth",
)  # fmt: skip
_NO_WORD: Final = lazy(r"[^a-z0-9]+")
# Numbers that count something are small: the first, and each of the others.
_FIRST: Final = 19
_EACH: Final = 29
# What a version before the next large one has.
_BEFORE_NEXT: Final = 99
# Two of them side by side are two machines.
_ANOTHER: Final = lazy(r"\[redacted:|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
# Private networks begin with it.
_PRIVATE: Final = 10
# Known to everybody, and told as addresses: four in a row, or of one number each.
_ROW: Final = ("1.2.3.4",)

# Last labels that look like a domain's and are a file's or a machine's: no such domain exists.
_NO_DOMAIN: Final = words("utf po gmo header catalog cmake linux windows darwin freebsd sin sed quot")
_VERSIONED: Final = lazy(r"v\d|lib[\w-]*\.so\Z")

_TIMESTAMP: Final = lazy(r"\+(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{0,6}\Z")
_FRACTION: Final = lazy(r"\+\d+\.\d+\Z")
_BINARY: Final = lazy(r"\+[01]+\Z")
# Digits of the shortest number with a country's code.
_SHORTEST: Final = 8


def is_numbering(match: re.Match[str]) -> bool:
    """Say whether four numbers with dots count something: a version, a section, an object identifier."""
    text, start, end = match.string, match.start(), match.end()
    found = match.group()
    line = text[max(0, start - 60) : start].rpartition("\n")[2]
    behind = text[end : end + 24]
    numbers = [int(each) for each in found.split(".")]
    # No machine has an address that begins with a zero.
    if numbers[0] == 0 or _OBJECT.match(found) is not None:
        return True
    if numbers[0] < _HIGHEST and _COUNTED_BEFORE.search(line[-_NEAR:].lower()) is not None:
        return True
    if numbers[0] > _FIRST or numbers[0] == _PRIVATE:
        return False
    if any(each > _EACH and each != _BEFORE_NEXT for each in numbers[1:3]):
        return False
    if found in _ROW or len(set(numbers)) == 1:
        return False
    if behind[:1] in ("/", "@") or re.match(r":\d", behind) or line[-1:] in ("/", "@", "=") or line[-3:] == "://":
        return False
    around = line.lower() + " " + behind.partition("\n")[0].lower()
    if _ANOTHER.search(around) is not None:
        return False
    near = _NO_WORD.split(around)
    if not _MACHINE.isdisjoint(near) or any(word.startswith(_MACHINES) for word in near):
        return False
    if _REVISION_BEHIND.match(behind) is not None:
        return True
    if numbers[0] < _PRIVATE and 0 in numbers[1:3] and _PACKAGE_BEFORE.search(line) is not None:
        return True
    # Alone it may be anything.
    return max(numbers) <= _EACH and len(around.strip()) > 2


def is_part_of_name(match: re.Match[str]) -> bool:
    """Say whether groups of hexadecimal digits and colons are no address, or less than one: names, ``1::add``."""
    text, start, end = match.string, match.start(), match.end()
    found = match.group()
    if text[end : end + 1] == "." and (text[end + 1 : end + 2].isalpha() or found.endswith(":127")):
        # Before letters that stand for an IPv4 address, or the address of every machine.
        return True
    if found.count(":") == 2 and all(len(group) < 2 or group.isalpha() for group in found.split(":")):
        return True
    return found.endswith("::") and text[start - 1 : start] == ">" and text[end : end + 1] == "<"


def is_no_address(domain: str) -> bool:
    """Say whether what stands behind an @ is no domain: a version, a library's file, a variant of a language.

    Args:
        domain: What stands behind the @.
    """
    return domain.rpartition(".")[2].lower() in _NO_DOMAIN or _VERSIONED.match(domain) is not None


def is_reckoned(match: re.Match[str]) -> bool:
    """Say whether digits behind a plus sign are a number, a moment, or too few for a phone."""
    found = match.group()
    digits = re.sub(r"\D", "", found)
    behind = match.string[match.end() : match.end() + 2]
    if len(digits) < _SHORTEST or _FRACTION.match(found) or _BINARY.match(found):
        return True
    if behind[:1] == "." and behind[1:].isdigit():
        return True
    if _TIMESTAMP.match(found) is not None and len(digits) in (8, 12, 14):
        return True
    # The ends of a range.
    return found[1:].isdigit() and "-" + digits in match.string[max(0, match.start() - 40) : match.start()]


def is_mixed_row(match: re.Match[str]) -> bool:
    """Say whether ten digits are parted by a full stop and then by a hyphen, as paragraphs of regulations are."""
    found = match.group()
    return "." in found and "-" in found
