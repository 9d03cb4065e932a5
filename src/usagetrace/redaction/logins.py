"""Credentials in the place that a less common command gives them, as rules: HTTPie, FreeRDP, SNMP, Samba, Oracle.

The list of :mod:`usagetrace.redaction.commands` goes on here. Each rule is announced by the command's own name, or by
a sign that few texts hold. This module knows nothing of how findings are replaced.
"""

from __future__ import annotations

from usagetrace.patterns import lazy
from usagetrace.redaction.keys import Kind, kind_of
from usagetrace.redaction.placeholders import is_placeholder, is_random
from usagetrace.redaction.rules import Rule, secret_group
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Final

# What stands in a manual instead of a value.
_STAND_INS: Final = words("password passwd secret token key pass value x xxx pw stdin prompt none null user default")
# The rest of a command up to a flag; a quote is allowed, the next command is not.
UP_TO: Final = r"[^\n;|&<>]{0,160}?[\s\"']"
# Behind a command's name, and between a flag and its value: a space, or what stands there in a list of words.
NEXT: Final = r"(?:[\"']?,)?\s"
GAP: Final = r"(?:[ =]|[\"']?,\s{0,3})"
# A value in quotes, to their end or that of the text, or a word without quotes.
VALUE: Final = (
    r"(?:\"(?P<s>[^\s\"\n][^\"\n]{0,255})(?:\"|\Z)|'(?P<s2>[^\s'\n][^'\n]{0,255})(?:'|\Z)"
    r"|[\"']?(?P<s3>[^\s\"'|;&<>$-][^\s\"'|;&<>]{0,255}))"
)
_MIXED: Final = lazy(r"[A-Za-z]\d|\d[A-Za-z]")
# A property that a build is given, and an Oracle client's word for nobody.
_PROPERTY: Final = lazy(r"[A-Za-z_][\w.]*=")
_LAST: Final = lazy(r"[\s:]")
# Words before a code that somebody logs in with.
_BEFORE_CODE: Final = tuple(
    f"{word} "
    for word in words(
        "one-time login log-in sign-in signin security verification confirmation authentication access mfa 2fa sms use"
        " enter"
    )
)
_PW: Final = "Zq8vT3" + "mK9xLp2w"


def is_stand_in(match: re.Match[str]) -> bool:
    """Say whether a value is one that a manual gives, a variable, or masked already."""
    value = match[secret_group(match)].strip("\"'")
    return (
        value.lower() in _STAND_INS or is_placeholder(value) or value.startswith(("<", "${", "$(", "{{", "[redacted:"))
    )


def is_word(match: re.Match[str]) -> bool:
    """Say whether a value without a sign before it may be a word of prose."""
    value = match[secret_group(match)]
    value = value.rstrip(".,;:!?)}]")
    return is_stand_in(match) or (value.isalnum() and not _MIXED.search(value) and not is_random(value))


def _line_before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - 256) : match.start()].rpartition("\n")[2]


def _is_no_pair(match: re.Match[str]) -> bool:
    """Say whether user and password are none: a variable, or the word of a manual, in the password's place."""
    user, sign, value = match["s"].partition(":")
    if not sign:
        return is_placeholder(user) or _MIXED.search(user) is None
    return value.lower() in _STAND_INS or is_placeholder(value)


def _is_no_community(match: re.Match[str]) -> bool:
    """Say whether a flag's value is none of SNMP's: another command's, or the name that everybody knows."""
    if "snmp" not in _line_before(match).lower():
        return True
    return is_stand_in(match) or match[secret_group(match)] in ("public", "private")


def _is_no_switch(match: re.Match[str]) -> bool:
    """Say whether what follows ``/p:`` is no password: a build's property, a word without a remote desktop beside."""
    value = match[secret_group(match)]
    if _PROPERTY.match(value) is not None or is_stand_in(match):
        return True
    around = match.string[max(0, match.start() - 160) : match.end() + 160].lower()
    return "rdp" not in around and " /u:" not in around and " /v:" not in around and is_word(match)


