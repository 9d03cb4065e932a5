"""Secrets of many kinds, made when they are asked for, and the places of a store that they are planted in."""

from __future__ import annotations

import random
import sqlite3
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from usagetrace.audit import Identity

WHO: Final = Identity(("/home/lovelace",), "lovelace", "analytical-engine-7")
COUNT: Final = 50
_WORD: Final = string.ascii_letters + string.digits
_UPPER: Final = string.ascii_uppercase + string.digits
_HEX: Final = "0123456789abcdef"


def _some(rng: random.Random, letters: str, count: int) -> str:
    # A digit early on: a token without any is not to be told from a word.
    return "7" + "".join(rng.choice(letters) for _ in range(count - 1))


def tokens(rng: random.Random) -> list[str]:
    """Return vendors' tokens, which are known by how they begin."""
    wide = [
        "ghp_", "gho_", "github_pat_", "glpat-", "npm_", "hf_", "sk_live_", "rk_test_", "shpat_", "xoxb-", "dop_v1_",
        "AIza", "hvs.", "sk-ant-api03-", "sk-proj-", "gsk_", "glsa_", "dckr_pat_", "lin_api_", "figd_", "whsec_",
        "ya29.", "GOCSPX-", "pypi-AgE", "sq0atp-",
    ]  # fmt: skip
    hexadecimal = {"shpat_": 32, "dop_v1_": 64}
    made = []
    for prefix in wide:
        size = hexadecimal.get(prefix)
        if prefix == "sq0atp-":
            made.append(prefix + _some(rng, _WORD, 22))
        else:
            made.append(prefix + (_some(rng, _HEX, size) if size else _some(rng, _WORD, 40)))
    made.append("AKIA" + _some(rng, _UPPER, 16))
    made.append("SG." + _some(rng, _WORD, 22) + "." + _some(rng, _WORD, 43))
    made.append("eyJ" + _some(rng, _WORD, 30) + ".eyJ" + _some(rng, _WORD, 40) + "." + _some(rng, _WORD, 43))
    return made


def phrases(rng: random.Random) -> list[str]:
    """Return secrets, paths and personal data that are known by what stands around them."""
    word = _some(rng, _WORD, 14)
    return [
        f"password={word}", f'{{"apiKey": "{word}"}}', f"postgres://ada:{word}@db.example.com/x",
        f"https://x.io/a?access_token={word}", f"Authorization: Bearer {word}", f"login --password {word}",
        f"Cookie: sid={word}; theme=dark", f"curl -u ada:{word} x.io",
        "-----BEGIN RSA " + f"PRIVATE KEY-----\n{word * 4}",
        f"{word.lower()}@example.org", "/home/lovelace/engine/notes.txt", "see /home/lovelace/engine for more",
        "/home/babbage/mill.txt", "C:\\Users\\babbage\\mill.txt", "file:///home/lovelace/x", "ran by lovelace today",
        "on analytical-engine-7 again", f"<password>{word}</password>", f"export DB_PASSWORD='{word}'",
        f"secret: {word}", f"client_secret={word}", f"db.password={word}",
    ]  # fmt: skip


def fifty(seed: int = 7) -> list[str]:
    """Return fifty different secrets."""
    rng = random.Random(seed)
    made = [*tokens(rng), *phrases(rng)]
    assert len(set(made)) == len(made) == COUNT
    return made


@contextmanager
def database(path: Path, *pragmas: str) -> Iterator[sqlite3.Connection]:
    """Open a database in which removed rows stay where they are, whatever this SQLite was built with."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("secure_delete=OFF", "synchronous=OFF", *pragmas):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        yield connection
    finally:
        connection.close()


def plant(connection: sqlite3.Connection, secrets: list[str], *, before: str = "", behind: str = "") -> None:
    """Write each secret into a column of its own, ``s0`` and so on, of one row of a table ``planted``."""
    names = [f"s{number}" for number in range(len(secrets))]
    connection.execute(f"CREATE TABLE IF NOT EXISTS planted (id INTEGER PRIMARY KEY, {', '.join(names)})")
    connection.execute(
        f"INSERT INTO planted ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [before + secret + behind for secret in secrets],
    )
