"""Personal data: addresses, phone numbers, payment cards, and the user and the machine themselves."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.redaction.corpus import made
from tests.redaction.corpus.kinds import Identity, Raw, planted
from tests.redaction.corpus.made import DIGITS, NAMES, WORDS, some

_MAIL_AROUND = (
    "§", "mail § now", "Ada <§>", "contact: §, thanks", "mailto:§", "'§'", "(§)", "user=§", "by §.",
    "git commit by § today",
    '{"to_text": "§"}', "请联系§谢谢", "https://example.com/u?mail=§", "cc §; done", "To: §\nSubject: x",
)  # fmt: skip


def emails(rng: Random) -> Iterator[Raw]:
    """Yield e-mail addresses."""
    for form in _MAIL_AROUND:
        name, word = rng.choice(NAMES), rng.choice(WORDS)
        for address in (
            f"{name}@{word}.example",
            rng.choice(
                (
                    f"{name}.{word}+tag@mail.{word}.co.uk",
                    f"{name}_{rng.randrange(99)}@{word}-labs.io",
                    f"{name}%x@{word}.museum",
                )
            ),
        ):
            yield Raw(planted(form, address))
    yield Raw(planted("write § soon", f"müller@{rng.choice(WORDS)}.example"))
    yield Raw(planted("write § soon", f"{rng.choice(NAMES)}@bücher.example"))


def addresses(rng: Random) -> Iterator[Raw]:
    """Yield addresses of machines: IPv4, IPv6, with and without port or net."""
    for form in (
        "§", "from § port 22", "connect to §:8080 failed", "http://§:9000/health",
        "§ - - [01/Mar/2026] \"GET / HTTP/1.1\" 200",
        "peer=§", "X-Forwarded-For: §", "ping (§)", "'§'", "route via §.", "net ⟨x⟩ §⟨/24⟩ up",
        '{"remote_text": "§"}', "地址§不可达",
        "tcp://§:5432", "ssh ⟨root⟩@§",
    ):  # fmt: skip
        yield Raw(planted(form, made.ipv4(rng)))
        yield Raw(planted(form, made.ipv4(rng)))
    groups = [made.hexes(rng, 4).replace("0", "a") for _ in range(8)]
    short = [group.lstrip("0") or "1" for group in groups]
    for address in (
        ":".join(groups), "2001:db8::" + short[0], f"fe80::{short[1]}:{short[2]}:{short[3]}:{short[4]}",
        f"2a02:{short[5]}:{short[6]}::1",
        "2001:db8:" + ":".join(short[:6]), f"::ffff:{made.ipv4(rng)}", "fd00::" + ":".join(short[4:]),
        ":".join(groups).upper(),
    ):  # fmt: skip
        for form in ("§", "listening on §", "http://[§]:8080/x", "from § to server", "peer '§' left"):
            yield Raw(planted(form, address))


def phones(rng: Random) -> Iterator[Raw]:
    """Yield phone numbers as they are written in several countries."""
    for form in ("§", "call § now", "tel: §", "phone §, ext. 3", "(§)", "Tel. §.", "WhatsApp § or mail"):
        three, four, seven = (some(rng, "23456789", size) for size in (3, 4, 7))
        for number in rng.sample(
            (
                f"+49 17{rng.randrange(10)} {seven}", f"+1 ({three}) {three[::-1]}-{four}",
                f"+44 20 {four} {four[::-1]}",
                f"+33 6 {four[:2]} {four[2:]} {seven[:2]} {seven[2:4]}", f"{three}-{three[::-1]}-{four}",
                f"({three}) {three[::-1]}-{four}",
                f"+91 9{four} {seven[:5]}", f"+86 138 {four} {four[::-1]}", f"+1{three}{seven}",
                f"+1-{three}-{three}-{four}",
                f"+39 06 {four} {four}", f"+4915{some(rng, DIGITS, 9)}", f"+55 11 9{four}-{four}",
                f"+81-90-{four}-{four}",
            ),
            5,
        ):  # fmt: skip
            yield Raw(planted("[§]" if form == "(§)" and number[0] == "(" else form, number))


def cards(rng: Random) -> Iterator[Raw]:
    """Yield payment cards of several issuers, in groups and without."""
    four = (4, 4, 4, 4)
    for prefix, size, sizes in (
        ("4", 16, four), ("4539", 16, four), ("51", 16, four), ("55", 16, four), ("2221", 16, four),
        ("34", 15, (4, 6, 5)),
        ("37", 15, (4, 6, 5)), ("6011", 16, four), ("3530", 16, four), ("36", 14, (4, 6, 4)),
    ):  # fmt: skip
        for form, by in (
            ("§", ""),
            ("paid with § today", " "),
            ("card §, approved", "-"),
            ("charged to '§'", ""),
            ("pan=§", ""),
        ):
            yield Raw(planted(form, made.in_groups(made.card(rng, prefix, size), sizes, by)))


def themselves(rng: Random, identity: Identity) -> Iterator[Raw]:
    """Yield texts with the user's and the machine's own name as a word."""
    user, host = f"⟦{identity.user}⟧", f"⟦{identity.host}⟧"
    for form in (
        "built by %u", "%u", "%h", "%u@%h", "%u@%h:~$ ls", "on %h since May", "uid=1000(%u) gid=1000",
        "ssh %h uptime", "%h: disk full",
        "hello %u, welcome", "owner: %u", "by %u.", "host=%h up", "[%h]", "refs/heads/%u/fix", "http://%h:8080/x",
        "%h⟨.local⟩", "logged in as '%u'",
        "run on %h⟨.corp.example.com⟩ now", "drwxr-xr-x 2 %u staff 64 May 3", "用户%u登录", '{"by": "%u", "n": 2}',
        "sudo -u %u make", "%u's build",
    ):  # fmt: skip
        yield Raw(form.replace("%u", user).replace("%h", host))
    yield Raw(f"HOST {host.upper()} is up")
    yield Raw({user: 3, "other": [f"on {host}"]}, "counts")
    yield Raw([identity.user.join("⟦⟧"), "staff"], "owners")
    yield Raw(f"{rng.choice(WORDS)} of {user} on {host}".encode(), "raw")
