"""Personal data by its shape, as rules: e-mail, network addresses, phone numbers, payment cards.

Each pattern is linear: the start of a match is fixed by a look-behind over the same characters that the match
may begin with, so that a long run is tried once. Look-arounds name ASCII and Latin letters instead of ``\\b``,
which fails beside letters of scripts without spaces.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.rules import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Letters of an e-mail address beyond ASCII: accented Latin ones, so that no CJK word before it is taken along.
_LATIN: Final = "A-Za-z0-9\u00c0-\u024f"

_VERSION_BEFORE: Final = lazy(
    r"(?:(?:^|[^A-Za-z])(?:v|ver|version|versions|release|rel|build|firmware|upgraded? to|updated? to|oid)[ :=]*"
    r"|[=~<>^!]=|[~^_-]|[A-Za-z]/)$",
    re.IGNORECASE,
)
_IIN: Final = lazy(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)


_USERINFO: Final = lazy(r"://[^\s/;?#=@]{0,64}\Z")


def _before(match: re.Match[str]) -> str:
    start = match.start()
    return match.string[max(0, start - 16) : start]


def _is_version(match: re.Match[str]) -> bool:
    """Say whether four numbers are a version, or an address that says nothing about anybody."""
    text = match.group()
    return text.startswith("127.") or text == "0.0.0.0" or bool(_VERSION_BEFORE.search(_before(match)))  # noqa: S104 -- compared, not bound


def _is_not_ipv6(match: re.Match[str]) -> bool:
    """Say whether a run of hexadecimal digits and colons is no address of a machine: a time, a slice, ``::1``."""
    text = match.group()
    if text.lower() == "::ffff" or not any(len(group) >= 3 for group in text.split(":")):
        return True
    # Imported here: it takes 2 ms, and few texts have one.
    import ipaddress

    try:
        return ipaddress.IPv6Address(text).is_loopback
    except ValueError:
        return True


def _is_no_card(match: re.Match[str]) -> bool:
    """Say whether a row of digits is no card: an unknown issuer, or a wrong check digit (Luhn)."""
    digits = re.sub(r"[ .-]", "", match.group())
    if not _IIN.fullmatch(digits) or len(set(digits)) < 2:
        return True
    groups = set(match.group().split())
    if len(groups) == 4 and len({group[:2] for group in groups}) == 1:
        # A row of a table, in order.
        return True
    total = 0
    for position, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + position % 2)
        total += number - 9 if number > 9 else number
    return total % 10 != 0


def _is_no_email(match: re.Match[str]) -> bool:
    """Say whether something around an @ is no person's address: an SSH remote, a file for retina screens."""
    local, _, domain = match.group().replace("%40", "@").rpartition("@")
    if local in ("git", "hg", "svn"):
        return True
    start = match.start()
    if _USERINFO.search(match.string, max(0, start - 80), start) is not None:
        # The rule for credentials has found it, or knows that it is none.
        return True
    return bool(re.match(r"\d+x\.", domain)) or (domain[0].isdigit() and domain.count(".") == 1 and local[-1:] != ".")


