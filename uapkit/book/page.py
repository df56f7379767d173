"""What every item's page shows, in one order: the answer, the stored full run, the published numbers, the quick run.

A notebook opens its page once, ``page = Page("paper/item")``; each method returns an object that Jupyter shows. The quick
run, which is made anew, comes last with its own parameters, so that nobody takes them for those of the stored run.
"""

from __future__ import annotations

import html
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython import get_ipython
from IPython.display import HTML, Markdown

from uapkit import runner
from uapkit.book import answer, evidence, exercise
from uapkit.book.beside import BEST, PATTERNS, differences, told
from uapkit.book.markup import duration, scrolling
from uapkit.book.prose import draw
from uapkit.book.tables import MOST, matrix, table, telling, without_constants
from uapkit.book.waiting import waiting
from uapkit.figures.output import show_figures_so
from uapkit.lab import Run
from uapkit.runner.execute import plain
from uapkit.runner.results import stored
from uapkit.runner.verdicts import STATED
from uapkit.runner.words import stale

if get_ipython() is not None:  # in a notebook: figures as vector graphics or compact pictures
    show_figures_so(get_ipython())


ARCHITECTURES = (
    "khrulkov2018/ext_regulariser",
)  # items whose `models` are trained anew, so that no network can be given
__all__ = ["Page", "matrix", "table"]


