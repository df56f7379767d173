"""What one waits for: builds are judged by their aims, sizes come from the lock, slow tests have a reason."""

import importlib
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from uapkit.book import benchmarks as stored
from uapkit.runner.catalogue import item, project_root

ROOT = project_root()
sys.path.insert(0, str(ROOT))
book, install, memory, suite = (
    importlib.import_module(f"benchmarks.{name}") for name in ("book", "install", "memory", "suite")
)

REPORT = """<testsuites><testsuite tests="4" skipped="1" failures="1" errors="0" time="250.0">
<testcase classname="tests.book.test_warm" name="test_a[x]" time="9.0"/>
<testcase classname="tests.test_gate" name="test_b" time="2.5"/>
<testcase classname="tests.test_gate" name="test_c" time="0.5"><failure/></testcase>
<testcase classname="tests.odd" name="test_d" time="0.0"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(("seconds", "verdict"), [(19.9, "ok"), (20.1, "MISS")])
def test_a_build_is_judged_by_its_aim_and_names_its_longest_stages(seconds, verdict):
    steps = [{"name": "moosavi2017/fig1_teaser"}, {"name": "Sphinx"}]
    profile = {"stages": {"a": 1.0, "b": 9.0, "c": 5.0, "d": 7.0}, "steps": steps, "jobs": 2, "cpu_seconds": 30.5}
    row = book.row("nothing changed", seconds, profile)
    assert row["verdict"] == verdict
    assert row["items"] == 1
    assert row["longest"] == "b 9.0 s, d 7.0 s, c 5.0 s"


def test_the_example_items_are_one_of_each_paper():
    assert len({item(name).path("notebook").parent for name in book.EXAMPLES}) == len(book.EXAMPLES) == 4
    assert all((ROOT / "uapkit" / "papers" / f"{name}.py").is_file() for name in book.EXAMPLES)


def test_sizes_of_a_lock():
    packages = [
        {"name": "a", "wheels": [{"size": 3_000_000}]},
        {"name": "b", "sdist": {"size": 500_000}},
        {"name": "own", "directory": {"path": "."}},
    ]
    assert install.sizes({"packages": packages}) == {"a": 3.0, "b": 0.5}
    with pytest.raises(KeyError, match="size"):
        install.sizes({"packages": [{"name": "a", "wheels": [{}]}]})


def test_what_cards_need_is_counted_apart_and_extras_count_what_they_add():
    whole = {"torch": 500.0, "nvidia-cudnn-cu13": 400.0, "triton": 90.0, "cuda-toolkit": 6.0, "tritonclient": 4.0}
    table = install.table(whole, {"torch": 500.0}, {"book": {"torch": 500.0, "tritonclient": 4.0}}).set_index("what")
    assert table.loc["everything", "MB"] == 1000
    assert table.loc["only for graphics cards", ["packages", "MB", "share"]].tolist() == [3, 496.0, 0.496]
    assert table.loc["everything else", "MB"] == 504
    assert table.loc["extra `book`", ["packages", "MB"]].tolist() == [1, 4.0]


def test_make_without_cards_leaves_out_what_the_table_counts_and_nothing_else(tmp_path):
    lines = subprocess.run(
        ["make", "-n", "-W", "requirements.lock", "setup", "TORCH=cpu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    cut = next(line for line in lines if line.startswith("awk")).partition(" > ")[0]
    kept = subprocess.run(cut, shell=True, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")

    def names(text):
        return set(re.findall(r"^([a-z][a-z0-9.-]*)==", text, re.M))

    left_out = names(lock) - names(kept)
    assert left_out == {n for n in names(lock) if install.CARDS.match(n)} | {"torch", "torchvision"}
    assert len(left_out) > 15
    versions = dict(re.findall(r"^(torch|torchvision)==([\d.]+)", lock, re.M))
    assert all(f'"{name}=={version}"' in "\n".join(lines) for name, version in versions.items())


def test_the_slowest_tests_come_from_the_report_with_their_reasons():
    known = {"book/": "general", "book/test_warm": "particular"}
    table = suite.table(ElementTree.fromstring(REPORT), known)
    assert table["test"].tolist()[:3] == [
        "all 4, 1 skipped, 1 failed",
        "book/test_warm::test_a[x]",
        "test_gate::test_b",
    ]
    assert table["verdict"].iloc[0] == "MISS"
    assert "take 12 s" in table["why"].iloc[0]
    assert table["why"].tolist()[1:3] == ["particular", ""]
    assert table["share"].iloc[1] == 0.75
    fast = suite.table(ElementTree.fromstring(REPORT.replace("250.0", "239.0")), known)
    assert fast["verdict"].iloc[0] == "ok"


def test_a_report_without_tests_is_refused(tmp_path):
    path = tmp_path / "empty.xml"
    path.write_text("<testsuites/>")
    with pytest.raises(ValueError, match="reports no test"):
        suite.run(str(path))


def test_every_stored_slow_test_has_a_reason_and_every_reason_a_test():
    table = stored.stored("suite")
    if table is not None:
        assert table["why"].iloc[1:].notna().all()
    for start in suite.reasons():
        assert list((ROOT / "tests").glob(f"{start}*")), f"no test begins with {start}"


def test_memory_grows_by_the_slope_and_is_that_of_one_process():
    assert memory.row("DeepFool", {10: 120.0, 2: 100.0, 100: 590.0})["MiB_for_each_more"] == 5.0
    work = "lambda model, n: memory.torch.ones(n, 2**18).add_(1)"  # n MiB
    code = (
        f"from benchmarks import memory; memory.WORKS = dict(x=('images', {work}, (1,))); print(memory.peak('x', 400))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 300 < float(done.stdout) < 450
