"""Workflows and forms: actions pinned by hash, no more rights than needed, and a bug report that asks for what helps."""

import re

import pytest
import yaml

from uapkit import runner

ROOT = runner.project_root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def named(paths):
    return {"argvalues": paths, "ids": [p.stem for p in paths]}


@pytest.mark.parametrize("path", **named(WORKFLOWS))
def test_every_action_is_pinned_by_hash_and_says_which_version_that_is(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"\s+# v\d+\.\d+\.\d+", comment), action


def test_one_action_has_one_hash_everywhere():
    used = [pair for path in WORKFLOWS for pair in re.findall(r"uses: ([\w./-]+)@(\w+)", path.read_text())]
    assert len(dict(used)) == len(set(used))


@pytest.mark.parametrize("path", **named(WORKFLOWS))
def test_rights_are_least(path):
    """Nothing or reading for all; more for single jobs, which run no code of ours and no package."""
    about = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert about["permissions"] in ({}, {"contents": "read"})
    for job in about["jobs"].values():
        if "write" in (job.get("permissions") or {}).values():
            commands = " ".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"make |python|pip |npm ", commands)
        else:
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
    assert "pull_request_target" not in path.read_text()
    assert not re.search(r"run:.*\$\{\{", path.read_text()), "what others write goes through the environment"


def test_the_check_comes_round_in_a_month():
    about = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))
    daily = int(about[True]["workflow_dispatch"]["inputs"]["count"]["default"])  # YAML reads "on" as true
    stored = [name for name, item in runner.items().items() if item.path("json").is_file()]
    assert about[True]["schedule"] == [{"cron": "17 3 * * *"}], "once a day"
    assert len(stored) <= 31 * daily


@pytest.mark.parametrize("path", **named([p for p in FORMS if p.stem != "config"]))
def test_forms_are_whole_and_ask_for_the_report(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = {field["id"]: field for field in form["body"]}
    assert "uapkit report" in fields["report"]["attributes"]["label"]
    assert all(field["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown") for field in form["body"])


def test_policies_are_there():
    for name in ("SECURITY.md", "CODE_OF_CONDUCT.md", "LICENSE", "CITATION.cff", "book/ethics.md"):
        assert len((ROOT / name).read_text(encoding="utf-8")) > 500, name
