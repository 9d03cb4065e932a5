"""Payloads of every kind, as hypothesis draws them; and secrets to plant in them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from usagetrace.payloads import (
    AIBlockUsed,
    Business,
    BusinessMetric,
    ChapterVisit,
    Compile,
    Custom,
    Download,
    ErrorEvent,
    ErrorPayload,
    Payload,
    Performance,
    Severity,
    Usage,
    View,
)

# Put together here: a scanner of repositories must not take them for real ones.
SECRETS = ("ghp_" + "a1B2" * 9, "sk-" + "abc123def456ghi789jkl012mno345", "Bearer " + "xYz9." * 8)
# Few characters, of every width: to draw from all of Unicode takes seconds, and none of it is special here.
_LETTERS = st.text('aZ09 _-./\u00e9\u4e2d\U0001f600\n"', max_size=8)
TEXTS = _LETTERS | st.sampled_from([*SECRETS, "/home/ada/app", "failed with " + SECRETS[0]])
KEYS = _LETTERS | st.sampled_from(["password", "api_key", "token", "size", "tags"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
WHOLE = st.integers(min_value=0)
SPANS = st.floats(min_value=0, allow_nan=False, allow_infinity=False) | WHOLE
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
_IDS = TEXTS | st.integers()


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_FETCHED = {
    "version": _maybe(TEXTS), "size_bytes": _maybe(WHOLE), "duration_ms": _maybe(SPANS), "success": st.booleans(),
    "cache_hit": _maybe(st.booleans()), "client": _maybe(TEXTS),
}  # fmt: skip

BY_KIND: dict[type[Payload], st.SearchStrategy[Payload]] = {
    Usage: st.builds(Usage, TEXTS, TEXTS, _maybe(TEXTS), _maybe(SPANS), st.booleans(),
                     st.dictionaries(KEYS, JSON, max_size=3)),
    Performance: st.builds(Performance, TEXTS, NUMBERS, TEXTS, st.dictionaries(KEYS, TEXTS, max_size=3)),
    ErrorPayload: st.builds(ErrorPayload, TEXTS, TEXTS, st.sampled_from(Severity), TEXTS, _maybe(TEXTS), st.booleans()),
    Business: st.builds(Business, st.sampled_from(BusinessMetric), NUMBERS, TEXTS, _maybe(TEXTS), _maybe(TEXTS)),
    Custom: st.builds(Custom, JSON),
    Download: st.builds(Download, client_version=_maybe(TEXTS), error_message=_maybe(TEXTS), **_FETCHED),
    View: st.builds(View, source=_maybe(TEXTS), page_type=_maybe(TEXTS), referrer=_maybe(TEXTS), **_FETCHED),
    Compile: st.builds(Compile, file_count=_maybe(WHOLE), compiler_version=_maybe(TEXTS), error_type=_maybe(TEXTS),
                       error_message=_maybe(TEXTS), **_FETCHED),
    AIBlockUsed: st.builds(AIBlockUsed, _IDS, _IDS, _maybe(_IDS), TEXTS, _maybe(TEXTS), _maybe(_IDS)),
    ChapterVisit: st.builds(ChapterVisit, _IDS, _IDS, _maybe(_IDS | SPANS)),
    ErrorEvent: st.builds(ErrorEvent, TEXTS, TEXTS, _maybe(_IDS), _maybe(_IDS), _maybe(_IDS)),
}  # fmt: skip
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(*BY_KIND.values())
