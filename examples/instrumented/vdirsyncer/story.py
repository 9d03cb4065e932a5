"""A scripted story with vdirsyncer: real commands on real folders, and the events that they must give.

This module owns the story and works out the expected events from what vdirsyncer did: from the files on both sides
before and after a command, and from what both sides held when they were last in step. It knows nothing of how
vdirsyncer is instrumented.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
INSTRUMENTED = (
    sys.executable,
    "-m",
    "usagetrace",
    "run",
    "--config",
    str(HERE / "usagetrace.toml"),
    "--",
    "vdirsyncer",
)

CONFIG = """
[general]
status_path = "{status}"

[pair calendars]
a = "home_calendars"
b = "phone_calendars"
collections = ["from a", "from b"]
implicit = "create"
metadata = ["displayname"]

[pair contacts]
a = "home_contacts"
b = "phone_contacts"
collections = null
conflict_resolution = "a wins"
partial_sync = "error"
"""
STORAGE = """
[storage {name}]
type = "filesystem"
path = "{path}"
fileext = "{extension}"
{more}
"""
EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nSUMMARY:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
CONTACT = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{text}\r\nEND:VCARD\r\n"
CONTACTS = "contacts"  # the pair without collections: its one collection has no name

Files = dict[str, str]  # what a folder holds: a digest for each item's UID


@dataclass(frozen=True)
class Expected:
    """One event that must be in the store; ``metadata`` holds the keys that are compared."""

    event_type: str
    artifact_name: str
    artifact_type: str
    status: str = "ok"
    collection_name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """A command that ran, and the folders of both sides before and after it."""

    arguments: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    before: Mapping[str, Files]
    after: Mapping[str, Files]


class Session:
    """Runs vdirsyncer with two sides of its own, and keeps a record of every command.

    Args:
        workdir: Where everything lives: both sides, settings, status.
        env: Environment of the commands; HOME and vdirsyncer's own variable are set here.
        program: The command line that vdirsyncer's arguments are added to.
    """

    def __init__(self, workdir: Path, env: Mapping[str, str], program: Sequence[str] = INSTRUMENTED) -> None:
        self.workdir = workdir
        self.program = tuple(program)
        self.commands: list[Command] = []
        self.settled: dict[str, Files] = {}
        text = CONFIG.format(status=workdir / "status")
        for side in ("home", "phone"):
            for kind, extension in (("calendars", ".ics"), ("contacts", ".vcf")):
                (workdir / side / kind).mkdir(parents=True)
                more = "read_only = true" if (side, kind) == ("home", "contacts") else ""
                text += STORAGE.format(
                    name=f"{side}_{kind}", path=workdir / side / kind, extension=extension, more=more
                )
        (workdir / "config").write_text(text, encoding="utf-8")
        path = os.pathsep.join([sysconfig.get_path("scripts"), env.get("PATH", os.defpath)])
        self.env = {**env, "HOME": str(workdir), "PATH": path, "VDIRSYNCER_CONFIG": str(workdir / "config")}

    def folder(self, storage: str) -> Path:
        """Return the folder of a storage or of one of its collections, by vdirsyncer's name for it."""
        name, _, collection = storage.partition("/")
        return self.workdir.joinpath(*name.split("_"), collection)

    def write(self, storage: str, uid: str, text: str, file: str = "") -> None:
        """Write an item by hand, as a calendar program or a phone would."""
        kind, suffix = (CONTACT, ".vcf") if storage.endswith("contacts") else (EVENT, ".ics")
        path = self.folder(storage) / f"{file or uid}{suffix}"
        path.write_bytes(kind.format(uid=uid, text=text).encode())

    def storages(self) -> dict[str, Files]:
        """Return what there is in every folder, by vdirsyncer's name for it."""
        found = {}
        for side in ("home", "phone"):
            found[f"{side}_contacts"] = items(self.workdir / side / "contacts")
            for path in sorted((self.workdir / side / "calendars").iterdir()):
                found[f"{side}_calendars/{path.name}"] = items(path)
        return found

    def __call__(self, *arguments: str, typed: str = "") -> Command:
        """Run vdirsyncer."""
        before = self.storages()
        done = subprocess.run(
            [*self.program, *arguments],
            cwd=self.workdir,
            env=self.env,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        command = Command(arguments, done.returncode, done.stdout, done.stderr, before, self.storages())
        self.commands.append(command)
        return command


def items(folder: Path) -> Files:
    """Return the items of a folder: a digest for each UID."""
    found = {}
    for path in folder.iterdir():
        raw = path.read_bytes()
        if uid := re.search(rb"^UID:(.*)\r$", raw, re.MULTILINE):
            found[uid[1].decode()] = hashlib.sha256(raw).hexdigest()
    return found


def run(workdir: Path, env: Mapping[str, str]) -> list[Expected]:
    """Tell the whole story and return the events that it must have given, in no order.

    Args:
        workdir: An empty folder; everything that vdirsyncer keeps goes below it.
        env: Environment of the commands.
    """
    return tell(Session(workdir, env))


def tell(vdirsyncer: Session) -> list[Expected]:
    """Tell the whole story in a session."""
    chapters = (too_early, discovered, first_sync, second_sync, emptied, names, repaired)
    return [event for chapter in chapters for event in chapter(vdirsyncer)]


def too_early(vdirsyncer: Session) -> Iterable[Expected]:
    """Sync before the collections are known: nothing happens."""
    vdirsyncer.folder("home_calendars/work").mkdir()
    vdirsyncer.folder("home_calendars/private").mkdir()
    for uid in ("lunch", "standup", "review"):
        vdirsyncer.write("home_calendars/work", uid, f"The {uid}")
    vdirsyncer.write("home_calendars/private", "birthday", "Birthday")
    for uid in ("ada", "bob"):
        vdirsyncer.write("home_contacts", uid, uid.title())
    done = vdirsyncer("sync", "calendars")
    if done.returncode and done.before == done.after:
        yield Expected("sync", "calendars", "pair", "error")


def discovered(vdirsyncer: Session) -> Iterable[Expected]:
    """Look for collections on both sides; what one side lacks is made there."""
    done = vdirsyncer("discover")
    for storage in done.after.keys() - done.before.keys():
        name, _, collection = storage.partition("/")
        yield Expected("deploy", collection, "collection", collection_name=name)
        metadata = {"query": "calendars", "total_results": len(done.after.keys() - done.before.keys())}
        yield Expected("search", collection, "collection", collection_name="calendars", metadata=metadata)
    metadata = {"query": CONTACTS, "total_results": 1}
    yield Expected("search", CONTACTS, "collection", collection_name=CONTACTS, metadata=metadata)


def first_sync(vdirsyncer: Session) -> Iterable[Expected]:
    """Everything goes to the other side."""
    yield from synced(vdirsyncer, vdirsyncer("sync"), "work", "private", CONTACTS)


def second_sync(vdirsyncer: Session) -> Iterable[Expected]:
    """Change, add, drop; change on both sides; change what may not be changed; empty a folder; name one that is not."""
    vdirsyncer.write("home_calendars/work", "lunch", "A late lunch")
    vdirsyncer.write("phone_calendars/work", "dinner", "Dinner")
    (vdirsyncer.folder("phone_calendars/work") / "standup.ics").unlink()
    vdirsyncer.write("home_calendars/work", "review", "A review at nine")
    vdirsyncer.write("phone_calendars/work", "review", "A review at ten")
    vdirsyncer.write("home_contacts", "ada", "Ada L.")
    vdirsyncer.write("phone_contacts", "ada", "Ada Love")
    vdirsyncer.write("phone_contacts", "bob", "Robert")
    (vdirsyncer.folder("phone_calendars/private") / "birthday.ics").unlink()
    yield from synced(vdirsyncer, vdirsyncer("sync"), "work", "private", CONTACTS)
    done = vdirsyncer("sync", "calendars/nowhere")
    if done.returncode and done.before == done.after:
        yield Expected("sync", "calendars", "pair", "error")


def emptied(vdirsyncer: Session) -> Iterable[Expected]:
    """Say that it was meant: the other side is emptied too."""
    yield from synced(vdirsyncer, vdirsyncer("sync", "--force-delete", "calendars/private"), "private", force=True)


def names(vdirsyncer: Session) -> Iterable[Expected]:
    """Give a collection a name to show, and bring it to the other side."""
    source = vdirsyncer.folder("home_calendars/work") / "displayname"
    target = vdirsyncer.folder("phone_calendars/work") / "displayname"
    source.write_text("Work", encoding="utf-8")
    done = vdirsyncer("metasync", "calendars")
    if target.exists() and target.read_text(encoding="utf-8") == "Work":
        yield Expected("update", "displayname", "metadata", collection_name="phone_calendars/work")
    for collection in ("work", "private"):
        metadata = {"sync_type": "metadata"}
        status = "error" if done.returncode else "ok"
        yield Expected("sync", collection, "collection", status, "calendars", metadata)


def repaired(vdirsyncer: Session) -> Iterable[Expected]:
    """Two items of one UID: the second gets another one, which the other side then has not; name no collection."""
    vdirsyncer.write("phone_calendars/work", "review", "A review at nine")  # ends the conflict
    vdirsyncer.write("home_calendars/work", "lunch", "A second lunch", file="again")
    done = vdirsyncer("repair", "home_calendars/work", typed="y\n")
    for uid in done.after["home_calendars/work"].keys() - done.before["home_calendars/work"].keys():
        yield Expected("update", uid, "event", metadata={"strategy": "repair"})
    yield repair("home_calendars/work", done)
    yield repair("home_calendars/nowhere", vdirsyncer("repair", "home_calendars/nowhere", typed="y\n"))
    yield from synced(vdirsyncer, vdirsyncer("sync", "calendars/work"), "work")


def repair(name: str, done: Command) -> Expected:
    """Return the event of one repair."""
    return Expected("repair", name, "collection", "error" if done.returncode else "ok", name)


def synced(vdirsyncer: Session, done: Command, *collections: str, force: bool = False) -> Iterator[Expected]:
    """Return the events of a sync, from what both sides held before, after, and when they were last in step."""
    for collection in collections:
        sides = (
            ("home_contacts", "phone_contacts")
            if collection == CONTACTS
            else (f"home_calendars/{collection}", f"phone_calendars/{collection}")
        )
        settled = vdirsyncer.settled.setdefault(collection, {})
        before, after = [done.before[side] for side in sides], [done.after[side] for side in sides]
        failure = None
        if settled and not all(before) and not force:
            failure = "StorageEmpty" if after == before else None
        else:
            for uid in sorted({*settled, *before[0], *before[1]}):
                event, fault = settlement(uid, settled.get(uid), sides, before, after)
                failure = failure or fault
                if event is not None:
                    yield event
        for uid in after[0].keys() | after[1].keys() | settled.keys():
            if (digest := after[0].get(uid)) == after[1].get(uid):
                settled.update({uid: digest} if digest else {})
                settled.pop("" if digest else uid, None)
        pair = CONTACTS if collection == CONTACTS else "calendars"
        metadata = {"sync_type": "items", "force_delete": force, "failure": failure}
        yield Expected("sync", collection, "collection", "error" if failure else "ok", pair, metadata)


def settlement(
    uid: str, old: str | None, sides: Sequence[str], before: Sequence[Files], after: Sequence[Files]
) -> tuple[Expected | None, str | None]:
    """Return the event of one item, and the error of one that is still not in step."""
    kind = "contact" if sides[0].endswith("contacts") else "event"
    was, now = [files.get(uid) for files in before], [files.get(uid) for files in after]
    done = now[0] == now[1]
    if was == [old, old]:
        return None, None
    if all(digest not in (old, None) for digest in was):
        metadata = {"strategy": "resolve", "user_choice": "configured" if kind == "contact" else "none"}
        metadata |= {} if done else {"outcome": "conflict"}
        return Expected("update", uid, kind, "ok", sides[0], metadata), None if done else "SyncConflict"
    source = 0 if was[0] != old else 1
    target = 1 - source
    event = "remove" if was[source] is None else "deploy" if was[target] is None else "update"
    status, fault = ("ok", None) if done else ("error", "PartialSync")
    return Expected(event, uid, kind, status, sides[target]), fault


def main() -> None:
    """Run the story in a temporary folder and print each command, its exit code and the expected events."""
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), os.environ)
        events = tell(session)
        for command in session.commands:
            print(f"{command.returncode}  vdirsyncer {' '.join(command.arguments)}")
        for event in events:
            print(event)


if __name__ == "__main__":
    main()
