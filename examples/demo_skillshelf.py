"""A story told with the real ``skillshelf`` command line, and the events that it must leave behind.

This module owns the story. What it expects is written down from what was done and from files on the disk, never from
telemetry. Run by itself it tells the story in a new folder and prints the account::

    python examples/demo_skillshelf.py FOLDER
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

# The account lies beside this file; a test may load this one by its path.
if str(Path(__file__).resolve().parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from skillshelf_account import Expected, Search, Story, differences, edit, planted_secrets, sha

__all__ = ["Expected", "differences", "planted_secrets", "run"]

# What is deployed at first: 47 different artifacts of the starter library, and some of them twice.
DEPLOYED = {
    ("shop", "skill"): "token-counter canvas api-designer sql-explainer schema-migrator image-optimizer",
    ("shop", "command"): "review commit fix-tests",
    ("shop", "agent"): "code-reviewer",
    ("blog", "skill"): "markdown-polisher image-optimizer accessibility-auditor i18n-helper meeting-notes",
    ("blog", "command"): "translate docs-check explain",
    ("blog", "agent"): "tech-writer ux-critic review",
    ("lab", "skill"): "csv-surgeon regex-builder pdf-reader unit-test-writer git-archaeologist",
    ("lab", "command"): "bench type-hints dead-code todo-sweep",
    ("lab", "agent"): "data-analyst prompt-tuner performance-tuner",
    ("billing", "skill"): "docker-slimmer log-detective threat-modeler token-counter",
    ("billing", "command"): "dep-audit rollback-plan env-doctor postmortem",
    ("billing", "agent"): "security-auditor incident-commander database-keeper",
    ("atlas", "skill"): "release-captain changelog-writer canvas log-detective",
    ("atlas", "command"): "scaffold summarize-issue",
    ("atlas", "agent"): "release-manager refactorer api-librarian",
}

STANDUP = """---
name: standup
description: Say in three lines what was done, what comes next, and what is in the way
version: {version}
type: command
tags: [meetings, writing]
---

