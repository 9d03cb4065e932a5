"""What an attribute's key says of its value: a secret, a person, a path, a route, a version, or nothing.

A key is judged by whole words in any case style: ``apiKey``, ``X-API-Key``, ``db.password``. This module owns
the word lists; it knows neither values nor OpenTelemetry.
"""

from __future__ import annotations

from enum import Enum

from usagetrace.patterns import lazy
from usagetrace.redaction.rules import MARKER
from usagetrace.redaction.wordlist import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Kind(Enum):
    """What a key means for the value below it."""

    # Nothing: the value's own shape decides.
    PLAIN = "plain"
    # Anything below is masked.
    SECRET = "secret"  # noqa: S105 -- the name of a kind, not a secret
    # Anything below but a number is masked: it says who somebody is.
    PERSON = "person"
    # The whole value may be one path, spaces included.
    PATH = "path"
    # A value that starts with a slash is the path of an URL.
    ROUTE = "route"
    # Four numbers with dots are a version, not an address.
    VERSION = "version"

    # By identity: Enum's own hash is a function in Python, and kinds are looked up for each new text.
    __hash__ = object.__hash__


# One word of a key: ABC before Def, Abc or abc, letters of other scripts; digits don't belong to a word.
_WORD: Final = lazy(r"[A-Z]+(?![a-z])|[A-Z]?[a-z\u00df-\u024f]+|[^\W\d_A-Za-z\u00df-\u024f]+")

# All that is no letter of a key in lower case, each as a space.
_APART: Final = dict.fromkeys(set(range(128)) - set(range(ord("a"), ord("z") + 1)), " ")

# Characters without width, which a word may hold and nobody sees.
UNSEEN: Final = dict.fromkeys((0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF))

# Longest key, in characters, whose verdict is remembered, and most of them: texts use few names again and again.
_JUDGED_LENGTH: Final = 64
_JUDGED_LIMIT: Final = 4096
_judged: dict[str, Kind] = {}
_split: dict[str, tuple[str, ...]] = {}

# Words that mean a secret wherever they stand in a key.
_SECRET_WORDS: Final = words(
    """
    password passwords passwd pwd passphrase passcode secret secrets token tokens apikey apikeys credential
    credentials creds authorization cookie cookies bearer jwt cvv cvc csrf xsrf otp totp privkey passwort
    kennwort contraseña contrasena senha motdepasse wachtwoord hasło haslo пароль 密码 密碼 密钥 パスワード 비밀번호 dsn
    parola lösenord lösenordet losenord salasana şifre sifre heslo jelszó jelszo adgangskode passord
    bindpw rootpw requirepass masterauth psk authkey accesskey secretkey mnemonic
    """
)
# Run together without a sign of where one word ends: PGPASSWORD, xapikey.
_SECRET_TAILS: Final = (
    "password", "passwd", "passphrase", "apikey", "secretkey", "accesskey", "privatekey", "authtoken",
    "accesstoken", "refreshtoken", "apitoken", "idtoken", "bearertoken", "clientsecret", "appsecret", "dbpass",
    "secretkeybase", "storepass", "keypass", "storepasswd", "adminpass", "rootpass", "userpass", "mypass", "loginpass",
    "sudopass", "secret", "dbpwd", "mypwd", "userpwd", "adminpwd", "rootpwd", "newpwd",
    "sessiontoken", "csrftoken", "xsrftoken", "middlewaretoken", "usertoken", "devicetoken", "bottoken", "githubtoken",
    "gitlabtoken", "npmtoken", "securitytoken", "authenticitytoken", "verificationtoken", "logintoken", "jwttoken",
    "admintoken", "clienttoken", "servicetoken", "deploytoken", "resettoken", "pushtoken", "webtoken", "sastoken",
    "sessionkey", "signingkey", "encryptionkey", "decryptionkey", "masterkey", "sharedkey", "accountkey", "hmackey",
    "licensekey", "webhookkey", "authkey", "authcookie", "sessioncookie", "logincookie", "csrfcookie",
)  # fmt: skip
# `key` alone means nothing (cache_key, primary_key); after one of these it does.
_KEY_WORDS: Final = words(
    """
    api access secret private signing signature encryption decryption master ssh account storage service license
    licence deploy session shared preshared auth hmac gpg pgp aes rsa jwt recovery subscription webhook consumer app
    host crypto unseal functions function sentry instrumentation ingest ingestion write admin root wrapping activation
    stripe mailgun rapidapi sendgrid algolia openai anthropic twilio datadog newrelic azure gemini
    """
)
# Before `pass`, what has a password.
_PASS_WORDS: Final = words(
    """
    db database user mail smtp imap ftp sftp ssh admin root become sudo vault mysql pg postgres redis mongo ldap proxy
    auth http api app service account login my key keystore truststore cert ssl tls wifi wlan bind host server
    github gh gitlab azure ado devops npm registry default initial temp temporary current old new
    """
)
# Two words at the end of a key that mean a secret together.
_SECRET_PAIRS: Final = frozenset(
    [
        ("connection", "string"),
        ("connect", "sid"),
        ("conn", "str"),
        ("connection", "uri"),
        ("basic", "auth"),
        ("proxy", "auth"),
        ("http", "auth"),
        ("registry", "auth"),
        ("x", "auth"),
        ("rediscli", "auth"),
        ("recovery", "code"),
        ("verification", "code"),
        ("backup", "code"),
        ("backup", "codes"),
        ("recovery", "codes"),
        ("scratch", "codes"),
        ("verification", "codes"),
        ("key", "private"),
        ("private", "pem"),
        ("key", "pem"),
        ("access", "pat"),
        ("security", "code"),
        ("security", "answer"),
        ("pin", "code"),
        *(
            (word, "signature")
            for word in ("x", "amz", "goog", "hub", "webhook", "request", "url", "svix", "hmac", "sas")
        ),
        ("amz", "credential"),
        ("shared", "access"),
        ("access", "signature"),
        ("card", "number"),
        ("credit", "card"),
        ("debit", "card"),
        ("account", "number"),
        ("social", "security"),
        ("seed", "phrase"),
        ("de", "passe"),
        ("recovery", "phrase"),
        ("otp", "code"),
        ("key", "data"),
        ("art", "api"),
        ("security", "number"),
    ]
)
# Words that mean a secret or an identifying number only as the last word of a key. A web session's cookie is one, run
# together as it is sent; ``session.id`` in two words counts sessions.
_SECRET_ENDS: Final = words(
    "auth pass pat pw hmac salt sas pin ssn iban passport jsessionid phpsessid sessionid aspsessionid sessid"
)

