"""Personal data by its shape, as rules: e-mail, network addresses, phone numbers, payment cards.

Each pattern is linear: the start of a match is fixed by a look-behind over the same characters that the match
may begin with, so that a long run is tried once. Look-arounds name ASCII and Latin letters instead of ``\\b``,
which fails beside letters of scripts without spaces.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.lookalikes import is_mixed_row, is_no_address, is_numbering, is_part_of_name, is_reckoned
from usagetrace.redaction.placeholders import is_placeholder, is_wording
from usagetrace.redaction.rules import Rule
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Letters of an e-mail address beyond ASCII: of scripts with spaces, so that no CJK word before it is taken along.
_LATIN: Final = "A-Za-z0-9\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff"
# A label of a domain in a script without spaces, as a whole.
_IDEOGRAPHS: Final = "[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{1,20}"
# Behind labels of digits alone, the domains that are not parts of a version or endings of a file.
_BEHIND_DIGITS: Final = words("com net org cn de info biz ru uk jp kr tw hk fr it at ch eu us example")
_VERSION_LABEL: Final = lazy(
    r"\d+(?:x|(?:a|b|rc|beta|alpha|dev|pre|post)\d*)?(?:\.|\Z)|\d[\w-]*\.(?:png|jpe?g|gif|svg|webp|ico"
    r"|tgz|zip|gz|whl|m?js|ts|css|json|md|py|toml|lock|rc|beta|alpha|next|x)\Z"
)

_VERSION_BEFORE: Final = lazy(
    r"(?:(?:^|[^A-Za-z])(?:v|ver|version|versions|release|rel|build|firmware|upgraded? to|updated? to|oid)[ :=]*"
    r"|[=~<>^!]=|[~^_-]|[A-Za-z]/)$",
    re.IGNORECASE,
)
_IIN: Final = lazy(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|3(?:0[0-5]|095|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
    r"|(?:2131|1800)\d{11}|220[0-4]\d{12}|3(?:088|09[67]|112|158|337)\d{12}"
)
# Numbers of 12 to 19 digits that any longer number may begin with, and the words beside a card's.
_MAESTRO: Final = lazy(r"(?:50|5[6-8]|6[37])\d{10,17}")
_CARD_WORD: Final = lazy(
    r"(?i:card|maestro|debit|credit|payment|paid|charged|(?<![a-z])pan(?![a-z])|karte|carte|tarjeta)"
)


# The first address of several.
_RANGE: Final = lazy(r"(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?-\Z")
# Lengths of the numbers of bank accounts, by country (the registry of ISO 13616).
_IBANS: Final = {
    15: "NO", 16: "BE", 18: "DK FI FO GL NL FK SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
    21: "CH CR HR LI LV", 22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_IBAN: Final = lazy(
    lambda: (
        "(?<![A-Za-z0-9])(?=[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4} ?[A-Z0-9]{3})(?:"
        + "|".join(
            f"(?:{countries.replace(' ', '|')})[0-9]{{2}}"
            + "(?: ?[A-Z0-9]{4})" * ((size - 4) // 4)
            + (f" ?[A-Z0-9]{{{size % 4}}}" if size % 4 else "")
            for size, countries in _IBANS.items()
        )
        + ")(?![A-Za-z0-9])"
    )
)
_USERINFO: Final = lazy(r"://[^\s/;?#=@]{0,64}\Z")


def _before(match: re.Match[str]) -> str:
    start = match.start()
    return match.string[max(0, start - 16) : start]


def _is_version(match: re.Match[str]) -> bool:
    """Say whether four numbers are a version, or an address that says nothing about anybody."""
    text = match.group()
    start = match.start()
    if match.string[start - 1 : start] == "-" and _RANGE.search(match.string, max(0, start - 24), start) is not None:
        return False
    if text.startswith("127.") or text == "0.0.0.0" or _VERSION_BEFORE.search(_before(match)):  # noqa: S104 -- compared, not bound
        return True
    return is_numbering(match)


def _is_not_ipv6(match: re.Match[str]) -> bool:
    """Say whether a run of hexadecimal digits and colons is no address of a machine: a time, a slice, ``::1``."""
    text = match.group()
    if text.lower() == "::ffff" or is_part_of_name(match) or not any(len(group) >= 3 for group in text.split(":")):
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
    if len(set(digits)) < 2 or not (_IIN.fullmatch(digits) or _is_maestro(match, digits)):
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


def _is_maestro(match: re.Match[str], digits: str) -> bool:
    """Say whether a number is one of Maestro's: in groups of four, or a word says that it is a card's."""
    if _MAESTRO.fullmatch(digits) is None:
        return False
    if len(digits) == 16 and len(re.findall(r"\d{4}", match.group())) == 4 and not match.group().isdigit():
        return True
    start, end = match.span()
    return _CARD_WORD.search(match.string[max(0, start - 48) : end + 24]) is not None


def _is_no_iban(match: re.Match[str]) -> bool:
    """Say whether letters and digits are no bank account's number: the remainder of a division by 97 (ISO 7064)."""
    account = match.group().replace(" ", "")
    return int("".join(str(int(each, 36)) for each in account[4:] + account[:4])) % 97 != 1


