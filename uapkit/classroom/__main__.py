"""``python -m uapkit.classroom``: build a course folder, check the assignments, rehearse, grade."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from uapkit.classroom import notebooks


def _build(args: argparse.Namespace) -> int:
    from uapkit.classroom import build

    accuracy = build.course(args.course, seed=args.seed, only=args.only)
    print("accuracy on the test images: " + ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items()))
    print(f"course folder {args.course}; for students {args.course / 'students.zip'}")
    return 0


def _check(args: argparse.Namespace) -> int:
    """Solution passes, untouched fails, every kept mistake is caught by its test with its message."""
    from uapkit.classroom import build

    wrong = 0
    with tempfile.TemporaryDirectory(prefix="uap") as folder:
        place = Path(folder)
        build.place_files(place, args.seed)
        for name in args.only or notebooks.names():
            found = problems(name, place)
            print(f"{name}: {len(notebooks.mistakes(name))} mistakes, {'; '.join(found) or 'all caught'}")
            wrong += len(found)
    return 1 if wrong else 0


def problems(name: str, place: Path) -> list[str]:
    """What is wrong with an assignment; ``place`` has ``kit.py`` and ``digits.npz``."""
    source = notebooks.read(name)
    keep: dict[str, notebooks.Space] = {}
    found = [f"the solution fails {key}: {why}" for key, why in notebooks.run(source, place, keep=keep).items() if why]
    blank = notebooks.run(notebooks.student_version(source), place)
    found += [f"the untouched notebook passes {key}" for key in notebooks.tests(source) if not blank[key]]
    for mistake in notebooks.mistakes(name):
        why = notebooks.caught(source, mistake, place, keep)
        if not (why.startswith("AssertionError: ") and re.search(mistake.message, why)):
            found.append(f"{mistake.name} gets {why!r} from {mistake.caught}")
    return found


def _fake(args: argparse.Namespace) -> int:
    from uapkit.classroom import fake

    print("handed in: " + ", ".join(fake.submit(args.course, args.assignment, args.n)))
    return 0


def _collect(args: argparse.Namespace) -> int:
    from uapkit.classroom import collect

    table, skipped = collect.collect(args.course, args.assignment, args.archive)
    print(table.to_string(index=False))
    for path, why in skipped.items():
        print(f"skipped {path}: {why}")
    print(f"\n{len(table)} students collected; collected_{args.assignment}.csv in {args.course}")
    return 0


def _grade(args: argparse.Namespace) -> int:
    from uapkit.classroom import grade

    report = grade.grade(
        args.course,
        args.assignment,
        students=args.student,
        seconds=args.seconds,
        memory=args.memory,
        jobs=args.jobs,
        sandbox=args.sandbox,
    )
    print(report.to_string(index=False, na_rep="", max_colwidth=60))
    failed = int((report["status"] != "graded").sum())
    print(
        f"\n{len(report) - failed} graded, {failed} not; in {args.course}: report_{args.assignment}.csv, grades.csv, feedback/"
    )
    return 0


def _hand_back(args: argparse.Namespace) -> int:
    from uapkit.classroom import grade

    students = grade.hand_back(args.course, args.assignment)
    print(f"feedback of {len(students)} students and grades.csv in {args.course}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from uapkit.classroom import export

    words = {"sheet": args.sheet, "column": args.column, "partial": args.partial}
    grades, pages, notes = export.export(args.course, args.assignment, args.platform, **words)
    print(f"grades {grades}\nfeedback {pages}", *notes, sep="\n")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; errors that a teacher can mend are one sentence."""
    top = argparse.ArgumentParser(prog="python -m uapkit.classroom", description="Assignments: build, check, grade.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: object, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(does=does)
        return one

    def course(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
        one.add_argument("--course", type=Path, default=Path("build/classroom"), help="the course folder")
        return one

    one = course(command("build", _build, "make or renew the course folder and students.zip"))
    one.add_argument("--seed", type=int, default=0, help="the term's: data split, networks, parameters of the tasks")
    one.add_argument("only", nargs="*", help="some of the assignments")
    one = command("check", _check, "do the solutions pass and the kept mistakes fail? (trusted code, no kernel)")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("only", nargs="*")
    one = course(command("fake", _fake, "hand in a class that does not exist, to rehearse"))
    one.add_argument("assignment")
    one.add_argument("-n", type=int, default=10, help="how many students")
    one = course(command("collect", _collect, "unpack what students handed in, from Moodle, Canvas or plain files"))
    one.add_argument("assignment")
    one.add_argument("archive", nargs="*", type=Path, help="the platform's archive, or single files")
    one = course(command("grade", _grade, "grade an assignment: tests, feedback, grades.csv"))
    one.add_argument("assignment")
    one.add_argument("--student", action="append", help="only this one (may be repeated)")
    one.add_argument("--seconds", type=float, default=600, help="time limit of one submission")
    one.add_argument("--memory", type=float, default=4, help="its memory limit in gigabytes")
    one.add_argument("--jobs", type=int, default=1, help="submissions at once")
    one.add_argument("--sandbox", default="auto", help="auto, none, or words to put before a kernel's command")
    one = course(command("hand-back", _hand_back, "feedback and grades.csv anew, after grading by hand"))
    one.add_argument("assignment")
    one = course(command("export", _export, "grades and feedback as Moodle or Canvas import them"))
    one.add_argument("assignment")
    one.add_argument("platform", choices=("moodle", "canvas"))
    one.add_argument("--sheet", type=Path, help="Moodle's grading worksheet or Canvas's gradebook, to be filled in")
    one.add_argument("--column", help="the column of the grades, if it has another name")
    one.add_argument("--partial", action="store_true", help="points so far where answers are still to be read")
    args = top.parse_args(argv)
    try:
        return args.does(args)
    except (ValueError, TypeError, OSError) as error:
        print(f"uapkit.classroom: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