Read yesterday's commits of $USER. Three lines, no adjectives.{more}
"""


def run(workdir: Path, env: Mapping[str, str] | None = None, *, in_process: bool = False) -> list[Expected]:
    """Tell the story.

    Args:
        workdir: An empty or new folder. It becomes the home directory, with the shelf and the projects in it.
        env: Environment of the commands; that of this process by default. ``HOME`` and ``SHELF_HOME`` are replaced.
        in_process: Run the commands inside this process instead of one process each.

    Returns:
        The events that must have been recorded, in order.

    Raises:
        RuntimeError: A command ended otherwise than the story says.
    """
    story = Story(workdir, os.environ if env is None else env, in_process=in_process)
    for chapter in (
        stock,
        fill_projects,
        look_around,
        new_versions,
        refused_updates,
        edits,
        quarrels,
        forks,
        farewells,
    ):
        chapter(story)
    return story.expected


def stock(story: Story) -> None:
    """A shelf is made and filled; adding is an event, filling it with the starter library is none."""
    story.shelf("init", "--starter")
    story.shelf("init", "--collection", "team")
    standup = story.home / "notes" / "standup.md"
    standup.parent.mkdir()
    standup.write_text(STANDUP.format(version="0.1.0", more=""), encoding="utf-8")
    story.shelf("add", standup)
    story.expect("add", "standup", "command", version="0.1.0", sha=sha(story.shelved("command", "standup")))
    story.shelf("add", standup, code=1)
    story.expect("add", "standup", "command", "error")
    standup.write_text(STANDUP.format(version="0.2.0", more="\nNames of issues, not their numbers."), encoding="utf-8")
    story.shelf("add", standup, "--replace")
    # The removal inside is no user's removal: no event of its own.
    story.expect("add", "standup", "command", version="0.2.0", replaced=True)
    story.shelf("add", standup, "--collection", "team")
    story.expect("add", "standup", "command", version="0.2.0", replaced=False)


def fill_projects(story: Story) -> None:
    """Artifacts are deployed, several at once; one that is unknown does not stop the others."""
    lines = []
    for (project, kind), names in DEPLOYED.items():
        lines.append(("deploy", *names.split(), "--type", kind, "--project", story.project(project)))
    story.shelf(*lines[0])
    story.shelf(*lines[1])
    story.batch(*lines[2:])
    for (project, kind), names in DEPLOYED.items():
        for name in names.split():
            story.expect_deploy(project, kind, name)
    handbook = story.project("handbook")
    story.shelf("deploy", "standup", "time-machine", "onboarding-guide", "--project", handbook, code=1)
    story.expect_deploy("handbook", "command", "standup")
    story.expect("deploy", "time-machine", "", "error", "handbook", success=False)
    story.expect_deploy("handbook", "agent", "onboarding-guide")
    story.shelf("deploy", "warp-drive", "--type", "skill", "--project", handbook, code=1)
    story.expect("deploy", "warp-drive", "skill", "error", "handbook", success=False)
    # A command and an agent have this name.
    story.shelf("deploy", "review", "--project", handbook, code=1)
    story.expect("deploy", "review", "", "error", "handbook", success=False)
    story.shelf("deploy", "commit", "--type", "command", "--project", story.home / "projects" / "nowhere", code=1)
    story.expect("deploy", "commit", "command", "error", "nowhere", success=False)
    story.shelf("deploy", "test-engineer", "--project", handbook)
    story.expect_deploy("handbook", "agent", "test-engineer")


def look_around(story: Story) -> None:
    """Searches with many results, with fewer than five, with none, and with a secret pasted into the query."""
    story.batch(("list",), ("list", "--project", story.project("shop")), ("show", "token-counter"))
    incident = ("log-detective", "rollback-plan", "postmortem", "incident-commander")
    story.search(Search("review"))
    story.search(Search("client/server patterns", found=()))
    story.search(Search(f"why is {planted_secrets()[0]} refused", found=()))
    story.search(
        Search("writing", "metadata"),
        Search("token cost", "metadata", found=("token-counter",)),
        Search("postmortem", found=("postmortem",)),
        Search("incident", "metadata", found=incident),
        Search("the", "content", ("--limit", "3")),
        Search("trust", "content", ("--type", "agent"), found=("database-keeper",)),
        Search("quantum entanglement", found=()),
    )


def new_versions(story: Story) -> None:
    """Updates by each strategy: as it comes, merged with local edits, and asked for."""

    def expect(name: str, kind: str, before: str, after: str, strategy: str, conflicts: int, choice: str = "") -> None:
        metadata = {"strategy": strategy, "version_before": before, "version_after": after, "rollback": False}
        metadata |= {"conflicts_detected": conflicts, **({"user_choice": choice} if choice else {})}
        story.expected.append(Expected("update", name, kind, metadata=metadata))

    new = story.download("skill", "canvas", ("version: 2.1.0", "version: 2.2.0"), ("two colours", "three colours"))
    story.shelf("update", "canvas", "--from", new)
    expect("canvas", "skill", "2.1.0", "2.2.0", "overwrite", 0)
    new = story.download("skill", "csv-surgeon", ("version: 1.0.0", "version: 1.1.0"))
    edit(story.shelved("skill", "csv-surgeon"), ("Detect the encoding", "First make a copy. Detect the encoding"))
    story.shelf("update", "csv-surgeon", "--from", new, "--strategy", "merge")
    expect("csv-surgeon", "skill", "1.0.0", "1.1.0", "merge", 0)
    new = story.download("command", "bench", ("version: 0.7.2", "version: 0.8.0"), ("at least seven", "at least nine"))
    edit(story.shelved("command", "bench"), ("at least seven", "at least eleven"))
    story.shelf("update", "bench", "--from", new, "--strategy", "merge", code=1)
    expect("bench", "command", "0.7.2", "0.8.0", "merge", 1)
    new = story.download("agent", "data-analyst", ("version: 2.0.3", "version: 2.1.0"))
    story.shelf("update", "data-analyst", "--from", new, "--strategy", "prompt", "--no")
    expect("data-analyst", "agent", "2.0.3", "2.0.3", "prompt", 0, choice="cancel")
    story.shelf("update", "data-analyst", "--from", new, "--strategy", "prompt", "--yes")
    expect("data-analyst", "agent", "2.0.3", "2.1.0", "prompt", 0, choice="proceed")
    new = story.download("command", "standup", ("version: 0.2.0", "version: 1.0.0"))
    story.shelf("update", "standup", "--from", new, "--collection", "team")
    expect("standup", "command", "0.2.0", "1.0.0", "overwrite", 0)


def refused_updates(story: Story) -> None:
    """An update that is rolled back half-way, and updates that never began."""
    new = story.download("skill", "pdf-reader", ("version: 1.1.3", "version: 1.2.0"))
    edit(story.shelved("skill", "pdf-reader"), ("version: 1.1.3", "version: 1.1.4"))
    before = sha(story.shelved("skill", "pdf-reader"))
    # Both sides raised the version: the merged front matter holds markers and is no front matter any more.
    story.shelf("update", "pdf-reader", "--from", new, "--strategy", "merge", code=1)
    if sha(story.shelved("skill", "pdf-reader")) != before:
        raise RuntimeError("the update of pdf-reader was not rolled back")
    story.expect(
        "update", "pdf-reader", "skill", "error", strategy="merge", version_before="1.1.4", version_after="1.1.4",
        conflicts_detected=1, rollback=True,
    )  # fmt: skip
    story.shelf("update", "pdf-reader", "--from", story.shelved("skill", "canvas"), code=1)
    story.expect("update", "pdf-reader", "skill", "error", strategy="overwrite", rollback=False)
    story.shelf("update", "time-machine", "--from", new, code=1)
    story.expect("update", "time-machine", "", "error", strategy="overwrite", rollback=False)


def sync(
    story: Story, project: str, kind: str, name: str, mode: str, result: str, *options: str, conflicts: int = 0
) -> None:
    """Sync one copy and write down what must come of it, with the hashes of the files before and after."""
    before = sha(story.copy(project, kind, name))
    failed = result in ("conflict", "error")
    story.shelf("sync", name, "--project", story.project(project), "--mode", mode, *options, code=1 if failed else 0)
    new_name = options[options.index("--as") + 1] if "--as" in options and not failed else name
    metadata: dict[str, object] = {"sync_type": mode, "result": result, "sha_before": before}
    metadata |= {"sha_after": sha(story.copy(project, kind, new_name)), "conflicts_detected": conflicts}
    if result == "error":
        metadata["error_message"] = ...
    status = "error" if result == "error" else "ok"
    story.expect("sync", name, kind, status, project, **metadata)


def edits(story: Story) -> None:
    """Copies are edited in projects; syncs carry the edits home, and new versions out."""
    edit(story.copy("shop", "skill", "api-designer"), ("Page by cursor.", "Page by an opaque cursor."))
    sync(story, "shop", "skill", "api-designer", "merge", "success")
    if sha(story.shelved("skill", "api-designer")) != sha(story.copy("shop", "skill", "api-designer")):
        raise RuntimeError("the edit of api-designer did not reach the collection")
    sync(story, "shop", "skill", "canvas", "merge", "success")
    # The version grew in the collection, the text in the project: both are kept.
    edit(story.copy("atlas", "skill", "canvas"), ("turn only at right angles", "never turn twice"))
    sync(story, "atlas", "skill", "canvas", "merge", "success")
    sync(story, "atlas", "skill", "release-captain", "merge", "success")
    edit(story.copy("blog", "agent", "tech-writer"), ("You write the example first.", "You write the example last."))
    sync(story, "blog", "agent", "tech-writer", "overwrite", "cancelled", "--no")
    sync(story, "blog", "agent", "tech-writer", "overwrite", "success", "--yes")


def quarrels(story: Story) -> None:
    """Both sides change the same lines; a person decides. Some syncs can't be done at all."""
    edit(story.shelved("skill", "log-detective"), ("rarely the cause", "hardly ever the cause"))
    edit(story.shelved("skill", "log-detective"), ("Say what you looked at", "Write down what you looked at"))
    edit(story.copy("billing", "skill", "log-detective"), ("rarely the cause", "almost never the cause"))
    edit(story.copy("billing", "skill", "log-detective"), ("Say what you looked at", "Tell what you looked at"))
    sync(story, "billing", "skill", "log-detective", "merge", "conflict", conflicts=2)
    sync(story, "billing", "skill", "log-detective", "merge", "error")
    resolved = story.copy("billing", "skill", "log-detective") / "SKILL.md"
    kept = [line for line in resolved.read_text(encoding="utf-8").splitlines() if line[:7] not in MARKERS]
    resolved.write_text("\n".join(kept) + "\n", encoding="utf-8")
    sync(story, "billing", "skill", "log-detective", "merge", "success")
    # Somebody pasted a key into the front matter: the error quotes the line, and the event must not.
    edit(story.copy("lab", "command", "type-hints"), ("type: command", f"type: command\n{planted_secrets()[1]}"))
    sync(story, "lab", "command", "type-hints", "merge", "error")
    story.shelf("sync", "canvas", "--project", story.project("lab"), code=1)
    story.expect("sync", "canvas", "", "error", "lab", sync_type="merge", result="error", error_message=...)


