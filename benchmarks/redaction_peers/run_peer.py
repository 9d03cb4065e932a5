"""Run one redactor over the corpus, in the environment of the peers: run_peer.py NAME SEED ...

Prints JSON: the redactor's name with its version, and its figures by group. It knows nothing of ours.
"""

from __future__ import annotations

import copy
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.redaction.corpus import Case, Measured, corpus, measure  # noqa: E402 -- found only once the root is on the path
from tests.redaction.corpus.measures import Redact  # noqa: E402 -- the same

# Where ADOT stands, beside the other peers.
ADOT = ROOT / ".venv-bench" / "adot"
# It removes attributes by their names alone. These are the names that mean a secret or a person, as wildcards, in the
# case styles that its case-sensitive patterns tell apart; wider ones (`*token*`) would take `token_count` as well.
ADOT_NAMES = (
    "*password*", "*Password*", "*PASSWORD*", "*passwd*", "*Passwd*", "*PASSWD*", "*passphrase*", "*Passphrase*",
    "*PASSPHRASE*", "*pwd*", "*PWD*", "*secret", "*Secret", "*SECRET", "*secret_key", "*secret-key",
    "*secretKey", "*SecretKey", "*SECRET_KEY", "*Secret-Key", "*token", "*Token", "*TOKEN", "*api_key", "*api-key",
    "*apiKey", "*ApiKey", "*API_KEY", "*API-Key", "*Api-Key", "*apikey", "*APIKey", "*access_key", "*access-key",
    "*accessKey", "*AccessKey", "*ACCESS_KEY", "*Access-Key", "*private_key", "*private-key", "*privateKey",
    "*PrivateKey", "*PRIVATE_KEY", "*Private-Key", "*credentials", "*Credentials", "*CREDENTIALS", "*authorization",
    "*Authorization", "*AUTHORIZATION", "*cookie", "*Cookie", "*COOKIE", "*encryption_key", "*signing_key", "*email",
    "*Email", "*EMAIL", "*email_address", "*emailAddress", "*phone", "*phone_number", "*phoneNumber", "*PhoneNumber",
    "*username", "*user_name", "*userName", "*full_name", "*fullName", "*first_name", "*firstName", "*last_name",
    "*lastName", "*client_ip", "*clientIp", "*ip_address", "*ipAddress", "*client.address", "*peer.ip", "*ssn",
    "*card_number", "*cardNumber", "*credit_card", "*creditCard", "*iban", "*date_of_birth", "enduser.*",
)  # fmt: skip

# What must live as long as the process.
_KEPT: list[AbstractContextManager[object]] = []
# A name that has detect-secrets look for values without quotes as well.
FILE = "value.conf"


def logfire() -> tuple[str, Redact]:
    """Return Logfire's scrubber as it is switched on by default."""
    from logfire._internal.scrubbing import Scrubber  # it has no public name

    scrubber = Scrubber(patterns=None)
    return f"Logfire {version('logfire')}", lambda key, value: scrubber.scrub_value(("attributes",), {key: value})[0][
        key
    ]


def sentry() -> tuple[str, Redact]:
    """Return Sentry's scrubber with its lists of secrets and of personal data, and recursion, as its page advises."""
    from sentry_sdk.scrubber import DEFAULT_DENYLIST, DEFAULT_PII_DENYLIST, EventScrubber
    from sentry_sdk.utils import AnnotatedValue

    names = [
        *DEFAULT_DENYLIST,
        "passphrase",
        "access_token",
        "refresh_token",
        "client_secret",
        "secret_key",
        "access_key",
    ]
    personal = [*DEFAULT_PII_DENYLIST, "email", "username", "phone", "phone_number", "client_ip", "ssn", "card_number"]
    scrubber = EventScrubber(denylist=names, recursive=True, pii_denylist=personal)

    def bare(value: object) -> object:
        if isinstance(value, AnnotatedValue):
            return value.value
        if isinstance(value, dict):
            return {key: bare(inner) for key, inner in value.items()}
        return [bare(inner) for inner in value] if isinstance(value, list) else value

    def redact(key: str, value: object) -> object:
        data = {key: copy.deepcopy(value) if isinstance(value, (dict, list)) else value}
        scrubber.scrub_event({"spans": [{"data": data}]})
        return bare(data[key])

    return f"Sentry {version('sentry-sdk')}", redact


def adot() -> tuple[str, Redact]:
    """Return ADOT's redacting processor, told the names above."""
    sys.path.append(str(ADOT))
    from amazon.opentelemetry.distro.attribute_redacting_span_processor import AttributeRedactingSpanProcessor
    from amazon.opentelemetry.distro.version import __version__
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    resource = Resource({})
    processor = AttributeRedactingSpanProcessor(ADOT_NAMES)

    def redact(key: str, value: object) -> object:
        attributes = {key: value}
        processor.on_end(ReadableSpan("operation", resource=resource, attributes=attributes))
        return attributes[key]

    return f"ADOT {__version__}", redact


def detect_secrets() -> tuple[str, Redact]:
    """Return detect-secrets with its default plug-ins and filters, on a text as the content of a settings file.

    A second line assigns a text of one line to its key: so the plug-in that looks for names sees the key.
    """
    from detect_secrets.core.scan import _process_line_based_plugins as scan  # `scan_line` cuts every long word out
    from detect_secrets.settings import default_settings

    _KEPT.append(default_settings())
    _KEPT[-1].__enter__()

    def text(key: str, value: str) -> str:
        lines = value.splitlines()
        if len(lines) == 1:
            lines.append(f'{key} = "{value}"')
        secrets = {secret.secret_value or "" for secret in scan(list(enumerate(lines, 1)), FILE)}
        for found in sorted(secrets - {""}, key=len, reverse=True):
            value = value.replace(found, "****")
        return value

    def redact(key: str, value: object) -> object:
        if isinstance(value, str):
            return text(key, value)
        if isinstance(value, dict):
            return {inner: redact(inner, member) for inner, member in value.items()}
        return [redact(key, member) for member in value] if isinstance(value, list) else value

    return f"detect-secrets {version('detect-secrets')}", redact


PEERS: dict[str, tuple[Callable[[], tuple[str, Redact]], str]] = {
    "logfire": (logfire, r"\[Scrubbed due to '[^']*'\]"),
    "sentry": (sentry, r"\[Filtered\]"),
    "adot": (adot, r"REDACTED"),
    "detect-secrets": (detect_secrets, r"\*\*\*\*"),
}


def simple(value: object) -> object:
    """Return a value with texts for bytes and lists for tuples: the types that all of them know."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: simple(inner) for key, inner in value.items()}
    return [simple(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def figures(group: Measured) -> dict[str, int]:
    """Return what is told of a group."""
    return {
        "cases": group.cases, "gone": group.gone, "changed": group.changed, "rest": group.rest, "kept": group.kept,
        "raised": group.raised,
    }  # fmt: skip


def main(name: str, seeds: list[int]) -> None:
    """Measure one peer, and print what it did."""
    make, marker = PEERS[name]
    title, redact = make()
    cases: list[Case] = [replace(case, value=simple(case.value)) for seed in seeds for case in corpus(seed)]
    measure(cases[:50], lambda _: redact, re.compile(marker))
    groups = measure(cases, lambda _: redact, re.compile(marker))
    found = {group: figures(got) for group, got in groups.items()}
    middle = statistics.median(took for got in groups.values() for took in got.times)
    print(json.dumps({"name": title, "us": middle, "groups": found}), flush=True)
    # What a library runs when an interpreter ends belongs to no figure, and one of them fails there.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