# How many digits a number behind a word for a phone has: fewer are a size, more something else.
_PHONE_DIGITS: Final = range(8, 16)
# Verbs and devices: what follows them is a phone number only where it begins as one, or is as long.
_VAGUE_PHONE: Final = words("call ring sms text mobile cell mobil handy dial")


def _is_no_phone(match: re.Match[str]) -> bool:
    """Say whether digits behind a word for a phone are none: too few or too many, a date, a timestamp."""
    number = match["s"]
    digits = re.sub(r"\D", "", number.partition("x")[0])
    if len(digits) not in _PHONE_DIGITS or re.match(r"(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d", number):
        return True
    told = ":" in match.string[match.end("word") : match.start("s")]
    if told or match.string[match.start() : match.end("word")].lower() not in _VAGUE_PHONE:
        return False
    return number[0] not in "0(+" and len(digits) < (10 if not digits.startswith("1") else 11)


def _is_no_bare_login(match: re.Match[str]) -> bool:
    """Say whether a word, a colon and a word before an @ are no user and password: an address, an image, a word."""
    if match["user"].lower() in _SCHEMES or match.string.startswith("sha", match.end()):
        return True
    return match["s"].isdigit() or is_placeholder(match["s"], quoted=True) or is_wording(match["s"])


# What stands before an address with a colon between, and packages of lock files.
_SCHEMES: Final = words(
    "mailto to from cc bcc sip sips xmpp acct email mail by user author ssh scp rsync git npm jsr workspace patch"
    " github"
    " docker oci image contact sender reply replyto"
)


def _is_no_email(match: re.Match[str]) -> bool:
    """Say whether something around an @ is no person's address: an SSH remote, a file for retina screens."""
    local, _, domain = match.group().replace("%40", "@").rpartition("@")
    if local in ("git", "hg", "svn") or is_no_address(domain):
        return True
    start = match.start()
    if _USERINFO.search(match.string, max(0, start - 80), start) is not None:
        # The rule for credentials has found it, or knows that it is none.
        return True
    if local[:2] in ('"$', '"{') or (local[0] == '"' and local.strip('"\\').isalnum()):
        # A variable of a script, before a machine's name; a word and its language.
        return True
    if not domain[0].isdigit():
        return False
    if domain.partition(".")[0].isdigit():
        return domain.rpartition(".")[2].lower() not in _BEHIND_DIGITS
    return _VERSION_LABEL.match(domain) is not None


