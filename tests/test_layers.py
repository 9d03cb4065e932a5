"""The layers of the package, read from the source: each module imports only its own layer and lower ones."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import usagetrace

ROOT = Path(usagetrace.__file__).parent
# Lowest first; a module belongs to the longest prefix that fits.
LAYERS: list[tuple[str, ...]] = [
    (
        "semconv", "events", "errors", "guard", "places", "consent", "version", "setting_types", "setting_files",
        "patterns",
        "setting_declarations", "sampling_table",
        "event_types", "event_type_table", "event_plugins", "event_json", "payloads", "payload_checks",
        "payload_words", "validation",
    ),
    ("config", "redaction", "environment"),
    ("track", "autoinstrument", "point_events"),
    (
        "redaction.spans", "redaction.processor", "redaction.exporter", "redaction.metrics", "redaction.records",
        "redaction.logs", "redaction.log_processor", "redaction.log_exporter", "redaction.merging", "redaction.buckets",
        "redaction.instruments", "redaction.protection",
        "ids", "spool", "store", "sampling", "sampler",
    ),
    ("exporters", "importers", "audit", "otlp", "delivery"),
    ("reports",),
    (
        "analytics", "analytics_event", "event_logger", "invocations", "pipeline", "providers", "distro", "testing",
        "server",
    ),
    ("cli", "__main__"),
]  # fmt: skip
# What people import: it stands on tracking, and reaches higher only inside functions.
FRONT_DOOR = ("", "api", "auto")
FRONT_DOOR_LAYER = 2


def modules() -> dict[str, Path]:
    """Return every module's dotted name below the package, with its file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def layer(module: str) -> int | None:
    """Return the number of a module's layer; None for the front door."""
    if module in FRONT_DOOR:
        return None
    fits = [(len(name), number) for number, names in enumerate(LAYERS) for name in names
            if module == name or module.startswith(f"{name}.")]  # fmt: skip
    assert fits, f"{module} is in no layer: name its layer in this test"
    return max(fits)[1]


def imports(module: str, *, lazy: bool) -> Iterator[tuple[str, int]]:
    """Yield the absolute name of everything that a module imports, with its line.

    Args:
        module: Dotted name below the package.
        lazy: Also what is imported inside functions and for type checking alone.
    """
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node, hidden in _walk(tree, hidden=False):
        if hidden and not lazy:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative imports hide the layer"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full.removeprefix("usagetrace.") in MODULES else str(node.module)), node.lineno


def _walk(node: ast.AST, *, hidden: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = hidden or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            inside = True
        yield child, inside
        yield from _walk(child, hidden=inside)


def ours(name: str) -> str | None:
    """Return a name below the package, or None for what is not of this package."""
    if name == "usagetrace":
        return ""
    return name.removeprefix("usagetrace.") if name.startswith("usagetrace.") else None


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_layer_and_lower_ones(module: str) -> None:
    """No import goes up, lazy ones and those for types included; the front door's may go up inside functions."""
    own = layer(module)
    limit = FRONT_DOOR_LAYER if own is None else own
    wrong = []
    for name, line in imports(module, lazy=own is not None):
        target = ours(name)
        if target is None or target in FRONT_DOOR:
            # Only what stands above the front door may knock at it.
            if target is not None and own is not None and own <= FRONT_DOOR_LAYER:
                wrong.append(f"line {line}: {name}")
            continue
        above = layer(target)
        if above is not None and above > limit:
            wrong.append(f"line {line}: {name}")
    if module == "redaction":
        # It offers the processors by name, and imports them when they are asked for (for types, here).
        wrong = [line for line in wrong if "redaction." not in line]
    assert wrong == []


# Package -> what it must not import, at the top or inside.
BANNED: dict[str, tuple[str, ...]] = {
    "semconv": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "events": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "errors": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "guard": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "config": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "consent": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "redaction.engine": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "redaction.rules": ("opentelemetry", "sqlite3", "wrapt", "click", "rich"),
    "track": ("opentelemetry.sdk", "opentelemetry.exporter", "sqlite3", "click", "rich", "usagetrace.store"),
    "autoinstrument": ("opentelemetry.sdk", "opentelemetry.exporter", "sqlite3", "click", "rich", "usagetrace.store"),
    "store": ("opentelemetry", "wrapt", "click", "rich", "usagetrace.track"),
    "reports": ("opentelemetry", "wrapt", "click", "rich", "usagetrace.track", "usagetrace.store.writer",
                "usagetrace.store.recorder", "usagetrace.store.maintenance", "usagetrace.store.migrations"),
    "exporters": ("click", "rich"),
    "importers": ("click", "rich", "opentelemetry.sdk", "opentelemetry.exporter"),
    "otlp": ("click", "rich", "opentelemetry.sdk", "opentelemetry.exporter", "sqlite3"),
    "delivery": ("click", "rich", "opentelemetry.sdk", "usagetrace.server"),
    "server": ("click", "rich", "opentelemetry.sdk", "usagetrace.pipeline", "usagetrace.delivery"),
    "audit": ("opentelemetry", "click", "rich", "usagetrace.track", "usagetrace.store.writer"),
    "pipeline": ("click", "rich"),
    "analytics": ("click", "rich"),
    "invocations": ("click", "rich", "opentelemetry"),
}  # fmt: skip


@pytest.mark.parametrize("package", BANNED)
def test_a_part_does_not_know_what_it_must_not_know(package: str) -> None:
    """The store knows no OpenTelemetry, tracking no SDK and no SQLite, reports no writer, nothing the command line."""
    members = [module for module in MODULES if module == package or module.startswith(f"{package}.")]
    wrong = [
        f"{module}:{line}: {name}"
        for module in members
        for name, line in imports(module, lazy=True)
        if any(name == banned or name.startswith(f"{banned}.") for banned in BANNED[package])
    ]
    assert wrong == []
    assert members or package == "reports"


# What an extra brings is imported by the parts that it is for.
EXTRAS: dict[str, tuple[str, ...]] = {
    "store.archive": ("pyarrow",),
    "audit.parquet": ("pyarrow",),
    "otlp": ("google",),
    "delivery": ("google", "certifi", "requests", "urllib3"),
    "server": ("starlette", "uvicorn", "anyio", "grpc", "google"),
    # No extra brings these two: whoever includes the router has them.
    "server.telemetry_router": ("fastapi", "pydantic"),
}


def _brought(module: str) -> tuple[str, ...]:
    return tuple(name for part, names in EXTRAS.items() if f"{module}.".startswith(f"{part}.") for name in names)


def test_runtime_dependencies_are_the_declared_ones() -> None:
    """Outside the command line, and the parts of an extra, only the declared dependencies are imported."""
    # typing_extensions is for type checkers alone, and comes with OpenTelemetry's API.
    allowed = {
        "typing_extensions",
        "opentelemetry",
        "wrapt",
        "usagetrace",
        "tomli",
        "tomllib",
        *sys.stdlib_module_names,
    }
    wrong = [
        f"{module}:{line}: {name}"
        for module in MODULES
        if not module.startswith("cli")
        for name, line in imports(module, lazy=True)
        if name.partition(".")[0] not in allowed and name.partition(".")[0] not in _brought(module)
    ]
    assert wrong == []
