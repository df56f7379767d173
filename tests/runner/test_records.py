"""Damaged records: each reader says in one sentence which file it is, and what helps."""

import json

import pytest

from uapkit import cli, runner
from uapkit.runner import results, verified, verify
from uapkit.runner.records import mapping, named
from uapkit.runner.words import stale

NAME = "khrulkov2018/tab1_layers"
DAMAGED = [b"", b"{", b"[1, 2]", b'{"a": 1', b"\xff\xfe\x00", b"null", b"[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda c: repr(c[:8]))
def test_a_damaged_record_is_named_by_every_command_that_reads_it(project, counted, capsys, content):
    runner.run(NAME, save=True)
    path = runner.item(NAME).path("json")
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"results/khrulkov2018/tab1_layers\.json is damaged .*restore it from git"
    ) as said:
        runner.load(NAME)
    assert "\n" not in str(said.value)
    for command in (["list"], ["scoreboard"], ["check"]):
        status = cli.main(command)
        said = "".join(capsys.readouterr())
        assert status in (1, 2)
        assert "tab1_layers.json is damaged" in said
        assert "Traceback" not in said


@pytest.mark.parametrize("content", DAMAGED, ids=lambda c: repr(c[:8]))
def test_a_damaged_record_of_a_rerun_is_named(project, counted, content):
    runner.run(NAME, save=True)
    path = verified.path_of(runner.item(NAME))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"results/verified/khrulkov2018\.tab1_layers\.json is damaged"):
        verified.standing(NAME)


@pytest.mark.parametrize("content", [b"a: [", b"- a\n- b\n", b"a: &x [*x", b"\x00"])
def test_a_damaged_list_of_stale_runs_is_named(project, counted, content):
    (project / "results").mkdir()
    (project / "results" / "stale.yml").write_bytes(content)
    with pytest.raises(ValueError, match=r"results/stale\.yml is damaged") as said:
        stale()
    assert "\n" not in str(said.value)


def test_an_empty_list_is_no_damage(project):
    (project / "results").mkdir()
    (project / "results" / "stale.yml").write_text("# none\n")
    assert stale() == {}
    assert mapping(project / "x.yml", b"a: 1") == {"a": 1}


def test_a_damaged_journal_is_named_and_the_run_before_it_is_there(project, counted, monkeypatch):
    runner.run(NAME, save=True)
    journal = results._journal(runner.item(NAME))
    for content in (b"", b"PK\x03\x04 cut off", b"x" * 99):
        journal.write_bytes(content)
        with pytest.raises(ValueError, match=r"\.tab1_layers\.saving is damaged .*delete it to have the run before it"):
            runner.load(NAME)
    journal.unlink()
    assert len(runner.load(NAME)) == 2


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("table_sha256", None),
        ("table_sha256", 5),
        ("inputs", []),
        ("inputs", None),
        ("params", []),
        ("versions", "3.11"),
        ("seconds", "long"),
        ("code_sha256", 5),
        ("commit", None),
    ],
)
def test_a_record_that_was_edited_by_hand_is_named_with_the_entry(project, counted, capsys, entry, value):
    runner.run(NAME, save=True)
    path = runner.item(NAME).path("json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
    with pytest.raises(ValueError, match=rf"tab1_layers\.json is damaged \({entry} is .*restore it from git"):
        runner.load(NAME)
    assert cli.main(["scoreboard"]) == 2
    assert f"({entry} is " in capsys.readouterr().err


def test_a_record_without_the_tables_checksum_vouches_for_nothing(project, counted):
    runner.run(NAME, save=True)
    path = runner.item(NAME).path("json")
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "table_sha256"}))
    with pytest.raises(ValueError, match=r"tab1_layers\.json lacks table_sha256; restore it from git"):
        runner.load(NAME)


@pytest.mark.parametrize(("entry", "value"), [("when", 5), ("when", None), ("on", 5), ("agrees", "yes"), ("rows", "x")])
def test_a_record_of_a_rerun_that_was_edited_by_hand_is_named(project, counted, entry, value):
    runner.run(NAME, save=True)
    path = verified.note(verify.check(NAME))
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
    with pytest.raises(ValueError, match=rf"verified/khrulkov2018\.tab1_layers\.json is damaged \({entry} is "):
        verified.standing(NAME)


@pytest.mark.parametrize("why", ["", "[a, b]", "5", "~", "'  '"])
def test_a_stale_run_without_a_reason_does_not_count_as_sound(project, why):
    """YAML reads an entry without words as nothing, and the run would have stood there as if nothing were wrong."""
    path = project / "results" / "stale.yml"
    path.parent.mkdir()
    path.write_text(f"{NAME}: {why}\n")
    with pytest.raises(ValueError, match=rf"stale\.yml names {NAME} without a reason in words"):
        stale()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", 'item,kind\n"open', "item,kind,metric,value\nx,level,q,1\n"])
def test_published_rows_that_are_no_such_table_are_named(project, content):
    path = project / "reported" / "khrulkov2018.csv"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ValueError, match=r"reported/khrulkov2018\.csv is damaged \(.*\); restore it from git"):
        runner.reported(runner.item(NAME))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("/home/me/net.py:make", "net.py:make"),
        ("~/photos/", "photos"),
        ("../others/report.xml", "report.xml"),
        (r"C:\Users\me\report.xml", "report.xml"),
        ({"files": ["/home/me/a.csv", 2, None]}, {"files": ["a.csv", 2, None]}),
        ("nets/mine.py:make", "nets/mine.py:make"),
        ("resnet50[imagenet]", "resnet50[imagenet]"),
        (("vgg16", 0.5), ["vgg16", 0.5]),
        ("", ""),
    ],
)
def test_what_a_record_keeps_of_a_path(value, stored):
    assert named(value) == stored
