"""Rerun a part of a stored full run and hold it against the stored rows.

Which part: the whole run where it took at most :data:`BUDGET` seconds; else the first networks of its list that fit into
them, each reckoned to cost its share of the rows; ``notebooks/verify.yml`` says it for items for which that rule is a poor
one. Where nothing fits, or where data or weights are not on this machine, the item's quick run is held against the stored
quick run.
Nothing is taken from the cache of runs: every number is computed anew, on as many threads as then (a quick run on one), for
the last bits of eigenvectors depend on that, and where many are alike more than the last.

How far numbers may move says :mod:`uapkit.runner.deviation`. The small networks of a quick run are trained on each machine,
and not everywhere to the same weights; a rerun takes those that are stored with it (:mod:`uapkit.runner.networks`). Where a
network that is trained within the run became another one, there is nothing to compare, and no difference either.
On a processor that rounds otherwise (:mod:`uapkit.runner.arithmetic`) the columns of a quick run are left out that were seen
to move with that, and a difference is told but makes no run stale.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit import seeds, sources
from uapkit.lab import split_name
from uapkit.runner import arithmetic, networks, results
from uapkit.runner.catalogue import Item, item, project_root
from uapkit.runner.deviation import compare, moved
from uapkit.runner.execute import check_parameters, computed
from uapkit.runner.limit import Past, within
from uapkit.runner.records import mapping

BUDGET = 120.0  # seconds on the machine of the stored run
WHOLE, SUBSET, QUICK, NOTHING = "whole", "subset", "quick run", "nothing"


@dataclass(frozen=True)
class Part:
    """What is run again: settings, the stored rows they must give (None: none are stored), and how far that reaches.

    where: which of the rerun's rows are among them, as in ``notebooks/verify.yml``; empty: all. elsewhere: this machine rounds
    otherwise than the one of the stored quick run, which ``left_out`` columns were seen to move with.
    """

    how_far: str
    params: dict[str, Any]
    rows: pd.DataFrame | None
    inputs: Mapping[str, str]
    ignore: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a rerun.

    agrees: None where there was nothing to hold it against, or where it failed. equal: to the last stored digit. worst: the
    largest deviation in units of the tolerance. differences: sentences, the first few. weights: which stored weights the
    small networks of a quick run had, name and first digits of the sha256. elsewhere, left_out: see :class:`Part`.
    """

    item: str
    how_far: str
    agrees: bool | None
    rows: int = 0
    of_rows: int = 0
    equal: bool = False
    worst: float = 0.0
    seconds: float = 0.0
    differences: tuple[str, ...] = ()
    failed: bool = False
    weights: tuple[str, ...] = ()
    elsewhere: bool = False
    left_out: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """A row of the table of ``uapkit check``."""
        told = {True: "agrees", False: "differs", None: "failed" if self.failed else "not checked"}[self.agrees]
        return {
            "item": self.item,
            "how far": self.how_far,
            "result": "equal to the last digit" if self.agrees and self.equal else told,
            "rows": f"{self.rows} of {self.of_rows}",
            "worst": float(f"{self.worst:.2g}"),
            "seconds": round(self.seconds, 1),
            "differences": "; ".join(self.differences),
        }

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def check(name: str, *, how_far: str | None = None, budget: float = BUDGET, limit: float | None = None) -> Outcome:
    """Rerun a part of the stored full run of the item ``name`` and compare; ``how_far`` asks for "whole", "subset" or "quick run".

    A run whose data or weights are not here falls back to the quick run. One that takes longer than ``limit`` seconds (None:
    no limit; needs the main thread of a POSIX system) is given up. Raises FileNotFoundError if no full run is stored.
    """
    try:
        with within(limit):
            return _checked(name, how_far, budget)
    except Past:
        return Outcome(name, NOTHING, None, seconds=limit or 0, differences=(f"it was given up after {limit:g} s",))