# Beginnings of the lines that mark a conflict.
MARKERS = ("<<<<<<<", "=======", ">>>>>>>")


def forks(story: Story) -> None:
    """A project goes its own way: its copy becomes an artifact of the collection."""
    edit(story.copy("lab", "skill", "regex-builder"), ("Collect five strings", "Collect nine strings"))
    sync(story, "lab", "skill", "regex-builder", "fork", "success", "--as", "regex-builder-strict")
    edit(story.copy("lab", "agent", "prompt-tuner"), ("thirty real cases", "fifty real cases"))
    # The name of another agent.
    sync(story, "lab", "agent", "prompt-tuner", "fork", "error", "--as", "ux-critic")
    sync(story, "lab", "agent", "prompt-tuner", "fork", "success", "--as", "prompt-tuner-lab")
    story.search(Search("regex-builder-strict", "metadata", found=("regex-builder-strict",)))


def farewells(story: Story) -> None:
    """Artifacts leave the collection, copies leave projects, and what has lost its source is cleaned up."""
    story.shelf("remove", "docker-slimmer", "threat-modeler")
    for name in ("docker-slimmer", "threat-modeler"):
        story.expect("remove", name, "skill", reason="user_action", from_project=False)
    story.shelf("remove", "standup", "--collection", "team")
    story.expect("remove", "standup", "command", reason="user_action", from_project=False)
    story.shelf("remove", "image-optimizer", "--project", story.project("blog"))
    story.expect("remove", "image-optimizer", "skill", "ok", "blog", reason="user_action", from_project=True)
    sync(story, "billing", "skill", "docker-slimmer", "merge", "error")
    story.shelf("remove", "--cleanup", "--project", story.project("billing"))
    for name in ("docker-slimmer", "threat-modeler"):
        story.expect("remove", name, "skill", "ok", "billing", reason="cleanup", from_project=True)
    story.shelf("remove", "time-machine", "--type", "skill", code=1)
    story.expect("remove", "time-machine", "skill", "error", reason="user_action", from_project=False)
    edit(story.copy("handbook", "command", "standup"), ("Three lines", "Four lines"))
    story.shelf("remove", "standup", "--project", story.project("handbook"), code=1)
    story.expect("remove", "standup", "command", "error", "handbook", reason="user_action", from_project=True)
    story.shelf("remove", "standup", "--project", story.project("handbook"), "--force")
    story.expect("remove", "standup", "command", "ok", "handbook", reason="user_action", from_project=True)
    story.shelf("deploy", "canvas", "--project", story.project("handbook"))
    story.expect_deploy("handbook", "skill", "canvas")
    shutil.rmtree(story.home / "downloads")


if __name__ == "__main__":
    account = run(Path(sys.argv[1]))
    for (kind, status), count in sorted(Counter((each.event_type, each.status) for each in account).items()):
        print(f"{kind:<8} {status:<6} {count:>4}")
    print(f"{len(account)} events, {len({(e.artifact_type, e.artifact_name) for e in account})} artifacts")
