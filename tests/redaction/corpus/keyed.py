"""Values whose key says that they are private, in each case style; and private things deep inside a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Raw, planted
from tests.redaction.corpus.made import NAMES, WORDS

STYLES: tuple[Callable[[list[str]], str], ...] = (
    "_".join,
    "-".join,
    ".".join,
    " ".join,
    lambda words: words[0] + "".join(word.title() for word in words[1:]),
    lambda words: "".join(word.title() for word in words),
    lambda words: "_".join(words).upper(),
    lambda words: "-".join(word.title() for word in words),
    lambda words: "X-" + "-".join(word.title() for word in words),
    lambda words: "app.config." + "_".join(words),
    lambda words: "my" + "".join(word.title() for word in words),
)
SECRET_KEYS = (
    "password", "passwd", "passphrase", "secret", "client secret", "api key", "access token", "refresh token",
    "auth token",
    "private key", "secret key", "credentials", "authorization", "session token", "bearer token", "db password",
    "encryption key", "signing key", "webhook secret", "cookie", "csrf token", "api token", "access key",
    "aws secret access key",
    "user password", "id token", "set cookie", "proxy authorization", "jwt", "otp secret", "root password",
    "smtp password",
)  # fmt: skip
# As they are known, case and all.
KNOWN_SECRET_KEYS = (
    "apikey", "accesstoken", "clientsecret", "http.request.header.authorization", "http.request.header.cookie",
    "PGPASSWORD",
    "http.response.header.set-cookie", "GITHUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "dbPassword",
    "authToken",
    "db.password", "secretkey", "privatekey", "MYSQL_PWD", "x-api-key", "user_pass", "pwd", "oldPassword",
    "passwordHash", "csrftoken", "sessiontoken", "sessionid", "signingkey",
    "password1", "newPassword2", "APIKey", "userAPIKey", "OAuthToken", "auth",
)  # fmt: skip
PERSON_KEYS = (
    "email", "user email", "username", "user name", "full name", "first name", "last name", "phone", "phone number",
    "ip address", "client ip", "date of birth", "ssn", "home address", "credit card", "card number", "iban",
    "passport number",
)  # fmt: skip
KNOWN_PERSON_KEYS = (
    "client.address", "user.email", "user.full_name", "http.client_ip", "net.peer.ip", "customerEmail",
    "userEmail", "emailAddress", "firstName", "lastname", "mobile_number", "dob", "login_name",
)  # fmt: skip


def _person(rng: Random, key: str) -> str:
    name = rng.choice(NAMES).title()
    if "email" in key.lower():
        return f"{name.lower()}@{rng.choice(WORDS)}.example"
    if any(word in key.lower() for word in ("phone", "mobile")):
        return "0" + made.some(rng, made.DIGITS, 9)
    if any(word in key.lower() for word in ("ip", "client.address")):
        return made.ipv4(rng)
    if any(word in key.lower() for word in ("card", "iban", "ssn", "passport")):
        return made.some(rng, made.UPPERNUM, 11)
    if "birth" in key or key == "dob":
        return f"19{rng.randrange(50, 99)}-0{rng.randrange(1, 9)}-1{rng.randrange(0, 9)}"
    return f"{name} {rng.choice(WORDS).title()}son"


def secret_keys(rng: Random) -> Iterator[Raw]:
    """Yield ordinary words under keys that mean a secret."""
    for words in SECRET_KEYS:
        for style in rng.sample(STYLES, 3):
            yield Raw(planted("§", made.human(rng)), style(words.split()))
    for key in KNOWN_SECRET_KEYS:
        yield Raw(planted("§", f"{rng.choice(WORDS)} {rng.choice(NAMES)}"), key)


def person_keys(rng: Random) -> Iterator[Raw]:
    """Yield values under keys that mean a person."""
    for words in PERSON_KEYS:
        for style in rng.sample(STYLES[:8], 2):
            yield Raw(planted("§", _person(rng, words)), style(words.split()))
    for key in KNOWN_PERSON_KEYS:
        yield Raw(planted("§", _person(rng, key)), key)


def _leaf(rng: Random) -> str:
    """Return a text with something private in it."""
    secret = made.machine(rng, 20)
    return rng.choice(
        (
            planted("export API_KEY=§", secret),
            planted("with § now", "gh" + "p_" + made.some(rng, made.BASE62, 36)),
            planted("mail §", f"{rng.choice(NAMES)}@{rng.choice(WORDS)}.example"),
            planted("--token=§", secret),
            planted("reading §⟨/⟩rows.csv", f"/srv/{rng.choice(WORDS)}/{rng.choice(NAMES)}"),
        )
    )


def _inside(rng: Random, depth: int, leaf: object) -> object:
    """Return a leaf below a number of mappings, lists and tuples."""
    for _ in range(depth):
        word = rng.choice(WORDS)
        leaf = rng.choice(
            ({word: leaf, "count": 3}, [1, leaf, None], (True, leaf), {"page": "first", word: [leaf]}, [[word], leaf])
        )
    return leaf


def nested(rng: Random) -> Iterator[Raw]:
    """Yield private things inside mappings and sequences, in bytes, in names of members, in JSON in texts."""
    for depth in range(1, 13):
        for _ in range(2):
            yield Raw(_inside(rng, depth, _leaf(rng)), "payload")
    for depth in range(1, 6):
        yield Raw(_inside(rng, depth, {"password": f"⟦{made.human(rng)}⟧", "page": "two"}), "payload")
        yield Raw(_inside(rng, depth, {"email_count": 2, "userEmail": f"⟦{_person(rng, 'email')}⟧"}), "payload")
        text = json.dumps(_inside(rng, depth, {"apiKey": f"⟦{made.human(rng)}⟧", "page": 2}), ensure_ascii=False)
        yield Raw(text, "body")
        yield Raw(json.dumps({"body": text, "n": 1}, ensure_ascii=False), "body")
        yield Raw({"secrets": {"first": f"⟦{made.human(rng)}⟧", "second": [f"⟦{made.human(rng)}⟧"]}}, "payload")
    for _ in range(4):
        yield Raw(_leaf(rng).encode(), "raw")
        yield Raw([_leaf(rng).encode(), b"fine"], "raw")
        yield Raw({f"⟦{rng.choice(NAMES)}@{rng.choice(WORDS)}.example⟧": 3, "other": 4}, "counts")
        yield Raw({planted("with § now", made.jwt(rng)): [1, 2.5, None, True]}, "counts")
        yield Raw((_leaf(rng), _leaf(rng), "plain words"), "process.command_args")
        yield Raw(["run", "--password", f"⟦{made.machine(rng)}⟧", "-v"], "process.command_args")
        for name in ("https://h9.example.com/?token=", "password=", "https://h9.example.com/?apikey="):
            beside = rng.choice(("https://docs.example.com/guide", "report-2026-03.csv", "v1.2.3", "src/main.py"))
            yield Raw([planted(f"{name}§", made.machine(rng)), beside], "payload")
        yield Raw({"name": "Authorization", "value": f"Bearer ⟦{made.machine(rng, 32)}⟧"}, "header")
