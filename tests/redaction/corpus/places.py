"""Paths: in one's own home, in somebody else's, anywhere else; of each system; alone and inside other texts.

The part that must be gone is marked: the directories, of another home the user's name. The last part stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from tests.redaction.corpus.kinds import Identity, Raw
from tests.redaction.corpus.made import NAMES, WORDS

# Where a path (§) stands among words that stay.
AROUND = (
    "§", "§", "could not read §", "opened '§' twice", 'file "§" is missing', "see §, then go on", "wrote (§)",
    "the file § was moved", "error: §: No such file or directory", "tool --input § --fast", "tool --input=§ --fast",
    "OUT=§", "in `§` there is a list", "[§]", "copied §\nand left", "文件§不存在", "ends with §.", "load <§> now",
    "[Errno 2] No such file or directory: '§'", "path: §", "INPUT_FILE=\"§\" run", "§: line 4: x: not found",
)  # fmt: skip
# A path may have blanks only where something says where it ends.
# Words that say that a path follows: without an extension it could else be a route.
TELLING = (
    "No such file or directory: '§'", "cannot open § for reading", "cd § now", "wrote 3 files to §",
    "ls: cannot access '§'",
    "--output-dir § --fast", "directory § is not empty", "in folder §", "DATA_DIR=§",
)  # fmt: skip
QUOTED = ("'§'", '"§"', "opened '§' twice", 'file "§" is missing', "in `§` there is", "FileNotFoundError: '§'")
FILES = (
    "main.py", "data.csv", "notes.txt", "Makefile", "archive.tar.gz", "README.md", "résumé.pdf", "report-2024.xlsx",
    "a.b",
    ".env", "libfoo.so.6", "config", "index.html", "数据.json", "pkg_1.0.whl",
)  # fmt: skip
POSIX_ROOTS = (
    "srv", "opt", "var/lib", "var/log", "etc", "usr/local/lib", "usr/lib/python3/dist-packages", "mnt/disk1", "data",
    "tmp/build",
    "private/var/folders/x1", "Library/Caches", "Volumes/Backup", "workspace", "nix/store", "app", "build", "media/usb",
    "Applications/Tool.app/Contents", "run/user/1000", "projects", "net/share",
)  # fmt: skip
WINDOWS_ROOTS = (
    "D:\\data",
    "C:\\Program Files\\Tool",
    "E:\\builds",
    "C:\\Windows\\System32",
    "C:\\ProgramData",
    "Z:\\share",
)


def _file(rng: Random) -> str:
    return rng.choice(FILES)


def _folders(rng: Random, by: str = "/") -> str:
    return by.join(rng.sample(WORDS, rng.randrange(1, 4)))


def _around(rng: Random, path: str, carriers: tuple[str, ...] = AROUND) -> Raw:
    key = rng.choice(("usage.metadata.note", "usage.project.path", "code.file.path", "message", "detail"))
    return Raw(rng.choice(carriers).replace("§", path), key)


def own_home(rng: Random, identity: Identity) -> Iterator[Raw]:
    """Yield paths in one's own home: the home is gone, what is below it stays."""
    home = f"⟦{identity.home}⟧"
    by = "\\" if "\\" in identity.home else "/"
    # `~/` stands for a home of Windows too, so what separates the parts may change.
    mark = "⟨\\⟩" if by == "\\" else by
    for _ in range(12):
        yield _around(
            rng, f"{home}{mark}{_folders(rng, mark)}{mark}{_file(rng)}", QUOTED if " " in identity.home else AROUND
        )
    for folder in (".config", ".cache", "Documents", "my project"):
        yield _around(rng, f"{home}{mark}{folder}{mark}{_file(rng)}", QUOTED)
    yield Raw(home)
    yield Raw(f"'{home}'")
    yield Raw({"paths": [f"{home}{mark}{_file(rng)}"], "count": 1})
    yield Raw([f"{home}{mark}{_file(rng)}", "plain"])