def _is_no_code(match: re.Match[str]) -> bool:
    """Say whether a few digits behind ``code`` are none to log in with, by the words before."""
    before = match.string[max(0, match.start() - 24) : match.start()].lower()
    word = match.group()[:3].lower()
    if before[-1:].isalnum() and not before.endswith("pass"):
        return True
    if word == "otp":
        return False
    if word == "pin":
        return not before.endswith(("my ", "your ")) and (match["verb"] is None or before.endswith("gpio "))
    if match["verb"] is not None and before.endswith(("your ", "my ")):
        return False
    return not before.endswith(_BEFORE_CODE)


def _is_no_user(match: re.Match[str]) -> bool:
    """Say whether what follows a user's flag is no user with a password: a name alone, a group, a variable."""
    user, _, password = match["s"].partition(":")
    if _line_before(match).lstrip("$> ").startswith(("git push ", "git branch ")):
        # A branch and where it goes.
        return True
    if not password or not user:
        # A token in the place of one of them; a word there is a user, or a group.
        only = user or password
        return only.isalpha() or only.isdigit() or is_placeholder(only, quoted=True)
    if (user.isdigit() and password.isdigit()) or (user[:1] == "<" and password[-1:] == ">"):
        # The numbers of a user and a group, what a manual calls them.
        return True
    return is_placeholder(password.strip("\"'"), quoted=password[0] in "\"'") or is_placeholder(
        _LAST.split(match["s"])[-1]
    )


