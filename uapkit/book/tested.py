"""How all this is tested: the last stored runs of tests, mutants, kills, fuzzer, simulations, other code and reruns as tables.

Each is stored under ``results/trust`` by the program that ran it, beside a record with commit and date.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from uapkit.book.html import raw
from uapkit.book.markup import plain, text
from uapkit.intervals import Rate
from uapkit.runner import drawn, since, verified
from uapkit.runner.catalogue import items, project_root
from uapkit.runner.results import read_table
from uapkit.runner.words import stale

NOT_YET = "not stored yet"


def stored(name: str) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """A table of ``results/trust`` and its record; (None, {}) where there is none."""
    path = project_root() / "results" / "trust" / f"{name}.csv"
    if not path.is_file():
        return None, {}
    about = path.with_suffix(".json")
    return read_table(path.read_bytes()), json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}


def _when(about: dict[str, Any]) -> str:
    at = str(about.get("commit", ""))[:10]
    return f"{about.get('date', '')}, commit {at}" if at else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def glance() -> pd.DataFrame:
    """One row a kind of test: what is asked, what came out the last time, and when that was."""
    return pd.DataFrame(
        [_tests(), _mutants(), _coverage(), _others(), _reruns(), _code(), _kills(), _fuzz()],
        columns=["What is tried", "Last time", "When"],
    )


def _tests() -> tuple[str, str, str]:
    what, (table, about) = "Tests in the project", stored("tests")
    if table is None:
        return what, NOT_YET, ""
    return what, f"{table['tests'].sum()} in {table['files'].sum()} files", _when(about)


def _mutants() -> tuple[str, str, str]:
    what, (table, _) = "Faults put into the code on purpose: does a test notice?", stored("mutation")
    if table is None:
        return what, NOT_YET, ""
    rate = Rate.of(int(table["killed"].sum()), int(table["mutants"].sum()))
    found = f"{rate.hits} of {rate.n} noticed, in {len(table)} modules: {_percent(rate.value)}; "
    rate = Rate.of(rate.hits, rate.n - int(table["argued"].sum()))
    found += f"of those that change anything {_percent(rate.value)} ({_percent(rate.low)} to {_percent(rate.high)})"
    return what, found, _when(dict(table.sort_values("date").iloc[-1]))


def _coverage() -> tuple[str, str, str]:
    what, (table, about) = "95 % intervals: how often do they contain the truth?", stored("coverage")
    if table is None:
        return what, NOT_YET, ""
    return what, f"{_percent(table['share'].min())} to {_percent(table['share'].max())}", _when(about)


def _others() -> tuple[str, str, str]:
    what, (table, about) = "Numbers recomputed by other code from the papers' texts", stored("independent")
    if table is None:
        return what, NOT_YET, ""
    done = table[table["agrees"].isin(["yes", "no"])]
    missing = f"; {len(table) - len(done)} without their data" * (len(done) < len(table))
    return what, f"{(done['agrees'] == 'yes').sum()} of {len(done)} agree{missing}", _when(about)


def _reruns() -> tuple[str, str, str]:
    what, table = "Stored runs: does a rerun give the same numbers?", reruns()
    done = table[table["agrees"] != ""]
    if done.empty:
        return what, f"none of {len(table)} was rerun yet", ""
    agree = int((done["agrees"] == "yes").sum())
    days = f"{done['when'].min()} to {done['when'].max()}" if done["when"].nunique() > 1 else done["when"].max()
    return what, f"{agree} of {len(done)} agree; {len(table) - len(done)} wait for their turn", days


CODE = {
    since.SAME: "same",
    since.RERUN: "changed, rerun with the present one",
    since.OLDER: "changed since the rerun",
    since.CHANGED: "changed, not rerun",
}


def _code() -> tuple[str, str, str]:
    what, states = "Stored runs: is their code still the one that they were made with?", reruns()["code"]
    count = states.value_counts()
    found = [f"{count[words]} {words}" for words in CODE.values() if words in count]
    return what, "; ".join(found) or "it cannot be told", "when this book was built" * bool(found)


def _kills() -> tuple[str, str, str]:
    what, (table, about) = "Processes killed at random moments: is anything lost?", stored("kills")
    if table is None:
        return what, NOT_YET, ""
    lost = int(table["lost"].notna().sum())
    return what, f"{len(table)} kills, {lost or 'nothing'} lost", _when(about)


def _fuzz() -> tuple[str, str, str]:
    what, (table, about) = "Damaged and hostile files from a fuzzer: does a reader break?", stored("fuzz")
    if table is None:
        return what, NOT_YET, ""
    return what, f"{table['inputs'].sum():,} inputs, {table['finds'].sum() or 'no'} finds", _when(about)


def reruns() -> pd.DataFrame:
    """Every stored run: how far and when it was last rerun, and what came of it; blank where the table is another now.

    code: whether it is still the one that the run was made with, see :mod:`uapkit.runner.since`.
    """
    rows, present = [], drawn.present()
    for name, about in items().items():
        if not about.path("json").is_file():
            continue
        now = verified.standing(name, present)
        row = {"item": name, "how far": "", "agrees": "", "when": "", "code": CODE.get(now["code"], "")}
        if now["current"]:
            rows_of = f" of {now['of_rows']}" * (now["how_far"] != "quick run")
            row |= {"how far": f"{now['how_far']}, {now['rows']}{rows_of} rows", "when": now["when"]}
            row["agrees"] = "yes" if now["agrees"] else "no"
        elif attempt := verified.tried(name):
            row |= {"how far": "nothing to compare", "when": attempt["when"]}
        if name in stale() and not row["agrees"]:
            row["how far"] = "waits to be made again"
        rows.append(row)
    return pd.DataFrame(rows, columns=["item", "how far", "agrees", "when", "code"])


def recomputed(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers of other code beside the stored ones, in four digits; how far they may differ, and why."""
    shown = table[["chapter", "item", "what", "from"]].copy()
    for column in ("stored", "recomputed"):
        shown[column] = [f"{value:.4g}" if value == value else "" for value in table[column]]
    shown["n"] = [f"{n:,.0f}" if n == n else "" for n in table["n"]]
    within = zip(table["tolerance"], table["how"], strict=True)
    shown["may differ by"] = [f"{by:.2g} ({how})" if by == by else how for by, how in within]
    return shown.assign(agrees=table["agrees"])


