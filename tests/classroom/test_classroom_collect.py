"""Archives as Moodle and Canvas make them, unpacked by the real ``nbgrader zip_collect``; whose each file is."""

import io
import shutil
import zipfile

import nbformat
import pytest

from uapkit.classroom import collect, layouts, notebooks

NAME = "a1_linear"


@pytest.fixture
def course(tmp_path):
    shutil.copy(notebooks.folder() / "nbgrader_config.py", tmp_path)
    release = tmp_path / "release" / NAME
    release.mkdir(parents=True)
    nbformat.write(notebooks.student_version(notebooks.read(NAME)), release / f"{NAME}.ipynb")
    return tmp_path


def archive(path, files):
    with zipfile.ZipFile(path, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def handed_in(course):
    return {
        path.relative_to(course / "submitted").as_posix(): path.read_text()
        for path in (course / "submitted").rglob("*")
        if path.is_file()
    }


def inner_zip(files):
    data = io.BytesIO()
    archive(data, files)
    return data.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["_", ""], ids=["to 4.0", "from 4.1"])
def test_moodle_folders(course, end):
    made = archive(
        course / "PHY_101-A1_ linear-4711.zip",
        {
            f"Eva Li_88_assignsubmission_file{end}/a1_linear.ipynb": "eva",
            f"Eva Li_88_assignsubmission_onlinetext{end}/onlinetext.html": "<p>hello</p>",
            f"Max Muster_77_assignsubmission_file{end}/a1_linear (1).ipynb": "max",
            f"Ana María O'Neil_79_assignsubmission_file{end}/my homework.ipynb": "ana",
            f"Bo_80_assignsubmission_file{end}/work.zip": inner_zip({"work/a1_linear.ipynb": "bo"}),
            f"Cy_81_assignsubmission_file{end}/notes.docx": "cy",
            f"Jo Doe_82_assignsubmission_file{end}/a1_linear.ipynb": "one jo",
            f"Jo Doe_83_assignsubmission_file{end}/a1_linear.ipynb": "another jo",
            f"Participant_90_assignsubmission_file{end}/a1_linear.ipynb": "blind",
            "__MACOSX/._a1_linear.ipynb": "",
        },
    )
    table, skipped = collect.collect(course, NAME, [made])
    assert handed_in(course) == {
        f"Eva Li/{NAME}/a1_linear.ipynb": "eva",
        f"Max Muster/{NAME}/a1_linear.ipynb": "max",
        f"Ana María O'Neil/{NAME}/a1_linear.ipynb": "ana",
        f"Bo/{NAME}/a1_linear.ipynb": "bo",
        f"Cy/{NAME}/notes.docx": "cy",
        f"Jo Doe 82/{NAME}/a1_linear.ipynb": "one jo",
        f"Jo Doe 83/{NAME}/a1_linear.ipynb": "another jo",
        f"Participant 90/{NAME}/a1_linear.ipynb": "blind",
    }
    table = table.set_index("student")
    assert table.loc["Eva Li", ["platform", "id", "notes"]].tolist() == ["moodle", "88", ""]
    assert table.loc["Max Muster", "notes"] == "handed in as a1_linear (1).ipynb"
    assert table.loc["Ana María O'Neil", "notes"] == "handed in as my homework.ipynb"
    assert "typed into the platform, no file" in skipped.values()


@pytest.mark.slow
def test_moodle_files_without_folders(course):
    names = ("Eva Li_88_assignsubmission_file_a1_linear.ipynb", "Max M_77_assignsubmission_file_solution.ipynb")
    made = archive(course / "PHY-A1-1.zip", dict.fromkeys(names, "x"))
    table, _ = collect.collect(course, NAME, [made])
    assert set(handed_in(course)) == {f"Eva Li/{NAME}/a1_linear.ipynb", f"Max M/{NAME}/a1_linear.ipynb"}
    assert table["id"].tolist() == ["88", "77"]