LOGINS: Final[tuple[Rule, ...]] = (
    Rule(
        name="user-password",
        why="user and password after curl's flag",
        pattern=lazy(
            r"-(?<![A-Za-z0-9_-]-)(?:u|-user|-proxy-user)(?:[ =]\s{0,3}(?:\\\r?\n\s{0,8})?|\\\r?\n\s{0,8}"
            r"|[\"'],\s{0,3}(?=[\"']))(?P<open>[\"'])?"
            r"(?P<s>[^\s:\"',\[]{0,128}:(?!//)(?(open)(?:(?!(?P=open))[^\n]){1,256}|[^\s\"']{1,256})"
            r"|[^\s:\"',\[]{1,128}[\"']?:[\"'][^\s\"'][^\"'\n]{0,255}(?(open)|[\"']?)|[^\s:\"',\[]{8,128}:(?=[\s\"']|\Z))"
        ),
        needs=("-u ", "-u=", "-user ", "-user=", "-u'", '-u"', "-user'", '-user"', "-u\\", "-user\\"),
        spare=_is_no_user,
        matches=(
            "curl -u ada:" + "lovelace1",
            "curl --user=ada:" + "lovelace1",
            "curl -u 'ada:two " + "words'",
            "curl -u ada:'" + "lovelace1'",
            "curl --user \\\n ada:" + "lovelace1",
            "curl -u lovelace1:",
        ),
        spares=("git push -u origin main", "git push -u origin:main", "docker run -u 1000:1000 x"),
    ),
    Rule(
        name="user-password",
        why="user and password of HTTPie, curl's short flags and a few like them",
        pattern=lazy(
            r"(?<![\w./-])(?:(?:https?|xhs?|ab|siege|wrk|hey|oha)"
            + NEXT
            + r"(?:"
            + UP_TO
            + r")?-[aA](?:[ =]|(?=[\"']))"
            r"|(?:curl|curlie|https?|xhs?)"
            + NEXT
            + r"(?:"
            + UP_TO
            + r")?-[A-Za-z]{0,8}[uU](?:"
            + GAP
            + r")?)(?P<open>[\"'])?"
            r"(?![\"'])(?P<s>[^\s:\"'=/@\[]{1,128}:(?!//)(?(open)(?:(?!(?P=open))[^\n]){1,256}|[^\s\"'|;&<>]{1,256})"
            r"|(?<=-a )[A-Za-z0-9._~+-]{8,1024}(?= ))"
        ),
        needs=("http -", "https -", "xh -", "xhs -", "curl", "ab -", "siege ", "hey -", "http p", "http g", "oha -"),
        spare=_is_no_pair,
        matches=("https -a ada:" + _PW + " example.org", "curl -sSu 'ada:two words' x.org"),
        spares=("curl -A agent:1", "http -a $U:$P x.org", "curl -fsSLu x.org", "http -a me:password x.org"),
    ),
    Rule(
        name="user-password",
        why="the password of a remote desktop",
        pattern=lazy(r"/(?<![\w/.:-]/)p:" + VALUE),
        needs=("/p:",),
        spare=_is_no_switch,
        matches=("xfreerdp /u:ada /p:" + _PW + " /v:h9", "/p:" + _PW),
        spares=("msbuild /p:Configuration=Release /p:Version=1.2.3", "xfreerdp /p:$PW /v:h9", "a/p:b"),
    ),
    Rule(
        name="user-password",
        why="user and password with a comma or a percent sign between",
        pattern=lazy(
            r"(?<![\w.-])(?:lftp(?:get)?\s(?:" + UP_TO + r")?(?:-u|--user)[ =]?(?P<open>[\"'])?[^\s,\"']{1,128},"
            r"|(?:smb\w{1,12}|rpcclient|winexe|wmic|net\s(?:rpc|ads)|nmblookup|cifscreds|pth-\w{1,12})\s(?:"
            + UP_TO
            + r")?"
            r"(?:-U|--user)[ =]?(?P<open2>[\"'])?[^\s%\"']{1,128}%)"
            r"(?P<s>(?(open)(?:(?!(?P=open))[^\n]){1,256}|(?(open2)(?:(?!(?P=open2))[^\n]){1,256}|[^\s\"'|;&<>]{1,256})))"
        ),
        needs=("lftp", "smb", "rpcclient", "winexe", "wmic", "net rpc", "net ads", "pth-"),
        spare=is_stand_in,
        matches=("lftp -u ada," + _PW + " ftp.x.org", "rpcclient -U 'ada%two words' h9"),
        spares=("lftp -u ada ftp.x.org", "smbclient -U ada //h9/s", "lftp -u ada,$PW x.org"),
    ),
    Rule(
        name="flag",
        why="a secret of several words in a list of arguments, after its flag and an equals sign",
        pattern=lazy(
            r"(?P<open>[\"'])(?<=[\[(,\s].)--?(?P<key>[A-Za-z][\w-]{1,63})=(?P<s>(?:(?!(?P=open))[^\\\n]|\\[^\n]){1,512})(?P=open)"
            r"(?=\s?[,\])])"
        ),
        needs=("'-", '"-'),
        spare=lambda match: kind_of(match["key"]) is not Kind.SECRET or is_placeholder(match["s"], quoted=True),
        matches=("['x', '--password=two words " + _PW + "', 'y']",),
        spares=("['x', '--mode=two words', 'y']", "['--password=<password>', 'y']"),
    ),
    Rule(
        name="secret",
        why="a password of several words among the parts of a connection string",
        pattern=lazy(r";(?i:password|pwd)=(?P<s>[^;\"'\n{]{1,128})(?=;|[\"']|\Z)"),
        needs=(";password=", ";pwd="),
        spare=is_stand_in,
        matches=("Server=h9;Uid=ada;Pwd=two words " + _PW + ";Encrypt=yes",),
        spares=("Server=h9;Uid=ada;Pwd=$PW;Encrypt=yes", "Server=h9;Password=;Database=x"),
    ),
    Rule(
        name="user-password",
        why="SNMP's community and passphrases",
        pattern=lazy(r"-(?<![\w-]-)[AXc] " + VALUE),
        needs=("snmp",),
        spare=_is_no_community,
        matches=("snmpwalk -v3 -u ada -A " + _PW + " h9", "snmpget -v2c -c " + _PW + " h9"),
        spares=("snmpwalk -v2c -c public h9", "sh -c ls # snmp"),
    ),
    Rule(
        name="user-password",
        why="user and password with a slash between, as Oracle's clients take them",
        pattern=lazy(
            r"(?<![\w.-])(?:sqlplus|sqlcl|sqlldr|expdp|impdp|rman|tkprof)(?:64)?\s(?:[^\n;|&<>/]{0,80}?[\s=])?"
            r"(?P<open>[\"'])?[A-Za-z_][\w$#.]{0,63}/(?P<s>\"[^\"\n]{1,128}\"|[^\s\"'@/|;&<>]{1,128})(?=@|[\s\"']|\Z)"
        ),
        needs=("sqlplus", "sqlcl", "sqlldr", "expdp", "impdp", "rman "),
        spare=is_stand_in,
        matches=("sqlplus ada/" + _PW + "@h9", "sqlplus -s 'ada/" + _PW + "@//h9:1521/x'"),
        spares=("sqlplus /nolog", "sqlplus / as sysdba", "sqlplus ada@h9", "sqlplus ada/$PW@h9"),
    ),
    Rule(
        name="user-password",
        why="user and password as arguments of a call that logs in",
        pattern=lazy(
            r"(?<![A-Za-z])(?i:(?:drivermanager\.)?getconnection|networkcredential|\w{0,24}[._]login|login|logon|sign_?in|creds\s{0,2}="
            r"|usernamepassword\w{0,24}|passwordauthentication|set_?credentials?|plainauth\(\s{0,3}\"\"\s{0,3},)"
            r"\s{0,2}\(?\s{0,3}(?:[^()\"'\n,]{1,60},\s{0,3})?[bfru]?(?P<open>[\"'])[^\"'\n]{0,128}(?P=open)\s{0,3},\s{0,3}[bfru]?"
            r"(?P=open)(?P<s>(?:(?!(?P=open))[^\n]){1,256})(?P=open)"
        ),
        needs=(
            "getconnection(",
            "credential",
            "login(",
            "logon(",
            "signin(",
            "sign_in(",
            "creds",
            "usernamepassword",
            "passwordauth",
            "plainauth(",
        ),
        spare=is_word,
        matches=('new NetworkCredential("ada", "' + _PW + '")', "getConnection(url, 'ada', '" + _PW + "')"),
        spares=("login('username', 'password')", 'creds = ("a", "b")'),
    ),
    Rule(
        name="secret",
        why="a secret in a router's or switch's configuration",
        pattern=lazy(
            r"(?:enable\s(?:secret|password)|username\s\S{1,64}\s(?:privilege\s\d{1,2}\s)?(?:secret|password)|key-string"
            r"|pre-shared-key(?:\s(?:address|local|remote)\s\S{1,64}(?:\skey)?)?|(?:tacacs|radius)-server\skey|snmp-server\scommunity"
            r"|neighbor\s\S{1,64}\spassword)\s{1,3}(?:[05-9]\s{1,3})?[\"']?(?P<s>[^\s\"']{4,256})"
        ),
        needs=(
            "enable secret",
            "enable password",
            "username ",
            "key-string",
            "pre-shared-key",
            "-server ",
            "neighbor ",
        ),
        spare=is_word,
        matches=("enable secret 5 " + _PW, "snmp-server community " + _PW + " RO\n!"),
        spares=("enable secret scanning", "snmp-server community public RO", "username is required"),
    ),
    Rule(
        name="user-password",
        why="user and password before a host, without a scheme",
        pattern=lazy(
            r"(?<![\w.-])(?:impacket-\w{1,24}|(?:psexec|wmiexec|smbexec|atexec|dcomexec|secretsdump|mssqlclient|GetUserSPNs|"
            r"GetNPUsers|smbclient|lookupsid|samrdump)\.py)\s(?:" + UP_TO + r")?(?P<open>[\"'])?(?:[\w.-]{1,64}/)?"
            r"[\w.-]{1,64}:(?P<s>[^\s\"']{1,256})(?=@[\w.-])"
        ),
        needs=("impacket-", "exec.py", "secretsdump", "mssqlclient", "getuserspns", "getnpusers", "smbclient.py"),
        spare=is_stand_in,
        matches=("psexec.py corp/ada:" + _PW + "@h9",),
        spares=("psexec.py corp/ada@h9", "smbclient.py -k h9"),
    ),
    Rule(
        name="secret",
        why="a password that a shell hands to a command that reads one",
        pattern=lazy(
            r"(?<![\w-])(?:sudo\s(?:[^\n;|&<>]{0,80}?\s)?(?:-[A-Za-z]{0,3}S|--stdin)|su\s|passwd\s|kinit|cryptsetup\s"
            r"|--(?:password|token|pass)-stdin|--with-token|--passphrase-fd[ =]0|pass(?:in|out)? stdin)"
            r"[^\n;|&<>]{0,120}<<<\s{0,3}" + VALUE
        ),
        needs=("<<<",),
        spare=is_stand_in,
        matches=("sudo -S <<< " + _PW + " ls", "docker login -u ada --password-stdin <<< 'two words'"),
        spares=("sudo -S ls <<< $PW", 'sudo tee f <<< "some text"', 'cat <<< "$(x)"'),
    ),
    Rule(
        name="secret",
        why="what a script types when it is asked for a password",
        pattern=lazy(
            r"(?i:assword|assphrase)[^\n]{0,40}\n?[^\n]{0,40}?\bsend(?:\s{1,3}--?)?\s{1,3}"
            r"(?P<open>\\{0,8}[\"'{])(?P<s>[^\"'\n\\}]{3,256})\\{1,8}[rn]"
        ),
        needs=("send",),
        spare=is_stand_in,
        matches=('expect "*?assword:*" { send "' + _PW + '\\r" }',),
        spares=('expect "assword:" { send "$pw\\r" }',),
    ),
    Rule(
        name="secret",
        why="a code or PIN of a few digits that is asked for to log in",
        pattern=lazy(r"(?i:code|otp|pin)(?P<verb>\s(?:is|was))?:?\s{1,3}(?P<s>\d{4,8}|\d{3}-\d{3})(?![\w.-]|,\d)"),
        needs=("code ", "code:", "otp ", "otp:", "pin ", "pin:"),
        spare=_is_no_code,
        matches=("your login code: " + "482913", "use code " + "482913 to sign in", "my PIN is " + "4829"),
        spares=("exit code 1377", "area code 2025", "GPIO pin 4829", "the code is 2048 lines"),
    ),
    Rule(
        name="user-password",
        why="the password of a wireless network in the text of its code",
        pattern=lazy(r"WIFI:(?:[A-OQ-Z]:[^;\n]{0,128};){1,4}P:(?P<s>(?:[^;\\\n]|\\.){1,256})"),
        needs=("wifi:",),
        matches=("WIFI:T:WPA;S:home;P:" + _PW + ";;",),
        spares=("WIFI:T:nopass;S:home;;",),
    ),
    Rule(
        name="secret",
        why="a password that SQL connects with, or makes a hash of",
        pattern=lazy(
            r"(?i:(?<![a-z])connect\sto\s\S{1,64}\suser\s\S{1,64}\susing\s{1,3}(?P<s>[^\s;\"']{3,256})"
            r"|crypt\(\s{0,3}'(?P<s2>[^'\n]{1,256})'\s{0,3},\s{0,3}gen_salt)"
        ),
        needs=("connect to ", "gen_salt"),
        spare=is_stand_in,
        matches=("db2 connect to d user ada using " + _PW + ";", "crypt('" + _PW + "', gen_salt('bf'))"),
        spares=("connect to h9 as ada", "crypt($1, gen_salt('bf'))"),
    ),
    Rule(
        name="private-key",
        why="the private half of a key in PuTTY's form",
        pattern=lazy(
            r"Private-Lines: \d{1,4}(?:\s|\\r|\\n){1,4}"
            r"(?P<s>[A-Za-z0-9+/=]{1,80}(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/=]{1,80}(?![\w:-])){0,256})"
        ),
        needs=("private-lines:",),
        matches=("Private-Lines: 1\n" + "AAAA" + _PW * 3 + "\nPrivate-MAC: 00",),
        spares=("Private-Lines: 4",),
    ),
)