# Last words under which a key with a secret's word holds something else: token_count, password_enabled.
_BENIGN_ENDS: Final = words(
    """
    count counts counter counted counting type types kind limit limits enabled disabled enable disable valid
    invalid validity id ids name names length len size max min total totals used usage use consumed remaining
    left budget rate cost price per ttl age expiry expires expired expiration expire at date time timestamp days
    hours minutes seconds ms duration url uri endpoint host port path file filename dir directory folder policy
    strength score level status state version versions format encoding algorithm alg algo hashing scheme method
    mode provider source manager store storage vault backend engine service server client issuer audience scope
    scopes required needed present missing exists set unset changed rotated rotation rotate reset prompt hint
    label title description desc help field fields column columns param parameter placeholder attempts retries
    failures errors error check checks checker checked found findings detected detection scanned scanner scan
    scanning masked redacted hidden visible shown consent banner domain samesite secure httponly bucket index
    position offset range estimate estimated average avg mean sum ratio percent pct threshold window throughput
    speed latency generator generated generation rules rule pattern patterns regex validator validation
    verification verified support supported supports plugin extension module class function test tests example
    examples template docs page view form input screen button flow step event events action actions metric
    metrics stats summary report list category group family tier plan option options config configuration
    settings setting input output stop end vocabulary vocab sha fingerprint prefix suffix env var variable ref
    reference identity arn alias owner role permission permissions stdin color colour size background bg fg border class
    classname in map maps command commands cmd anzahl zahl länge nombre número numero cantidad
    """
)
# The same, more than one meaning: only with these before does a plural `tokens` mean a number of tokens.
_COUNT_STARTS: Final = words(
    """
    max min total input output prompt completion cached cache reasoning used num n count avg mean remaining
    context thinking audio image text generated consumed billed estimated limit per sum accepted rejected
    prediction sampled new extra first last model llm
    """
)
# First words of a yes or no: has_password, requires_token, no_auth.
_QUESTIONS: Final = words(
    """
    has is no not use uses using needs need require requires required should show skip allow allows enable
    enables disable disables without with supports ask want hide ignore check validate verify num max min count
    total permit permits deny denies preserve accept accepts
    """
)

# Last word or words of a key that mean a person.
_PERSON_ENDS: Final = words(
    """
    email emails username usernames login phone mobile telephone tel fax surname forename firstname lastname
    fullname birthday birthdate dob user mail
    """
)
_PERSON_PAIRS: Final = frozenset(
    [
        ("user", "name"),
        ("first", "name"),
        ("last", "name"),
        ("full", "name"),
        ("family", "name"),
        ("given", "name"),
        ("middle", "name"),
        ("maiden", "name"),
        ("nick", "name"),
        ("display", "name"),
        ("real", "name"),
        ("login", "name"),
        ("customer", "name"),
        ("patient", "name"),
        ("employee", "name"),
        ("e", "mail"),
        ("email", "address"),
        ("mail", "address"),
        ("home", "address"),
        ("street", "address"),
        ("postal", "address"),
        ("billing", "address"),
        ("shipping", "address"),
        ("ip", "address"),
        ("mac", "address"),
        ("phone", "number"),
        ("passport", "number"),
        ("passport", "no"),
        ("tax", "number"),
        ("tax", "id"),
        ("national", "id"),
        ("license", "number"),
        ("licence", "number"),
        ("insurance", "number"),
        ("mobile", "number"),
        ("tel", "number"),
        ("date", "birth"),
        ("birth", "date"),
        ("of", "birth"),
        ("process", "owner"),
        ("host", "name"),
        ("host", "id"),
        ("host", "ip"),
        ("host", "mac"),
        ("machine", "id"),
        ("client", "ip"),
        ("remote", "ip"),
        ("peer", "ip"),
        ("ssh", "user"),
    ]
)
# What has a full or a displayed name without being a person.
_THINGS: Final = words(
    """
    service class method type function repo repository project module package resource field column table test file
    metric dataset model group channel policy pool chart dashboard rule job task queue topic bucket workspace folder
    space product node.type sku region plan role template view report pipeline
    """
)
# Single words that a number doesn't make harmless: they are numbers by nature.
_NUMBERS: Final = words(
    """
    phone mobile telephone tel fax number ssn birth birthday birthdate dob pin
    """
)

