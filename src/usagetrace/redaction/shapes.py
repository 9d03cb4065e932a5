"""Secrets by the shape of what surrounds them, as rules: PEM, headers, credentials and parameters in URLs,
flags and assignments.

What an assignment's key means is decided by :mod:`usagetrace.redaction.keys`, so that ``token_count=15`` in a
text is as harmless as below an attribute's key. This module knows nothing of how findings are replaced.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.arguments import is_harmless_argument, is_harmless_flag, is_harmless_parameter
from usagetrace.redaction.assigned import is_harmless_name, is_harmless_value
from usagetrace.redaction.keys import Kind, kind_of
from usagetrace.redaction.placeholders import is_placeholder
from usagetrace.redaction.rules import Rule
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


def _is_put_in_later(match: re.Match[str]) -> bool:
    """Say whether what stands behind a scheme, or in the place of a password, is no value yet."""
    if match["s"].lower().startswith(("digest", "aws4-", "oauth", "hawk", "signature")):
        return False
    if re.fullmatch(r"\d+:\d+", match["s"]) is not None:
        # The numbers of a user and a group.
        return True
    if match["s"][0] == "<" and match["s"][-1] == ">":
        return True
    return is_placeholder(re.split(r"[\s:]", match["s"])[-1])


def _is_no_basic(match: re.Match[str]) -> bool:
    """Say whether the word after ``Basic`` is no base64 of ``user:password``."""
    # Imported here: few texts have such a word.
    import base64

    try:
        return b":" not in base64.b64decode(match["s"] + "=" * (-len(match["s"]) % 4), validate=True)
    except ValueError:
        return True


# What a server says of itself when it asks for a token.
_CHALLENGE: Final = words(
    "realm error error_description error_uri scope charset nonce client_id authorization_uri resource_metadata"
)


def _is_plain_word(match: re.Match[str]) -> bool:
    """Say whether a word is one that prose may put here, or the name of a challenge's part: no digit, no sign in it."""
    if match["s"].rstrip("=") in _CHALLENGE or match["s"].startswith("--"):
        return True
    value = match["s"].rstrip(".,;:!?)")
    return len(value) < 4 or is_placeholder(value) or (value.isalpha() and (value.islower() or value.istitle()))


_STORES: Final = ("abfs", "abfss", "wasb", "wasbs", "adl")
# A user's name, in characters, that is longer may be a token.
_SHORT_NAME: Final = 16


def _is_no_userinfo(match: re.Match[str]) -> bool:
    value = match["s"]
    if match.string.endswith(_STORES, max(0, match.start() - 5), match.start()) and ":" not in value:
        # A container of a store, in the user's place.
        return True
    if value in ("git", "hg", "svn") or re.match(r"[^:]*:\d+[/?#;]", value):
        return True
    user, _, password = value.partition(":")
    if not password:
        return bool(user) and (is_placeholder(user, quoted=True) or user in ("user", "username", "login", "name"))
    # A token may stand before the colon, and a word behind it.
    return is_placeholder(password, quoted=True) and (
        not user or is_placeholder(user, quoted=True) or (user.isalnum() and user.islower() and len(user) < _SHORT_NAME)
    )


def _is_no_element(match: re.Match[str]) -> bool:
    """Say whether a word in angle brackets is no element with a secret: a name in a manual, what it stands for."""
    if kind_of(match["key"]) is not Kind.SECRET or is_placeholder(match["s"], quoted=True):
        return True
    if _POD.search(match.string, max(0, match.start() - 2), match.start()) is not None:
        return True
    if match.group().endswith("]]>") or _is_closed(match):
        return False
    if not _LINE_CUT.isdisjoint(match.group()) or (match.group().endswith("</") and len(match["s"].split()) > 1):
        return True
    # Nothing closes it: the text was cut off, or it is no element at all.
    before = match.string[max(0, match.start() - 40) : match.start()]
    return (
        match["s"][0].isspace()
        or match["s"][:2] in ("\\n", "\\r", "\\t")
        or before[-1:] not in ("", ">", " ", "\t", "\n")
        or before.rstrip(" \t").endswith(("=", ":", "earer", "asic"))
        or _FLAG.search(before) is not None
    )


