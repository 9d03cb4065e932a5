"""A name that stands apart from its value, what stands where a value could, and forms that hide a name."""

from __future__ import annotations

import pytest

from usagetrace.redaction import Redactor
from usagetrace.redaction.placeholders import is_placeholder, is_random, is_wording

ENGINE = Redactor(home="/home/ada", user_name="lovelace", host_name="analytical-engine")
# Put together here, so that no scanner finds one: mixed, with the signs of base64, words with capitals by chance.
VALUES = ("Zq8vT3" + "mK9xLp2w", "aGk/x9+Qw7Zk3" + "LmN/pR5tU8v==", "Autumn_" + "KqXwZv", "hunter" + "2")
TEXTS = (
    '{"name": "X-Api-Token", "value": "@"}',
    '{"key":"client_secret","value":"@","type":"text"}',
    'log: {"value": "@", "name": "DB_PASSWORD"} done',
    "- name: DB_PASSWORD\n  value: @",
    '<ns:Password Type="t">@</ns:Password>',
    '<add key="ApiSecret" value="@" />',
    '<input value="@" name="password">',
    "<key>ApiToken</key><string>@</string>",
    '[("password","@"),("n",1)]',
    'password = "old" -> "@"',
    "DB_PASSWORD          @",
    "tool config set --secret api_token @",
    "gh secret set API_TOKEN --repo o/n --body @",
    "rclone config create x s3 secret_access_key @",
    "keytool -storepass @ -alias x",
    "ssh-keygen -t rsa -N @ -f k",
    "GITLAB_PAT=@",
    "**Secret:** @",
    "-Dapi.key=@",
    "pass\u200bword=@",
    "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff1d@",
    "password\uff1a@",
    'let api_token = Secret::new("@")',
    'api_key := []byte("@")',
    'client_secret = Some(String::from("@"))',
    "auth: token='@'",
    "login: password=@",
    "echo @ | sudo -S ls",
)
VALUES_BESIDE = (
    {"name": "X-Token", "value": "@"},
    [["Authorization", "Bearer @"]],
    [(b"x-api-key", b"@")],
    ("password", "@"),
    ["tool", "config", "set", "x_secret_key", "@"],
    ["curl", "-u", "ada:@", "https://example.com"],
    ["mysql", "-p@", "db"],
    ["pulumi", "config", "set", "--secret", "dbPassword", "@"],
)
PLACEHOLDERS = (
    "***", "xxxx", "<token>", "$VAR", "${VAR}", "$(cmd)", "%VAR%", "{{ tpl }}", "[REDACTED]", "...", "your-key-here",
    "%s", "%(name)s", "{}", "{name}", "YOUR_TOKEN", "None", "null", "true", "[redacted:secret]",
)  # fmt: skip
UNQUOTED = ("os.environ['X']", "self.token", "var.y", "func(a, b)", "string", "x.y.z", "request.token")
SECRETS = ("hunter" + "2", "correct horse battery", "letmein", "Pa$$w0rd", "Zq8vT3" + "mK9xLp2w")
# What must be left of a text, beside the marker.
EXACT = (
    ("auth: token='@'", "auth: token='[redacted:secret]'"),
    ("login: password=@", "login: password=[redacted:secret]"),
    ('api_key := []byte("@")', 'api_key := []byte("[redacted:secret]")'),
    ("the token for prod is '@'", "the token for prod is '[redacted:secret]'"),
    (
        "jdbc:sqlserver://h9:1433;password=@;encrypt=true",
        "jdbc:sqlserver://h9:1433;password=[redacted:secret];encrypt=true",
    ),
    ("4111 1111 1111 1111 12/28", "[redacted:card] 12/28"),
    ("5 4111-1111-1111-1111 100", "5 [redacted:card] 100"),
    ("2001:db8:aa11:bb22::9c1f: unreachable", "[redacted:ip]: unreachable"),
    ("2001:db8:1:2:3:4:5:9c1f:443", "[redacted:ip]:443"),
    ("mail_passphrase = blue sky green sea", "mail_passphrase = [redacted:secret]"),
)
HARMLESS = (
    "HGET user:77 name",
    "https://$TOKEN@git.example.org/x",
    "mysql://${U}:${P}@h/db",
    "https://{user}:{password}@h.example.org/x",
    "https://<user>:<token>@host/x",
    "my $token = shift;",
    "  -t, --token <token>      The token to use",
    'WWW-Authenticate: Bearer realm="x", error="invalid_token"',
    "auth: retry=3",
    "ldapsearch -b ou=people,dc=x",
    'token = t("auth.token")',
    'token = os.getenv("API_TOKEN")',
    "echo 'const a = 1' | eslint --stdin",
    "docker run -u app -P nginx:1.27",
    "the token for prod is missing",
    "password VARCHAR(255) NOT NULL",
    "tests/x_token.py::TestA::test_b",
    "user:profile:7",
    "id-token: write",
    "password=password",
    "f(user=user, password=pw)",
    "Token-Anzahl: 512",
    "password: str, token: str",
    "x.match(/[0-9]+/g)",
    "curl -u $USER:$PASS https://example.com",
    '{"name": "token_count", "value": "12"}',
    '{"name": "DB_PASSWORD", "value": "${DB_PASSWORD}"}',
    "const [password, setPassword] = useState('')",
)


