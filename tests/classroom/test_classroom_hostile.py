"""Submissions that mean harm: they read what is not theirs, fork, fill the disk, print without end, give themselves points."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile

import nbformat
import pytest
import torch
from nbformat.v4 import new_output

from uapkit.classroom import collect, execute, grade, judge, kernel, limits, mend, notebooks, properties

NAME = "a1_linear"
INSIDE = limits.sandbox_command("auto") == limits.ISOLATED
only_inside = pytest.mark.skipif(not INSIDE, reason="this system gives no mount and process namespaces to its users")

SPY = """
import os, runpy, sys
kernel = runpy.run_path(sys.argv[1])
kernel["isolate"](sys.argv[3:], sys.argv[2])
course, clone = sys.argv[3:]

def attempt(path, mode):
    try:
        with open(path, mode) as file:
            return "read" if mode == "r" else "wrote"
    except OSError as error:
        return type(error).__name__

print(attempt("kit.py", "r"), attempt(course + "/gradebook.db", "r"), attempt(course + "/source/a1.ipynb", "r"))
print(attempt(clone + "/solution.py", "r"), attempt(course + "/gradebook.db", "w"), attempt(sys.argv[1], "a"))
print(attempt("kit.py", "w"), attempt(sys.argv[2] + "/socket", "w"))
os.system(f"umount '{course}' 2>/dev/null; unshare -Um umount '{course}' 2>/dev/null")
print(attempt(course + "/gradebook.db", "r"), len([p for p in os.listdir("/proc") if p.isdigit()]) < 5)
written = 0
try:
    for k in range(100):
        with open(f"big{k}", "wb") as file:
            written += file.write(bytes(2**23))
except OSError as error:
    print(error.strerror, written < 2**28)