PERSONAL: Final[tuple[Rule, ...]] = (
    Rule(
        name="email",
        why="an e-mail address names a person",
        pattern=lazy(
            rf"(?:(?<![{_LATIN}._%+-])[{_LATIN}_%+][{_LATIN}._%+'-]{{0,127}}|\"[^\"\n@\\<>]{{1,64}}\\{{0,4}}\")(?:@|%40)"
            rf"(?:(?:[{_LATIN}-]{{1,63}}|{_IDEOGRAPHS})\.){{1,8}}[A-Za-z\u00c0-\u024f\u0370-\u04ff]{{2,24}}(?![{_LATIN}])"
        ),
        needs=("@", "%40"),
        spare=_is_no_email,
        matches=(
            "ada" + "@" + "example.com",
            "mail me: a.b+tag" + "@" + "mail.example.co.uk.",
            "<zoë" + "@" + "exämple.org>",
            "联系" + "ada" + "@" + "example.com" + "谢谢",
            "ada" + "@" + "163.com",
            "ada" + "@" + "1and1.com",
            "ада" + "@" + "пример.рф",
            '"ada l"' + "@" + "example.com",
        ),
        spares=(
            "git@github.com:owner/name.git",
            "icon@2x.png",
            '"$USER"@h9.example.com',
            "tool@2rc1.tgz",
            "react@18.2.0",
            "@scope/name",
            "user at example",
        ),
    ),
    Rule(
        name="url-credentials",
        why="user and password before a machine's name, without a scheme",
        pattern=lazy(
            r"(?<![\w.:/@%+-])(?P<user>[A-Za-z][\w.-]{0,31}):(?P<s>[^\s:@\"'<>/,;(){}\[\]]{6,128})"
            r"@(?=localhost(?![\w-])|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.])|(?:tcp|unix)\(|[A-Za-z][\w.-]{0,80}(?::\d{2,5}(?!\d)|/\w))"
        ),
        needs=("@",),
        spare=_is_no_bare_login,
        matches=(
            "ada:" + "hunter22@localhost",
            "dsn ada:" + "hunter22@db.example.com:5432/x",
            "ada:" + "hunter22@tcp(h9)/x",
        ),
        spares=("nginx:stable9@sha256:0a1b", "npm:tool22@latest/x", "at 10:30@localhost"),
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
            r"(?:(?<![A-Za-z0-9_:.])|(?<=\\[nrt]))(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)"
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
            r"(?<![0-9A-Za-z.:*-])(?=[0-9.]{0,14}[A-Fa-f])(?=[A-Fa-f.]{0,14}[0-9])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}"
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
        spare=is_reckoned,
        matches=("+49 170 1234567", "call +1 (415) 555-0132.", "电话+8613812345678"),
        spares=("+0200", "2+2", "+1234", "1e+10", "2024-01-02T03:04:05+01:00"),
    ),
    Rule(
        name="phone",
        why="a phone number in the North American form names a person",
        pattern=lazy(r"(?<![A-Za-z0-9_.)-])(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}(?![A-Za-z0-9_-]|\.\d)"),
        needs=("-", "."),
        spare=is_mixed_row,
        matches=("(415) 555-0132", "415-555-0132", "415.555.0132"),
        spares=("2024-01-02", "123-456", "1.234.567"),
    ),
    Rule(
        name="phone",
        why="a phone number behind a word that says so, as each country writes them",
        pattern=lazy(
            # Behind a letter of which there are few, so that a search skips the others.
            r"[tfpmchwsrdTFPMCHWSRD\u0442\u0422\u7535\u624b\u96fb](?<![A-Za-z_].)(?i:(?P<word>(?<=t)(?:el(?:ephone|efon[oe]?|\u00e9fono)?"
            r"|\u00e9l(?:\u00e9phone)?)|(?<=f)ax|(?<=p)hone|(?<=m)obile?|(?<=c)(?:all|ell)|(?<=h)andy|(?<=w)hatsapp|(?<=s)ms|(?<=r)ing"
            r"|(?<=d)ial|(?<=\u0442)\u0435\u043b(?:\u0435\u0444\u043e\u043d)?|(?<=[\u7535\u96fb])[\u8bdd\u8a71]|(?<=\u624b)\u673a))"
            r"(?:s|nummer)?(?i:[ .]{1,2}(?:number|no|nr|me|us|him|her|on|at|is)){0,3}[.:]{0,2}\s{0,3}"
            r"(?P<s>(?:\+\d{1,3}[ -]{0,3})?\(?\d(?:[ ()/-]{0,2}\d|\.\d(?=\d)){6,14}(?: ?(?:x|ext\.?) ?\d{1,6})?)"
            r"(?![A-Za-z0-9_:-]|[.,]\d)"
        ),
        needs=("phone", "tel"),
        spare=_is_no_phone,
        matches=("Tel. 07700 900321", "t\u00e9l: 06 12 34 56 78", "call me at 020 7946 0958", "mobile 0171 2345678"),
        spares=("phone 12345", "call 17000000", "mobile 1080 1920", "fax 2024-01-02 10:00"),
    ),
    Rule(
        name="id-number",
        why="a number of the social security of the United States, behind its name",
        pattern=lazy(
            r"(?<![A-Za-z])(?i:ssn|social security(?: (?:number|no\.?))?)(?: is| was)?[ :#]{1,3}"
            r"(?P<s>\d{3}-\d\d-\d{4})(?![\w-])"
        ),
        needs=("ssn", "social"),
        matches=("SSN 078-05-" + "1120",),
        spares=("ssn 1234", "ssn of 12-34"),
    ),
    Rule(
        name="iban",
        why="the number of a bank account, checked by country, length and check digits",
        pattern=_IBAN,
        needs=("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
        spare=_is_no_iban,
        matches=("DE89 3704 0044 0532 0130 " + "00", "GB29NWBK6016133192" + "6819"),
        spares=("DE89370400440532013001", "DE89 3704"),
    ),
    Rule(
        name="card",
        why="a payment card's number, checked by issuer and check digit",
        pattern=lazy(r"(?<![A-Za-z0-9_.])(?<!\d[- ])\d(?:[ -]?\d){11,18}(?![A-Za-z0-9_-]|\.\d| \d)"),
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
