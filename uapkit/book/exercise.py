"""The exercise of each item's page: predict, change one parameter of the quick run, check.

``notebooks/exercises.yml`` holds one for each item: its level, the question, the one parameter to change, the number to look
at, and why it comes out as it does. What comes out is measured: ``python -m uapkit.book.exercise`` runs each exercise twice,
as the page runs it and changed, and writes both numbers to ``book/measured/exercises.csv``, which the pages draw from, with
the commit and the day.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from uapkit import checks, runner
from uapkit.book.evidence import brief
from uapkit.book.markup import text
from uapkit.book.template import written
from uapkit.files import alone, write_whole
from uapkit.lab import Run
from uapkit.runner.results import commit

LEVELS = {"easy": "a warm-up", "medium": "takes thought", "hard": "takes the theory"}
TAKE = {"mean": "mean", "largest": "max", "smallest": "min"}
SAME = 0.1  # of the number before: less of a change is called none
OUTCOMES = ("rises", "falls", "stays")


class Exercise(NamedTuple):
    """One exercise. change: (parameter, new value); column, rows, take: the number to look at; comes: one of OUTCOMES."""

    item: str
    level: str
    question: str
    change: tuple[str, Any]
    column: str
    rows: dict[str, Any]
    take: str
    comes: str
    why: str


@cache
def exercises() -> dict[str, Exercise]:
    """All exercises by item, in the order of the file. Raises ValueError for a level, outcome or way to take unknown."""
    path = runner.project_root() / "notebooks" / "exercises.yml"
    found = {}
    for item, given in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        (change,) = given["change"].items()
        look = given["look"]
        found[item] = Exercise(
            item,
            checks.one_of(given["level"], LEVELS, "level of an exercise"),
            given["question"],
            change,
            look["column"],
            look.get("rows", {}),
            checks.one_of(look["take"], TAKE, "way to take a number"),
            checks.one_of(given["comes"], OUTCOMES, "outcome of an exercise"),
            given["why"],
        )
    return found


def number(one: Exercise, run: Run) -> float:
    """The number to look at, of a run. Raises ValueError where no row of the run is asked for."""
    rows = run.where(**one.rows)
    if one.column not in rows or rows[one.column].dropna().empty:
        raise ValueError(f"the exercise of {one.item} looks at {one.column} of {one.rows}, where its run has nothing")
    return float(getattr(rows[one.column].dropna().astype(float), TAKE[one.take])())


def outcome(before: float, after: float) -> str:
    """One of OUTCOMES: what a number did; less than a tenth of it counts as nothing."""
    if abs(after - before) <= SAME * abs(before):
        return "stays"
    return "rises" if after > before else "falls"


def measure(one: Exercise) -> dict[str, Any]:
    """Both runs of an exercise: its item, what was changed and looked at, the number before and after."""
    name, value = one.change
    before, after = (number(one, Run.of(runner.run(one.item, **given))) for given in ({}, {name: value}))
    return {**_of(one), "before": before, "after": after}


def _of(one: Exercise) -> dict[str, str]:
    """What a measurement is of: an exercise that changed is to be measured again."""
    rows = ", ".join(f"{column}: {value}" for column, value in one.rows.items())
    name, value = one.change
    return {"item": one.item, "change": f"{name} = {value}", "look": f"{one.take} {one.column} of {rows or 'all'}"}


def found(one: Exercise) -> dict[str, Any] | None:
    """The stored measurement of an exercise as it stands, with the numbers before and after; None where there is none."""
    row = _rows().get(one.item)
    return row if row is not None and all(row[key] == value for key, value in _of(one).items()) else None


def _rows() -> dict[str, dict[str, Any]]:
    """All stored measurements by item, also those of exercises that have changed since."""
    rows = pd.read_csv(measured()).to_dict("records") if measured().is_file() else []
    return {str(row["item"]): row for row in rows}


def _store(row: dict[str, Any]) -> None:
    """Put one measurement in its item's place. The others stay as they stand in the file now, not when this process began."""
    with alone(measured()):
        rows = _rows() | {row["item"]: row}
        table = pd.DataFrame([rows[name] for name in exercises() if name in rows])
        write_whole(measured(), table.to_csv(index=False, float_format="%.6g").encode())