"""


@only_inside
def test_code_sees_no_solutions_no_gradebook_no_other_process_and_fills_no_disk(tmp_path):
    course, clone, shared = (tmp_path / name for name in ("the côurse", "clone", "shared"))
    work = course / "autograded" / "eve" / NAME
    for folder in (work, course / "source", clone, shared):
        folder.mkdir(parents=True)
    for path in (work / "kit.py", course / "gradebook.db", course / "source" / "a1.ipynb", clone / "solution.py"):
        path.write_text("what stands here")
    command = [*limits.ISOLATED, sys.executable, "-c", SPY, str(limits.KERNEL), *map(str, (shared, course, clone))]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "read FileNotFoundError FileNotFoundError",
        "FileNotFoundError OSError OSError",
        "wrote wrote",
        "FileNotFoundError True",
        "No space left on device True",
    ], done.stderr
    assert (course / "gradebook.db").read_text() == "what stands here"
    assert (work / "kit.py").read_text() == "what stands here", "what it writes stays in memory"
    assert [path.name for path in work.iterdir()] == ["kit.py"]


def test_the_course_the_clone_and_the_home_folder_are_among_what_is_hidden(tmp_path):
    hidden = limits.hidden(tmp_path)
    for folder in (str(tmp_path.resolve()), os.path.realpath(os.path.expanduser("~")), str(limits.project_root())):
        assert folder in hidden or folder == "/"
    assert "/" not in hidden


def test_too_many_processes_are_stopped(monkeypatch):
    monkeypatch.setattr(limits, "PROCESSES", 5)
    code = "import subprocess, time; kept = [subprocess.Popen(['sleep', '77']) for _ in range(8)]; time.sleep(77)"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert limits.watch(process, time.perf_counter() + 60, memory=4) == "stopped: more than 5 processes"
    time.sleep(0.2)
    assert subprocess.run(["pgrep", "-fx", "sleep 77"], check=False, capture_output=True).stdout == b""


def test_a_disk_that_is_being_filled_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "DISK", 2**20)
    code = f"import time; open({str(tmp_path / 'big')!r}, 'wb').write(bytes(2**21)); time.sleep(77)"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert "GB of files" in limits.watch(process, time.perf_counter() + 60, memory=4, folders=[tmp_path])


@pytest.mark.skipif(not limits._works(limits.TIED), reason="no setpriv on this system")
def test_a_grader_that_is_killed_leaves_nothing_running():
    code = f"import subprocess, time; subprocess.Popen({[*limits.TIED, 'sleep', '78']!r}); time.sleep(78)"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert soon(lambda: running("^sleep 78$"))
    process.kill()
    process.wait()
    assert soon(lambda: not running("^sleep 78$"))


@only_inside
@pytest.mark.skipif(not limits._works(limits.TIED), reason="no setpriv on this system")
def test_a_kernel_in_namespaces_of_its_own_ends_with_the_process_that_started_it(tmp_path):
    """The command that stands before a kernel is taken from what the grader writes for nbgrader."""
    limits.environment(tmp_path, 60, 4, limits.ISOLATED, [str(tmp_path)])
    argv = json.loads((tmp_path / "kernels" / "python3" / "kernel.json").read_text())["argv"]
    words = argv[: argv.index(sys.executable)]
    assert words[-len(limits.ISOLATED) :] == limits.ISOLATED
    code = f"import subprocess, time; subprocess.Popen({[*words, 'sleep', '79']!r}, start_new_session=True); time.sleep(79)"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert soon(lambda: running("^sleep 79$"))
    process.kill()
    process.wait()
    assert soon(lambda: not running("sleep 79$"))


def running(pattern):
    return subprocess.run(["pgrep", "-f", pattern], check=False, capture_output=True).stdout != b""


def soon(is_so):
    until = time.monotonic() + 10
    while not is_so() and time.monotonic() < until:
        time.sleep(0.05)
    return is_so()


def zipped(files, mode=0o100644):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr, member.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            made.writestr(member, content)
    return data.getvalue()


def tarred(name, kind=tarfile.REGTYPE, size=4):
    data, member = io.BytesIO(), tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size if kind == tarfile.REGTYPE else 0, "/etc/passwd"
    with tarfile.open(fileobj=data, mode="w:gz") as made:
        made.addfile(member, io.BytesIO(bytes(member.size)))
    return data.getvalue()


HOSTILE = {
    "up.zip": (zipped({"../../evil.ipynb": "x"}), "leads out of its folder"),
    "root.zip": (zipped({"/tmp/evil.ipynb": "x"}), "leads out of its folder"),
    "windows.zip": (zipped({"ann\\..\\..\\evil.ipynb": "x"}), "leads out of its folder"),
    "drive.zip": (zipped({"C:/evil.ipynb": "x"}), "leads out of its folder"),
    "link.zip": (zipped({"ann_a1_linear.ipynb": "/etc/passwd"}, 0o120777), "leads out of its folder"),
    "inner.zip": (zipped({"ann_a1_linear.zip": zipped({"../evil": "x"})}), "leads out of its folder"),
    "bomb.zip": (
        zipped({"ann_a1_linear.zip": zipped({f"{k}": bytes(2**20) for k in range(8)})}),
        "unpacks to more than",
    ),
    "up.tar.gz": (tarred("../evil.ipynb"), "leads out of its folder"),
    "link.tar.gz": (tarred("ann_a1_linear.ipynb", tarfile.SYMTYPE), "leads out of its folder"),
    "device.tar.gz": (tarred("ann_a1_linear.ipynb", tarfile.CHRTYPE), "leads out of its folder"),
    "bomb.tar.gz": (tarred("ann_a1_linear.ipynb", size=2**23), "unpacks to more than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_archives_that_lead_elsewhere_or_burst_are_refused_before_they_are_unpacked(name, tmp_path, monkeypatch):
    content, why = HOSTILE[name]
    monkeypatch.setattr(collect, "LARGEST", 2**22)
    monkeypatch.setattr(collect, "api", lambda out: None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=why):
        collect.collect(tmp_path, NAME, [tmp_path / name])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_innocent_archive_passes(tmp_path):
    for name, content in {
        "a.zip": zipped({"ann/a1.ipynb": "x", "b.zip": zipped({"a1.ipynb": "y"})}),
        "a.tar.gz": tarred("a/b"),
    }.items():
        (tmp_path / name).write_bytes(content)
        collect.harmless(tmp_path / name)


@pytest.fixture
def remembered(monkeypatch):
    """The libraries as a kernel remembers them, and put back after the test."""
    monkeypatch.delitem(sys.modules, judge.BEFORE, raising=False)
    kernel.remember()
    yield
    judge.put_back()
    del sys.modules[judge.BEFORE]


PLAN = {
    "properties": [
        {"function": "half", "title": "of four", "points": 2.0},
        {"function": "half", "title": "of six", "points": 3.0},
    ],
    "segments": [
        (0, "got = half(torch.tensor(4.0))\nassert torch.allclose(got, torch.tensor(2.0)), 'no'"),
        (1, "got = half(torch.tensor(6.0))\nassert torch.allclose(got, torch.tensor(3.0)) and all([got == 3]), 'no'"),
    ],
    "right": {"half": "def half(x):\n    return x / 2"},
    "again": [],
    "names": ["half", "torch"],
}

FORGED = {
    "a comparison that is always true": "torch.allclose = lambda *a, **k: True\ndef half(x): return x",
    "a comparison that becomes true while it is tested": (
        "def half(x):\n    torch.allclose = lambda *a, **k: True\n    return x"
    ),
    "tests that are not compiled": "import builtins, ast\nast.parse = lambda s: ''\ndef half(x): return x",
    "a compiler that forgets": (
        "import builtins\nreal = compile\nbuiltins.compile = lambda s, *a, **k: real('', *a)\ndef half(x): return x"
    ),
    "a sum that flatters": "import builtins\nbuiltins.all = lambda x: True\ndef half(x): return x",
}


@pytest.mark.parametrize("how", FORGED)
def test_functions_of_libraries_are_put_back_before_they_judge(how, remembered, capsys):
    space = {"torch": torch}
    exec(FORGED[how], space)
    assert judge.judge(PLAN, space) == 0
    assert "replaced" in capsys.readouterr().out


def test_an_honest_answer_has_its_points_and_no_remark(remembered, capsys):
    space = {"torch": torch}
    exec("def half(x): return 0.5 * x", space)
    assert judge.judge(PLAN, space, "word") == 5
    assert "replaced" not in capsys.readouterr().out


def result(points, token=None):
    data = {"text/plain": repr(float(points))} | ({judge.TOKEN: token} if token else {})
    return new_output("execute_result", data=data)


def test_only_the_points_of_the_judge_are_believed():
    said = new_output("stream", text="2 of 2  half")
    honest = execute.believed([said, result(2, "word")], "word")
    assert [o.output_type for o in honest] == ["stream", "execute_result"]
    assert "word" not in json.dumps(honest)
    for outputs in (
        [result(20), result(0, "word")],  # a result of its own before that of the judge
        [result(0, "word"), result(20)],
        [result(20)],
        [result(20, "guessed")],
        [said],  # nbgrader gives all points where there is no result
        [],
        [result(20, "word"), said],
    ):
        got = execute.believed(outputs, "word")
        assert got[-1].output_type == "error", outputs
        assert not [o for o in got if o.output_type == "execute_result"]
    error = [new_output("error", ename="TimeoutError", evalue="", traceback=[])]
    assert execute.believed(error, "word") == error


def test_points_are_shown_with_the_word():
    space = {"torch": torch}
    exec(PLAN["right"]["half"] + "\n" + "import io, contextlib", space)
    source = properties.cell_source(PLAN, "word").splitlines()
    exec("\n".join(source[:-1]), space)
    points = eval(source[-1], space)
    assert points._repr_mimebundle_() == {"text/plain": "5.0", judge.TOKEN: "word"}


@pytest.fixture
def handing_in(tmp_path):
    """(the student's folder, a function that prepares it: reason why not and notes; where the grader's copy lies)."""
    released = notebooks.student_version(notebooks.read(NAME))
    folder, place = tmp_path / "submitted" / "eve" / NAME, tmp_path / "mended" / "eve" / NAME
    folder.mkdir(parents=True)
    nbformat.write(released, folder / f"{NAME}.ipynb")
    return folder, lambda: mend.prepare(folder, place, NAME, released), place


def test_links_and_pipes_in_a_hand_in_are_left_out(handing_in, tmp_path):
    """A link would bring the teacher's files to the student's code; a pipe would keep the grader waiting."""
    folder, prepare, place = handing_in
    (secret := tmp_path / "gradebook.db").write_text("secret")
    (folder / "data").mkdir()
    (folder / "data" / "plain.csv").write_text("1")
    (folder / "data" / "link.csv").symlink_to(secret)
    (folder / "all").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    reason, notes = prepare()
    assert reason == ""
    assert notes == [f"{one} is a link or a special file and was left out" for one in ("all", "data/link.csv", "pipe")]
    assert sorted(path.name for path in place.rglob("*")) == [f"{NAME}.ipynb", "data", "plain.csv"]


def test_a_notebook_that_is_a_link_is_not_followed(handing_in, tmp_path):
    folder, prepare, _ = handing_in
    (folder / f"{NAME}.ipynb").rename(solution := tmp_path / "solution.ipynb")
    (folder / f"{NAME}.ipynb").symlink_to(solution)
    assert prepare() == (f"{NAME}.ipynb is a link or a special file; the notebook itself has to be handed in", [])


def test_a_notebook_of_many_megabytes_is_not_read(handing_in, monkeypatch):
    folder, prepare, _ = handing_in
    monkeypatch.setattr(mend, "LARGEST", 2**20)
    with open(folder / f"{NAME}.ipynb", "a") as file:
        file.write(" " * 2**21)
    assert prepare() == (f"{NAME}.ipynb has 2 MB, more than the 1 MB allowed", [])


@pytest.mark.parametrize("said", ["x", 3, ["a"], {"grade_id": ["setup"]}, {"grade_id": None}])
def test_cells_that_say_nonsense_of_themselves_are_refused(handing_in, said):
    folder, prepare, _ = handing_in
    path = folder / f"{NAME}.ipynb"
    found = json.loads(path.read_text())
    found["cells"][0]["metadata"]["nbgrader"] = said
    path.write_text(json.dumps(found))
    reason, _ = prepare()
    assert reason.startswith(f"{NAME}.ipynb is not a notebook")


def test_whatever_one_student_hands_in_the_others_are_graded(tmp_path, monkeypatch):
    """One folder is a file, one makes the preparation fail with an error that nobody has thought of."""
    (tmp_path / "submitted" / "file").mkdir(parents=True)
    (tmp_path / "submitted" / "file" / NAME).write_text("a file where a folder should be")
    released = notebooks.student_version(notebooks.read(NAME))
    reason, _, _ = grade._one(tmp_path, NAME, "file", released, 60, 4, [])
    assert reason.startswith("nbgrader never saw it, for NotADirectoryError came before")
    monkeypatch.setattr(mend, "prepare", lambda *a: {}["unheard of"])
    reason, _, _ = grade._one(tmp_path, NAME, "odd", released, 60, 4, [])
    assert reason == f"nbgrader never saw it, for KeyError came before: see logs/{NAME}/odd.log"
    assert "unheard of" in (tmp_path / "logs" / NAME / "odd.log").read_text()


def encrypted(data):
    """The zip with the mark of encryption at every member."""
    data = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(mark, place + 1)
    return bytes(data)


def broken(data, at=0.5, length=40):
    place = int(len(data) * at)
    return data[:place] + bytes(length) + data[place + length :]


def noise(size):
    return os.urandom(size)


DAMAGED = {
    "encrypted.zip": lambda: encrypted(zipped({"ann_a1_linear.zip": zipped({"a1_linear.ipynb": "x"})})),
    "crc.zip": lambda: broken(zipped({"ann_a1_linear.zip": zipped({"c": noise(9999)})})),
    "cut.tar.gz": lambda: tarred("ann_a1_linear.ipynb", size=2**20)[:600],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_and_encrypted_archives_are_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "api", lambda out: None)
    (tmp_path / name).write_bytes(DAMAGED[name]())
    with pytest.raises(
        ValueError, match=rf"{name} (is damaged or encrypted|is not a (zip|tar) archive).*download it again"
    ) as said:
        collect.collect(tmp_path, NAME, [tmp_path / name])
    assert "\n" not in str(said.value)


def test_an_empty_sandbox_is_refused():
    with pytest.raises(ValueError, match="the sandbox '' cannot run on this machine"):
        limits.sandbox_command("")


ENDLESS = """
import sys
def half(x):
    while True:
        print("y" * 1000)
        print("z" * 1000, file=sys.stderr)
