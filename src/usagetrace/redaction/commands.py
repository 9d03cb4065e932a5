"""Secrets by the place that a tool or a format gives them, as rules: after a short flag of a known command, in SQL, in
files of passwords, in a webhook's URL, and tokens whose sign stands in their middle.

A short flag means something else to each command, so each rule names its commands. This module knows nothing of how
findings are replaced.
"""

from __future__ import annotations

import re

from usagetrace.patterns import lazy
from usagetrace.redaction.logins import GAP, LOGINS, NEXT, UP_TO, VALUE, is_stand_in, is_word
from usagetrace.redaction.placeholders import is_placeholder
from usagetrace.redaction.rules import Rule, secret_group
from usagetrace.redaction.vendors import SIGNED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What prints a text, up to the text.
_ECHO: Final = r"(?:echo|printf)\s{1,3}(?:-\w{1,3}\s{1,3}|[\"']?%s(?:\\n)?[\"']?\s{1,3}){0,2}"


def _is_number(match: re.Match[str]) -> bool:
    value = match[secret_group(match)]
    return is_stand_in(match) or value.isdigit()


def _is_no_login(match: re.Match[str]) -> bool:
    """Say whether what follows -P is no password: a word, a port, a container's image, or no user stands beside it."""
    if is_word(match):
        return True
    before = match.string[max(0, match.start() - 160) : match.start()].rpartition("\n")[2]
    after = match.string[match.end() : match.end() + 80].partition("\n")[0]
    if any(command in before for command in ("docker", "podman", "nerdctl", "rsync", "cp ")):
        return True
    return _USER.search(before) is None and _USER.search(after) is None


def _is_no_cookie(match: re.Match[str]) -> bool:
    """Say whether what follows -b is no cookie: the flag is another command's, or the value is put in later."""
    before = match.string[max(0, match.start() - 600) : match.start()]
    at = before.rfind("curl")
    if at < 0 or (
        _COMMAND_END.search(before, at) is not None and _COMMAND_END.search(_QUOTED.sub("", before[at:])) is not None
    ):
        return True
    cookies = match[secret_group(match)].split(";")
    return all(is_placeholder(cookie.partition("=")[2]) for cookie in cookies)


def _is_no_response(match: re.Match[str]) -> bool:
    """Say whether what follows SMTP's command is the name of one more mechanism."""
    value = match["s"]
    return value.isupper() or is_placeholder(value) or (value.isalpha() and value.islower())


def _is_no_pair(match: re.Match[str]) -> bool:
    return is_placeholder(match["s"], quoted=True)


# A flag with a user's name, and the end of a command.
_USER: Final = lazy(r"(?<![\w-])-u[ =]?[\"']?[A-Za-z]")
_QUOTED: Final = lazy(r"([\"'])(?:(?!\1)[^\n])*\1")
_COMMAND_END: Final = lazy(r"(?<!\\)\n|[|;]\s")
_PW: Final = "Zq8vT3" + "mK9xLp2w"
_HEX: Final = "3fa9c2e7b1d04568" * 4