_ROUTE_WORDS: Final = words(
    """
    url uri route routes endpoint href link http rpc referer referrer location
    """
)
_PATH_WORDS: Final = words(
    """
    path paths file files filename dir directory folder cwd workdir workspace executable home root
    """
)


def words_of(key: str) -> tuple[str, ...]:
    """Return the lower-case words of a key written in any case style."""
    if key.isascii() and key == key.lower():
        # The usual style, told without a pattern: it would be the only one that a short command compiles.
        return tuple(key.translate(_APART).split())
    found = _split.get(key)
    if found is None:
        found = tuple(word.lower() for word in _WORD.findall(key))
        if len(key) <= _JUDGED_LENGTH:
            if len(_split) >= _JUDGED_LIMIT:
                _split.clear()
            _split[key] = found
    return found


def kind_of(key: str) -> Kind:
    """Say what a key means for the value below it; the verdict on a short key is remembered.

    Args:
        key: An attribute's, a mapping's or an assignment's key, of any length.
    """
    kind = _judged.get(key)
    if kind is None:
        kind = _judge(key)
        if len(key) <= _JUDGED_LENGTH:
            if len(_judged) >= _JUDGED_LIMIT:
                _judged.clear()
            _judged[key] = kind
    return kind


def _judge(key: str) -> Kind:
    if "[redacted:" in key:
        # A rule's name is no word of the key.
        key = MARKER.sub("_", key)
    if not key.isascii():
        key = key.translate(UNSEEN)
    words = words_of(key[-256:])
    if not words:
        return Kind.PLAIN
    if _is_secret(words):
        return Kind.SECRET
    last = words[-1]
    if (last in _PERSON_ENDS or words[-2:] in _PERSON_PAIRS) and not _is_of_thing(words):
        return Kind.PERSON
    found = set(words)
    if found & _ROUTE_WORDS:
        return Kind.ROUTE
    if "version" in found or "versions" in found:
        return Kind.VERSION
    return Kind.PATH if last in _PATH_WORDS else Kind.PLAIN


def _is_of_thing(words: tuple[str, ...]) -> bool:
    """Say whether a name that people have is a thing's, or the question whether there is one."""
    return (words[-1] == "name" and not _THINGS.isdisjoint(words[:-2])) or words[0] in ("permit", "deny")


def is_number_of_person(key: str) -> bool:
    """Say whether a number below this key identifies somebody, as a phone number does."""
    return bool(_NUMBERS.intersection(words_of(key[-256:])))


def is_count(key: str) -> bool:
    """Say whether a number below this secret-looking key is only a quantity: ``tokens``, ``secrets``."""
    words = words_of(key[-256:])
    return bool(words) and words[-1] in {"tokens", "secrets", "cookies", "passwords"}


def is_secret_phrase(before: str, word: str) -> bool:
    """Say whether two words of prose before a colon mean a secret together: ``API key: ...``."""
    if before.endswith("]"):
        return False
    pair = (*words_of(before[-64:])[-1:], *words_of(word[-64:])[-1:])
    if len(pair) != 2:
        return False
    return pair in _SECRET_PAIRS or (pair[1] == "key" and pair[0] in _KEY_WORDS)


def _is_secret(words: tuple[str, ...]) -> bool:
    last = words[-1]
    if words[-2:] in _SECRET_PAIRS or words == ("signature",):
        return True
    if last in _BENIGN_ENDS or (len(words) > 1 and words[0] in _QUESTIONS and last != "key"):
        return False
    if "per" in words or "details" in words or ("expires" in words and last == "in"):
        return False
    if last == "tokens" and len(words) > 1 and words[-2] in _COUNT_STARTS:
        return False
    if last in _SECRET_ENDS and (last != "auth" or len(words) == 1):
        # A test's pass, a pass of many: only of these things is it a password.
        return last != "pass" or len(words) == 1 or words[-2] in _PASS_WORDS
    if last in ("key", "keys") and len(words) > 1 and words[-2] in _KEY_WORDS:
        return True
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_TAILS) for word in words)
