"""Secrets that their shape or their place gives away: encoded ones, headers, URLs, assignments, flags, prose, cuts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Raw, planted, some
from tests.redaction.corpus.made import BASE62, BASE64, HEX, NAMES, URL64, WORDS

_LABELS = (
    "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "DSA PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK",
)  # fmt: skip


def encoded(rng: Random) -> Iterator[Raw]:
    """Yield JSON Web Tokens, private keys in PEM and public SSH keys."""
    for form in (
        "§",
        "got § from the server",
        '{"jwt_text": "§"}',
        "令牌§。",
        "validate(§)",
        "'§' expired",
        "cut at §,",
    ):
        yield Raw(planted(form, made.jwt(rng)))
        yield Raw(planted(form, made.jwt(rng, "RS256")))
    for label in _LABELS:
        yield Raw(made.pem(rng, label))
        yield Raw(f"wrote key:\n{made.pem(rng, label)}\ndone")
        yield Raw(json.dumps({"file": "a", "data": made.pem(rng, label)}, ensure_ascii=False))
        yield Raw(made.pem(rng, label, newline="\r\n"))
    yield Raw(f'PEM_TEXT="{made.pem(rng, "RSA PRIVATE KEY", newline=chr(92) + "n")}"')
    yield Raw("-> " + made.pem(rng, "EC PRIVATE KEY", lines=2, newline=" ") + " <-")
    for kind, head, size in (
        ("ssh-rsa", "AAAAB3NzaC1yc2EAAAADAQABAAABgQ", 300),
        ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAI", 43),
        ("ecdsa-sha2-nistp256", "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB", 86),
    ):
        for form in ("§", "added § to the agent", "keys:\n  - §\n"):
            yield Raw(form.replace("§", f"⟨{kind} ⟩⟦{head + some(rng, BASE64, size)}⟧"))


HEADERS = (
    "Authorization: ⟨Bearer ⟩§", "authorization: ⟨bearer ⟩§", "Authorization: ⟨Basic ⟩§", "Authorization: ⟨token ⟩§",
    "Authorization: ⟨ApiKey ⟩§", "Proxy-Authorization: ⟨Basic ⟩§", "X-API-Key: §", "x-api-key: §", "X-Auth-Token: §",
    "X-Amz-Security-Token: §", "X-Vault-Token: §", "PRIVATE-TOKEN: §", "X-CSRF-Token: §", "api-key: §",
    "Ocp-Apim-Subscription-Key: §", "X-Goog-Api-Key: §",
    "Authorization: ⟨Digest ⟩⟨username=\"Mufasa\", response=\"⟩§⟨\"⟩",
    "Authorization: ⟨SSWS ⟩§", "X-Shopify-Access-Token: §", "DD-API-KEY: §", "X-Gitlab-Token: §",
    "Authorization: ⟨AWS4-HMAC-SHA256 ⟩⟨Credential=AK/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=⟩§",
)  # fmt: skip
HEADER_CARRIERS = (
    "§", "curl -H '§' https://api.example.com/v1/rows",
    "GET /v1/rows HTTP/1.1\r\nHost: example.com\r\n§\r\nAccept: */*",
    "sent §\nand got 401", '> §\n< HTTP/2 200', 'curl --header "§" -X POST https://example.com/a',
)  # fmt: skip
COOKIES = (
    "Cookie: ⟨session=⟩§", "Set-Cookie: ⟨sid=⟩§⟨; Path=/; HttpOnly⟩", "cookie: ⟨theme=dark; auth_token=⟩§",
    "Set-Cookie: ⟨__Host-sess=⟩§⟨; Secure; SameSite=Lax⟩", "Cookie: ⟨csrftoken=⟩§⟨; lang=en⟩",
)  # fmt: skip
OBJECT_HEADERS = (
    "{{'Authorization': '⟨Bearer ⟩§', 'Accept': 'text/html'}}", '{{"X-Api-Key": "§", "Accept": "text/html"}}',
    "headers={{'Cookie': '⟨sid=⟩§'}}", '{{"authorization": "⟨Basic ⟩§"}}',
    "[('Authorization', '⟨Token ⟩§'), ('Accept', '*/*')]",
)  # fmt: skip


def _credential(rng: Random) -> str:
    return rng.choice((some(rng, BASE62, 40), some(rng, HEX, 32), some(rng, URL64, 64), made.standard64(rng, 27)))


def headers(rng: Random) -> Iterator[Raw]:
    """Yield request headers and cookies, alone, in commands, in requests and in mappings written out."""
    for header in HEADERS:
        secret = _credential(rng)
        yield Raw(planted(header, secret))
        yield Raw(rng.choice(HEADER_CARRIERS[1:]).replace("§", planted(header, secret)))
    for cookie in COOKIES:
        yield Raw(planted(cookie, _credential(rng)))
        yield Raw("response:\n" + planted(cookie, made.machine(rng, 32)) + "\nServer: nginx")
    for form in OBJECT_HEADERS:
        yield Raw(planted(form.replace("{{", "{").replace("}}", "}"), made.machine(rng, 36)))


URLS = (
    "https://⟨svc:⟩§@git.example.com/team/tool.git", "https://⟦%U⟧⟨:⟩§@example.com",
    "https://⟨oauth2:⟩§@gitlab.com/a/b.git",
    "https://§@github.com/acme/tool.git", "postgresql://⟨app:⟩§@db.internal:5432/orders", "redis://⟨:⟩§@cache:6379/0",
    "mysql+pymysql://⟨root:⟩§@mysql:3306/shop?charset=utf8", "mongodb+srv://⟨app:⟩§@c0.abcde.mongodb.net/prod",
    "amqp://⟨guest:⟩§@rabbit:5672/%2f", "https://§@o4501.ingest.sentry.io/4502",
    "ftp://⟨deploy:⟩§@files.example.org/pub",
    "https://app.example.com/cb?access_token=§&page=2", "https://app.example.com/cb?page=2&token=§",
    "https://maps.example.com/api/js?key=§&v=3", "https://x.example.com/a?api_key=§#top",
    "/oauth/callback?code=§&state=⟨s1⟩",
    "https://files.example.com/x.csv?sig=§&se=2026-01-01", "https://b.s3.amazonaws.com/x?X-Amz-Signature=§",
    "https://x.example.com/login#access_token=§&token_type=bearer", "wss://stream.example.com/v2?apikey=§",
    "https://example.com/reset?password=§", "https://example.com/x?client_secret=§&grant_type=refresh",
    "https://hooks.slack.com⟨/services/T%D/B%D/⟩§", "https://discord.com⟨/api/webhooks/91%D/⟩§",
    "jdbc:postgresql://db:5432/shop?user=⟨app⟩&password=§", "clickhouse://⟨default:⟩§@ch:9000/logs",
    "smtp://⟨mailer:⟩§@mail.example.com:587", "sqlserver://⟨sa:⟩§@sql:1433;database=shop", "snowflake://⟨u:⟩§@acct/db",
    "git+https://⟨bot:⟩§@github.com/acme/tool@main",
)  # fmt: skip
URL_CARRIERS = (
    "§",
    "cloning § into tool",
    "connect to '§' failed",
    '{"url_text": "§"}',
    "<§>",
    "see §, then retry",
    "at §.",
)
PAIRS = (
    "Server=sql.example.com;Database=shop;User Id=⟨app⟩;Password=§;Encrypt=true",
    "host=db dbname=shop user=⟨app⟩ password=§",
    "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=§;EndpointSuffix=core.windows.net",
    "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§",
    "Driver={x};Pwd=§;Port=1433",
    "HostName=h.azure-devices.net;DeviceId=d1;SharedAccessKey=§",
    "Server=db;Pwd=§;Connection Timeout=30;Encrypt=True", "Server=db;Password=§;Max Pool Size=5;Application Name=shop",
    "AccountName=shop;AccountKey=§;Blob Endpoint=https://h9.example.com/", "Pwd=§;Trust Server Certificate=True",
)  # fmt: skip

# Where a database is: below a key that says so, too, only what logs in to it goes.
PLACES = (
    "postgres://⟨app:⟩§@db.example.com/shop",
    "mongodb://⟨app:⟩§@db1.example.com,db2.example.com/shop?replicaSet=r",
    "Server=sql.example.com;Pwd=§;Connect Timeout=30",
)


def urls(rng: Random) -> Iterator[Raw]:
    """Yield URLs with credentials or secret parameters, and connection strings."""
    for form in URLS:
        for carrier in (URL_CARRIERS[0], rng.choice(URL_CARRIERS[1:])):
            secret = some(rng, BASE62, 30) if "hooks" in form else made.machine(rng, rng.randrange(14, 40))
            whole = planted(form, secret).replace("⟦%U⟧", f"⟨{rng.choice(NAMES)}⟩")
            yield Raw(carrier.replace("§", whole.replace("%D", some(rng, "123456789", 8))))
    for form in PAIRS:
        yield Raw(planted(form, made.standard64(rng, 64) if "Account" in form else made.machine(rng, 24)))
        yield Raw("config: " + planted(form, made.machine(rng, 24)))
    for form in PLACES:
        whole = planted(form, made.machine(rng, 20))
        for key in ("dsn", "app.connection_string"):
            yield Raw(whole, key)
            yield Raw(json.dumps({key: whole, "n": 1}, ensure_ascii=False))
        yield Raw(f'DATABASE_DSN="{whole}"')


ASSIGNMENTS = (
    "password=§", "DB_PASSWORD=§", "export API_KEY=§", "export GITHUB_TOKEN='§'", 'SECRET_KEY="§"', "password: §",
    "  api_key: '§'\n", 'client_secret = "§"', '{"password": "§"}', "{'auth_token': '§'}", '"accessToken":"§",',
    "spring.datasource.password=§", "aws_secret_access_key = §", "//registry.example.com/:_authToken=§",
    "machine git.example.com login ⟨x⟩ password §", "<password>§</password>", '<add key="ApiKey" value="§" />',
    "db.passwd := \"§\"", "const apiKey = '§';", "let token = `§`;", 'private static final String PASSWORD = "§";',
    "os.environ['SECRET_KEY'] = '§'", "$env:API_TOKEN = \"§\"", "set DB_PASS=§", "ENV DB_PASSWORD=§", "ARG NPM_TOKEN=§",
    "password = '§'  # local", 'connect(user=⟨"app"⟩, password="§", port=5432)', "apiKey: \"§\", region: \"eu\"",
    "%{\"refreshToken\" => \"§\"}", "'secret' => '§',", "encryption_key = b'§'", "PASSPHRASE=§;",
    "MYSQL_ROOT_PASSWORD: §",
    "define('AUTH_KEY', '§');", "setx OPENAI_API_KEY \"§\"", "[auth]\ntoken = §\nurl = x", "jwt_secret: |\n  §\n",
    "data: {\"x\": 1, \"privateKey\": \"§\"}", "passwd=§ retries=3", "Password : §", "AUTH_TOKEN=§ make deploy",
    "\\\"password\\\": \\\"§\\\"", "SET PASSWORD = '§'", "IDENTIFIED BY '§'", "db_pwd=§", "webhook_secret=§", "pwd: §",
    "accountKey=§", "access-token: §", "session_token=§", "signing_key = \"§\"", "-e POSTGRES_PASSWORD=§ postgres:16",
    "?password=§&x=1", "config.api_token = '§'", "app.config['SECRET_KEY'] = '§'", "credentials: §",
    "oauth_token=\"§\"", "csrftoken=§", "sessiontoken = '§'", 'sessionid="§"', "signingkey=§",
)  # fmt: skip
BEFORE = ("", "", "", "step 3: ", "loaded ", "while reading config: ", "2026-03-01T10:00:00Z INFO ")


def assignments(rng: Random) -> Iterator[Raw]:
    """Yield names that mean a secret and the value given to them, as many languages and files write it."""
    for form in ASSIGNMENTS:
        yield Raw(rng.choice(BEFORE) + planted(form, made.human(rng)))
        yield Raw(rng.choice(BEFORE) + planted(form, made.machine(rng)))


FLAGS = (
    "mytool --password § run", "mytool --password=§ run", "deploy --token § --verbose", "deploy --token=§",
    "curl -u ⟨ada:⟩§ https://example.com", "curl --user ⟨ada:⟩§ https://example.com/x", "mysql -u ⟨root⟩ -p§ shop",
    "docker login -u ⟨bot⟩ -p § registry.example.com", "sshpass -p § ssh web", "psql --password='§' shop",
    "helm install x --set db.password=§", "tool --auth-token § x", "aws configure set aws_secret_access_key §",
    "twine upload -u __token__ -p § dist/x.whl", "--api-key §", "--client-secret=\"§\"", "['tool', '--password', '§']",
    '["tool", "--token=§", "-v"]', "--secret-key § --region eu",
    "kubectl create secret generic x --from-literal=password=§",
    "ansible-playbook x.yml --extra-vars 'db_password=§'", "redis-cli -a § ping", "mongo -u ⟨a⟩ -p § shop",
    "wget --http-password=§ https://example.com", "openssl rsa -passin pass:§ -in key.pem", "tool --access-token § x",
    "net use Z: server1 /user:⟨ada⟩ /password:§", "tool /token:§", "rclone --sftp-pass § ls", "unzip -P § a.zip",
    "smbclient -U ⟨ada%⟩§ share", "tool -password § -v", "npm config set _authToken §",
    "git -c http.extraHeader='Authorization: ⟨Bearer ⟩§' pull",
    "curl -b '⟨lang=en; sid=⟩§' https://h9.example.com/x", 'curl -sb "⟨sid=⟩§⟨; lang=en⟩" https://h9.example.com',
    "curl --cookie '⟨a=1; csrftoken=⟩§' https://h9.example.com",
)  # fmt: skip


def flags(rng: Random) -> Iterator[Raw]:
    """Yield command lines that carry a secret."""
    for form in FLAGS:
        yield Raw(planted(form, made.human(rng)))
        yield Raw(rng.choice(("$ ", "ran: ", "failed: ", "")) + planted(form, made.machine(rng)))


# Of commands that few know.
LOGINS = (
    "https -a ⟨bo:⟩§ example.com", "xfreerdp /u:⟨bo⟩ /p:§ /v:h9", "lftp -u ⟨bo⟩,§ ftp.example.com",
    "rpcclient -U ⟨bo⟩%§ h9", "snmpwalk -v3 -u ⟨bo⟩ -A § h9", "docker login -u ⟨bo⟩ --password-stdin <<< '§'",
    "sudo -S ls <<< \"§\"", "curl -sSu '⟨bo:⟩§' example.com",
    "sqlplus ⟨bo⟩/§@h9", "psexec.py corp/⟨bo⟩:§@h9", "ipmitool -H h9 -U ⟨bo⟩ -P § status",
)  # fmt: skip


def logins(rng: Random) -> Iterator[Raw]:
    """Yield command lines with a password in a place of their own, and passwords of several words."""
    for form in LOGINS:
        yield Raw(planted(form, made.machine(rng)))
    words = " ".join(("three", "small", f"otters{rng.randrange(10, 100)}"))
    for form in ("curl -u '⟨bo:⟩§' example.com", "mysql -u bo -p'§' shop", 'sshpass -p "§" ssh h9'):
        yield Raw(planted(form, words))
    for value in ("⟨sid=⟩§", "⟨lang=en; sid=⟩§", "⟨sid=⟩§⟨; csrftoken=Jd83hGqT⟩"):
        yield Raw(["curl", "-b", planted(value, made.machine(rng)), "https://h9.example.com/x"])
    for command in (["curl", "-u", "⟨bo:⟩§", "x"], ["sshpass", "-p", "§", "ssh"], ["mysql", "⟨-p⟩§"]):
        yield Raw([planted(word, words) for word in command])
    yield Raw(["xfreerdp", "/u:h9", planted("⟨/p:⟩§", made.machine(rng)), "/v:h9"])


PROSE = (
    "the password is §", "my password is § by the way", "password: §, please change it", "use the password § to log in",
    "The API key is §.", "here is the token: §", "his passphrase was § until May", "temporary password: §",
    "log in with password \"§\" once", "the secret key is '§'", "api key § was revoked",
    "your new password is § - welcome",
    "I set the admin password to §", "password changed to §", "the token is § (expires soon)",
    "login: ⟨ada⟩, password: §",
    "username ⟨ada⟩ password §", "wifi password is §, guest net", "Passwort: §", "mot de passe : §", "contraseña: §",
    "密码是 §", "пароль: §", "hasło: §", "パスワード: §", "the client secret is §", "auth token = §",
    "PIN is ⟨code⟩ and password is §",
)  # fmt: skip


def prose(rng: Random) -> Iterator[Raw]:
    """Yield sentences that tell a secret."""
    for form in PROSE:
        yield Raw(planted(form, made.machine(rng, 14)))
        yield Raw(planted(form, f"{rng.choice(WORDS).title()}{rng.randrange(100, 9999)}{rng.choice('!#$')}"))


CUT = (
    '{"user_count": 3, "password": "§', "{'token': '§", '{"a": {"clientSecret": "§', "Authorization: ⟨Bearer ⟩§",
    "https://example.com/x?access_token=§", "postgresql://⟨app:⟩§", '--password "§', "password='§", 'api_key: "§',
    '{"headers": {"Authorization": "⟨Basic ⟩§', "Set-Cookie: ⟨sid=⟩§", "[\"--token\", \"§", "<password>§",
)  # fmt: skip


def cuts(rng: Random) -> Iterator[Raw]:
    """Yield values that a length limit cut off: half JSON, half keys, half tokens."""
    for form in CUT:
        yield Raw(planted(form, made.machine(rng, 20)))
        # An `@` in a password ends the credentials of an URL that lacks its own.
        cut = made.machine(rng, 16) if "://" in form else made.human(rng)
        yield Raw("run 7 " + planted(form, cut))
    for label in _LABELS:
        yield Raw("key is " + made.pem(rng, label, lines=rng.randrange(1, 9), end=False))
        yield Raw(f'{{"data": "{made.pem(rng, label, lines=3, newline=chr(92) + "n", end=False)}')
    for size in (60, 100, 150):
        yield Raw(planted("got §", made.jwt(rng)[:size]))
    for prefix in ("gh" + "p_", "sk" + "-ant-api03-", "glp" + "at-", "sk" + "-proj-", "np" + "m_", "github" + "_pat_"):
        yield Raw(planted('{"note": "with §', prefix + some(rng, BASE62, 18)))