@pytest.mark.slow
def test_canvas(course):
    made = archive(
        course / "phy101-a1_submissions.zip",
        {
            "doejane_4001_9001_a1_linear.ipynb": "jane",
            "muster_max_LATE_4002_9002_a1_linear-1.ipynb": "max",
            "lieva_4003_9003_a1_linear.ipynb": "first",
            "lieva_4003_9004_a1_linear-2.ipynb": "second",
            "bo_4004_9005_work.zip": inner_zip({"a1_linear.ipynb": "bo"}),
            "anon_aB3xZ_9006_a1_linear.ipynb": "anonymous",
            "LATE_anon_q1W2e_9007_a1_linear.ipynb": "anonymous and late",
            "textonly_4005_text.html": "<p>hello</p>",
        },
    )
    table, skipped = collect.collect(course, NAME, [made])
    assert handed_in(course) == {
        f"doejane_4001/{NAME}/a1_linear.ipynb": "jane",
        f"muster_max_4002/{NAME}/a1_linear.ipynb": "max",
        f"lieva_4003/{NAME}/a1_linear.ipynb": "second",
        f"bo_4004/{NAME}/a1_linear.ipynb": "bo",
        f"anon_aB3xZ/{NAME}/a1_linear.ipynb": "anonymous",
        f"anon_q1W2e/{NAME}/a1_linear.ipynb": "anonymous and late",
    }
    table = table.set_index("student")
    assert table.loc["muster_max_4002", ["id", "notes"]].tolist() == ["4002", "late; handed in as a1_linear-1.ipynb"]
    assert "a1_linear.ipynb left out" in table.loc["lieva_4003", "notes"]
    assert len(skipped) == 3


@pytest.mark.slow
def test_a_second_archive_replaces_only_the_students_in_it(course):
    collect.collect(
        course, NAME, [archive(course / "one.zip", {"ann_a1_linear.ipynb": "1", "bob/a1_linear.ipynb": "1"})]
    )
    collect.collect(course, NAME, [archive(course / "two.zip", {"bob_a1_linear.ipynb": "2"})])
    assert handed_in(course) == {f"ann/{NAME}/a1_linear.ipynb": "1", f"bob/{NAME}/a1_linear.ipynb": "2"}
    assert collect.roster(course, NAME)["student"].tolist() == ["ann", "bob"]


def test_what_cannot_be_collected_gets_one_sentence(course):
    (course / "half.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"half\.zip is not a zip archive"):
        collect.collect(course, NAME, [course / "half.zip"])
    with pytest.raises(ValueError, match=r"no file .*gone\.zip"):
        collect.collect(course, NAME, [course / "gone.zip"])
    with pytest.raises(ValueError, match="nothing to collect"):
        collect.collect(course, NAME)
    with pytest.raises(ValueError, match="no student's name in the path"):
        collect.collect(course, NAME, [archive(course / "w_x.zip", {"a1_linear.ipynb": "", "__MACOSX/a": ""})])


@pytest.mark.parametrize(
    ("path", "archives", "student"),
    [
        ("alice_a1_linear.ipynb", (), "alice"),
        ("van_der_berg_a1_linear.ipynb", (), "van_der_berg"),
        ("export_x/alice_a1_linear.ipynb", ("export_x",), "alice"),
        ("export_x/alice/a1_linear.ipynb", ("export_x",), "alice"),
        ("alice/a1_linear/a1_linear.ipynb", (), "alice"),
        ("bob_homework.ipynb", (), "bob"),
        ("carol_a1_linear/a1_linear.ipynb", ("carol_a1_linear",), "carol"),
        ("x[1]*_a1_linear.ipynb", (), "x-1--"),
        ("a1_linear.ipynb", (), None),
        ("export_x/a1_linear.ipynb", ("export_x",), None),
        ("bob/.ipynb_checkpoints/a1_linear-checkpoint.ipynb", (), None),
    ],
)
def test_plain_names(path, archives, student):
    found = layouts.who(path, NAME, archives)
    assert (None if isinstance(found, str) else found.student) == student


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("a1_linear.ipynb", 0),
        ("a1_linear-1.ipynb", 1),
        ("a1_linear (2).ipynb", 2),
        ("a1_linear-Copy3.ipynb", 3),
        ("A1_linear.ipynb", 0),
        ("a1_linear_final.ipynb", None),
        ("a2_power.ipynb", None),
    ],
)
def test_numbers_that_platforms_append(file, number):
    assert layouts.own_name(file, NAME) == number