def _checked(name: str, how_far: str | None, budget: float) -> Outcome:
    about = item(name)
    stored = results.load(name)
    wanted = part(about, stored, how_far=how_far, budget=budget)
    started = time.perf_counter()
    try:
        again = run(about, wanted, stored.attrs["provenance"].get("threads", 1))
        gone = wanted.how_far != QUICK and _absent(again, wanted.rows)
    except FileNotFoundError:  # an item without networks has no row for what is not here
        if wanted.how_far == QUICK:
            raise
        gone = True
    if gone:
        if how_far is not None:
            return Outcome(
                name, NOTHING, None, differences=("data or weights of the full run are not on this machine",)
            )
        wanted = quick(about)
        again = run(about, wanted)
    took = time.perf_counter() - started
    if wanted.rows is None:
        return Outcome(name, NOTHING, None, seconds=took, differences=("no quick run is stored to compare with",))
    before = wanted.inputs
    if (
        wanted.elsewhere and wanted.how_far == QUICK
    ):  # no files: the digits are turned, and untrained weights drawn, here
        before = {k: v for k, v in before.items() if not k.startswith("digits/") and not k.endswith("[random]")}
    others = moved(before, again.attrs["provenance"]["inputs"])
    if others and (wanted.how_far == QUICK or wanted.elsewhere):
        why = f"the networks of the {wanted.how_far} came out otherwise on this machine: {others[0]}"
        return Outcome(name, NOTHING, None, seconds=took, differences=(why,))
    if wanted.left_out and set(wanted.rows) <= set(wanted.left_out):
        return Outcome(name, NOTHING, None, seconds=took, differences=("all of it hangs on how a processor rounds",))
    found, worst, equal = compare(wanted.rows, _where(again, wanted.where), wanted.ignore + wanted.left_out)
    found = [*others, *found]
    counts, alone = (len(wanted.rows), len(stored), equal, worst, took), (again.attrs["weights"], wanted.elsewhere)
    return Outcome(name, wanted.how_far, not found, *counts, tuple(found[:5]), False, *alone, wanted.left_out)


def part(about: Item, stored: pd.DataFrame, *, how_far: str | None = None, budget: float = BUDGET) -> Part:
    """What :func:`check` runs again, see the module. ValueError for an unknown ``how_far``."""
    if how_far not in (None, WHOLE, SUBSET, QUICK):
        raise ValueError(f"how far must be {WHOLE!r}, {SUBSET!r} or {QUICK!r}, got {how_far!r}")
    record, told = stored.attrs["provenance"], declared().get(about.name, {})
    params = {name: _numbers(value) for name, value in record["params"].items()}
    rest = {"inputs": record["inputs"], "ignore": tuple(told.get("ignore", ()))}
    rest["elsewhere"] = _elsewhere(_quick_record(about))
    if how_far == WHOLE or (how_far is None and record["seconds"] <= budget):
        return Part(WHOLE, params, stored, **rest)
    if how_far == QUICK or (told.get("quick") and how_far is None):
        return quick(about)
    if "params" in told:
        where = told.get("where") or told["params"]
        return Part(SUBSET, params | told["params"], _where(stored, where), **rest, where=where)
    chosen: list[str] = []
    seconds = 0.0
    for network in params.get("models") or ():
        rows = _where(stored, {"models": [network]})
        cost = record["seconds"] * len(rows) / len(stored)
        if len(rows) and set(rows.get("status", ["run"])) == {"run"} and seconds + cost <= budget:
            chosen, seconds = [*chosen, network], seconds + cost
    if chosen:
        return Part(SUBSET, params | {"models": chosen}, _where(stored, {"models": chosen}), **rest)
    if how_far == SUBSET:
        raise ValueError(
            f"no network of {about.name} fits into {budget:g} s; notebooks/verify.yml can name a smaller part"
        )
    return quick(about)


