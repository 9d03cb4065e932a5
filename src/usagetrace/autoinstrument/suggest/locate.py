"""Where a package's files are, found without importing it or anything of it.

Finders are asked for the top-level name only: for `a.b`, the import system would import `a` first. From there on it is
folders. Archives are not opened: a package inside a zip file is named as what could not be read.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from usagetrace.autoinstrument.suggest.model import Located, Source
from usagetrace.errors import UsageTraceError

# Files of one package that are read; what lies beyond is named in a note.
MOST_FILES: Final = 4000
# Folders and files that hold no part of the program itself.
_NOT_THE_PROGRAM: Final = frozenset({
    "test", "tests", "testing", "testsuite", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "vendor",
    "vendored", "_vendor", "_vendored", "_vendored_packages", "third_party", "thirdparty", "extern", "externals",
    "node_modules", "site-packages", "__pycache__",
})  # fmt: skip
_NOT_A_MODULE: Final = re.compile(r"(?:test_.*|.*_tests?|tests|conftest|setup|noxfile)\.py")
# Folders beside a distribution's modules that are none.
_BESIDE: Final = frozenset({"bin", "share", "lib", "etc", "include", "Scripts"})


class PackageNotFoundError(UsageTraceError):
    """No package, module, distribution, folder or file of that name."""


def locate(package: str, path: Iterable[str] | None = None) -> Located:
    """Find the files of a package.

    Args:
        package: A package or module (`papis`, `pip._internal.req`), a distribution whose modules are named otherwise
            (`beautifulsoup4`), a folder, or a `.py` file.
        path: Folders to look in; ``sys.path`` by default.

    Returns:
        Its files, those of tests, documentation and vendored copies left out.

    Raises:
        PackageNotFoundError: Nothing of that name is there.
    """
    search = list(sys.path if path is None else path)
    given = Path(package)
    if package.endswith(".py") or os.sep in package or "/" in package or package in (".", ".."):
        if not given.exists():
            raise PackageNotFoundError(f"{package}: no such file or folder")
        return _bounded(package, _of_path(given.resolve()), [])
    notes: list[str] = []
    # Finders of editable installations speak of this process's own path.
    own = set(sys.path) <= set(search)
    found = list(_of_name(package, search, notes, use_hooks=own))
    if not found and "." not in package:
        for name in _modules_of_distribution(package, search):
            found += _of_name(name, search, notes, use_hooks=own)
    if not found and not notes and given.is_dir():
        return _bounded(package, _of_path(given.resolve()), [])
    if not found and not notes:
        raise PackageNotFoundError(
            f"{package}: no package, module or distribution of that name on sys.path; "
            "a folder or a .py file will do too"
        )
    return _bounded(package, found, notes)


def _bounded(name: str, sources: Iterable[Source], notes: list[str]) -> Located:
    kept: dict[str, Source] = {}
    for source in sources:
        if len(kept) >= MOST_FILES:
            notes.append(f"only the first {MOST_FILES:,} files were read; name a sub-package for the others")
            break
        kept.setdefault(source.module, source)
    return Located(name, tuple(kept.values()), tuple(notes))


def _of_name(package: str, search: list[str], notes: list[str], *, use_hooks: bool) -> Iterator[Source]:
    top, *rest = package.split(".")
    spec = PathFinder.find_spec(top, search) if top else None
    if spec is None and use_hooks:
        spec = _from_other_finders(top)
    if spec is None:
        return
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        yield from _single(package, spec, bool(rest), notes)
        return
    readable = [folder for folder in folders if folder.is_dir()]
    if not readable:
        notes.append(f"{package} lies in {folders[0]}, which is no folder; archives are not read")
    for folder in readable:
        inner, shown = folder, Path(folder.name)
        for part in rest:
            inner, shown = inner / part, shown / part
        if inner.is_dir():
            yield from _walk(inner, package, shown)
        elif rest and inner.with_suffix(".py").is_file():
            yield Source(package, inner.with_suffix(".py"), str(shown.with_suffix(".py")))


def _single(package: str, spec: ModuleSpec, dotted: bool, notes: list[str]) -> Iterator[Source]:
    """Yield a module that is no package."""
    origin = spec.origin or ""
    if dotted:
        return
    if origin.endswith(".py") and Path(origin).is_file():
        yield Source(package, Path(origin), Path(origin).name)
    else:
        notes.append(f"{package} has no source text ({origin or 'built in'})")


def _from_other_finders(name: str) -> ModuleSpec | None:
    """Return what finders of editable installations know of a top-level name."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or finder is PathFinder:
            continue
        try:
            spec = find(name, None)
        except Exception:  # noqa: BLE001, S112 -- a finder of somebody else's that fails knows nothing of the name
            continue
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _modules_of_distribution(name: str, search: list[str]) -> list[str]:
    """Return the top-level modules that a distribution installed."""
    for distribution in metadata.distributions(name=name, path=search):
        text = distribution.read_text("top_level.txt")
        tops = dict.fromkeys((text or "").split())
        if not tops:
            for file in distribution.files or ():
                first = file.parts[0]
                if file.suffix == ".py" and first not in _BESIDE and first != "..":
                    tops.setdefault(first.removesuffix(".py"))
        return [top for top in tops if top.isidentifier() and top.lower() not in _NOT_THE_PROGRAM]
    return []


def _of_path(path: Path) -> Iterator[Source]:
    if path.is_file():
        root, module = _importable(path.with_suffix(""))
        if path.name == "__init__.py":
            module = module.rpartition(".")[0]
        yield Source(module, path, str(path.relative_to(root)), path.name == "__init__.py")
    elif (path / "__init__.py").is_file():
        root, module = _importable(path)
        yield from _walk(path, module, path.relative_to(root))
    elif (path / "src").is_dir():
        yield from _of_path(path / "src")
    else:
        for entry in sorted(path.iterdir()):
            if entry.suffix == ".py" and _is_module(entry.name):
                yield Source(entry.stem, entry, entry.name)
            elif (entry / "__init__.py").is_file() and _is_part(entry.name):
                yield from _walk(entry, entry.name, Path(entry.name))


def _importable(path: Path) -> tuple[Path, str]:
    """Return the folder that a module would be imported from, and its dotted name."""
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root, ".".join(path.relative_to(root).parts)


def _walk(top: Path, package: str, shown: Path) -> Iterator[Source]:
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(
            name for name in folders if _is_part(name) and not (Path(folder) / name / "pyvenv.cfg").exists()
        )
        below = Path(folder).relative_to(top)
        inside = ".".join((package, *below.parts))
        for file in sorted(files, key=lambda name: (name != "__init__.py", name)):
            if file == "__init__.py":
                yield Source(inside, Path(folder) / file, str(shown / below / file), True)
            elif file.endswith(".py") and _is_module(file):
                yield Source(f"{inside}.{file[:-3]}", Path(folder) / file, str(shown / below / file))


def _is_part(folder: str) -> bool:
    return folder.isidentifier() and folder.lower() not in _NOT_THE_PROGRAM


def _is_module(file: str) -> bool:
    stem = file[:-3]
    return stem.isidentifier() and not _NOT_A_MODULE.fullmatch(file)
