"""All rules as one list, for documentation and for the command that shows what each would do.

Paths, names of this machine and keys are found by code, not by one pattern; they are described here with examples as
the others are. Nothing at work loads this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usagetrace.redaction.commands import COMMANDS
from usagetrace.redaction.personal import PERSONAL
from usagetrace.redaction.shapes import SECRETS
from usagetrace.redaction.vendors import TOKENS

if TYPE_CHECKING:
    from typing import Final, Literal

# Whose machine the examples of paths and names are from.
HOME: Final = "/home/ada"
USER: Final = "lovelace"
HOST: Final = "analytical-engine"


class Described(NamedTuple):
    """One rule, described.

    Attributes:
        name: Name in the marker, or of the kind of change.
        why: What it finds and why that must not leave, in one line.
        matches: Examples that it finds, on the machine of :data:`HOME`, :data:`USER` and :data:`HOST`.
        spares: Examples that stay as they are.
        about: Whether the examples are texts or keys.
    """

    name: str
    why: str
    matches: tuple[str, ...]
    spares: tuple[str, ...]
    about: Literal["text", "key"] = "text"


_CODED: Final = (
    Described(
        "home",
        "a path in somebody's home names its owner: it becomes ~/rest",
        ("/home/ada/app/main.py", "C:\\Users\\bob\\x.txt", "file:///Users/bob/x", "~bob/notes.txt"),
        ("~/app", "$HOME/app", "home/ada"),
    ),
    Described(
        "path",
        "an absolute path tells how a machine is laid out: its last part stays",
        ("/srv/data/x.csv", "D:\\data\\x.csv", "\\\\server\\share\\x.csv", "at /opt/app/x.js:1:2"),
        ("src/main.py", "/users/{id}", "/review", "https://example.com/a/b", "and/or", "**/*.py", "a/x b/x"),
    ),
    Described("user", "the name of the user of this machine, as a word", ("by lovelace", "LOVELACE"), ("lovelaces",)),
    Described("host", "the name of this machine, as a word", ("on analytical-engine",), ("analytical engine",)),
    Described(
        "secret",
        "a secret told without an assignment's sign: beside its name, in a block, in a verb's object",
        (
            "set -x API_TOKEN q8s7" + "d6f5",
            "name: DB_PASSWORD\nvalue: q8s7" + "d6f5",
            "invalid password 'q8s7" + "d6f5'",
            "密码是q8s7" + "d6f5",
        ),
        ("token sha256", "password field is required", 'unexpected token "else"', "the token expired after 30 minutes"),
    ),
    Described(
        "secret",
        "anything below a key that means a secret",
        ("db.password", "X-API-Key", "clientSecret", "smtp_pass"),
        ("token_count", "max_tokens", "password_enabled", "cache_key", "test_pass"),
        "key",
    ),
    Described(
        "person",
        "anything below a key that means a person",
        ("user.email", "username", "fullName", "passport_number"),
        ("author", "user_count", "email_count"),
        "key",
    ),
    Described(
        "dense",
        "the rest of a text with more signs of findings than can be searched in bounded time",
        ("/a/b " * 2100,),
        ("/review " * 10,),
    ),
)


def all_rules() -> tuple[Described, ...]:
    """Return every rule: those with a pattern, vendors' tokens, and what is found by code."""
    shaped = (Described(rule.name, rule.why, rule.matches, rule.spares) for rule in (*SECRETS, *COMMANDS, *PERSONAL))
    tokens = (Described(token.name, token.why, token.matches, token.spares) for token in TOKENS)
    return (*_CODED, *shaped, *tokens)
