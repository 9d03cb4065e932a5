"""The rules' own examples, and what keys mean: data checked against itself."""

from __future__ import annotations

import re

import pytest

from usagetrace.patterns import trie
from usagetrace.redaction.commands import COMMANDS
from usagetrace.redaction.finder import findings, mask
from usagetrace.redaction.keys import Kind, kind_of
from usagetrace.redaction.personal import PERSONAL
from usagetrace.redaction.rules import MARKER, Rule, Token, marker
from usagetrace.redaction.shapes import SECRETS
from usagetrace.redaction.vendors import TOKENS

RULES: tuple[Rule | Token, ...] = (*SECRETS, *COMMANDS, *PERSONAL, *TOKENS)
MATCHES = [(rule.name, example) for rule in RULES for example in rule.matches]
SPARES = [(rule.name, example) for rule in RULES for example in rule.spares]


@pytest.mark.parametrize(("name", "example"), MATCHES)
def test_each_rule_finds_its_examples(name: str, example: str) -> None:
    """A rule's own example is found by that rule, alone and in the middle of a text without spaces."""
    assert name in {found for _, _, found in findings(example)}
    assert mask(f"开始，{example}") != f"开始，{example}"


def test_each_rule_spares_its_counterexamples() -> None:
    """What only looks like a finding comes back as the very same object."""
    assert [(name, example) for name, example in SPARES if mask(example) is not example] == []


def test_masking_twice_is_masking_once() -> None:
    """A marker is left alone by a second pass."""
    once = [(name, mask(example)) for name, example in MATCHES]
    assert once == [(name, mask(masked)) for name, masked in once]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.why[:20]}")
def test_each_rule_says_why_and_has_a_valid_marker(rule: Rule | Token) -> None:
    """Every rule has a reason, an example, and a name that makes a marker."""
    assert rule.why
    assert rule.matches
    assert MARKER.fullmatch(marker(rule.name))


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: f"{token.name}-{token.prefixes[0]}")
def test_a_marker_echoes_nothing_of_a_token(token: Token) -> None:
    """No four letters of a prefix stand in the marker that takes its place."""
    runs = [run for prefix in token.prefixes for run in re.findall(r"(?=([a-z]{4}))", prefix.lower())]
    assert [run for run in runs if run in marker(token.name)] == []


def test_a_trie_matches_the_longest_literal() -> None:
    """Shared beginnings are tried once, and the longest literal wins."""
    pattern = re.compile(trie(("sk-", "sk-ant-", "ghp_", "s")))
    assert pattern.findall("sk-ant-1 ghp_2 s sk-a") == ["sk-ant-", "ghp_", "s", "sk-"]


SECRET_KEYS = [
    "password",
    "db.password",
    "DB_PASSWORD",
    "dbPassword",
    "userPassword",
    "password2",
    "old_password",
    "apiKey",
    "api_key",
    "X-API-Key",
    "x-api-key",
    "APIKEY",
    "AWS_SECRET_ACCESS_KEY",
    "client_secret",
    "clientSecret",
    "secret",
    "SECRET_KEY",
    "private_key",
    "privateKey",
    "authToken",
    "auth_token",
    "access_token",
    "refreshToken",
    "token",
    "GITHUB_TOKEN",
    "github.token",
    "bearer",
    "http.request.header.authorization",
    "Authorization",
    "cookie",
    "Set-Cookie",
    "session_token",
    "sessionToken",
    "passphrase",
    "PGPASSWORD",
    "passwd",
    "pwd",
    "credentials",
    "auth.token.value",
    "connection_string",
    "ConnectionString",
    "dsn",
    "jwt",
    "otp",
    "pin",
    "cvv",
    "csrf_token",
    "ssn",
    "card_number",
    "encryption_key",
    "signingKey",
    "usage.metadata.api_key",
    "tokens",
    "proxy_auth",
    "password_hash",
    "密码",
]
HARMLESS_KEYS = [
    "token_count",
    "tokenCount",
    "tokens_consumed",
    "max_tokens",
    "maxTokens",
    "total_tokens",
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "password_enabled",
    "passwordEnabled",
    "has_password",
    "requires_token",
    "author",
    "author.name",
    "session.id",
    "sessionId",
    "key_id",
    "keyId",
    "secret_name",
    "token_type",
    "token_limit",
    "passwordless",
    "tokenizer",
    "secretary",
    "key",
    "cache_key",
    "primary_key",
    "public_key",
    "sort_key",
    "keyboard",
    "monkey",
    "authority",
    "authentic",
    "usage.artifact.name",
    "usage.metadata.strategy",
    "user_choice",
    "user_count",
    "username_length",
    "email_count",
    "error.type",
    "service.name",
    "cookie_consent",
    "password_policy",
    "token_expires_at",
    "compass",
    "passage",
    "bypass",
    "secret_scanner",
    "pinned",
    "spin",
    "opinion",
    "auth_method",
    "author_name",
    "credential_type",
    "user.id",
    "enduser.id",
    "host.arch",
    "usage.collection.name",
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_keys_that_mean_a_secret(key: str) -> None:
    """A key is judged by whole words, in any case style."""
    assert kind_of(key) is Kind.SECRET


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_keys_that_only_sound_like_a_secret(key: str) -> None:
    """Benign endings and other words that contain a secret's word keep the value."""
    assert kind_of(key) not in (Kind.SECRET, Kind.PERSON)


@pytest.mark.parametrize(
    "key",
    [
        "username",
        "user.name",
        "userName",
        "email",
        "user.email",
        "phone",
        "phoneNumber",
        "first_name",
        "fullName",
        "process.owner",
        "login",
    ],
)
def test_keys_that_mean_a_person(key: str) -> None:
    """What is below such a key names somebody."""
    assert kind_of(key) is Kind.PERSON
