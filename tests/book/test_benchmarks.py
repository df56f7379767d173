"""Benchmarks: what is stored comes back, the page is drawn from it, and what is timed is what is claimed."""

import json

import pandas as pd
import pytest

from uapkit.book import benchmarks as bench
from uapkit.runner.catalogue import project_root


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("")
    code = (
        "import pandas as pd\n"
        "def run():\n"
        "    return pd.DataFrame({'method': ['a', 'b'], 'ratio': [2.5, 1], 'verdict': ['ok', 'MISS']})\n"
    )
    (tmp_path / "benchmarks" / "toy.py").write_text(code)
    monkeypatch.setattr(bench, "project_root", lambda: tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "benchmarks", raising=False)
    return tmp_path


def test_a_saved_benchmark_comes_back_with_its_provenance(project, capsys):
    assert bench.stored("toy") is None
    assert "uapkit bench toy --save" in bench.fragments()["benchmark_toy.md"]
    assert bench.run("toy", save=True) == 1, "a row missed its target"
    assert "MISS" in capsys.readouterr().out
    table = bench.stored("toy")
    assert table["ratio"].tolist() == [2.5, 1]
    about = json.loads((project / "results" / "benchmarks" / "toy.json").read_text())
    assert about["rows"] == 2
    assert set(bench.PEERS) <= set(about["versions"])
    page = bench.fragments()["benchmark_toy.md"]
    assert "| a | 2.5 | ok |" in page
    assert about["commit"][:10] in page


def test_parameters_go_to_the_one_benchmark_that_has_them(project, capsys):
    (project / "benchmarks" / "sized.py").write_text(
        "import pandas as pd\ndef run(n=1):\n    return pd.DataFrame({'n': [n]})\n"
    )
    assert bench.run("sized", save=True, parameters={"n": 7}) == 0
    assert bench.stored("sized")["n"].tolist() == [7]
    assert bench.stored("sized").attrs["provenance"]["parameters"] == {"n": 7}
    with pytest.raises(ValueError, match="parameter of sized"):
        bench.run("sized", parameters={"m": 7})
    with pytest.raises(ValueError, match="name it"):
        bench.run(parameters={"n": 7})


def test_of_a_path_that_was_given_the_name_is_stored(project, tmp_path, capsys):
    (project / "benchmarks" / "read.py").write_text(
        "import pandas as pd\ndef run(file):\n    return pd.DataFrame({'text': [open(file).read()]})\n"
    )
    (tmp_path / "report.xml").write_text("what it says")
    assert bench.run("read", save=True, parameters={"file": str(tmp_path / "report.xml")}) == 0
    table = bench.stored("read")
    assert table["text"].tolist() == ["what it says"], "the benchmark was given the whole path"
    assert table.attrs["provenance"]["parameters"] == {"file": "report.xml"}


def test_without_save_nothing_is_written(project):
    bench.run("toy")
    assert not (project / "results").exists()


def test_a_wide_table_shows_five_columns_and_folds_the_whole(project):
    table = pd.DataFrame(
        {
            "method": ["a", "b"],
            **{key: [1, 2] for key in ("least", "most", "n", "repeats")},
            "ratio": [2.5, 1],
            "verdict": ["ok", "MISS"],
            "why": ["", "recording adds 0.2"],
        }
    )
    shown = bench.shown("attacks", table)
    assert list(shown.columns) == ["method", "ratio", "verdict"]
    assert shown["verdict"].tolist() == ["ok", "MISS: recording adds 0.2"]
    assert list(bench.shown("another", table).columns) == list(table.columns[:5])
    bench._store("toy", table, {"processor": "x", "commit": "c", "dirty": False, "versions": {}, "seconds": 1.0})
    first, _, whole = bench.fragments()["benchmark_toy.md"].partition("<details")
    assert "| method | least | most | n | repeats |" in first
    assert "| method | least | most | n | repeats | ratio | verdict | why |" in whole
    assert "<summary>all 8 columns</summary>" in whole


def test_the_columns_read_first_are_those_of_a_benchmark():
    assert set(bench.FIRST) <= set(bench.names())
    assert all(len(first) <= bench.MOST for first in bench.FIRST.values())
    for name in bench.names():
        table = bench.stored(name)
        assert table is None or 3 <= len(bench.shown(name, table).columns) <= bench.MOST, name


def test_every_stored_benchmark_is_drawn():
    pages = "".join(p.read_text(encoding="utf-8") for p in (project_root() / "book").glob("*.md"))
    for name in bench.names():
        table = bench.stored(name)
        page = bench.fragments()[f"benchmark_{name}.md"]
        assert table is None or page.count("\n| ") >= len(table)
        include = f"_generated/benchmark_{name}.md"
        assert include in pages, "on no page"
