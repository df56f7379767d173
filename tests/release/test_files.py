"""What is published of a release, the report on packages, provenance as a crate, and the report for a bug."""

import getpass
import hashlib
import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from release import audit, files
from uapkit import runner
from uapkit.runner import crate, report

ROOT = runner.project_root()


def test_every_package_of_both_locks_is_in_the_bill():
    packages = [*audit.python_packages(), *audit.javascript_packages()]
    text = (ROOT / "requirements.lock").read_text()
    assert len(audit.python_packages()) == len(re.findall(r"^[a-z0-9._-]+==", text, re.M))
    bill = audit.bill(packages)
    assert (bill["bomFormat"], bill["specVersion"], len(bill["components"])) == ("CycloneDX", "1.6", len(packages))
    torch = next(c for c in bill["components"] if c["name"] == "torch")
    assert torch["purl"].startswith("pkg:pypi/torch@")
    scoped = next(c for c in bill["components"] if c["name"] == "@noble/hashes")
    assert scoped["purl"].startswith("pkg:npm/%40noble/hashes@")
    assert re.fullmatch(r"[0-9a-f]{128}", scoped["hashes"][0]["content"])
    assert bill == audit.bill(packages), "the same packages give the same bytes"
    assert bill["serialNumber"] != audit.bill(packages[1:])["serialNumber"]


def test_licences_are_read_from_what_is_installed():
    found = {p["name"]: p["licence"] for p in [*audit.python_packages(), *audit.javascript_packages()]}
    assert "BSD" in found["torch"]
    assert "MIT" in found["esbuild"]
    assert sum(licence == "unknown" for licence in found.values()) < 15
    assert audit.STRONG.search("AGPL-3.0")
    assert not audit.STRONG.search("LGPL-3.0")


def test_without_a_network_one_sentence_says_what_was_not_asked(monkeypatch):
    monkeypatch.setattr(audit, "_json", lambda command: None)
    found, problems = audit.weaknesses()
    assert found == []
    assert len(problems) == 2
    assert all("cannot be reached; run it again online" in text for text in problems)


def test_known_weaknesses_are_listed(monkeypatch):
    told = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}]}
    monkeypatch.setattr(audit, "_json", lambda c: told if "pip-audit" in c else {"vulnerabilities": {}})
    assert audit.weaknesses() == (["a 1: X-1, mended in 2"], [])


def test_a_release_is_made_here(tmp_path, capsys):
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    files.main(["--to", str(tmp_path), "--dirty"])
    said = capsys.readouterr().out
    names = {p.name for p in tmp_path.iterdir()}
    version = str(files.citation()["version"])
    wanted = {
        f"uapkit-{version}-py3-none-any.whl",
        f"uapkit-{version}-source.zip",
        f"uapkit-{version}-results.crate.zip",
    }
    assert wanted | {"sbom.json", ".zenodo.json", "CITATION.cff", "SHA256SUMS"} <= names
    assert "nothing was published" in said or "the book (run `make book` first)" in said
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        sha, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha
    about = json.loads((tmp_path / ".zenodo.json").read_text())
    assert {"title", "upload_type", "version", "creators", "license", "description"} <= set(about)
    assert len(about["references"]) == 4


def test_an_archive_has_the_same_bytes_twice(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("b.txt", "a.txt"):
        (folder / name).write_text(name)
    first = files.zipped(folder, tmp_path / "1.zip").read_bytes()
    os.utime(folder / "a.txt", (1, 1))
    assert files.zipped(folder, tmp_path / "2.zip").read_bytes() == first


def test_a_crate_is_whole_and_its_files_are_those_stored(tmp_path):
    """The rules of RO-Crate 1.1: a flat graph, each entity once, no reference to nowhere, the files with their checksums."""
    names = ["khrulkov2018/fig_q_sweep", "jetley2018/fig5_confined"]
    about = json.loads(crate.write(tmp_path, names).read_text(encoding="utf-8"))
    assert about["@context"] == "https://w3id.org/ro/crate/1.1/context"
    graph = {entity["@id"]: entity for entity in about["@graph"]}
    assert len(graph) == len(about["@graph"])
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    root = graph["./"]
    assert {"name", "description", "datePublished", "license"} <= set(root)

    def references(value):
        if isinstance(value, dict):
            yield value["@id"]
        elif isinstance(value, list):
            for part in value:
                yield from references(part)

    outside = {"https://w3id.org/ro/crate/1.1"}
    for entity in graph.values():
        assert "@type" in entity
        for key, value in entity.items():
            if key not in ("@id", "@type") and isinstance(value, (dict, list)):
                assert set(references(value)) <= set(graph) | outside, key
    for part in root["hasPart"]:
        data = (tmp_path / part["@id"]).read_bytes()
        assert graph[part["@id"]]["sha256"] == hashlib.sha256(data).hexdigest()
        assert data == (ROOT / part["@id"]).read_bytes()
    action = graph["#run/khrulkov2018/fig_q_sweep"]
    assert action["@type"] == "CreateAction"
    record = runner.load("khrulkov2018/fig_q_sweep").attrs["provenance"]
    assert action["instrument"]["@id"] == f"#uapkit@{record['commit']}"
    inputs = [graph[o["@id"]] for o in action["object"]]
    assert {i["identifier"] for i in inputs if "identifier" in i} == {f"sha256:{s}" for s in record["inputs"].values()}
    settings = {i["name"]: json.loads(i["value"]) for i in inputs if i["@type"] == "PropertyValue"}
    assert settings == record["params"]


def test_a_crate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="is stored"):
        crate.crate(["khrulkov2018/no_such_item"])


def test_the_report_says_what_helps_and_nothing_private(monkeypatch, tmp_path):
    private = tmp_path / "secret folder"
    private.mkdir()
    monkeypatch.setenv("UAPKIT_DATA", str(private))
    monkeypatch.setenv("UAPKIT_RELEASE_URL", "https://somewhere.example/private")
    text = report.text()
    for word in (
        "[uapkit]",
        "commit: ",
        "torch: ",
        "cores: ",
        "UAPKIT_DATA: set",
        "mnist: missing",
        "digits: here",
        "missing: ",
    ):
        assert word in text
    for word in (str(private), str(ROOT), str(Path.home()), "somewhere.example", socket.gethostname()):
        assert len(word) < 4 or word not in text, word
    user = getpass.getuser()
    assert not re.search(rf"\b{user}\b", text) or user in ("root", "user")
    assert not re.search(r"(?<![\w<])/(home|root|work|tmp|Users|mnt|var)\b", text)


def test_the_report_of_a_wrong_folder_does_not_name_it(monkeypatch):
    monkeypatch.setenv("UAPKIT_DATA", "/home/somebody/nowhere")
    text = report.text()
    assert "somebody" not in text
    assert "must be an existing folder" in text