COMMANDS: Final[tuple[Rule, ...]] = (
    *LOGINS,
    *SIGNED,
    Rule(
        name="user-password",
        why="a password glued to -p of a database's or an archiver's command",
        pattern=lazy(
            r"(?<![\w.-])(?:mysql\w{0,10}|mariadb[\w-]{0,10}|7za?|7zr|rar|unrar|xtrabackup)(?:\.exe)?" + NEXT + r"(?:"
            + UP_TO + r")?-p" + VALUE
        ),
        needs=("mysql", "mariadb", "7z", "rar ", "xtrabackup"),
        spare=is_stand_in,
        matches=("mysql -u root -p" + _PW + " db", "7z x -p" + _PW + " a.7z"),
        spares=("mysql -u root -p", "mkdir -p x/y", "mysql -h db -P 3306"),
    ),
    Rule(
        name="user-password",
        why="a password after -p, -P, -w, -a or -k of commands that take one there",
        pattern=lazy(
            r"(?<![\w.-])(?:(?:sshpass|rdesktop|evil-winrm|nxc|cqlsh|cypher-shell|crackmapexec|ncftp\w{0,6}"
            r"|(?:docker|podman|buildah|skopeo|nerdctl|oras|crane|oc|cf|az|helm|registry)\s[^\n;|&]{0,60}?login"
            r"|helm registry login|twine|mongo\w{0,8}|kinit)\b(?:" + UP_TO + r"|\s)-p(?:" + GAP + r")?"
            r"|(?:sqlcmd|bcp|unzip|zip|isql|osql|mosquitto_\w{3}|ipmitool)" + NEXT
            + r"(?:" + UP_TO + r")?-P(?:" + GAP + r")?"
            r"|ldap\w{3,10}" + NEXT + r"(?:" + UP_TO + r")?-w" + GAP
            + r"|redis-cli" + NEXT + r"(?:" + UP_TO + r")?-a" + GAP + r"|redis-cli\s[^\n]{0,160}?--pass\s{1,3}"
            r"|nuget\s(?:" + UP_TO + r")?-k\s{1,3}|snowsql\s(?:" + UP_TO + r")?-p\s{1,3})" + VALUE
        ),
        needs=(
            "sshpass", "login", "mosquitto_", "twine", "mongo", "kinit", "sqlcmd", "bcp ", "zip ", "isql", "osql",
            "ldap", "redis-cli", "nuget", "snowsql", "cqlsh", "cypher-shell", "rdesktop",
            "evil-winrm", "nxc ", "crackmapexec", "ncftp", "ipmitool",
        ),
        spare=_is_number,
        matches=(
            "sshpass -p " + _PW + " ssh x",
            "docker login -u ada -p " + _PW + " reg.io",
            "redis-cli -h x -a " + _PW,
            "ldapsearch -D cn=x -w " + _PW,
            "unzip -P " + _PW + " a.zip",
        ),
        spares=("docker run -p 8080:80 x", "mkdir -p a", "login -p", "unzip -p a.zip", "redis-cli -p 6379"),
    ),
    Rule(
        name="user-password",
        why="a password as a command's plain argument",
        pattern=lazy(
            r"(?<![\w.-])(?:htpasswd\s+-[a-zA-Z]*b[a-zA-Z]*\s+(?:-\w+\s+)*\S{1,200}\s+\S{1,128}\s+|vault\s+(?:login|operator\s+unseal)\s+(?:-[\w=-]+\s+)*"
            r"|net\s+user\s+[\w.-]{1,64}\s+(?=\S{1,64}(?:\s+/|\s*\Z))|wpa_passphrase\s+\S{1,64}\s+|doctl\s+auth\s+init\s+-t\s+"
            r"|poetry\s+config\s+(?:pypi-token\.\S{1,64}\s+|http-basic\.\S{1,64}\s+\S{1,64}\s+)|openssl\s+passwd\s+(?:-\w{1,16}\s+)+"
            r"|openssl\s+(?:enc|aes|des)[^\n;|&<>]{0,160}?\s-k\s+"
            r"|net\s+use\s+(?:[A-Za-z*]:\s+)?\\\\\S{1,200}\s+(?:/user:\S{1,128}\s+)?"
            r"|(?:snyk|ngrok)\s+(?:config\s+)?(?:auth|authtoken|add-authtoken)\s+"
            r"|mc\s+(?:alias\s+set|config\s+host\s+add)\s+\S{1,64}\s+\S{1,128}\s+\S{1,128}\s+"
            r"|stats\s+auth\s+[\w.-]{1,64}:|requirepass\s+|masterauth\s+|(?:(?<=\n)|^)PASS\s+(?![=:(]|\S{1,200}/\S{0,200}\.[a-z]{1,5}(?:\s|\Z))"
            r"|^AUTH\s+|(?<=> )AUTH\s+|ACL\s+SETUSER\s+\S{1,64}\s[^\n>]{0,80}>)"
            r"(?:default\s+)?(?![/\\])" + VALUE
        ),
        needs=(
            "htpasswd", "vault", "net use", "wpa_pass", "doctl", "poetry", "openssl",
            "requirepass", "masterauth", "snyk ", "ngrok ", "mc alias", "mc config", "stats auth", "setuser ",
            "pass ", "auth ",
        ),
        spare=is_word,
        matches=(
            "htpasswd -b f ada " + _PW,
            "requirepass " + _PW,
        ),
        spares=("vault login -method=oidc", "net use x: /delete", "PASS tests"),
    ),
    Rule(
        name="user-password",
        why="a password behind a name and a sign in a command's argument",
        pattern=lazy(
            r"(?:--from-literal[= ](?P<open>[\"'])?[\w.-]{1,128}=|-pass(?:in|out)?\s{1,3}(?P<open2>[\"'])?pass:)"
            r"(?P<s>(?(open)[^\"'\n]{1,256}|(?(open2)[^\"'\n]{1,256}|[^\s\"'|;&<>$-][^\s\"'|;&<>]{0,255})))"
        ),
        needs=("--from-literal", "-pass"),
        spare=is_word,
        matches=("openssl rsa -passin pass:" + _PW, "--from-literal=x=" + _PW, "--from-literal='x=two words'"),
        spares=("--from-literal=x=$Y", "openssl rsa -passin stdin"),
    ),
    Rule(
        name="secret",
        why="a password piped into a command that reads one",
        pattern=lazy(
            _ECHO + r"(?:\"(?P<s>[^\"\n$]{4,512})\"|'(?P<s2>[^'\n]{4,512})'|(?P<s3>[^\s\"'|$]{4,512}))\s{0,3}\|\s{0,3}"
            r"(?:sudo\s(?:-[\w-]{1,16}\s(?:[\w\"']{1,32}\s)?){0,3}?-[A-Za-z]{0,3}S"
            r"|(?:sudo\s{1,3})?(?:passwd\b|kinit\b|cryptsetup\b|su\s|[^\n|]{1,80}"
            r"(?:--(?:password|token|pass)-stdin|--with-token|--passphrase-fd[ =]0|pass(?:in|out)? stdin)))"
        ),
        needs=("stdin", "sudo -", "| passwd", "|passwd", "| su ", "kinit", "cryptsetup", "--with-token",
            "passphrase-fd"),
        spare=is_stand_in,
        matches=(
            "echo " + _PW + " | docker login --password-stdin",
            "echo '" + _PW + "' | sudo -S ls",
            "printf '%s' " + _PW + " | passwd --stdin ada",
        ),
        spares=("docker login --password-stdin example.com", "echo $PW | sudo -S ls", "echo abcd | sudo tee f"),
    ),
    Rule(
        name="user-password",
        why="a password after -P, beside a user after -u",
        pattern=lazy(r"-(?<![\w-]-)P[ =]" + VALUE),
        needs=("-p ", "-p="),
        spare=_is_no_login,
        matches=("mqtt sub -u ada -P " + _PW, "mqtt sub -P " + _PW + " -u ada"),
        spares=("docker run -u app -P nginx:1.27", "scp -P 2222 a b", "mount -u x -P 5432", "psql -U ada -P pager=off"),
    ),
    Rule(
        name="secret",
        why="a password in SQL",
        pattern=lazy(
            r"(?i:identified\s+(?:with\s+\S{1,64}\s+)?(?:by|as)(?:\s+password)?|(?:with|role|user|encrypted)\s[^\n;']{0,80}?password"
            r"|set\s+password(?:\s+for\s+\S{1,128})?\s*=(?:\s*password\s*\()?|(?<![a-z_])password\s*=\s*N)\s*(?P<open>[\"'])(?P<s>(?:(?!(?P=open))[^\n]){1,256})"
        ),
        needs=("identified", "password"),
        spare=is_stand_in,
        matches=("CREATE USER x IDENTIFIED BY '" + _PW + "'", "ALTER ROLE x WITH PASSWORD '" + _PW + "'"),
        spares=("SELECT password FROM users",),
    ),
    Rule(
        name="password-hash",
        why="a stored password's hash can be tried out",
        pattern=lazy(
            r"(?P<s>\$(?!1\$[A-Za-z_]\w{0,40}\$\d(?![A-Za-z0-9./]{6}))(?:1|2[abxy]?|5|6|7|y|gy|apr1|sha1|md5|argon2(?:id|i|d)|scrypt|pbkdf2[\w-]{0,16}|bcrypt-sha256)\$[A-Za-z0-9./$=,+_-]{12,512}"
            r"|(?<![A-Za-z0-9])pbkdf2_sha\d{1,3}\$\d{1,8}\$[A-Za-z0-9./$=+]{12,256}|\{S?(?:SHA|MD5|SHA256|SHA512)\}[A-Za-z0-9+/=]{16,256})"
        ),
        needs=("$", "{ssha", "{sha", "{smd5", "{md5"),
        matches=("root:$6$salt$" + _PW * 2 + ":19000:0:99999:7:::", "$2b$12$" + _PW * 3, "{SSHA}" + _PW * 2),
        spares=("costs $5 or $6", "$1 $2", "echo $1/$2"),
    ),
    Rule(
        name="user-password",
        why="the last field of a line in .pgpass",
        pattern=lazy(r"(?<![\w.*:-])[\w.*-]{1,128}:(?:54\d\d|6432|\*):[\w*-]{1,63}:[\w*.@-]{1,63}:(?P<s>[^\s:\"']{4,256})"),
        needs=(":54", ":6432:", ":*:"),
        spare=is_word,
        matches=("localhost:5432:db:ada:" + _PW,),
        spares=("localhost:5432:db:ada", "localhost:5432/db"),
    ),
    Rule(
        name="url-credentials",
        why="user and password in Oracle's thin URLs",
        pattern=lazy(r"jdbc:oracle:\w{2,5}:(?P<s>[^\s/\"'@]{1,128}/[^\s\"'@]{1,256})(?=@)"),
        needs=("jdbc:oracle:",),
        matches=("jdbc:oracle:thin:scott/" + _PW + "@//h:1521/x",),
        spares=("jdbc:oracle:thin:@h:1521:x",),
    ),
    Rule(
        name="url-credentials",
        why="user and password of an URL that was cut off before its host",
        pattern=lazy(r"://[^\s/:@\"'<>?#\[]{1,128}:(?!\d{1,5}(?:[;,:&`)\]}]|\.?\Z))(?P<s>[^\s/@\"'<>?#]{6,256})\Z"),
        needs=("://",),
        spare=is_word,
        matches=("postgresql://app:" + _PW,),
        spares=("http://localhost:4318", "http://host:8080", "jdbc:sqlserver://h9:1433;encrypt=true"),
    ),
    Rule(
        name="webhook-url",
        why="whoever knows a webhook's URL may post to it",
        pattern=lazy(
            r"(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks|\.webhook\.office\.com/webhookb2"
            r"|outlook\.office\.com/webhook|hooks\.zapier\.com/hooks/catch|maker\.ifttt\.com/trigger/[\w-]{1,64}(?:/json)?/with/key)"
            r"/(?P<s>[A-Za-z0-9_@-]{6,256}(?:/[A-Za-z0-9_@-]{6,256}){0,4})"
        ),
        needs=("hooks.slack.com/", "/webhook", "hooks.zapier.com/", "maker.ifttt.com/"),
        matches=(
            "https://hooks.slack.com/services/" + "T0AB12CD3/B0AB12CD3/" + _PW * 2,
            "https://discord.com/api/webhooks/" + "123456789012345678/" + _PW * 4,
        ),
        spares=("https://hooks.slack.com/", "https://discord.com/api/webhooks/"),
    ),
    Rule(
        name="user-password",
        why="user and password as a pair of arguments",
        pattern=lazy(
            r"(?<![a-z])(?:(?i:auth|credentials?)(?:\.basic)?|[Aa]uth_?[Bb]asic|BasicAuth|setAuth)"
            r"\s{0,2}=?\s{0,2}[( ]\s{0,3}"
            r"[bfru]?[\"'][^\"'\n]{0,128}[\"']\s{0,3},\s{0,3}[bfru]?[\"'](?P<s>[^\"'\n]{1,256})[\"']"
        ),
        needs=("auth", "credential"),
        spare=_is_no_pair,
        matches=(
            'auth=("ada", "' + _PW + '")',
            "HTTPBasicAuth('ada', '" + _PW + "')",
            'new Credentials("ada", "' + _PW + '")',
        ),
        spares=("auth=(user, password)", 'auth=("$U", "$P")', 'oauth("a", "{{b}}")'),
    ),
    Rule(
        name="authorization",
        why="the answer to a mail server's login",
        pattern=lazy(r"(?<![\w-])AUTH (?:PLAIN|LOGIN|XOAUTH2) (?P<s>[^\s\"']{6,2048})"),
        needs=("auth plain ", "auth login ", "auth xoauth2 "),
        spare=_is_no_response,
        matches=("AUTH PLAIN " + "AGFkYQBsb3ZlbGFjZQ==",),
        spares=("250-AUTH PLAIN LOGIN", "AUTH LOGIN PLAIN CRAM-MD5"),
    ),
    Rule(
        name="cookie",
        why="cookies after curl's flag",
        pattern=lazy(
            r"-(?<![\w-]-)(?:-cookie|[A-Za-z]{0,6}?b)(?:=|\s{1,3}|\s{1,3}\\\r?\n\s{0,40})?(?:\$?(?P<open>\\{0,8}[\"'])"
            r"(?P<s>\s{0,3}[\w.$!%*+-]{1,128}=(?!\[redacted:)(?:(?!(?P=open))[^\n]){1,8192})"
            r"|(?P<s2>[A-Za-z_][\w.-]{0,63}=(?!\[redacted:)(?:[^\s\"'&|;\\]|\\[^\n]|;(?=[\w.-]{1,64}=)){3,4096}"
            r"(?:; [^\s\"';]{1,4096}){0,32}))"
        ),
        needs=("curl",),
        spare=_is_no_cookie,
        matches=(
            'curl -b "sessionid=' + _PW + '" https://example.com',
            "curl -sb 'lang=en; sid=" + _PW + "' https://example.com",
            "curl --cookie a=1\\;\\ sid=" + _PW + " https://example.com",
        ),
        spares=("curl -b cookies.txt https://example.com", "git checkout -b feature/a", "ldapsearch -b ou=people,dc=x"),
    ),
    Rule(
        name="user-password",
        why="a passphrase after -N of ssh-keygen",
        pattern=lazy(r"ssh-keygen\s(?:[^\n;|&<>]{0,160}?\s)?-N\s{1,3}" + VALUE),
        needs=("ssh-keygen",),
        spare=is_stand_in,
        matches=("ssh-keygen -t rsa -N " + _PW,),
        spares=('ssh-keygen -t rsa -N "" -f k',),
    ),
    Rule(
        name="user-password",
        why="the old passphrase after -P of ssh-keygen",
        pattern=lazy(r"ssh-keygen\s(?:[^\n;|&<>]{0,160}?\s)?-P\s{1,3}" + VALUE),
        needs=("ssh-keygen",),
        spare=is_stand_in,
        matches=("ssh-keygen -p -P " + _PW,),
        spares=("ssh-keygen -p -f k",),
    ),
    Rule(
        name="user-password",
        why="a plain text that PowerShell is to make a password of",
        pattern=lazy(r"(?i:ConvertTo-SecureString)(?:\s{1,3}-(?i:string))?\s{1,3}(?P<open>[\"'])(?P<s>(?:(?!(?P=open))[^\n]){1,512})(?P=open)"),
        needs=("securestring",),
        spare=_is_no_pair,
        matches=('ConvertTo-SecureString "' + _PW + '" -AsPlainText -Force',),
        spares=("ConvertTo-SecureString $x", 'ConvertTo-SecureString "$x" -AsPlainText'),
    ),
    Rule(
        name="user-password",
        why="the password that chpasswd reads",
        pattern=lazy(
            rf"(?:{_ECHO}[\"']?[\w.-]{{1,64}}:(?P<s>[^\s\"'|$]{{3,256}})[\"']?\s{{0,3}}\|\s{{0,3}}(?:sudo\s{{1,3}})?chpasswd"
            r"|chpasswd\s{0,3}<<<\s{0,3}[\"']?[\w.-]{1,64}:(?P<s2>[^\s\"'|$]{3,256}))"
        ),
        needs=("chpasswd",),
        matches=('echo "ada:' + _PW + '" | chpasswd',),
        spares=("chpasswd < f", 'echo "ada:$PW" | chpasswd'),
    ),
    Rule(
        name="secret",
        why="a password that a prompt asks for, a numbered key",
        pattern=lazy(
            r"(?:(?i:password|passphrase|passcode)(?: is generated)? for [^\s:]{1,64}"
            r"|(?i:unseal|recovery|backup) (?i:key|code)s? (?:\d{1,2}))"
            r":\s{1,3}(?P<s>[^\s\"']{4,512})"
        ),
        needs=("word for ", "generated for ", "phrase for ", "code for ", "unseal ", "recovery ", "backup "),
        spare=is_word,
        matches=("Password for ada: " + _PW, "Unseal Key 1: " + _PW),
        spares=("Password for ada: wrong", "password for user"),
    ),
    Rule(
        name="telegram-token",
        why="a Telegram bot's token",
        pattern=lazy(r"(?<![0-9A-Za-z])(?:bot)?(?P<s>\d{7,12}:(?=[A-Za-z_-]{0,43}\d)[A-Za-z0-9_-]{30,44})(?![A-Za-z0-9_-])"),
        needs=(":",),
        matches=("https://api.telegram.org/bot" + "123456789:AA" + _PW * 2 + "abcde/send",),
        spares=("1234567890:short", "12:34:56"),
    ),
    Rule(
        name="discord-token",
        why="a Discord bot's token",
        pattern=lazy(r"(?<![A-Za-z0-9_.-])[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,45}(?![A-Za-z0-9_-])"),
        needs=(".",),
        matches=("MTIz" + _PW + "abcdef" + ".Gh4xYz." + _PW * 2,),
        spares=("Module.method.name",),
    ),
    Rule(
        name="azure-secret",
        why="a client secret of Microsoft Entra",
        pattern=lazy(r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{28,40}"),
        needs=("q~",),
        matches=("abc8Q~" + _PW * 2 + "abcdef",),
        spares=("a8Q~x",),
    ),
    Rule(
        name="terraform-token",
        why="a token of HCP Terraform",
        pattern=lazy(r"(?<![A-Za-z0-9])[A-Za-z0-9]{12,16}\.atlasv1\.[A-Za-z0-9_=-]{30,90}"),
        needs=(".atlasv1.",),
        matches=(_PW + ".atlasv1." + _PW * 5,),
        spares=("x.atlasv1.y",),
    ),
    Rule(
        name="mailchimp-key",
        why="a Mailchimp key",
        pattern=lazy(r"(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])"),
        needs=("-us",),
        matches=(_HEX[:32] + "-us12",),
        spares=("region-us1",),
    ),
)  # fmt: skip
