"""What must stay as it is: the harmless neighbours of everything private."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.redaction.corpus import made, neighbours
from tests.redaction.corpus.keyed import STYLES
from tests.redaction.corpus.kinds import Raw
from tests.redaction.corpus.made import NAMES, WORDS

# %w a word, %W another, %n a number, %h 8, %H 40 hexadecimal digits, %S 64 of them, %u a UUID, %b base64 of a SHA-256.
NAMES_AND_VERSIONS = (
    "token-counter", "basic-auth-demo", "password-generator", "secret-santa", "%w-token-%W", "jwt-decoder", "%w/%W",
    "@%w/%W",
    "%w==1.%n.2", "%w>=2.0,<3", "v%n.1.0", "%n.2.0rc1", "%n.0.0-beta.2+build.5", "python 3.11.7", "%w@1.2.%n",
    "pkg:pypi/%w@1.0.%n",
    "pkg:npm/%40%w/%W@2.1.0", "credential-helper", "oauth2-proxy", "%w_token_filter", "api-key-rotation-guide",
    "cookie-cutter %w",
    "feature/%w-%W", "release-2024.%n", "docker.io/library/%w:1.%n", "ghcr.io/%w/%W:latest", "%w.%W.Handler",
    "%w::%W", "Auth0 %w",
    "skill: %w", "Passkeys for %w", "keyboard-layout", "sk-learn-%w", "sk-SK", "hf_hub_%w", "npm_config_%w", "ghp-%w",
    "xox-%w",
    "pk-index-%w", "%w-secrets-manager", "SecretManagerServiceClient", "pypi-mirror-%w", "AKIA-style names",
    "key-value-%w", "re_%w_parser",
    "CamelCaseNameOf%wAnd%W", "cryptography==42.0.%n", "rk_optimizer", "x86_64-linux-gnu", "hermes-3-llama-%nb",
    "gpt-4o-2024-08-06",
    "claude-sonnet-4-20250514", "text-embedding-3-large", "meta-llama/Llama-3-%nB-Instruct",
)  # fmt: skip
IDS = (
    "%H", "%S", "sha256:%S", "sha1:%H", "sha512-%b%b==", "sha256-%b=", "%u", "urn:uuid:%u", "trace %h%h%h%h",
    "00-%h%h%h%h-%h%h-01", "commit %H",
    "%w@sha256:%S", "etag \"%h%h\"", "W/\"%h\"", "md5 %h%h%h%h", "session %u", "run-%h", "1719%n482913",
    "2026-03-0%n", "2026-03-01T10:2%n:00Z",
    "req_%h%h", "01HV%BX", "build %n of %h", "#%h", "0x%h", "blake2b:%S%S", "integrity=sha384-%b", "git+%H",
    "index %h..%h 100644", "%h%h%h%h",
    "id: %u, try 2", "objects/%h/%H", "tree %H parent %H", "resource %u deleted", "4%n7-1234-5678-9",
    "ISBN 978-3-16-14841%n-0", "12:3%n:59.123",
    "order 10002003004005%n", "1.%n.3", "chr1:12345-678%n", "epoch 17199999%n1", "%n0000000000000001",
    "job 4111111111111112", "gpg: key 5C1DE92A7B3F40E%n: not changed",
    "gpg: using RSA key 3FA9C2E7B1D045683FA9C2E7B1D045683FA9C2E%n",
)  # fmt: skip
PATHS_AND_ROUTES = (
    "%w/%W/file.py", "./%w/%W.py", "../%w/%W", "src/%w/**/*.py", "*.csv", "**/%w/*", "/review", "/%w", "/%w now",
    "run /%w please", "/users/{id}",
    "/users/{id}/%w", "/users/:id/%w", "/api/v1/%w/%n", "GET /%w/%W", "POST /api/%w/%W HTTP/1.1",
    "https://example.com/%w/%W?page=%n",
    "http://localhost:8080/%w", "https://docs.example.com/%w/#%W", "//cdn.example.com/%w.js", "s3://%w/%W/x.csv",
    "gs://%w/%W", "arn:aws:s3:::%w/%W/*",
    "arn:aws:iam::123456789012:role/%w", "abfss://%w@account.dfs.core.windows.net/%W", "git@github.com:%w/%W.git", "ssh://git@github.com/%w/%W.git",
    "application/json", "text/html; charset=utf-8",
    "image/svg+xml", "and/or", "%w/%W patterns", "client/server patterns", "1/2", "3/4 of %w", "24/7", "01/02/2026",
    "2026/03/01", "km/h", "n/a", "w/o %w",
    "%w / %W", "input/output error", "TCP/IP", "a/b testing", "read/write", "~/notes", "~/%w/%W.py", "%w\\n%W",
    "HKEY_CURRENT_USER", "\\d+/\\w+", "s/%w/%W/g",
    "<div>%w</div>", "<br/>", "</p>", "</%w>", "/^%w$/i", "node:internal/%w", "@scope/%w/%W", "docker://%w/%W",
    "http://127.0.0.1:%n000/", "::1", "127.0.0.1",
    "https://example.com/api/keys/%w", "https://example.com/login?next=/%w",
    "https://example.com/?q=%w+%W&page=2#top", "urn:isbn:0451450523", "HTTP/1.1 200",
    "Mozilla/5.0 (X11; Linux x86_64) Safari/537.36", "com.example/%w", "k8s.io/api/v1", "github.com/%w/%W",
    "origin/main", "refs/tags/v1.%n", "1//2",
    "postgresql://localhost/%w", "redis://localhost:6379/0", "sqlite:///:memory:",
    "postgresql://db.example.com:5432/%w", "mailto:", "data:,%w",
    "%w/%W: 3/4", "yes/no/maybe", "he/she", "(%w)/(%W)", "/(?P<%w>x)/", "//%w", "// comment on %w", "/* %w */",
    "# /%w", "docs/%w.md#L%n",
)  # fmt: skip
PROSE = (
    "how to reset a forgotten password", "password", "the password is required",
    "password must be at least %n characters", "tokens per second",
    "the token: a short story of %w", "invalid credentials", "enter your API key in the settings",
    "secret garden of %w", "no api key was given",
    "passwordless login for %w", "the secret is out", "password reset e-mail sent", "token expired",
    "authentication failed for %w", "please rotate your keys",
    "a key insight on %w", "bearer of good news", "basic authentication is deprecated", "cookies and cream",
    "an authorization header is missing",
    "sign in with a passkey", "private key not found", "your session has expired", "why tokens matter: an essay",
    "how do access tokens work?",
    "the keyword is %w", "secret ingredient: %w", "Password policy", "token count: %n", "tokens: %n",
    "max tokens = %n", "a pass: %n of 10", "key: %w",
    "keys: %w, %W", "auth: none", "what is an API key?", "secrets of %w cooking", "password strength meter",
    "the bearer token scheme", "passwords do not match",
    "forgot password?", "two-factor authentication enabled", "authorization: required", "token type: bearer",
    "no password set", "the password was changed",
    "set a password before you %w", "api key missing", "use a strong password", "password manager comparison",
    "Passwort vergessen", "contraseña olvidada",
    "忘记密码", "client secret rotation policy", "the credentials file is optional", "email the team about %w",
    "phone support is closed", "ask the author about %w",
    "home is where %w is", "the user said so", "port 8080 is in use", "call me maybe", "version 2.%n is out",
    "%w costs $%n.99", "it is 5 o'clock", "9 to 5",
    "Chapter 3.%n: %w", "on 1 March 2026 at 10:30", "10 000 rows in 3.%n s", "that is 50 % of %w",
    "%n,000,000 tokens", "score 0.87%n", "e.g. %w, i.e. %W",
    "Ω %w → %W", "🎉 %w done", "文件夹 %w", "naïve café %w", "line one\nline two\n\tindented %w", "- %w\n- %W\n",
    "# Title\n\nSome *%w* text.", "dot. Dot. %w.",
    "Use --verbose for more", "see section 4.%n.2", "ratio 16:9", "%n/%n tests passed", "token budget left: %n",
    "password: ", "token=", "secret: null",
)  # fmt: skip
CODE = (
    'password = os.environ["DB_PASSWORD"]', "if token is None:", "def login(username, password):", "password=None",
    "password: str", "token = get_token()",
    "${DB_PASSWORD}", "password: ${DB_PASSWORD}", "token: {{ secrets.TOKEN }}", "API_KEY=$API_KEY",
    "password=********", "apiKey: <your-api-key>", "password=",
    "token = request.headers['%w']", "SELECT password FROM users WHERE id = ?", "self.token = token",
    "const token = await getToken();", "tokens = tokenize(text)",
    "return password == other", "max_tokens=%n", "token_count=%n", "api_key: str | None = None",
    "password = input('%w? ')", "--max-tokens %n", "--token-limit=%n",
    "for key, value in %w.items():", "key = lambda row: row.%w", "sort(key=%w)", "primary_key=True", "author=%w",
    "x = a/b", "a+b=c", "f(%w)(%W)", "lambda x: x//2",
    "print(f'{%w}')", "import secrets", "from getpass import getpass", "hmac.compare_digest(a, b)",
    "SELECT %w FROM %W WHERE token_count > %n", "rows[%n:]",
    '{"a": 1.5, "b": [true, null]}', '{"token_count": %n, "%w": "%W"}', "[1, 2, 3]", '{"max_tokens": %n}',
    "{'author': '%w'}", "%w: %W, then %w", "{}", "[]",
    "#!%w", "$ make test", "pip install %w", "git checkout -b %w", "pytest -k password", "docker run --rm %w",
    "ls -la", "grep -r token src", "kubectl get secrets",
    "vault status", "npm run %w", "echo $PASSWORD", "export TOKEN=$(cat token.txt)", "export PASSWORD=\"$1\"",
    "password = getpass()", "secret = settings.SECRET",
    "token=${{ github.token }}", "password_hash = None", "PASSWORD_MIN_LENGTH = %n", "tokenizer='%w'",
    "@app.route('/login')", "class TokenCounter:", "enum Token { A }",
    "password: true", "auth: false", "secret=None", "token: undefined", "cookie=null", "assert token",
    "raise AuthError('token expired')", "my $token = shift @ARGV;", "const pickSecret = (x, y) => x.%w",
    "$secret = Get-Credential -%w", "pwd = input_secret('Type it: ')",
    "AUTH_PASSWORD_VALIDATORS = ['django.%w.Length']",
    "--token-bg: #102030;", "--secret-size: 1%npx;", "tokens_%w.txt: 100%|####| 9/9", "token.json: 1%nMB",
    "flag --token expects a value", "use --password instead of --token", "unexpected token: IDENT", "auth=ldap",
    "secrets:\n  - db_password\n  - api_key\n", "password:\n  - required\n  - min:8\n",
    "tokens = ['the', '%w', '%W']",
    "INSERT INTO u (name, password) VALUES (?, ?)", "token,count\nthe,35\n%w,2\n", "docker run -u 1000:1000 %w",
    "| token | meaning |\n|---|---|\n| IDENT | a name |", "    'private_key',\n    'public_key_%n',\n",
 "password: [redacted:secret]",
    "[redacted:email] wrote", "see [redacted:gh-token] in %w", "token: \"\"", "api_key = ''", "%w=%n", "key=%w",
    "password = <password>\nregion = eu", "api_key: <api-key>\nregion: eu", "password: <password>\n\nThen run %w.",
    "curl -H 'X-API-Key: <api-key>' https://h9.example.com/v1", "Authorization: Bearer <token>\nAccept: text/html",
    "dsn: sqlite:///%w.db", 'DATABASE_DSN="postgres://db.example.org/%w"', '{"dsn": "postgres://db.example.org/%w"}',
    '{"api_key": "${DB_PASSWORD}"}', '{"password": "<password>", "by": "%w"}', '{"token": ["$(A_%w)", "{{ %w }}"]}',
    "curl -b cookies.txt https://h9.example.com", "curl -b 'a=$A; b=$B' https://h9.example.com", "sessionid=%n",
    "passed=%n failed=0", "monkey=%w", "compass: %w",
)  # fmt: skip
SETS = {
    "benign names": (*NAMES_AND_VERSIONS, *neighbours.NAMES), "benign ids": IDS,
    "benign places": (*PATHS_AND_ROUTES, *neighbours.PLACES), "benign prose": (*PROSE, *neighbours.PROSE),
    "benign code": (*CODE, *neighbours.CODE),
}  # fmt: skip
KEYS = (
    "token count", "max tokens", "token type", "token limit", "password enabled", "password length",
    "password policy", "secret name", "key id", "api key id",
    "author", "authority", "keyboard", "monkey", "session id", "cookie count", "auth method", "authenticated",
    "credential type", "has password", "tokenizer",
    "keywords", "primary key", "foreign key", "sort key", "cache key", "partition key", "hotkey", "bypass",
    "pass rate", "passed", "compass", "email count",
    "phone model", "ip version", "user count", "user type", "user agent name", "card type", "token valid",
    "password valid", "secretary", "author name",
    "input tokens", "output tokens", "usage output tokens", "access token expires in", "key count", "mail type",
    "address count", "artifact name", "passenger count",
)  # fmt: skip


def fill(rng: Random, template: str) -> str:
    """Return a template with its placeholders filled."""
    one, two = rng.sample(WORDS, 2)
    for mark, make in (
        ("%H", lambda: made.hexes(rng, 40)), ("%S", lambda: made.hexes(rng, 64)), ("%u", lambda: made.uuid(rng)),
        ("%h", lambda: made.hexes(rng, 8)),
        ("%b", lambda: made.some(rng, made.BASE64, 43)), ("%BX", lambda: made.some(rng, made.UPPERNUM, 22)),
        ("%n", lambda: str(rng.randrange(1, 10))),
        ("%w", lambda: one), ("%W", lambda: two),
    ):  # fmt: skip
        while mark in template:
            template = template.replace(mark, make(), 1)
    return template


def texts(rng: Random, group: str) -> Iterator[Raw]:
    """Yield the harmless texts of a group."""
    for template in SETS[group]:
        key = rng.choice(("usage.metadata.note", "query", "usage.artifact.name", "message"))
        yield Raw(fill(rng, template), key)


def keys(rng: Random) -> Iterator[Raw]:
    """Yield ordinary values under keys that only sound private."""
    for words in KEYS:
        for style in rng.sample(STYLES[:8], 2):
            yield Raw(rng.choice(WORDS), style(words.split()))
    for key in (
        "token_count",
        "max_tokens",
        "api_key_count",
        "password_length",
        "gen_ai.usage.input_tokens",
        "retry-limit",
    ):
        yield Raw(rng.randrange(1, 10**6), key)
    for value in ("${DB_PASSWORD}", "${{ secrets.DB_PASSWORD }}", "{{ .Values.db.password }}", "%(name)s", "<api-key>"):
        yield Raw(value, "api_key")
        yield Raw({"password": value, "secrets": [value]}, "payload")
    yield Raw(made.uuid(rng), "session.id")
    yield Raw("Server=db;Database=shop;Integrated Security=True", "connection_string")
    for key in ("http.route", "url.path", "http.target"):
        yield Raw(f"/{rng.choice(WORDS)}/{rng.choice(WORDS)}/{rng.randrange(99)}", key)


def values(rng: Random) -> Iterator[Raw]:
    """Yield values of every type with nothing private in them."""
    word, other, name = rng.choice(WORDS), rng.choice(WORDS), rng.choice(NAMES)
    for value in (
        None, True, False, 0, 1, -7, 2**40, 1.5, -0.0, float("inf"), "", " ", b"", b"\x00\xff\xfe", b"plain bytes",
        [], {}, (), [[]], {"a": {}},
        [1, 2.5, None, True], (1, "two"), ["client/server", "and/or"], {"token_count": 3, "by": word},
        {"a": [{"b": [{"c": word}]}]},
        {"matches": [{"name": word, "score": 0.93, "rank": 1}, {"name": other, "score": 0.5, "rank": 2}]},
        [word, other], "\n", "\t\n ",
        {"limits": {"max_tokens": 100, "password_length": 12}}, {word: {other: [1, [2, [3, [4]]]]}},
        f"{word}\x00{other}", "\u200b", "🙂" * 5,
        {"1": "x", "2": ["y"]}, word * 60, f"{word} " * 80, {"author": name.title(), "authored": True},
        ["run", "--verbose", f"--{word}", "3"],
        [f"{word}/{other}.py", "*.md"], {"versions": ["1.2.3", "2.0.0rc1"]}, ["GET", "/users/{id}"],
        bytearray(b"plain"), 10**15,
    ):  # fmt: skip
        yield Raw(value, rng.choice(("payload", "usage.metadata.value", "detail")))
