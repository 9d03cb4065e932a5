"""P6: what redaction costs a value, what a hostile text can cost, and how much of the corpus it gets right."""

from __future__ import annotations

import random
import statistics
import time

from benchmarks.harness import BenchmarkError, Figure, Row, per_call
from tests.redaction.corpus import BENIGN_GROUPS, PLANTED_GROUPS, Case, Identity, Measured, corpus, measure
from tests.redaction.corpus.measures import Redact, total
from usagetrace.redaction import Redactor

# Limits, each in its row's unit.
SEEN_US = 0.3
NEW_US = 8.0
HOSTILE_MS = 100.0
LEAKED = 0.5
CHANGED = 0.5
LOST = 1.0
# No group of the corpus may leak more than this, in percent.
GROUP = 3.0
SEEDS = (1, 2, 3)
MEGABYTE = 1_000_000
ROUNDS = 3
# What a text of a megabyte is made of, over and over: starts of what the rules look for, and what they search through.
UNITS = (
    "a", "a ", "A", "1", "1 ", "1.", "1-", "+1 ", ".", "-", "--", "_", "/", "//", "/a", "/a ", "\\", "\\\\", "\\a",
    "C:\\", "C:/", "~/", "@", "a@",
    "@a.", "a@b.", "a.a@", ":", "::", "a:", "a:b@", "://", "http://", "http://a:", "=", "a=", "password=",
    "password: ", "password ", "the password is ",
    "'", '"', "`", "'a", '"a":', '{"a":', "[", "{", "(", "<", "<a>", "<password>", "%2F", "%", "&key=", "?token=",
    ";a=", "--token ", "-p ", "eyJ",
    "eyJa.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "ssh-rsa ", "Bearer ", "Authorization: ", "Cookie: a=",
    "sk-", "AKIA", "ghp_", "xoxb-",
    "4111", "4111 ", "1.2.3.", "a:b:", "0:", "::1 ", "file://", "/home/", "\\\\a\\", "\\\\?\\", 'File "', "\n", "\t",
    "\x00", "é", "中", "🙂", "x/y ",
    "[redacted:", "[redacted:secret]", "AbC1", "a,b;c ", '\\"', '{"password": "', "key ", "user ", "K8s/", "\u0131",
    "\u017f",
)  # fmt: skip


def of(identity: Identity) -> Redact:
    """Return our redactor of a machine."""
    return Redactor(identity.home, identity.user, identity.host).redact


def measured(seeds: tuple[int, ...] = SEEDS) -> dict[str, Measured]:
    """Run the corpus of several seeds through our redactor; return its figures by group."""
    groups: dict[str, Measured] = {}
    for seed in seeds:
        for name, group in measure(corpus(seed), of).items():
            groups.setdefault(name, Measured()).add(group)
    return groups


def seen() -> Figure:
    """Return what a value costs that was seen before."""
    redact = of(Identity("/home/mireille", "mireille", "falcon-ws7"))
    values = [case.value for case in corpus(1) if isinstance(case.value, str) and len(case.value) < 200][:500]

    def again() -> None:
        for value in values:
            redact("usage.metadata.note", value)

    block = per_call(again, 20)
    times = [block() / len(values) for _ in range(ROUNDS)]
    row = Row("P6", "a value that was seen before", "its limit", "us")
    return row.ratio(times, [SEEN_US] * ROUNDS, at_most=1.0)


def _times(cases: list[Case], redact: Redact) -> list[float]:
    """Return the microseconds of each value, none of which was seen before."""
    times = []
    clock = time.perf_counter_ns
    for case in cases:
        began = clock()
        redact(case.key, case.value)
        times.append((clock() - began) / 1000)
    return times


def ordinary(seed: int, count: int) -> list[tuple[str, str]]:
    """Return keys and values such as tools record all day: names, versions, hashes, paths, queries, sentences."""
    draw = random.Random(seed)
    some = ("canvas", "report", "deploy", "module", "review", "search", "client", "server", "pattern", "agent", "skill")

    def word() -> str:
        return f"{draw.choice(some)}{draw.randrange(1000)}"

    kinds = (
        ("usage.artifact.name", lambda: f"{word()}-{word()}"),
        ("usage.metadata.version", lambda: f"{draw.randrange(9)}.{draw.randrange(50)}.{draw.randrange(99)}"),
        ("usage.metadata.sha", lambda: f"{draw.getrandbits(160):040x}"),
        ("usage.metadata.strategy", word),
        ("usage.project.path", lambda: f"/home/mireille/projects/{word()}/{word()}.py"),
        ("usage.metadata.file", lambda: f"src/{word()}/{word()}.md"),
        ("usage.metadata.query", lambda: f"{word()} {word()} {word()}"),
        ("usage.metadata.url", lambda: f"https://example.com/{word()}/{word()}"),
        ("usage.metadata.note", lambda: " ".join(word() for _ in range(7)) + "."),
        ("usage.metadata.at", lambda: f"2026-0{draw.randrange(1, 9)}-1{draw.randrange(9)}T12:07:0{draw.randrange(9)}Z"),
    )
    return [(key, make()) for key, make in (draw.choice(kinds) for _ in range(count))]


