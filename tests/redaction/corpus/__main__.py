"""Measure our redaction with the corpus: python -m tests.redaction.corpus [SEED ...] prints figures and every fault."""

from __future__ import annotations

import sys

from tests.redaction.corpus import BENIGN_GROUPS, Identity, Measured, corpus, measure, table
from tests.redaction.corpus.measures import Redact
from usagetrace.redaction import Redactor


def ours(identity: Identity) -> Redact:
    """Return our redactor of a machine."""
    return Redactor(identity.home, identity.user, identity.host).redact


if __name__ == "__main__":
    groups: dict[str, Measured] = {}
    for seed in map(int, sys.argv[1:] or ["1"]):
        for name, group in measure(corpus(seed), ours).items():
            groups.setdefault(name, Measured()).add(group)
    print("\n".join(table(groups, BENIGN_GROUPS)))
    for group in groups.values():
        for fault in group.faults:
            print(fault)