def other_homes(rng: Random) -> Iterator[Raw]:
    """Yield paths in others' homes: the name is gone."""
    for form in (
        "⟨/home/⟩⟦%s⟧⟨/%f/⟩%l", "⟨/Users/⟩⟦%s⟧⟨/%f/⟩%l", "⟨C:\\Users\\⟩⟦%s⟧⟨\\%b\\⟩%l", "⟨C:/Users/⟩⟦%s⟧⟨/%f/⟩%l",
        "⟦/root⟧⟨/%f/⟩%l",
        "⟨/home/⟩⟦%s⟧⟨/.ssh/⟩%l", "⟨file:///home/⟩⟦%s⟧⟨/%f/⟩%l", "⟨/mnt/c/Users/⟩⟦%s⟧⟨/%f/⟩%l", "⟨/home/⟩⟦%s⟧⟨/⟩%l",
        "⟨c:\\users\\⟩⟦%s⟧⟨\\⟩%l",
        "⟨/export/home/⟩⟦%s⟧⟨/%f/⟩%l", "⟨/c/Users/⟩⟦%s⟧⟨/%f/⟩%l", "⟨/var/home/⟩⟦%s⟧⟨/%f/⟩%l",
        "⟨/System/Volumes/Data/Users/⟩⟦%s⟧⟨/%f/⟩%l",
    ):  # fmt: skip
        for _ in range(3):
            name = rng.choice(NAMES) + rng.choice(("", ".meyer", "42", "-x"))
            path = form.replace("%s", name).replace("%f", _folders(rng)).replace("%b", _folders(rng, "\\"))
            yield _around(rng, path.replace("%l", _file(rng)))
    # Without anything below it, a home may lose its last slash as well.
    for form in (
        "⟨/home/⟩⟦%s⟧", "⟨/Users/⟩⟦%s⟧", "⟨C:\\Users\\⟩⟦%s⟧", "⟨/home/⟩⟦%s⟧⟨/⟩",
        "⟨C:\\Users\\⟩⟦%s Lindqvist⟧⟨\\Documents\\⟩a.txt",
        "⟨/Users/⟩⟦%s Lindqvist⟧⟨/⟩a.txt",
    ):  # fmt: skip
        yield _around(rng, form.replace("%s", rng.choice(NAMES)), QUOTED)


def posix(rng: Random) -> Iterator[Raw]:
    """Yield other absolute paths: their last part stays."""
    for root in POSIX_ROOTS:
        yield _around(rng, f"⟦/{root}/{_folders(rng)}⟧⟨/⟩{_file(rng)}")
        yield _around(rng, f"⟦/{root}/{_folders(rng)}⟧⟨/⟩{rng.choice(WORDS)}", TELLING)
        yield _around(rng, f"⟦/{root}/{_folders(rng)}⟧⟨/⟩{_file(rng)}:{rng.randrange(1, 900)}")
    for _ in range(8):
        yield _around(rng, f"⟦/srv/{rng.choice(WORDS)} {rng.choice(WORDS)}⟧⟨/⟩{_file(rng)}", QUOTED)
    yield Raw(f"⟦/opt/{_folders(rng)}/bin⟧⟨/⟩tool --fast ⟦/srv/{_folders(rng)}⟧⟨/⟩{_file(rng)}")
    yield Raw(f"PATH=⟦/usr/local/⟧bin:⟦/usr/⟧bin:⟦/opt/{_folders(rng)}/⟧bin")
    yield Raw(f"mv ⟦/data/{_folders(rng)}⟧⟨/⟩a.csv ⟦/data/{_folders(rng)}⟧⟨/⟩b.csv")