def measured() -> Path:
    """Where the numbers of all exercises stand."""
    return runner.project_root() / "book" / "measured" / "exercises.csv"


def box(item: str) -> str:
    """The exercise of an item as HTML, its answer folded; a new item without one says where to add it."""
    one = exercises().get(item)
    if one is None:
        return "<p>No exercise yet: it belongs into <code>notebooks/exercises.yml</code>.</p>"
    name, value = one.change
    old = runner.item(item).parameters.get(name)
    old = list(old) if isinstance(old, tuple) else old
    return (
        f'<div class="uapkit-exercise"><p><strong>Predict, change, check</strong> <span class="uapkit-level">{one.level}: '
        f"{LEVELS[one.level]}</span></p><p>{text(one.question)}</p>"
        f"<p><strong>Change</strong> one parameter of the quick run, <code>{name} = {text(written(old))}</code>, to "
        f"<code>{text(written(value))}</code>, in the notebook's cell of parameters or by "
        f"<code>uapkit run {item} -p {name}={text(_typed(value))}</code>. "
        f"<strong>Look at</strong> {looked_at(one)}.</p>"
        f"<details><summary>What comes out, and why</summary><p>{_came_out(one)}</p></details></div>"
    )


def looked_at(one: Exercise) -> str:
    """The number to look at, in words: "the column fooling rate: its largest value where kind is UAP"."""
    of = " and ".join(f"{c.replace('_', ' ')} is <em>{text(v)}</em>" for c, v in one.rows.items())
    what = "mean" if one.take == "mean" else f"{one.take} value"
    return f"the column <em>{text(one.column.replace('_', ' '))}</em>: its {what}{' where ' + of if of else ''}"


def _came_out(one: Exercise) -> str:
    """What the stored runs of the exercise gave, and why; of one that was not measured as it stands no answer is given."""
    row = found(one)
    if row is None:
        return "Not measured yet. Make both runs and compare."
    before, after = row["before"], row["after"]
    came = f"It {outcome(before, after)}: {brief(before)} before, {brief(after)} after. {text(one.why)}"
    return f"{came} <small>{_when(row)}</small>"


def _when(row: dict[str, Any]) -> str:
    """When both runs of an exercise were made, and from what."""
    if not dated(row):
        return "Measured; the commit was not noted."
    return f"Measured on {row['date']} at commit <code>{row['commit'][:10]}</code>."


def dated(row: dict[str, Any]) -> bool:
    """Is it known from which commit a measurement was made?"""
    return isinstance(row.get("commit"), str)


def _typed(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, (list, dict)):
        return f'"{str(yaml.safe_dump(value, default_flow_style=True)).strip()}"'
    return str(value)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the exercises of the items named and write what came out; without a name all that are not measured as they stand,
    then those of unknown commit.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("items", nargs="*")
    known = exercises()
    rows = {name: row for name, one in known.items() if (row := found(one)) is not None}
    due = [name for name in known if name not in rows] + [n for n in known if n in rows and not dated(rows[n])]
    chosen = [checks.one_of(item, known, "item with an exercise") for item in parser.parse_args(argv).items or due]
    at, dirty = commit()  # before the first row is written, which changes a tracked file
    if dirty:
        parser.error(
            f"the working tree differs from commit {at[:10]}; commit first, so that the numbers can be made again"
        )
    failed = []
    for item in chosen:
        one = known[item]
        try:
            found_now = measure(one)
        except ValueError as error:  # the next ones are measured all the same
            failed.append(item)
            print(f"{item}: {error}", flush=True)
            continue
        row = found_now | {"date": datetime.now(UTC).date().isoformat(), "commit": at}
        _store(row)
        came = outcome(row["before"], row["after"])
        mark = "" if came == one.comes else f", but the exercise says that it {one.comes}"
        print(f"{item}: {row['before']:.4g} before, {row['after']:.4g} after: it {came}{mark}", flush=True)
    if failed:
        raise SystemExit(f"these exercises cannot be run as printed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