"""


def test_an_answer_that_prints_without_end_while_it_is_tested_leaves_the_judge_its_lines(remembered, capsys):
    space = {"torch": torch}
    exec(ENDLESS, space)
    assert judge.judge(PLAN | {"seconds": 1.0}, space) == 0
    said = capsys.readouterr()
    assert len(said.out) < judge.PRINTED + 2000
    assert said.out.count("0 of ") == 2
    assert "no answer after 1 seconds" in said.out
    assert said.err == ""


def message(kind, **content):
    return {"msg_type": kind, "content": content}


def all_of(messages):
    """What is shown of a cell's messages."""
    shown, left = [], execute.TEXT
    for one in messages:
        cut, left = execute.shortened(one, left)
        shown += [] if cut is None else [cut]
    return shown


def test_of_endless_output_the_beginning_is_shown_and_the_result_of_the_judge():
    flood = [message("stream", name="stdout", text="x" * 999) for _ in range(10_000)]
    pictures = [message("display_data", data={"image/png": "p" * 10**6}) for _ in range(50)]
    result = message("execute_result", data={"text/plain": "2.0", judge.TOKEN: "word"})
    for messages in (flood, pictures, flood + pictures):
        shown = all_of([*messages, result])
        assert shown[-1] == result
        assert len(json.dumps(shown)) < 25 * execute.TEXT
    assert "is left out" in all_of(flood)[-1]["content"]["text"]
    results = all_of(flood + [result] * 10_000)
    assert len(results) < 60, "nor is a flood of results kept"


def test_huge_single_outputs_are_cut():
    huge = "x" * 10**7
    for one in (
        message("stream", name="stdout", text=huge),
        message("error", ename="E", evalue=huge, traceback=[huge] * 1000),
        message("execute_result", data={"text/plain": huge, "text/html": huge}),
        message("display_data", data={"image/png": huge * 3}),
    ):
        shown = all_of([one])
        assert len(json.dumps(shown)) < 12 * execute.TEXT, one["msg_type"]
    status = message("status", execution_state="idle")
    assert execute.shortened(status, 0) == (status, 0)


def test_of_a_log_that_a_submission_has_filled_both_ends_are_kept():
    assert limits.ends("short") == "short"
    cut = limits.ends("begin" + "x" * 10**6 + "DeadKernelError", 1000)
    assert cut.startswith("begin")
    assert cut.endswith("DeadKernelError")
    assert f"{10**6 + 20 - 1000} characters are left out" in cut
    assert len(cut) < 1100