def recorded() -> Figure:
    """Return what a value costs that was not seen before, of those that tools record: eight in ten are ordinary."""
    times = []
    for seed in SEEDS:
        redact = of(Identity("/home/mireille", "mireille", "falcon-ws7"))
        _times(corpus(100 + seed), redact)
        cases = [(case.key, case.value, case.benign) for case in corpus(seed) if isinstance(case.value, str)]
        random.Random(seed).shuffle(cases)
        mixed = ordinary(seed, 2400)
        for side in (True, False):
            mixed += [(key, value) for key, value, benign in cases if benign is side][:300]
        random.Random(seed).shuffle(mixed)
        clock, each = time.perf_counter_ns, []
        for key, value in mixed:
            began = clock()
            redact(key, value)
            each.append((clock() - began) / 1000)
        times.append(statistics.median(each))
    row = Row("P6", "a new value, of a mix: 8 in 10 ordinary, 2 of the corpus", "its limit", "us")
    return row.ratio(times, [NEW_US] * len(times), at_most=1.0)


def new() -> list[Figure]:
    """Return what a value costs that was not seen before: the median over the corpus, and over its two sides."""
    sides: dict[str, list[float]] = {"": [], "harmless": [], "private": []}
    for seed in SEEDS:
        redact = of(Identity("/home/mireille", "mireille", "falcon-ws7"))
        # Other values of the same kind: what is compiled or loaded at a first use is no cost of a value.
        _times(corpus(100 + seed), redact)
        cases = [case for case in corpus(seed) if isinstance(case.value, str)]
        random.Random(seed).shuffle(cases)
        for side, some in (
            ("", cases),
            ("harmless", [case for case in cases if case.benign]),
            ("private", [case for case in cases if not case.benign]),
        ):
            redact = of(Identity("/home/mireille", "mireille", "falcon-ws7"))
            sides[side].append(statistics.median(_times(some, redact)))
    figures = []
    for side, times in sides.items():
        what = f"a new value, median of the corpus{side and f', {side} ones'}"
        figures.append(Row("P6", what, "its limit", "us").ratio(times, [NEW_US] * len(times)))
    return figures


def hostile() -> Figure:
    """Return what the worst of many texts of a megabyte costs."""
    redact = of(Identity("/home/mireille", "mireille", "falcon-ws7"))
    redact("note", "x" * 1000)
    worst: tuple[float, list[float], str] = (0.0, [], "")
    for unit in UNITS:
        text = unit * (MEGABYTE // len(unit))
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter_ns()
            redact("note", text)
            times.append((time.perf_counter_ns() - began) / 1e6)
        worst = max(worst, (min(times), times, unit), key=lambda found: found[0])
    row = Row("P6", f"1 MB of hostile text, the worst of {len(UNITS)}: {worst[2]!r}", "its limit", "ms")
    return row.ratio(worst[1], [HOSTILE_MS] * ROUNDS, at_most=1.0)


def rates(groups: dict[str, Measured]) -> list[Figure]:
    """Return how much of the corpus leaks, is changed without need, and is lost beside a secret, in percent."""
    private, harmless = total(groups, PLANTED_GROUPS), total(groups, BENIGN_GROUPS)
    if private.raised or private.mutated or harmless.raised or harmless.mutated:
        raise BenchmarkError("redaction raised, or changed what it was given: " + "; ".join(private.faults[:3]))
    return [
        Row("P6", f"{what}, of {of_what:,}", "its limit", "percent").ratio([value], [limit], at_most=1.0)
        for what, of_what, value, limit in (
            ("private cases that leak", private.cases, 100 - private.recall, LEAKED),
            ("harmless cases that change", harmless.cases, 100 - harmless.intact, CHANGED),
            ("characters lost beside it", private.rest, 100 - private.kept_share, LOST),
        )
    ]


def by_group() -> list[Figure]:
    """Return the figures of P6g: what leaks, or changes without need, in each group of the corpus, in percent."""
    figures = []
    for name, group in measured().items():
        if name in BENIGN_GROUPS:
            what, value = f"{name}: changed, of {group.cases}", 100 - group.intact
        else:
            what, value = f"{name}: leaks, of {group.cases}; {group.kept_share:.1f} % kept", 100 - group.recall
        figures.append(Row("P6g", what, "its limit", "percent").ratio([value], [GROUP], at_most=1.0))
    return figures


def measure_all() -> list[Figure]:
    """Return the figures of P6."""
    return [seen(), recorded(), *new(), hostile(), *rates(measured())]


ROWS = {"P6": measure_all, "P6g": by_group}