def _filled(shape: object, value: str) -> object:
    if isinstance(shape, str):
        return shape.replace("@", value)
    if isinstance(shape, bytes):
        return shape.replace(b"@", value.encode())
    if isinstance(shape, dict):
        return {key: _filled(member, value) for key, member in shape.items()}
    assert isinstance(shape, (list, tuple))
    return type(shape)(_filled(member, value) for member in shape)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", [*TEXTS, *VALUES_BESIDE], ids=lambda shape: str(shape)[:32])
def test_a_value_beside_its_name_is_gone(shape: object, value: str) -> None:
    """The name has decided: no kind of value stays, and a second pass changes nothing."""
    once = ENGINE.redact("note", _filled(shape, value))
    assert value not in repr(once)
    assert ENGINE.redact("note", once) == once


@pytest.mark.parametrize("stand_in", PLACEHOLDERS)
@pytest.mark.parametrize(
    "text", ['password="@"', "--token @", "Authorization: Bearer @", '{"name": "X-Token", "value": "@"}']
)
def test_a_placeholder_stays_wherever_a_value_could_stand(text: str, stand_in: str) -> None:
    """One test for all rules: what is put in later is no secret."""
    assert is_placeholder(stand_in, quoted=True)
    assert ENGINE.text(text.replace("@", stand_in)) == text.replace("@", stand_in)


@pytest.mark.parametrize("value", UNQUOTED)
def test_an_expression_is_a_value_in_quotes_alone(value: str) -> None:
    """Without quotes it is code; in quotes it is what it says."""
    assert is_placeholder(value)
    assert not is_placeholder(value, quoted=True)


@pytest.mark.parametrize("value", SECRETS)
def test_a_secret_is_no_placeholder(value: str) -> None:
    """Weak passwords are secrets."""
    assert not is_placeholder(value, quoted=True)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_an_assignment_stays(text: str) -> None:
    """Declarations, names of tests, keys of caches, counts and expressions come back as they are."""
    assert ENGINE.text(text) == text


@pytest.mark.parametrize(("text", "expected"), EXACT)
def test_nothing_but_the_secret_goes(text: str, expected: str) -> None:
    """The words around a secret stay, and a second pass changes nothing."""
    once = ENGINE.text(text.replace("@", VALUES[0]))
    assert once == expected
    assert ENGINE.text(once) == expected


def test_words_are_told_from_capitals_by_chance() -> None:
    """Names in any case style are words."""
    assert all(map(is_wording, ("New password", "createdAt", "snake_case", "Le mot de passe")))
    assert is_random("Autumn_" + "KqXwZv")
    assert not is_wording("Autumn_" + "KqXwZv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~bob/notes.txt", "~/notes.txt"),
        ("\x1b[33m/mnt/a/b.txt\x1b[0m", "\x1b[33mb.txt\x1b[0m"),
        ('open("/mnt/x,y/alpha/f.txt")', 'open("f.txt")'),
        ("/srv/alpha's/b/f.txt", "f.txt"),
        ("/srv/a.txt,/srv/b.txt", "a.txt,b.txt"),
        ("arp 0011.22aa.bbcc", "arp [redacted:mac]"),
        ("https://x.io/a?password=q8s7" + "d6#top", "https://x.io/a?password=[redacted:url-parameter]#top"),
    ],
)
def test_paths_and_addresses_in_odd_places(text: str, expected: str) -> None:
    """What surrounds a finding stays, and nothing of the finding."""
    assert ENGINE.text(text) == expected


@pytest.mark.parametrize("length", range(12, 36, 4))
def test_a_token_that_was_cut_is_gone(length: int) -> None:
    """A limit of length leaves the beginning of a token, which is masked too."""
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2"
    assert token[5:length] not in ENGINE.text(f"pushed with {token[:length]}")


ESCAPE = "\x1b["
TOKEN = "glpat" + "-" + "aB3dE6gH9jK2mN5pQ8sT"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{ESCAPE}1m{TOKEN}{ESCAPE}0m", f"{ESCAPE}1m[redacted:gitlab-token]{ESCAPE}0m"),
        (f"{ESCAPE}0;32mpassword=hunter2{ESCAPE}0m done", f"{ESCAPE}0;32mpassword=[redacted:secret]{ESCAPE}0m done"),
        (f"password={ESCAPE}0;32mhunter2{ESCAPE}0m", f"password={ESCAPE}0;32m[redacted:secret]{ESCAPE}0m"),
        (f"{ESCAPE}33mada" + "@" + f"example.com{ESCAPE}K", f"{ESCAPE}33m[redacted:email]{ESCAPE}K"),
        (f"{ESCAPE}1mq.quill{ESCAPE}0m built it", f"{ESCAPE}1m[redacted:user]{ESCAPE}0m built it"),
        (f"{ESCAPE}32mPASSED{ESCAPE}0m 12 tests", None),
        ("password:" + " " * 20 + "hunter2", "password:" + " " * 20 + "[redacted:secret]"),
        ("password" + " " * 20 + "= 'hunter2'", "password" + " " * 20 + "= '[redacted:secret]'"),
        ("adminpass: hunter2", "adminpass: [redacted:secret]"),
        ("default_pass = hunter2", "default_pass = [redacted:secret]"),
    ],
)
def test_colours_and_columns(text: str, wanted: str | None) -> None:
    """A terminal's sequence is a boundary and stays; columns may be far apart."""
    engine = Redactor(home="/home/q.quill", user_name="q.quill", host_name="")
    redacted = engine.text(text)
    assert redacted == (text if wanted is None else wanted)
    assert engine.text(redacted) == redacted