PERSONAL: Final[tuple[Rule, ...]] = (
    Rule(
        name="email",
        why="an e-mail address names a person",
        pattern=lazy(
            rf"(?<![{_LATIN}._%+-])[{_LATIN}_%+][{_LATIN}._%+'-]{{0,127}}(?:@|%40)"
            rf"(?:[{_LATIN}-]{{1,63}}\.){{1,8}}[A-Za-z\u00c0-\u024f]{{2,24}}(?![{_LATIN}])"
        ),
        needs=("@", "%40"),
        spare=_is_no_email,
        matches=(
            "ada" + "@" + "example.com",
            "mail me: a.b+tag" + "@" + "mail.example.co.uk.",
            "<zoë" + "@" + "exämple.org>",
            "联系" + "ada" + "@" + "example.com" + "谢谢",
        ),
        spares=("git@github.com:owner/name.git", "icon@2x.png", "react@18.2.0", "@scope/name", "user at example"),
    ),
    Rule(
        name="ip",
        why="an IPv4 address points to a machine, often to its owner",
        pattern=lazy(
            # It begins with the digit, and looks back from there: a search can skip all else.
            r"[0-9](?<!\d\d)(?<!\d\.\d)(?<!\.so\.\d)(?<![./]\.\d)(?<![A-Za-z]\d\.\d)"
            r"(?:(?<=2)(?:5[0-5]|[0-4]\d|\d)?|(?<=1)\d{0,2}|(?<=[3-9])\d?|(?<=0))"
            r"\.(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){2}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
            r"(?![\dA-Za-z_]|\.\w|[-+][A-Za-z])"
        ),
        needs=(".",),
        spare=_is_version,
        matches=("192.168.17.4", "from 10.20.30.40.", "http://203.0.113.9:8080/x", "服务器10.1.2.3上", "10.0.0.0/8"),
        spares=(
            "1.2.3",
            "v1.2.3.4",
            "version 2.0.1.5",
            "Chrome/120.0.0.0 Safari",
            "1.3.6.1.4.1",
            "pkg==1.2.3.4",
            "127.0.0.1:4318",
            "foo-1.2.3.4.tar.gz",
            "300.1.1.1",
        ),
    ),
    Rule(
        name="ip",
        why="an IPv6 address points to a machine, often to its owner",
        pattern=lazy(
            # With a port, or one colon, behind it.
            r"(?<![A-Za-z0-9_:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)"
            r"(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?=:\d{1,5}(?![A-Za-z0-9_:]))"
            r"|[0-9A-Fa-f:]{3,38}(?:[0-9A-Fa-f]|::|(?<=:)\d{1,3}(?:\.\d{1,3}){3})(?=:?(?![A-Za-z0-9_:])))"
        ),
        needs=(":",),
        spare=_is_not_ipv6,
        matches=(
            "2001:db8::8a2e:370:7334",
            "[fe80::1ff:fe23:4567:890a]:80",
            "::ffff:203.0.113.7",
            "2001:db8::9c1f: down",
        ),
        spares=("12:34:56", "::1", "x[1::2]", "std::vector", "a::b", "sha256:abcd", "2024-01-02T03:04:05"),
    ),
    Rule(
        name="mac",
        why="a hardware address points to one machine",
        pattern=lazy(
            r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}(?:(:)|-)[0-9A-Fa-f]{2}(?:(?(1):|-)[0-9A-Fa-f]{2}){4}(?![0-9A-Za-z:-])"
        ),
        needs=(":", "-"),
        matches=("3c:22:fb:9a:0e:1d", "3C-22-FB-9A-0E-1D"),
        spares=("12:34:56", "aa:bb:cc:dd:ee:ff:00:11", "2024-01-02"),
    ),
    Rule(
        name="mac",
        why="a hardware address in the form of network devices",
        pattern=lazy(
            r"(?<![0-9A-Za-z.:-])(?=[0-9.]{0,14}[A-Fa-f])(?=[A-Fa-f.]{0,14}[0-9])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
            r"(?![0-9A-Za-z:-]|\.\w)"
        ),
        needs=(".",),
        matches=("0011.22aa.bbcc", "arp 3c22.fb9a.0e1d is at"),
        spares=("1234.5678.9012", "face.cafe.babe", "1a2b.3c4d"),
    ),
    Rule(
        name="phone",
        why="a phone number in the international form names a person",
        pattern=lazy(
            r"(?<![A-Za-z0-9_+./-])\+(?=(?:[ ()./-]{0,3}\d){8})"
            r"[1-9](?:[ ./-]?(?:\(\d{1,5}\)|\d)){3,14}(?![A-Za-z0-9_-])"
        ),
        needs=("+",),
        matches=("+49 170 1234567", "call +1 (415) 555-0132.", "电话+8613812345678"),
        spares=("+0200", "2+2", "+1234", "1e+10", "2024-01-02T03:04:05+01:00"),
    ),
    Rule(
        name="phone",
        why="a phone number in the North American form names a person",
        pattern=lazy(r"(?<![A-Za-z0-9_.)-])(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}(?![A-Za-z0-9_-]|\.\d)"),
        needs=("-", "."),
        matches=("(415) 555-0132", "415-555-0132", "415.555.0132"),
        spares=("2024-01-02", "123-456", "1.234.567"),
    ),
    Rule(
        name="card",
        why="a payment card's number, checked by issuer and check digit",
        pattern=lazy(r"(?<![A-Za-z0-9_.])(?<!\d[- ])\d(?:[ -]?\d){12,18}(?![A-Za-z0-9_-]|\.\d| \d)"),
        needs=tuple("23456"),
        spare=_is_no_card,
        matches=("4111 1111 1111 " + "1111", "5500-0000-0000-" + "0004", "card 37828224631" + "0005."),
        spares=("1700000000000", "4111 1111 1111 1112", "1234567890123456", "0000000000000000"),
    ),
    Rule(
        name="card",
        why="a payment card's number with another number beside it: when it expires, or what was paid",
        pattern=lazy(
            r"[2-6](?<![A-Za-z0-9_.]\d)(?<![0-9A-F]{4}[ -]\d)(?<![A-Z]{2}\d\d \d)"
            r"(?:\d{3}(?:([ .-])\d{4}\1\d{4}\1\d{4}|([ .-])\d{6}\2\d{5})(?![A-Za-z0-9]|-[A-Za-z]|-\d{5})"
            r"|\d{14,15}(?=[ ,;/|]|-\d\d(?![\w-])))"
            r"(?!\.\d|[ -]\d{4}[ -]\d{4}|[ -](?=[0-9]*[A-F])[0-9A-F]{4,5}(?![A-Za-z]))"
        ),
        needs=tuple("23456"),
        spare=_is_no_card,
        matches=(
            "4111 1111 1111 " + "1111 12/28",
            "5500-0000-0000-" + "0004 100.00",
            "2 378282246310" + "005 9.50",
            "4111-1111-1111-" + "1111-12",
        ),
        spares=(
            "4111 1111 1111 1112 12/28",
            "1234 4111 1111 1111 1111 2345",
            "4111 1111 1111 1111 2222 3333",
            "5414 5415 5416 5417 20",
        ),
    ),
)