class Page:
    """An item's page: its stored full run, loaded once, and the quick run made with the notebook's parameters.

    name: the item. ``full``: the stored run or None. ``quick``: the run that :meth:`run` makes, None before.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.full = runner.stored_run(name)
        self.quick: Run | None = None
        self._before: dict[str, int] = {}

    def beside(self, name: str) -> Run | None:
        """The stored run of another item, for nulls that this page draws beside its own rows; None where nothing is stored.

        Name it in full where it is called: the build finds in the notebook what its page is made from.
        """
        found = stored(name)  # not runner.stored_run, which keeps only the last: this page's own run stays at hand
        return None if found is None else Run.of(found)

    def remark(self, words: str) -> Markdown:
        """A paragraph with numbers drawn from stored runs, ``[[item | column | where | statistic]]`` as in the chapters.

        A notebook's own Markdown is never drawn. Other items' runs that it draws from are named with :meth:`beside` as well.
        """
        return Markdown(" ".join(draw(words).split()))

    def beyond(self, found: pd.DataFrame, null: str = BEST, other: str = PATTERNS) -> HTML:
        """Which rows of the stored run stay above a null that the item ``other`` measured; see :func:`uapkit.book.beside.told`."""
        networks = [] if self.full is None else self.full.rows["model"]
        return HTML(told(found, networks, null, other, redo=other in stale()))

    def differences(self, found: pd.DataFrame) -> HTML:
        """Each of these rows minus its null; see :func:`uapkit.book.beside.differences`."""
        return differences(found)

    def answer(self, question: str) -> HTML:
        """The box that opens the page: the question, the verdict, one sentence with the number and its null."""
        judged = runner.compare(self.name, self.full)
        return HTML(answer.box(question, judged, self.full, waits=self._waits()))

    def _waits(self) -> bool:
        return self.full is not None and bool(self.full.stale or self.name in waiting())

    def quick_run(self, namespace: dict[str, Any]) -> HTML:
        """Say what follows. namespace: the notebook's ``globals()``; names bound from here on are parameters."""
        self._before = {name: id(value) for name, value in namespace.items()}
        return HTML(
            "<p>These parameters belong to the quick run alone, which is made anew whenever the notebook runs. Those of the "
            'stored run, which all numbers above come from, stand under <a href="#where-the-numbers-come-from">where the '
            "numbers come from</a>.</p>"
        )

    def run(self, namespace: dict[str, Any]) -> Run:
        """The item's run with the parameters that the notebook has bound since :meth:`quick_run`.

        Stored, too, where ``save`` says so. Raises ValueError naming the nearest for a parameter that the item lacks.
        """
        own = {*runner.item(self.name).parameters, "save"}
        bound = {n: v for n, v in namespace.items() if n in own or self._before.get(n) != id(v)}
        self.quick = Run.of(runner.run(self.name, **runner.notebook_parameters(self.name, bound)))
        return self.quick

    def published(self, *, only_paper: bool = True) -> HTML:
        """What the paper prints for the item, with source and confidence; third parties' numbers with ``only_paper=False``."""
        rows = runner.reported(runner.item(self.name))
        rows = rows[rows["kind"] == "level"] if only_paper else rows[~rows["kind"].isin(STATED)]
        if rows.empty:
            return HTML("<p>The paper prints no number for this item.</p>")
        places = pd.DataFrame([dict(p.split("=", 1) for p in w.split(";") if "=" in p) for w in rows["where"]]).fillna(
            ""
        )
        about = rows[["source", "confidence"]].reset_index(drop=True)
        shown, words = without_constants(pd.concat([places, about], axis=1))
        marks = list(shown.columns)
        long = shown.assign(metric=rows["metric"].to_numpy(), value=rows["value"].to_numpy())
        if marks and not long.duplicated([*marks, "metric"]).any():  # one column a quantity
            long = long.set_index([*marks, "metric"])["value"].unstack("metric", sort=False).reset_index().fillna("–")
        metrics = [c for c in long.columns if c not in marks]
        if len(marks) == 2 and len(metrics) == 1 and len(long) > 2 and set(long[marks[0]]) == set(long[marks[1]]):
            square = long.pivot(index=marks[0], columns=marks[1], values=metrics[0])
            order = list(dict.fromkeys(long[marks[0]]))
            called = [mark.replace("model", "network attacked").replace("_", " ") for mark in marks]
            told = f"Published {metrics[0].replace('_', ' ')}: rows {called[0]}, columns {called[1]}"
            return matrix(square.loc[order, order].reset_index(names=called[0]), f"{told} ({words})")
        place = telling(long, [c for c in marks if c in places], max(2, MOST - len(metrics)))
        return table(long, f"Published ({words})" if words else "Published", shown=[*place, *metrics][:MOST])

    def setting(self, run: Run | None, what: str) -> HTML:
        """One sentence that says what a run is: networks, images, numbers; a reduced or stale run says so."""
        if run is None:
            return HTML(f"<p><strong>{html.escape(what)}:</strong> no full run is stored yet.</p>")
        record, rows = run.provenance, run.rows
        params = record["params"]
        changed = self._changed(params) if run is self.quick else ""
        what = f"Run with other parameters ({changed})" if changed else what
        networks = ", ".join(dict.fromkeys(map(str, rows.get("model", pd.Series(dtype=str)))))
        bits = [f"networks {networks}" if networks else "", f"images {_by_network(params.get('data', ''))}"]
        fit = params.get("n_images") if isinstance(params.get("n_images"), dict) else params.get("n_fit")
        bits += [f"{_by_network(fit)} to fit" if fit else ""]
        bits += [_scored(rows) if "n_eval" in params else "", f"{seconds(record)} on {record['device']}"]
        stale = (
            f'<p class="uapkit-stale"><strong>To be redone:</strong> {html.escape(run.stale)}</p>' if run.stale else ""
        )
        return HTML(
            f"{stale}<p><strong>{html.escape(what)}:</strong> {html.escape('; '.join(b for b in bits if b))}.</p>"
        )

    def _changed(self, params: Mapping[str, Any]) -> str:
        """The parameters that are not the item's defaults, in words; "" where none is."""
        defaults = plain(runner.item(self.name).parameters)
        return ", ".join(f"{k} = {v}" for k, v in params.items() if v != defaults.get(k, v))

    def verdicts(self) -> HTML:
        """Claim by claim: verdict, words, what was measured, the test and whose it is, the null; each setting unfolds."""
        judged = runner.compare(self.name, self.full)
        if judged.empty:
            return HTML("<p>The paper makes no claim here that could be judged.</p>")
        redo = " (to be redone)" * self._waits()
        return HTML(evidence.claims(judged, f"Claims of {self.name}", after=redo))

    def not_run(self) -> HTML:
        """Rows that need weights or data which are not on the machine of the stored run, with the command that fills them."""
        command = f"<pre>uapkit run {html.escape(self.name)} --full --save</pre>"
        about = (
            f"<p><strong>The full run's setting:</strong> {html.escape(_about_full_run(self.name), quote=False)}</p>"
        )
        if self.full is None:
            return HTML(f"{about}<p>No full run is stored. This command makes it:</p>{command}")
        rows = self.full.table
        rows = rows[rows["status"] == "not run here"] if "status" in rows else rows.iloc[:0]
        if rows.empty:
            return HTML(f"{about}<p>Every row of the full run was run.</p>")
        columns = [c for c in ("model", "weights", "data", "layer") if c in rows and rows[c].notna().any()]
        lines = ", ".join(dict.fromkeys(" ".join(str(r[c]) for c in columns) for r in rows.to_dict("records")))
        return HTML(
            f"{about}<p><strong>Not run here</strong> (their weights or data were not on the machine): {html.escape(lines)}. "
            "With them at hand (<code>uapkit models</code> and <code>uapkit data</code> say where to put what) one command "
            f"fills these rows:</p>{command}"
        )

    def exercise(self) -> HTML:
        """The item's exercise: predict, change one parameter of the quick run, check; the answer is folded."""
        return HTML(exercise.box(self.name))

    def about(self) -> HTML:
        """The block that ends every page: where the stored numbers come from, what they cost, how to make them again."""
        return HTML(self._provenance() + self._cost() + self._rerun())

    def _cost(self) -> str:
        quick = "" if self.quick is None else f"The quick run took {seconds(self.quick.provenance)}"
        full = "" if self.full is None else f"the full run {cost(self.full.provenance)}"
        told = ", ".join(part for part in (quick, full) if part)
        return f"<p><strong>Cost:</strong> {html.escape(told)}.</p>" if told else ""

    def _provenance(self) -> str:
        if self.full is None:
            return "<p>No stored run, so no provenance.</p>"
        record = self.full.provenance
        names = ("commit", "dirty", "device", "threads", "dtype", "rows", "table_sha256")
        flat = {k: record[k] for k in names} | {"seconds": seconds(record)}
        flat |= {f"input {k}": v[:16] for k, v in record["inputs"].items()}
        flat |= {f"version of {k}": v for k, v in record["versions"].items()}
        flat |= {f"parameter {k}": str(v) for k, v in record["params"].items()}
        rows = "".join(
            f"<tr><td>{html.escape(k)}</td><td><code>{html.escape(str(v))}</code></td></tr>" for k, v in flat.items()
        )
        return (
            "<details><summary>Provenance of the stored run</summary>"
            + scrolling(f'<table class="uapkit-table">{rows}</table>', "provenance")
            + "</details>"
        )

    def _rerun(self) -> str:
        name, known = self.name, runner.item(self.name).parameters
        first = next(iter(known))
        more = " -p eps=0.0392" * ("eps" in known)  # the papers' ten grey levels
        more += " -p n_eval=null" * _may_be_none(name, "n_eval")  # all images that are left
        own = f'uapkit run {name} -p "models=[my_net.py:make]" -p data=path/to/folder{more}'
        mine = (
            f"<p>With a network of your own, and images of the size that it takes: <code>{own}</code>; "
            '<a href="../../book/rerun.html#your-own-network-your-own-images">what the file <code>my_net.py</code> holds</a>.</p>'
        )
        return (
            f"<p>Run it again: <code>uapkit run {name}</code> (quick), <code>uapkit run {name} --full --save</code> (full), "
            f"any parameter with <code>-p {first}=VALUE</code>; <code>uapkit list {name}</code> shows the parameters. "
            "The notebook itself: "
            f"<code>papermill notebooks/{name}.ipynb out.ipynb -p {first} VALUE</code>.</p>"
        ) + mine * ("models" in known and name not in ARCHITECTURES)