def windows(rng: Random) -> Iterator[Raw]:
    """Yield absolute paths of Windows: drives, shares and device paths, and file URLs of each system."""
    for root in WINDOWS_ROOTS:
        blank = " " in root
        for _ in range(2):
            yield _around(rng, f"⟦{root}\\{_folders(rng, chr(92))}⟧⟨\\⟩{_file(rng)}", QUOTED if blank else AROUND)
        slashed = root.replace("\\", "/")
        yield _around(rng, f"⟦{slashed}/{_folders(rng)}⟧⟨/⟩{_file(rng)}", QUOTED if blank else AROUND)
    for _ in range(5):
        name, by = rng.choice(WORDS), "\\"
        yield _around(rng, f"⟦\\\\{name}-srv\\share\\{_folders(rng, by)}⟧⟨\\⟩{_file(rng)}")
        yield _around(rng, f"⟦\\\\?\\D:\\{name}\\{_folders(rng, by)}⟧⟨\\⟩{_file(rng)}")
        yield _around(rng, f"⟦file:///srv/{name}/{_folders(rng)}⟧⟨/⟩{_file(rng)}")
        yield _around(rng, f"⟦file:///D:/{name}/{_folders(rng)}⟧⟨/⟩{_file(rng)}")
        yield _around(rng, f"⟦file://{name}-srv/share/{_folders(rng)}⟧⟨/⟩data.csv")
        yield _around(rng, f"⟦file:///srv/{name}%20x⟧⟨/⟩notes.txt")


def in_texts(rng: Random) -> Iterator[Raw]:
    """Yield paths in tracebacks, logs, JSON and arguments."""
    for _ in range(3):
        folders, other, name = _folders(rng), _folders(rng), rng.choice(NAMES)
        line = rng.randrange(2, 500)
        yield Raw(
            "Traceback (most recent call last):\n"
            f'  File "⟦/opt/{folders}⟧⟨/⟩main.py", line {line}, in <module>\n    run(path)\n'
            f'  File "⟨/home/⟩⟦{name}⟧⟨/{other}/⟩core.py", line 7, in run\n'
            "    raise ValueError(path)\nValueError: bad value",
            "exception.stacktrace",
        )
        yield Raw(
            f"    at run (⟦/srv/{folders}⟧⟨/⟩index.js:{line}:13)\n    at main (node:internal)", "exception.stacktrace"
        )
        yield Raw(f"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t⟦/go/src/{folders}⟧⟨/⟩main.go:{line} +0x1d")
        windows = f"D:\\src\\{_folders(rng, chr(92))}"
        yield Raw(f"   at App.Run() in ⟦{windows}⟧⟨\\⟩App.cs:line {line}", "exception.stacktrace")
        yield Raw(json.dumps({"cwd": f"⟦/srv/{folders}⟧⟨/⟩a.txt", "n": 1}, ensure_ascii=False))
        yield Raw(json.dumps({"argv": ["tool", f"⟦{windows}⟧⟨\\⟩a.txt"]}, ensure_ascii=False))
        yield Raw("log: " + json.dumps({"file": f"⟦{windows}⟧⟨\\⟩a.txt", "ok": True}, ensure_ascii=False))
        yield Raw(["tool", "--out", f"⟦/data/{folders}⟧⟨/⟩out.csv"], "process.command_args")
        yield Raw(f'⟦/srv/{folders}⟧⟨/⟩app.py:{line}:8: error: Name "x" is not defined  [name-defined]')
        yield Raw(f"PermissionError(13, 'Permission denied: ⟦/var/lib/{folders}⟧⟨/⟩state')", "exception.message")
        yield Raw(f"diff --git a/x.py b/x.py\nread ⟦/data/{folders}⟧⟨/⟩x.py → ⟦/data/{other}⟧⟨/⟩y.py")
        yield Raw({f"⟦/srv/{folders}⟧⟨/⟩a.txt": 12, "total": 12}, "sizes")
        yield Raw(f"-I⟦/usr/include/{folders}⟧⟨/⟩inc -L⟦/usr/lib/{folders}⟧⟨/⟩lib")
        yield Raw(f"rsync -av ⟦/data/{folders}⟧⟨/⟩a.db backup:⟨/⟩b.db")
        yield Raw(f"sqlite:///⟦/var/lib/{folders}⟧⟨/⟩app.db".replace("sqlite:///⟦", "⟨sqlite:///⟩⟦"))
