"""A corpus of what must be redacted and what must not, made at run time from a seed.

It is written from the policy and from how such things look in the world; it knows nothing of the rules that it judges.
No secret lies in a file: each is put together from its shape when a case is made.
"""

from __future__ import annotations

from tests.redaction.corpus.cases import BENIGN_GROUPS, FAMILIES, PLANTED_GROUPS, corpus
from tests.redaction.corpus.kinds import Case, Identity
from tests.redaction.corpus.measures import Measured, measure, table

__all__ = [
    "BENIGN_GROUPS",
    "FAMILIES",
    "PLANTED_GROUPS",
    "Case",
    "Identity",
    "Measured",
    "corpus",
    "measure",
    "table",
]