def _may_be_none(name: str, parameter: str) -> bool:
    """Has the item this parameter, and may it be None?"""
    function = runner.item(name).function
    found = inspect.signature(function).parameters.get(parameter) if function else None
    return found is not None and "None" in str(found.annotation)


def seconds(record: Any) -> str:
    """How long a run took; old records counted an answer shared by several points once for each of them."""
    bound = "" if "seconds_count" in record else "at most "
    return f"{bound}{record['seconds']} s"


def cost(record: Any) -> str:
    """How long a full run took, and what it ran on."""
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    return (
        f"{duration(float(record['seconds']), at_most='seconds_count' not in record)} on {record['device']}, {threads}"
    )


def _by_network(value: Any) -> str:
    """A parameter in words; one by network as "500 for bvlc_googlenet, 150 for the others"."""
    if not isinstance(value, dict):
        return str(value)
    rest = value.get("default")
    named = ", ".join(f"{v} for {k}" for k, v in value.items() if k != "default" and v != rest)
    return f"{named}, {rest} for the others" if rest is not None else named


def _scored(run: pd.DataFrame) -> str:
    """How many images are scored, "" if the table does not say; networks with fewer or more than most are named."""
    if not {"n", "model"} <= set(run):
        return ""
    sizes = pd.to_numeric(run["n"], errors="coerce").groupby(run["model"], sort=False).max().dropna().astype(int)
    if sizes.empty:
        return ""
    usual = int(sizes.mode().max())
    others = [f"{n} for {', '.join(part.index)}" for n, part in sizes[sizes != usual].groupby(sizes)]
    return f"{usual} to score" + (f" ({'; '.join(others)})" if others else "")


def _about_full_run(name: str) -> str:
    """The comment lines that open ``<item>.full.yml``: what the full run leaves out, and why."""
    lines = runner.item(name).path("full").read_text(encoding="utf-8").splitlines()
    return " ".join(line[1:].strip() for line in itertools.takewhile(lambda line: line.startswith("#"), lines))