def details() -> list[tuple[str, pd.DataFrame]]:
    """(title, table) of what is folded away."""
    found: list[tuple[str, pd.DataFrame | None]] = [("Tests by kind", stored("tests")[0])]
    mutants, kills = stored("mutation")[0], stored("kills")[0]
    if mutants is not None:
        shown = mutants.assign(
            noticed=[_percent(k / n) for k, n in zip(mutants["killed"], mutants["mutants"], strict=True)],
            change_nothing=mutants["argued"],
            gaps=mutants["survived"] - mutants["argued"],
        ).rename(columns={"change_nothing": "change nothing"})
        columns = ["module", "places", "mutants", "noticed", "change nothing", "gaps"]
        found.append(("Faults put into the code, by module", shown[columns]))
    coverage = stored("coverage")[0]
    if coverage is not None:
        shares = [f"{_percent(r.share)} ({_percent(r.low)} to {_percent(r.high)})" for r in coverage.itertuples()]
        found.append(("Intervals that contain the truth", coverage[["interval", "n", "draws"]].assign(share=shares)))
    others = stored("independent")[0]
    if others is not None:
        found.append(("Numbers recomputed by other code, by chapter", recomputed(others)))
    found.append(("Stored runs and their last rerun", reruns()))
    if kills is not None:
        by_job = kills.assign(lost=kills["lost"].notna()).groupby("job", sort=False)
        count = by_job.agg(kills=("job", "size"), lost=("lost", "sum")).reset_index()
        found.append(("Kills by what was under way", count.assign(job=count["job"].map(lambda j: JOBS.get(j, j)))))
    found.append(("Inputs of the fuzzer by reader", stored("fuzz")[0]))
    return [(title, table) for title, table in found if table is not None]


JOBS = {
    "save": "a run is stored",
    "run": "a run is computed and stored",
    "keep": "answers are kept",
    "resume": "a long computation keeps its place",
    "page": "a page of the book is written",
    "note": "a rerun is noted",
    "grade": "a class is graded",
}


def fragment() -> str:
    """What the page includes: the table at a glance."""
    return raw(plain(glance(), "At a glance"))


def folds() -> str:
    """The other tables, each in a fold."""
    parts = [
        f"<details><summary>{text(title)}</summary>\n{plain(table.fillna(''), title)}\n</details>"
        for title, table in details()
    ]
    return raw("\n".join(parts))
