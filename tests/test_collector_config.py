"""The Collector's configurations, looked at without a Collector: in step with the code, laid out to lose nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import build_otelcol, collector_allow_list
from usagetrace import semconv
from usagetrace.redaction.vendors import TOKENS

FOLDER = Path(__file__).resolve().parents[1] / "collector-config"
ROLES = ("agent", "gateway", "local")
DEPLOYED = (
    FOLDER / "docker-compose.yaml",
    FOLDER / "kustomization.yaml",
    *sorted((FOLDER / "kubernetes").glob("*.yaml")),
)
_VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")


def text_of(role: str) -> str:
    """Return a configuration as it stands in its file."""
    return (FOLDER / f"{role}.yaml").read_text(encoding="utf-8")


def settings_of(role: str) -> Any:
    """Return a configuration as a Collector without any variable set reads it."""
    return yaml.safe_load(_VARIABLE.sub(lambda found: found[2] or "", text_of(role)).replace("$$", "$"))


def statements(role: str, signal: str) -> list[str]:
    """Return the statements that decide by name what passes."""
    groups = settings_of(role)["processors"]["transform/allow_list"][f"{signal}_statements"]
    return [statement for group in groups for statement in group["statements"]]


def passes(role: str, signal: str, target: str) -> re.Pattern[str]:
    """Return the expression of the keys that pass in one place."""
    (found,) = [one for one in statements(role, signal) if one.startswith(f"keep_matching_keys({target}, ")]
    return re.compile(found.split('"')[1])


@pytest.mark.parametrize("role", ROLES)
def test_what_is_generated_is_in_step(role: str) -> None:
    """The blocks are what the generator makes of semconv.py now: `python tools/collector_allow_list.py` writes them."""
    text = text_of(role)
    assert collector_allow_list.written(text) == text
    assert text.count("# generated: ") == text.count("# end generated") >= 3


def test_a_new_attribute_drifts() -> None:
    """A block that lacks a name is written anew: the comparison of the test above can fail."""
    text = text_of("agent")
    older = text.replace("usage[.]outcome|", "")
    assert older != text
    assert collector_allow_list.written(older) == text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("signal", "target"), [("trace", "span.attributes"), ("log", "log.attributes")])
def test_every_attribute_of_ours_passes_and_no_other(role: str, signal: str, target: str) -> None:
    """Whole names pass, metadata by its prefix, and nothing that only looks like one."""
    allowed = passes(role, signal, target)
    ours = [
        semconv.EVENT_TYPE, semconv.ARTIFACT_NAME, semconv.PROJECT_PATH, semconv.OUTCOME, semconv.ITEM_ERROR_TYPE,
        semconv.SESSION_ID, semconv.ERROR_TYPE, semconv.CODE_FUNCTION_NAME, "usage.metadata.strategy",
        "usage.item.metadata.rank", *collector_allow_list.span_attributes(),
    ]  # fmt: skip
    assert [name for name in ours if allowed.search(name) is None] == []
    others = (
        "usage.event.type.x", "xusage.event.type", "usageXevent.type", "usage.metadata.", "usage.metadata.a b",
        "usage.metadata." + "a" * 65, "user.email", "redaction.masked.keys", "usage.event.type\n",
    )  # fmt: skip
    assert [name for name in others if allowed.fullmatch(name) is not None] == []


@pytest.mark.parametrize("role", ROLES)
def test_metrics_have_few_attributes(role: str) -> None:
    """What splits a metric is what the page of attributes names, in points; in exemplars nothing."""
    points = passes(role, "metric", "datapoint.attributes")
    names = (semconv.EVENT_TYPE, semconv.ARTIFACT_TYPE, semconv.OUTCOME, semconv.ERROR_TYPE)
    assert all(points.search(name) for name in names)
    assert points.search(semconv.ARTIFACT_NAME) is None
    assert passes(role, "metric", "exemplar.filtered_attributes").search(semconv.EVENT_TYPE) is None


@pytest.mark.parametrize("role", ROLES)
def test_each_group_of_statements_has_one_context(role: str) -> None:
    """Statements of several contexts in one group run only where the lowest has something: others would pass."""
    for name in ("transform/allow_list", "transform/names"):
        for key, groups in settings_of(role)["processors"][name].items():
            if key == "error_mode":
                assert groups == "propagate"
                continue
            for group in groups:
                found = {re.search(r"\((\w+)\.", statement)[1] for statement in group["statements"]}
                assert found == {group["context"]}


def test_well_known_tokens_are_masked() -> None:
    """The examples of the redaction's own table are found, by expressions that the Collector's engine takes."""
    patterns = [re.compile(pattern) for pattern in collector_allow_list.blocked_patterns()]
    well_known = [token for token in TOKENS if token.name in collector_allow_list.WELL_KNOWN]
    missed = [
        (token.name, example)
        for token in well_known
        for example in token.matches
        if not any(pattern.search(example) for pattern in patterns)
    ]
    assert missed == []
    found = [spared for token in well_known for spared in token.spares if any(one.search(spared) for one in patterns)]
    assert found == []
    for pattern in patterns:
        assert re.search(r"\(\?<?[=!]", pattern.pattern) is None
        assert all(int(most) <= 1000 for most in re.findall(r",(\d+)\}", pattern.pattern))


def test_harmless_values_are_left_alone() -> None:
    """What usage data are made of is not taken for a secret."""
    patterns = [re.compile(pattern) for pattern in collector_allow_list.blocked_patterns()]
    harmless = (
        "deploy", "skill-17", "~/projects/app", "[redacted:gh-token]", "[redacted:secret]", "https://example.com/a:b",
        "shelf.token:Shelf.deploy", "token_count=15", "max_tokens: 15", "0.25", "2026-11-22T08:00:00Z",
        "a8f3b2c1d4e5f607",
    )  # fmt: skip
    assert [value for value in harmless if any(pattern.search(value) for pattern in patterns)] == []


@pytest.mark.parametrize("role", ROLES)
def test_nothing_between_receiver_and_queue_holds_data(role: str) -> None:
    """Memory is guarded first, no processor batches, and every exporter to a network has a queue on disk for ever."""
    settings = settings_of(role)
    for name, pipeline in settings["service"]["pipelines"].items():
        processors = pipeline.get("processors", [])
        assert not [one for one in processors if one.startswith("batch")]
        if pipeline["receivers"] == ["otlp"]:
            assert processors[0] == "memory_limiter"
            assert {"transform/allow_list", "redaction/secrets"} <= set(processors)
            if not name.startswith("metrics"):
                assert processors[-1] == "transform/names"
    for name, exporter in settings["exporters"].items():
        if name.startswith("file/"):
            # With rotation it writes each request before it answers.
            assert exporter["rotation"]["max_megabytes"] > 0
            continue
        assert exporter["sending_queue"]["storage"] == "file_storage/queue"
        assert "batch" in exporter["sending_queue"]
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_usage_meets_no_sampler() -> None:
    """In the gateway, the one pipeline with a sampler drops our scope first and leads to none that keeps it."""
    pipelines = settings_of("gateway")["service"]["pipelines"]
    sampled = {name for name, one in pipelines.items() if any("sampl" in each for each in one.get("processors", []))}
    assert sampled == {"traces/rest"}
    assert "filter/no_usage" in pipelines["traces/rest"]["processors"][0]
    assert pipelines["traces/rest"]["exporters"] == ["file/rest"]


@pytest.mark.parametrize("role", ROLES)
def test_the_head_names_every_variable(role: str) -> None:
    """Who reads the top of a file knows all of its variables; each has a default, so that it is valid as it is."""
    text = text_of(role)
    head = text[: text.index("\nextensions:")]
    prefix = f"USAGETRACE_{role.upper()}"
    active = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    used = {found[1]: found[2] for found in _VARIABLE.finditer(active)}
    assert [name for name, default in used.items() if default is None] == []
    missing = [name for name in used if name not in head and f"_{name.removeprefix(prefix + '_')}" not in head]
    assert missing == []


@pytest.mark.parametrize("role", ROLES)
def test_no_secret_stands_in_a_file(role: str) -> None:
    """What may be a secret comes from the environment."""
    held = re.findall(r"^[ #]*(?:token|password|username|headers?):\s*(\S.*)$", text_of(role), re.MULTILINE)
    assert [value for value in held if not value.startswith("${env:")] == []


def test_buckets_are_those_of_the_package() -> None:
    """The metrics of spans have the bounds of our own histogram."""
    bounds = settings_of("gateway")["connectors"]["span_metrics"]["histogram"]["explicit"]["buckets"]
    assert tuple(float(bound.removesuffix("s")) for bound in bounds) == semconv.DURATION_BUCKETS


@pytest.mark.parametrize("file", DEPLOYED, ids=lambda file: file.name)
def test_what_is_deployed_is_pinned_and_runs_these_files(file: Path) -> None:
    """Manifests parse, name images with a tag, and set only variables that a configuration or the receiver reads."""
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    known = {found[1] for role in ROLES for found in _VARIABLE.finditer(text_of(role))}
    assert documents
    images = [value for key, value in _pairs(documents) if key == "image"]
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:\d[\w.-]*", image)] == []
    # Compose has variables as keys, Kubernetes as names.
    names = {key for key, _ in _pairs(documents)} | {value for key, value in _pairs(documents) if key == "name"}
    assert {name for name in names if str(name).startswith("USAGETRACE_")} <= known


def test_containers_mount_the_very_files() -> None:
    """The Compose file and the config maps take agent.yaml and gateway.yaml themselves: there is no copy to drift."""
    compose = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
    for role in ("agent", "gateway"):
        assert f"./{role}.yaml:/etc/usagetrace/{role}.yaml:ro" in compose["services"][role]["volumes"]
        assert compose["services"][role]["command"] == [f"--config=/etc/usagetrace/{role}.yaml"]
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    maps = {one["name"]: one["files"] for one in kustomization["configMapGenerator"]}
    assert maps == {"usagetrace-agent": ["agent.yaml"], "usagetrace-gateway": ["gateway.yaml"]}
    assert [name for name in kustomization["resources"] if not (FOLDER / name).is_file()] == []


def _pairs(value: Any) -> list[tuple[str, Any]]:
    """Return every key of every mapping with what it holds, however deep."""
    if isinstance(value, dict):
        return [pair for key, each in value.items() for pair in [(key, each), *_pairs(each)]]
    return [pair for each in value for pair in _pairs(each)] if isinstance(value, list) else []


def test_a_manifest_loses_what_cannot_be_had() -> None:
    """Dropping a component takes its line, and no other; the full manifest has all of the default one."""
    manifest = (FOLDER / "builder.yaml").read_text(encoding="utf-8")
    every = build_otelcol.components(manifest)
    (redaction,) = [module for module in every if module.path.endswith("/redactionprocessor")]
    assert build_otelcol.components(build_otelcol.without(manifest, [redaction])) == tuple(
        module for module in every if module != redaction
    )
    full = build_otelcol.components((FOLDER / "builder-full.yaml").read_text(encoding="utf-8"))
    assert set(every) < set(full)
    assert build_otelcol.builder_version(manifest) == "v0.159.0"


def test_a_build_is_known_by_what_it_is_made_of(tmp_path: Path) -> None:
    """Comments make no other build; a component and another Go do. The cache is never in the tree."""
    manifest = (FOLDER / "builder.yaml").read_text(encoding="utf-8")
    key = build_otelcol.key_of(manifest, "go1.26.0")
    assert build_otelcol.key_of("# a comment\n" + manifest, "go1.26.0") == key
    assert build_otelcol.key_of(manifest, "go1.27.0") != key
    assert (
        build_otelcol.key_of(build_otelcol.without(manifest, build_otelcol.components(manifest)[:1]), "go1.26.0") != key
    )
    assert build_otelcol.cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "usagetrace" / "otelcol"
    # The specification of these folders ignores a relative one.
    assert build_otelcol.cache_folder({"XDG_CACHE_HOME": "here"}) == Path.home() / ".cache" / "usagetrace" / "otelcol"


def test_without_go_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Go: one line that names it, exit code 1, nothing on stdout."""
    monkeypatch.setenv("PATH", "")
    assert build_otelcol.main([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("make otelcol: there is no `go` on the PATH: install Go")