def quick(about: Item) -> Part:
    """The item's quick run and what is stored of it under ``results/quick``."""
    path, ignore = quick_path(about), tuple(declared().get(about.name, {}).get("ignore", ()))
    params = check_parameters(about, {})
    if not path.is_file():
        return Part(QUICK, params, None, {}, ignore)
    record = _quick_record(about)
    elsewhere = _elsewhere(record)
    left_out = tuple(record.get("restless", ())) if elsewhere else ()
    rows = results.read_table(path.read_bytes())
    return Part(QUICK, params, rows, record["inputs"], ignore, elsewhere=elsewhere, left_out=left_out)


def _quick_record(about: Item) -> dict[str, Any]:
    path = quick_path(about).with_suffix(".json")
    return mapping(path) if path.is_file() else {}


def _elsewhere(record: Mapping[str, Any]) -> bool:
    """Does this machine round otherwise than the one that stored the quick run?"""
    here = arithmetic.checksum()
    return record.get("arithmetic", here) != here


def quick_path(about: Item) -> Path:
    """Where the table of an item's quick run lies, to be compared with."""
    return project_root() / "results" / "quick" / f"{about.paper}.{about.slug}.csv"


def machine() -> str:
    """What a run was made on, in words: processor, threads, Python and torch."""
    threads = f"{torch.get_num_threads()} threads"
    python = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), {threads}, {python}"


def code_now(about: Item) -> str:
    """sha256 of the code that the item depends on today; "" where that cannot be told."""
    assert about.function is not None
    try:
        return sources.code(about.function)
    except sources.Unidentified:
        return ""


def declared() -> dict[str, dict[str, Any]]:
    """What ``notebooks/verify.yml`` says, by item."""
    path = project_root() / "notebooks" / "verify.yml"
    return mapping(path) if path.is_file() else {}


def run(about: Item, wanted: Part, threads: int = 1) -> pd.DataFrame:
    """The part's table as it reads after storing it, its record in ``attrs``; on as many threads as the stored run.

    A quick run gets the networks that ``wanted.inputs`` names from the stored weights; ``attrs["weights"]`` says which.
    """
    alone = wanted.how_far == QUICK
    inputs = wanted.inputs if alone else {}
    with (
        seeds.threads(1 if alone else threads),
        tempfile.TemporaryDirectory(prefix="uapkit") as kept,
        networks.given(inputs) as weights,
    ):
        made = computed(about, check_parameters(about, wanted.params), Path(kept))
    table = results.read_table(results.table_bytes(made))
    table.attrs |= {"provenance": made.attrs["provenance"], "weights": weights}
    return table


def _absent(again: pd.DataFrame, stored: pd.DataFrame | None) -> bool:
    """Did the rerun lack data or weights that the stored run had?"""
    if "status" not in again or stored is None:
        return False
    gone = set(again.loc[again["status"] != "run", "model"]) if "model" in again else set()
    had = set(stored.loc[stored["status"] == "run", "model"]) if "model" in stored else set()
    return bool({split_name(str(name))[0] for name in gone} & had)


def _where(stored: pd.DataFrame, narrowed: Mapping[str, Any]) -> pd.DataFrame:
    """The stored rows that the narrowed settings give: ``models`` are networks, ``qs`` values of the column ``q``."""
    keep = np.ones(len(stored), dtype=bool)
    for name, values in narrowed.items():
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        if name in ("models", "model"):
            keep &= np.logical_or.reduce([_is_network(stored, str(network)) for network in values])
            continue
        column = next((c for c in (name, name.removesuffix("s")) if c in stored), None)
        if column is None:
            raise ValueError(
                f"the stored table has no column for {name!r}; `where:` in notebooks/verify.yml can name one"
            )
        keep &= stored[column].isin(values).to_numpy()
    return stored[keep]


def _is_network(stored: pd.DataFrame, network: str) -> np.ndarray:
    name, tag = split_name(network)
    same = (stored["model"] == name) | (stored["model"] == network)
    if tag != "default" and "weights" in stored:
        same &= (stored["weights"] == tag) | (stored["model"] == network)
    return same.to_numpy()


def _numbers(value: Any) -> Any:
    """Plain JSON back to parameters: "inf" is a number."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return float(value) if value in ("inf", "-inf") else value
