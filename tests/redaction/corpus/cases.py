"""The whole corpus: every group in its order, its cases numbered, each with the machine that it is run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from tests.redaction.corpus import benign, files, keyed, people, places, secrets, vendors, written
from tests.redaction.corpus.kinds import Case, Identity, Raw, case

Group = Callable[[Random], Iterator[Raw]]
Own = Callable[[Random, Identity], Iterator[Raw]]

IDENTITIES = (
    Identity("/home/mireille", "mireille", "falcon-ws7"),
    Identity("/Users/okonkwo", "okonkwo", "Okonkwos-MacBook-Pro"),
    Identity("C:\\Users\\Jane Roe", "jroe77", "DESKTOP-8K2LQ1P"),
    Identity("/var/home/t.vasquez", "t.vasquez", "buildbox12"),
)
SECRETS: dict[str, Group] = {
    **{f"tokens: {kind}": partial(vendors.tokens, kind=kind) for kind in vendors.VENDORS},
    "encoded keys": secrets.encoded,
    "headers": secrets.headers,
    "URLs and DSNs": secrets.urls,
    "assignments": secrets.assignments,
    "flags": secrets.flags,
    "rare logins": secrets.logins,
    "settings files": files.files,
    "prose": secrets.prose,
    "cut values": secrets.cuts,
    "secret keys": keyed.secret_keys,
    "nested values": keyed.nested,
    "rarer writing": written.forms,
}
PATHS: dict[str, Group] = {
    "other homes": places.other_homes,
    "POSIX paths": places.posix,
    "Windows, UNC, file URLs": places.windows,
    "paths in texts": places.in_texts,
}
PERSONAL: dict[str, Group] = {
    "e-mail": people.emails,
    "IP addresses": people.addresses,
    "phone numbers": people.phones,
    "payment cards": people.cards,
    "national numbers": written.numbers,
    "person keys": keyed.person_keys,
}
# These are of the machine itself: they are made for each.
OWN: dict[str, Own] = {"own home": places.own_home, "own user and host": people.themselves}
BENIGN: dict[str, Group] = {
    **{group: partial(benign.texts, group=group) for group in benign.SETS},
    "benign files": files.harmless,
    "benign keys": benign.keys,
    "benign values": benign.values,
}
FAMILIES = {
    "secrets": tuple(SECRETS),
    "paths": ("own home", *PATHS),
    "personal data": (*PERSONAL, "own user and host"),
    "benign": tuple(BENIGN),
}
BENIGN_GROUPS = FAMILIES["benign"]
PLANTED_GROUPS = (*FAMILIES["secrets"], *FAMILIES["paths"], *FAMILIES["personal data"])


def corpus(seed: int) -> list[Case]:
    """Return the cases of a seed: the same seed gives the same cases.

    Args:
        seed: Any number; each makes other secrets, names, words and places.
    """
    cases: list[Case] = []
    for group, make in {**SECRETS, **PATHS, **PERSONAL, **BENIGN}.items():
        rng = Random(f"{group} {seed}")
        for number, raw in enumerate(make(rng)):
            cases.append(case(group, number, raw, IDENTITIES[rng.randrange(len(IDENTITIES))]))
    for group, of_own in OWN.items():
        rng = Random(f"{group} {seed}")
        raws = [(raw, identity) for identity in IDENTITIES for raw in of_own(rng, identity)]
        cases.extend(case(group, number, raw, identity) for number, (raw, identity) in enumerate(raws))
    return cases
