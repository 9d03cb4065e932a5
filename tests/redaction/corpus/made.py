"""Things with a shape, made from chance: passwords, keys with check digits, tokens of several parts, numbers."""

from __future__ import annotations

import base64
import json
import string
import zlib
from random import Random

from tests.redaction.corpus.kinds import some

DIGITS = string.digits
LOWER = string.ascii_lowercase
UPPER = string.ascii_uppercase
LETTERS = string.ascii_letters
BASE62 = DIGITS + UPPER + LOWER
HEX = DIGITS + "abcdef"
BASE64 = BASE62 + "+/"
URL64 = BASE62 + "-_"
LOWNUM = LOWER + DIGITS
UPPERNUM = UPPER + DIGITS
BASE32 = UPPER + "234567"

WORDS = (
    "canvas", "ledger", "harbor", "meadow", "quartz", "violet", "summit", "pepper", "walnut", "copper", "lantern",
    "orchid", "saddle", "timber", "velvet", "willow", "zephyr", "bramble", "cobalt", "dahlia",
)  # fmt: skip
NAMES = ("annika", "bogdan", "chiara", "dmitri", "esther", "farouk", "gwendo", "hiroko", "ingrid", "joaquin", "kwame")


def hexes(rng: Random, size: int) -> str:
    return some(rng, HEX, size)


def uuid(rng: Random) -> str:
    """Return a random UUID of version 4."""
    return "-".join(
        (hexes(rng, 8), hexes(rng, 4), "4" + hexes(rng, 3), rng.choice("89ab") + hexes(rng, 3), hexes(rng, 12))
    )


def checked(rng: Random, prefix: str) -> str:
    """Return a token as GitHub and npm make them: 30 characters, then their CRC32 in six digits of base 62."""
    body = some(rng, BASE62, 30)
    rest, check = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        check = BASE62[digit] + check
    return prefix + body + check


def b64(data: bytes | str) -> str:
    """Return base64 for URLs, unpadded."""
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).decode().rstrip("=")


def standard64(rng: Random, size: int) -> str:
    """Return standard base64, padded, of random bytes."""
    return base64.b64encode(rng.randbytes(size)).decode()


def jwt(rng: Random, algorithm: str = "HS256") -> str:
    """Return a signed token of three parts."""
    head = b64(json.dumps({"alg": algorithm, "typ": "JWT"}, separators=(",", ":")))
    body = b64(json.dumps({"sub": some(rng, DIGITS, 10), "iat": 1_700_000_000 + rng.randrange(10**7)}))
    return f"{head}.{body}.{b64(rng.randbytes(32 if algorithm == 'HS256' else 256))}"


def machine(rng: Random, size: int = 0) -> str:
    """Return a password as a generator makes it: letters and digits, at least one of each."""
    return some(rng, LETTERS, 2) + some(rng, BASE62, (size or rng.randrange(12, 33)) - 4) + some(rng, DIGITS, 2)


def human(rng: Random) -> str:
    """Return a password as people make it: words with a number or a sign, little entropy, no blank or quote."""
    one, two = rng.choice(WORDS), rng.choice(NAMES)
    return rng.choice(
        (
            f"{one.title()}{rng.randrange(1950, 2030)}!",
            f"{one}-{two}-{rng.choice(WORDS)}-{rng.randrange(10, 99)}",
            f"{two}{rng.randrange(100, 9999)}",
            one.replace("e", "3").replace("a", "4").replace("o", "0") + f"#{rng.randrange(10, 99)}",
            f"{two.title()}_{one.title()}{rng.randrange(10)}",
            f"qwerty{rng.randrange(100, 999)}",
            f"{one}@{rng.randrange(1000, 9999)}",
        )
    )


def password(rng: Random) -> str:
    """Return a password of either kind."""
    return human(rng) if rng.random() < 0.5 else machine(rng)


def card(rng: Random, prefix: str, size: int) -> str:
    """Return a payment card's digits with the check digit of Luhn."""
    body = prefix + some(rng, DIGITS, size - 1 - len(prefix))
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (1 if index % 2 else 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def iban(rng: Random, country: str, size: int, bank: str = "") -> str:
    """Return a bank account's number with the check digits of ISO 7064."""
    account = bank + some(rng, DIGITS, size - 4 - len(bank))
    rest = int("".join(str(int(sign, 36)) for sign in account + country + "00")) % 97
    return f"{country}{98 - rest:02}{account}"


def in_groups(digits: str, sizes: tuple[int, ...], by: str) -> str:
    """Return digits in groups."""
    parts, at = [], 0
    for size in sizes:
        parts.append(digits[at : at + size])
        at += size
    return by.join(parts)


def ipv4(rng: Random) -> str:
    """Return an address of a machine, neither a loopback nor a whole net."""
    first = rng.choice((10, 172, 192, 203, 81, 52, 185))
    return f"{first}.{rng.randrange(16, 250)}.{rng.randrange(1, 250)}.{rng.randrange(2, 250)}"


def pem(rng: Random, label: str, lines: int = 8, newline: str = "\n", end: bool = True) -> str:
    """Return a private key, marked: its first and last line may stay."""
    body = newline.join([some(rng, BASE64, 64) for _ in range(lines)] + [some(rng, BASE64, 30) + "=="])
    last = f"⟨{newline}-----END {label}-----⟩" if end else ""
    return f"⟨-----BEGIN {label}-----{newline}⟩⟦{body}⟧{last}"
