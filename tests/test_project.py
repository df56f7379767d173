"""The house itself: lock, environment, licences, and no trace of a machine in what is tracked."""

import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from uapkit import runner

ROOT = runner.project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = {}
for name, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", LOCK, re.M):
    PINS.setdefault(canonicalize_name(name), []).append(version)


def declared():
    groups = [PROJECT["dependencies"], *(v for k, v in PROJECT["optional-dependencies"].items() if k != "all")]
    return [Requirement(text) for group in groups for text in group]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_lock_satisfies_pyproject(requirement):
    pins = PINS.get(canonicalize_name(requirement.name))
    assert pins, f"{requirement.name} is not in requirements.lock; run `make lock`"
    assert all(requirement.specifier.contains(pin, prereleases=True) for pin in pins), f"{pins}; run `make lock`"


def test_lock_names_no_package_nobody_asked_for():
    tops = {canonicalize_name(r.name) for r in declared()}
    via = dict(
        re.findall(r"^([a-z0-9._-]+)==(?:.*\\\n)(?:.*--hash.*\n)+((?:    # via.*\n(?:    #   .*\n)*)?)", LOCK, re.M)
    )
    direct = {canonicalize_name(n) for n, text in via.items() if re.search(r"uapkit \(pyproject", text)}
    assert direct == tops, f"pyproject and lock differ in {sorted(direct ^ tops)}; run `make lock`"


def test_lock_is_hashed_and_holds_no_address():
    assert "://" not in LOCK
    assert len(re.findall(r"--hash=sha256:", LOCK)) >= len(PINS)
    assert "://" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


def test_all_extra_is_every_extra():
    extras = PROJECT["optional-dependencies"]
    named = set(re.search(r"\[(.*)\]", extras["all"][0]).group(1).split(","))
    assert named == set(extras) - {"all"}


def test_environment_yml_cannot_drift():
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python = next(d for d in wanted if isinstance(d, str) and d.startswith("python"))
    assert python.removeprefix("python").strip() == PROJECT["requires-python"]
    assert wanted[-1] == {"pip": ["-e .[all]"]}
    assert [d for d in wanted if isinstance(d, str) and not d.startswith("python")] == ["pip"]


def test_make_help_lists_the_targets():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "test", "book", "serve", "bench", "classroom", "clean"):
        assert re.search(rf"^{target}\s", text, re.M), target


def test_citation_is_valid_yaml_and_licences_name_the_holder():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["authors"] == [{"name": "the uapkit contributors"}]
    assert citation["version"] == PROJECT["version"]
    for name in ("LICENSE", "LICENSE-PROSE"):
        assert "the uapkit contributors" in (ROOT / name).read_text(encoding="utf-8")


def test_nothing_tracked_is_an_output():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    assert not [t for t in tracked if t.startswith(("build/", "node_modules/", "book/assets/vendor/", ".venv/"))]
    assert not [t for t in tracked if "__pycache__" in t or t.endswith(".pyc")]


def test_public_names_of_the_package_import():
    import uapkit

    for name in ("attacks", "data", "evaluate", "lab", "models", "norms", "operators", "papers", "runner", "singular"):
        assert getattr(uapkit, name).__name__ == f"uapkit.{name}"
    with pytest.raises(AttributeError, match="no attribute 'atacks'"):
        uapkit.atacks  # noqa: B018


def test_workflow_builds_checks_looks_and_publishes():
    """The book is checked and looked at in a browser before it is uploaded, and published only from main."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step.get("run") or step["uses"] for step in jobs["book"]["steps"]]
    order = [
        next(k for k, step in enumerate(steps) if words in step)
        for words in ("make book", "check-book", "chromium", "tests/browser", "upload-pages-artifact")
    ]
    assert order == sorted(order)
    assert jobs["publish"]["needs"] == "book"
    assert "refs/heads/main" in jobs["publish"]["if"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert any("deploy-pages" in step["uses"] for step in jobs["publish"]["steps"])