def _is_closed(match: re.Match[str]) -> bool:
    """Say whether an element's own closing tag follows its value, or as much of it as is left of the text."""
    if not match.group().endswith("</"):
        return False
    key = "value" if "<value>" in match.group() else match["key"]
    tag = match.string[match.end() : match.end() + len(key)]
    return key.lower().startswith(tag.lower()) and (tag == "" or len(tag) == len(key) or match.string.endswith(tag))


def _is_no_phrase(match: re.Match[str]) -> bool:
    """Say whether words behind the name of a phrase are none: code, or the name stands within a sentence."""
    before = match.string[max(0, match.start() - 80) : match.start()].rpartition("\n")[2]
    return re.fullmatch(r"\s*(?:export |set )?[\w.-]*", before) is None or not _OF_CODE.isdisjoint(match["s"].split())


# What stands before an angle in Perl's documentation.
_POD: Final = lazy(r"(?<![A-Za-z])[A-Z]\Z")
# What a value that was cut off in an element does not go over: a line's end, a quote.
_LINE_CUT: Final = frozenset("\r\n'\"`")
# A flag, whose argument follows.
_FLAG: Final = lazy(r"(?<![\w-])--?[A-Za-z][\w-]*[ =]\Z")
# Words of a programming language, one of which is in any expression of several words.
_OF_CODE: Final = words("if else or and not in is await new lambda for yield")


_BREAK: Final = r"(?:\s|\\+[nrt])*"
# Characters of a value without quotes; closing ones and full stops only where the value goes on behind them.
_BARE: Final = r"[^\s\"'`<>,;&|)\]}.:\u3001\u3002\u3009\u300b\u300d\u300f\u3011\uff09\uff0c]"
# What is no element and no end of code within a word.
_ANGLED: Final = r"<(?!(?:br|b|i|p|em|li|t[dr]|div|code|span|strong)\b)\w{1,24}>(?=\w)|(?<=\w)`(?=\w)"
# The name of what follows, of several words in a connection string.
_NEXT_KEY: Final = r"[\w.-]{1,64}(?:(?<=[A-Za-z]{3})(?: [A-Za-z]{2,24}){1,4} ?)?="
# The rule's name in a marker is no name of a value, and neither is the user in an URL.
_KEY: Final = r"(?<![\w.$-])(?<!\[redacted:)(?<!://)(?P<key>[\w.$-]{1,128})(?P<kq>\\{0,8}[\"'\]]{1,2}|&quot;|&#3[49];)?"
_SIGN: Final = (
    r"(?P<sep>\s{0,40}(?::\s{0,3}(?:&(?:'\w{1,16} )?str|\[\]byte|(?:str|bytes|string|[A-Z][A-Za-z]{2,24})"
    r"(?:[\[<][\w\[\]<>, .|'\"()]{1,60}[\]>])?\??(?: ?\| ?\w{3,24}){0,3})\s{0,3}=(?=\s{0,3}[@$\w]{0,2}[\"'])"
    r"|=>|={1,3}|:{1,3}=|:|\uff1a|\uff1d))"
    r"(?:\*\*)?\s{0,40}"
)

_CJK: Final = "\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7af\uff00-\uff60"

