"""Links to the repository: one address, and none where the checkout does not come from it."""

import importlib.util
import re
from types import SimpleNamespace

import pytest
import yaml

from uapkit import runner

ROOT = runner.project_root()
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]


@pytest.fixture
def fixes():
    spec = importlib.util.spec_from_file_location("book_fixes", ROOT / "book" / "_ext" / "book_fixes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/name",
        "https://github.com/owner/name.git",
        "https://token@github.com/owner/name/",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name.git",
    ],
)
def test_one_address_has_many_spellings(fixes, url):
    assert fixes.plain_address(url) == "github.com/owner/name"


@pytest.mark.parametrize(
    ("configured", "found", "shown"),
    [
        ("https://github.com/owner/name", {"github.com/owner/name"}, True),
        ("https://github.com/owner/name", {"github.com/someone/else"}, False),
        ("https://github.com/owner/name", set(), False),
        ("", {""}, False),
    ],
)
def test_buttons_stand_only_where_the_address_is_real(fixes, monkeypatch, configured, found, shown):
    monkeypatch.setattr(fixes, "remotes", lambda folder: found)
    options = dict.fromkeys(fixes.BUTTONS, True) | {"repository_url": configured}
    fixes.links_to_repository(SimpleNamespace(srcdir="."), SimpleNamespace(html_theme_options=options))
    assert [options[name] for name in fixes.BUTTONS] == [shown] * 3


def test_no_repository_has_no_remotes(fixes, tmp_path):
    assert fixes.remotes(tmp_path) == set()


def test_pages_name_the_configured_address_only():
    pages = [*(ROOT / "book").rglob("*.md"), ROOT / "README.md"]
    named = {u for p in pages for u in re.findall(r"https://github\.com/uapkit/[\w.-]+", p.read_text(encoding="utf-8"))}
    assert named == {ADDRESS}