SECRETS: Final[tuple[Rule, ...]] = (
    Rule(
        name="private-key",
        why="a private key in PEM form, with or without its END line",
        pattern=lazy(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:[^-]*(?:-[^-]+)*-----END[ A-Z0-9]{1,40}(?:-----)?"
            rf"|(?:{_BREAK}[A-Za-z-]{{2,20}}: [^\n\\]{{1,200}})*(?:{_BREAK}[A-Za-z0-9+/]{{16,}}={{0,2}})*"
            rf"(?:{_BREAK}[A-Za-z0-9+/=]{{1,64}}(?=\s*(?:[\"'\\]|-|\Z)))?)"
        ),
        needs=("-----begin ",),
        matches=(
            "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow" + "aB3d" * 12 + "\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN OPENSSH " + "PRIVATE KEY-----\\nb3BlbnNzaC1r" + "aB3d" * 8,
            "-----BEGIN " + "PRIVATE KEY-----",
        ),
        spares=("-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"),
    ),
    Rule(
        name="authorization",
        why="credentials in an HTTP authorization header",
        pattern=lazy(
            # In quotes, it goes on to that which no further parameter follows.
            r"(?<![A-Za-z0-9])(?i:authorization)(?:(?<=(?P<open>[\"'])[A-Za-z]{13}))?(?:\\{0,8}[\"'])?\s{0,3}[:=]\s{0,3}(?:\\{0,8}[\"'])?"
            r"(?P<s>(?i:digest|aws4-hmac-sha256|oauth|hawk|signature)\s(?(open)(?:(?!(?P=open)(?:[\s)\]};]|\Z|,\s?[\"'{(]))[^\n\r\\])"
            r"{4,2048}|[^\n\r\\]{4,2048})"
            r"|(?i:ssws|aws|token token=|bearer|basic|token|apikey|api-key|negotiate|ntlm|splunk|key|bot|jwt"
            r"|genie ?key|sso-key)"
            r"\s{1,3}(?!\$[A-Za-z_{(]|\{\{|%[A-Z])[^\s\"'\\,;<>]{1,8192})"
        ),
        needs=("authoriz",),
        spare=_is_put_in_later,
        matches=(
            "Authorization: " + "Bearer abc123def",
            "authorization: " + "Basic dTpw",
            'curl -H "Authorization: ' + 'token q8s7d6f5"',
            "Authorization: Digest " + 'username="a", response="b"',
        ),
        spares=("the Authorization header is missing",),
    ),
    Rule(
        name="bearer",
        why="a bearer token outside its header",
        pattern=lazy(r"(?<![A-Za-z0-9])(?i:bearer)\s{1,3}(?P<s>[A-Za-z0-9._~+/-]{4,8192}={0,2})"),
        needs=("bearer ",),
        spare=_is_plain_word,
        matches=("Bearer " + "q8s7-d6f5.g4h3",),
        spares=("Bearer token", "bearer authentication is required"),
    ),
    Rule(
        name="basic-auth",
        why="user and password in base64",
        pattern=lazy(r"(?<![A-Za-z0-9])(?i:basic)\s{1,3}(?P<s>[A-Za-z0-9+/]{4,1024}={0,2})(?![A-Za-z0-9])"),
        needs=("basic ",),
        spare=_is_no_basic,
        matches=("Basic " + "YWRhOmxvdmVsYWNl",),
        spares=("Basic authentication", "basic-auth-demo", "Basic tutorial"),
    ),
    Rule(
        name="cookie",
        why="cookies hold sessions",
        pattern=lazy(
            r"(?<![A-Za-z0-9])(?i:set-cookie2?|cookie)(?:\\{0,8}[\"'])?\s{0,3}:\s{0,3}(?:\\{0,8}[\"'])?"
            r"(?P<s>[\w.$!%*+-]{1,128}=[^\s;,\"'\\]{0,4096}(?:;\s?[\w.$!%*+-]{1,128}(?:=[^\s;\"'\\]{0,4096})?)*)"
        ),
        needs=("cookie",),
        matches=("Cookie: sid=" + "abc123; theme=dark", "Set-Cookie: id=" + "a3fWa; HttpOnly; Path=/"),
        spares=("cookie: yes", "cookie-cutter"),
    ),
    Rule(
        name="url-credentials",
        why="user and password before an URL's host",
        pattern=lazy(
            r"://(?P<s>[^\s/?#\"'<>]{1,512}|[^\s/:@\"'<>?#]{0,128}:[^\s@\"'<>:]{1,256}"
            r"|<[\w .-]{1,40}>:[^\s@\"'<>:/]{1,256})@(?=[A-Za-z0-9_.\[%${/-])"
        ),
        needs=("://",),
        spare=_is_no_userinfo,
        matches=(
            "postgres://ada:" + "pw@db.example.com/x",
            "https://" + "q8s7d6@github.com/o/n.git",
            "redis://:" + "pass/word@host:6379/0",
            "mysql://u:" + "p@ss@host/db",
            "oracle://u:" + "pw@/db",
        ),
        spares=(
            "ssh://git@github.com/o/n",
            "https://example.com:8080/@user",
            "https://example.com/a@b",
            "https://$TOKEN@example.com/x",
            "mysql://${U}:${P}@h/db",
            "abfss://zone@account.dfs.core.windows.net/x",
        ),
    ),
    Rule(
        name="url-parameter",
        why="secrets among an URL's parameters",
        pattern=lazy(
            r"[?&;](?:amp;)?(?P<key>[A-Za-z_][\w.\[\]-]{0,63})="
            # Letters and brackets of scripts without spaces go on behind an URL.
            rf"(?P<s>(?:[^&\s\"'<>;#\\`)\]}},.{_CJK}]+|[,.]+(?=[^&\s\"'<>;#\\`)\]}},.{_CJK}]))+)"
        ),
        needs=("?", "&", ";"),
        spare=is_harmless_parameter,
        matches=(
            "https://x.io/a?access_token=" + "abc",
            "https://x.io/a?b=1&X-Amz-Signature=" + "0f0f",
            "?apiKey=" + "7x",
        ),
        spares=("https://x.io/a?page=2&token_type=bearer", "?max_tokens=15", "?key=name"),
    ),
    Rule(
        name="flag",
        why="a secret after a command's flag",
        pattern=lazy(r"(?<![\w-])--?(?P<key>[A-Za-z][\w-]{1,63})(?:\s{1,3}|=)(?=\S)"),
        value=lazy(
            r"(?:\\{1,8}[\"'](?P<s>(?:(?!\\+[\"'])[^\n])+)|(?P<open>[\"'])(?P<s2>(?:(?!(?P=open))[^\\\n]|\\(?:[^\n]|\Z))+)"
            r"|(?P<s3>(?!-)(?:[^\s\"'`,;]|[,;]+(?=[^\s\"'`,;])|(?<=\w)[\"'](?=\w))+))"
        ),
        needs=("-",),
        spare=is_harmless_flag,
        spare_value=is_harmless_argument,
        matches=("login --password " + "hunter2", "--api-key=" + "q8s7d6", "tool --token " + "'two words'"),
        spares=(
            "--password to set it",
            "--token-count 5",
            "--no-password x",
            "--tokenizer fast",
            "--password --user",
            "flag --token expects a value",
            "use --password instead of --token",
        ),
    ),
    Rule(
        name="user-password",
        why="the password after a login in .netrc",
        pattern=lazy(
            r"login\s+(?<![A-Za-z]login\s)(?!(?:by|with|via|using|and|or|your|the|a|no)\s)\S{1,128}\s+password\s+(?P<s>\S{1,256})"
        ),
        needs=("login ", "login\n"),
        matches=("machine x login ada password " + "lovelace",),
        spares=("login with a password",),
    ),
    Rule(
        name="user-password",
        why="a password told in prose",
        pattern=lazy(
            r"(?:[dD]|[eE]|[nN]|[tT]|[yY])(?i:(?<=password)|(?<=passphrase)|(?<=passcode)"
            r"|(?<=token)|(?<=secret)|(?<=api key))"
            r" (?:is|was)[ :]{1,3}[\"'`]?(?P<s>(?:[^\s\"'`<]|<(?!/)){3,256}(?<![.,;:]))"
        ),
        needs=(" is", " was"),
        spare=lambda match: not re.search(r"\d|[^\w\s.,;:!?'()-]", match["s"]),
        matches=("the password is " + "hunter2",),
        spares=("the password is required", "the token was not found", "token is (optional)"),
    ),
    Rule(
        name="secret",
        why="a value assigned to a name that means a secret or a person: code, JSON, YAML, env files, DSN",
        pattern=lazy(_KEY + _SIGN),
        value=lazy(
            r"(?:(?:[bBrRuUfFNLE]{1,2}|u8R?|[@$]{1,2})(?=[\"'])|\[\s{0,4}(?=\\*[\"'])|&quot;|&#3[49];"
            # What makes a value of a literal.
            r"|(?:(?:new\s{1,3})?(?:(?P<type>(?:Secret|Password|Token|ApiKey)(?:::\w{1,16})?)|\w{0,32}::(?:new|from|from_str)|String(?:\.valueOf|\.raw)?"
            r"|Secret(?:Str|String|Bytes|\.of)|SecureString|\[\]byte|\[\]rune|bytes|bytearray|Buffer\.from|Some|Just|std::string"
            r"|strings?\.TrimSpace|(?:aws|pulumi)\.String|Optional\.of)\(\s{0,4}){1,2}[bBrRuU]{0,2}(?=[\"'])"
            # Any call with a literal, and what stands there if there is no other value.
            r"|(?P<call>(?:(?:new\s)?[A-Za-z_][\w.]{0,47}(?:::\w{1,32}){0,3}\(\s{0,4}){1,2}"
            r"|[\w.$\[\]()'\"]{1,64}\s(?:\|\||\?\?|\?:|or)\s{1,3})[bBrRuU]{0,2}(?=[\"']))?"
            r"(?:(?P<esc>\\{1,8})[\"'](?P<s>(?:(?!(?<!\\)(?P=esc)[\"'])[^\n])*)"
            r"|(?P<open>[\"'`])(?P<s2>(?:(?!(?P=open))[^\\\n]|\\[\s\S]|\\\Z|(?<=\w)(?P=open){2}(?=\w))*"
            # Put together of several literals.
            r"(?:(?P=open)\s{0,3}(?:\+|\.{1,2}|&)\s{0,40}(?P=open)(?:(?!(?P=open))[^\\\n]|\\[\s\S]){1,512}){0,8})"
            rf"|(?P<s3>(?:{_BARE}+|[)\]}}.:]+(?={_BARE})|[,;&](?!quot;|#3[49];)(?!{_NEXT_KEY})(?={_BARE})|\|(?![\w.-]{{1,64}}=)|{_ANGLED})+))"
        ),
        needs=("=", ":", "\uff1a", "\uff1d"),
        spare=is_harmless_name,
        spare_value=is_harmless_value,
        matches=(
            "password=" + "hunter2",
            'export API_KEY="' + 'q8s7d6"',
            "db:\n  passwd: " + "s3same",
            '{"clientSecret": "' + 'ab cd"}',
            "{'password': '" + "x y z'}",
            '{\\"token\\": \\"' + 'q8s7\\"}',
            "API key: " + "q8s7d6",
            "x.secret := " + "'q'",
            "Server=a;User Id=b;Password=" + "z1;Timeout=3",
            'password: str = "' + 'hunter2"',
            'cut: {"password": "' + "hun",
        ),
        spares=(
            "token_count=15",
            "password=None",
            "password: required",
            "password = os.environ['X']",
            "tokens: 1500",
            "author: ada",
            "cache_key=abc",
            "the token: a short story",
            "password=${PASSWORD}",
            "max_tokens=4096",
        ),
    ),
    Rule(
        name="secret",
        why="a secret between XML tags",
        pattern=lazy(
            r"<(?P<key>[A-Za-z][\w:.-]{0,63})(?:\s[^<>]{0,256})?>(?:\s{0,40}<value>|<!\[CDATA\[|\s{0,3}\n\s{0,40}(?=\S))?"
            r"(?P<s>(?:[^<\n\]]|\](?!\]>)){1,4096})(?:\s{0,40}</|\]\]>|\Z)"
        ),
        needs=("<",),
        spare=_is_no_element,
        matches=("<password>" + "hunter2</password>", '<ns:Password Type="t">' + "hunter2</ns:Password>"),
        spares=(
            "<tokenCount>12</tokenCount>",
            "-t, --token <token>    The token to use",
            "https://<user>:<token>@host/x",
        ),
    ),
    Rule(
        name="person",
        why="a person's name of several words",
        pattern=lazy(
            r"(?<![\w.$-])(?P<key>[A-Za-z][\w.-]{3,63}): {1,3}"
            r"(?P<s>[^\W\da-z_][\w'\u2019-]{1,32}"
            r"(?: (?:[a-z]{2,3} ){0,2}(?:[^\W\da-z_][\w'\u2019-]{1,32}|[A-Z]\.?)){1,3})"
            r"(?=[ \t]{0,8}(?:[\r\n<(,;]|\Z))"
        ),
        needs=("name:", "mail:"),
        spare=lambda match: kind_of(match["key"]) is not Kind.PERSON,
        matches=("customer_name: Ada Lovelace", "Author-email: Ada King Lovelace <a>"),
        spares=("file_name: Ada King", "customer_name: the name that they gave"),
    ),
    Rule(
        name="secret",
        why="a phrase of several words, to the end of its line",
        pattern=lazy(
            r"(?:phrase|PHRASE|Phrase|mnemonic|MNEMONIC|Mnemonic)"
            r"(?:\s{0,3}=\s{0,3}(?P<s>[a-z]{2,12}(?:[ -][a-z]{2,12}){2,24})"
            r"|:\s{1,3}(?P<s2>(?:[a-z]{3,8} ){11}(?:(?:[a-z]{3,8} ){12})?[a-z]{3,8}))"
            r"(?=[ \t]*(?:\r?\n|\Z))"
        ),
        needs=("phrase", "mnemonic"),
        spare=_is_no_phrase,
        matches=("mail_passphrase = " + "blue sky green sea",),
        spares=(
            "passphrase = a if b else c",
            "the phrase = a word of many",
            "phrase: what follows is a phrase of words",
        ),
    ),
)
