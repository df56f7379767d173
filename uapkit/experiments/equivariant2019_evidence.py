"""Evidence for the claims of [equivariant2019], from the stored tables alone.

Where an item has several nulls, the one that comes nearest to satisfying the claim is the one to beat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from uapkit.intervals import Rate

Columns = tuple[str, str, str]  # value, low, high
RANDOM = ("random", "random in the data's subspace")


def _claim(
    claim: str,
    network: str,
    found: pd.Series,
    columns: Columns,
    sense: str,
    bound: float,
    nulls: pd.DataFrame | None = None,
    null_columns: Columns | None = None,
) -> dict[str, Any]:
    """One evidence row; ``nulls`` are all that the claim has to beat."""
    value, low, high = (float(found[c]) for c in columns)
    row = {"claim": claim, "network": network, "estimate": value, "low": low, "high": high}
    row |= {"sense": sense, "bound": bound, "n": float(found.get("n", found.get("n_fit", math.nan)))}
    if nulls is not None and len(nulls):
        best = nulls.sort_values((null_columns or columns)[0], ascending=sense == "<").iloc[0]
        names = zip(("null", "null_low", "null_high"), null_columns or columns, strict=True)
        row |= {name: float(best[column]) for name, column in names}
    return row


def _measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that were run; without any the columns of the results are missing too, so they are added."""
    return table[table["status"] == "run"].reindex(
        columns=list(dict.fromkeys([*table.columns, "kind", "chosen", "attack"]))
    )


def _groups(table: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    run = _measured(table)
    for key, rows in run.groupby(by, sort=False) if len(run) else ():
        yield ", ".join(f"{k:g}" if isinstance(k, float) else str(k) for k in key), rows


def _is(rows: pd.DataFrame, kind: str = "trained", **where: Any) -> pd.DataFrame:
    keep = rows["kind"] == kind
    for column, value in where.items():
        keep &= rows[column] == value
    return rows[keep]


def _fig1_energy(table: pd.DataFrame) -> pd.DataFrame:
    """More than 10 % in five directions, against the same share of the nulls; and more than an untrained network has."""
    found, columns = [], ("top_share", "low", "high")
    for name, rows in _groups(table, ["model", "attack"]):
        ours, nulls = _is(rows).iloc[0], rows[rows["kind"] != "trained"]
        found.append(_claim("top5_above_10_percent", name, ours, columns, ">", 0.10, nulls))
        untrained = _is(rows, "untrained network")
        if len(untrained):
            bound = float(untrained["high"].iloc[0])
            found.append(_claim("training_concentrates", name, ours, columns, ">", bound))
    return pd.DataFrame(found)


def _fig2_spectra(table: pd.DataFrame) -> pd.DataFrame:
    """A sharp drop: the tenth singular value is less than half of the first."""
    found, columns = [], ("tenth_to_first", "ratio_low", "ratio_high")
    for name, rows in _groups(table, ["model", "attack", "sample"]):
        nulls = rows[rows["kind"] != "trained"]
        found.append(_claim("sharp_drop", name, _is(rows).iloc[0], columns, "<", 0.5, nulls))
    return pd.DataFrame(found)


def _fig2_dot_products(table: pd.DataFrame) -> pd.DataFrame:
    """Below 0.07; and, the sharper readings, below what random directions have, of all of R^d or of the data's subspace."""
    found, columns = [], ("mean_dot", "low", "high")
    for name, rows in _groups(table, ["model", "attack", "sample", "k"]):
        ours, nulls = _is(rows).iloc[0], rows[rows["kind"] != "trained"]
        found.append(_claim("dot_below_0.07", name, ours, columns, "<", 0.07, nulls))
        for claim, kind in (("dot_below_random", RANDOM[0]), ("dot_below_random_in_data", RANDOM[1])):
            found.append(_claim(claim, name, ours, columns, "<", float(_is(rows, kind)["low"].iloc[0])))
    return pd.DataFrame(found)


def _tab1_angles(table: pd.DataFrame) -> pd.DataFrame:
    """The smallest angle: above 60 degrees (the paper's are 69 and 79), and above that of each null."""
    found, columns = [], ("principal_angle", "low", "high")
    for name, rows in _groups(table, ["model", "attack"]):
        rows = rows[rows["index"] == rows["index"].max()]
        ours, nulls = _is(rows).iloc[0], rows[rows["kind"] != "trained"]
        found.append(_claim("nearly_orthogonal", name, ours, columns, ">", 60.0, nulls))
        beyond = zip(("random", "random_in_data", "untrained"), (*RANDOM, "untrained network"), strict=True)
        for what, kind in beyond:
            bound = float(_is(rows, kind)["high"].iloc[0])
            found.append(_claim(f"orthogonal_beyond_{what}", name, ours, columns, ">", bound))
    return pd.DataFrame(found)


def _reached(rows: pd.DataFrame, small: float) -> pd.Series:
    """The row with the largest error among those at no more than the small norm."""
    rows = rows[(rows["relative_norm"] > 0) & (rows["relative_norm"] <= small)]
    return rows.loc[rows["error_rate"].idxmax()]


ERROR = ("error_rate", "error_low", "error_high")


def _fig5_fooling(table: pd.DataFrame) -> pd.DataFrame:
    """80 % wrong at half the images' mean norm or less, by a vector that no scored image was fitted on."""
    found = []
    run = _measured(table)
    for model, all_rows in run.groupby("model", sort=False):
        differences = all_rows[all_rows["kind"] == "difference"]
        small = float(differences["relative_norm"].max())
        nulls = all_rows[all_rows["kind"].str.startswith("random") | (all_rows["kind"] == "untrained network")]
        for attack, rows in all_rows.dropna(subset="attack").groupby("attack", sort=False):
            name = f"{model}, {attack}"
            apart = rows[(rows["kind"] == "singular vector") & (rows["fit"] != "in sample")]
            ours = _reached(apart[(apart["n_fit"] == apart["n_fit"].max()) & (apart["chosen"] == True)], small)  # noqa: E712
            there = nulls[nulls["relative_norm"] == ours["relative_norm"]]
            found.append(_claim("reaches_80_percent", name, ours, ERROR, ">", 0.80, there))
            bound = float(there["error_high"].max())
            found.append(_claim("beats_random_directions", name, ours, ERROR, ">", bound))
            fewest = differences[(differences["attack"] == attack)].sort_values("n_fit").iloc[0]
            columns = ("difference", "difference_low", "difference_high")
            found.append(_claim("100_samples_suffice", name, fewest, columns, ">", -0.05))
    return pd.DataFrame(found)


def _fig7_invariant_vectors(table: pd.DataFrame) -> pd.DataFrame:
    """Steerable: the five vectors' median energy at one angular frequency exceeds one half."""
    run, found = _measured(table), []

    def summary(rows: pd.DataFrame) -> pd.Series:
        values = rows["angular_share"]
        return pd.Series({"share": values.median(), "low": values.min(), "high": values.max(), "n": len(values)})

    ours = summary(_is(run, "invariant directions"))
    nulls = pd.DataFrame([summary(rows) for kind, rows in run.groupby("kind") if kind.startswith("random")])
    found.append(_claim("steerable", "the images alone", ours, ("share", "low", "high"), ">", 0.5, nulls))
    return pd.DataFrame(found)


def _thm1_alignment(table: pd.DataFrame) -> pd.DataFrame:
    """Held out, the survival's interval is nowhere below the bound: the smallest margin over delta."""
    found = []
    for name, rows in _groups(table, ["model", "attack"]):
        for sample in ("in sample", "held out"):
            here = _is(rows, sample=sample)
            here = here[here["bound"] > 0]
            margin = pd.DataFrame({c: here[c] - here["bound"] for c in ("survival", "low", "high")})
            if sample == "in sample":  # a fact about these rows, without sampling error
                margin["low"] = margin["high"] = margin["survival"]
            worst = margin.loc[margin["survival"].idxmin()]
            claim = "bound_holds" if sample == "held out" else "bound_holds_in_sample"
            found.append(_claim(claim, name, worst, ("survival", "low", "high"), ">", 0.0))
        unit = _is(rows, sample="held out").iloc[0]
        null = _is(rows, "random", sample="held out").iloc[0]
        row = _claim("lambda_above_chance", name, unit, ("mean_square",) * 3, ">", 2 * float(null["lambda"]))
        found.append(row)
    return pd.DataFrame(found)


def _thm2_sampling(table: pd.DataFrame) -> pd.DataFrame:
    """Where the error is below the gap the distance is below the bound; how often the bound says anything for 100 rows.

    A distance is at most sqrt(2) with the better sign, so a larger bound says nothing.
    """
    found = []
    for name, rows in _groups(table, ["model", "attack"]):
        rows = _is(rows)
        stated = rows.dropna(subset="bound")
        if len(stated):
            rate = Rate.of(int((stated["distance"] <= stated["bound"]).sum()), len(stated))
            row = pd.Series(rate.columns("rate"))
            found.append(_claim("bound_holds", name, row, ("rate", "low", "high"), ">", 0.5))
        fewest = rows[rows["m"] <= 100] if (rows["m"] <= 100).any() else rows[rows["m"] == rows["m"].min()]
        used = Rate.of(int((fewest["bound"] < math.sqrt(2)).sum()), len(fewest))
        found.append(
            _claim(
                "bound_explains_100_samples", name, pd.Series(used.columns("rate")), ("rate", "low", "high"), ">", 0.5
            )
        )
        ratio = (rows["m_bernstein"] / rows["m"]).median()
        far = (rows["m_stated"] / rows["m"]).median()
        row = pd.Series({"ratio": ratio / far, "n": len(rows)})
        found.append(_claim("sharper_bound_is_nearer", name, row, ("ratio",) * 3, "<", 0.1))
    return pd.DataFrame(found)


def _sec_accuracy(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on images turned by the largest range, against what published implementations reach."""
    found = []
    run = _measured(table)
    clean = run[run["kind"].isin(["clean", "untrained network"])]
    for model, rows in clean.groupby("model", sort=False):
        rows = rows[rows["rotation"] == rows["rotation"].max()]
        claim, bound = ("roteqnet_97_percent", 0.97) if "roteqnet" in str(model) else ("plain_and_p4_95_percent", 0.95)
        nulls = _is(rows, "untrained network")
        found.append(
            _claim(claim, str(model), _is(rows, "clean").iloc[0], ("accuracy", "low", "high"), ">", bound, nulls)
        )
    return pd.DataFrame(found)


def _ext_lower_vectors(table: pd.DataFrame) -> pd.DataFrame:
    """Each of the vectors 2 to 5 errs more than the worst random direction of equal norm."""
    found, run = [], _measured(table)
    for (model, attack), rows in run[run["kind"] == "singular vector"].groupby(["model", "attack"], sort=False):
        size = rows["relative_norm"].max()
        random = run[(run["model"] == model) & run["kind"].str.startswith("random")]
        bound = float(random.loc[random["relative_norm"] == size, "error_high"].max())
        lower = rows[(rows["chosen"] == True) & (rows["index"] > 1) & (rows["relative_norm"] == size)]  # noqa: E712
        for row in lower.to_dict("records"):
            name = f"{model}, {attack}, vector {row['index']:g}"
            found.append(_claim("lower_vectors_attack", name, pd.Series(row), ERROR, ">", bound))
    return pd.DataFrame(found)


def _ext_rotation_range(table: pd.DataFrame) -> pd.DataFrame:
    """Widest range minus narrowest: error at the largest norm and chosen sign, against that of random directions; top share."""
    found, columns = [], ("difference", "low", "high")

    def difference(pair: pd.DataFrame, value: str, low: str, high: str) -> pd.Series:
        a, b = pair.iloc[-1], pair.iloc[0]
        half = math.hypot(*((one[high] - one[low]) / 2 for one in (a, b)))
        gap = float(a[value] - b[value])
        return pd.Series({"difference": gap, "low": gap - half, "high": gap + half, "n": a["n"]})

    for model, rows in _measured(table).groupby("model", sort=False):
        ends = [rows["trained_range"].min(), rows["trained_range"].max()]
        rows = rows[(rows["relative_norm"] == rows["relative_norm"].max()) & rows["trained_range"].isin(ends)]
        rows = rows[rows["chosen"] == True].sort_values("trained_range")  # noqa: E712
        if ends[0] < ends[1]:
            ours = _is(rows, "singular vector")
            draws = _is(rows, "random direction").groupby("draw")
            nulls = pd.DataFrame([difference(pair, *ERROR) for _, pair in draws])
            stronger = difference(ours, *ERROR)
            bound = max(0.0, float(nulls["high"].max())) if len(nulls) else 0.0  # less robust to anything is not enough
            found.append(_claim("more_invariance_stronger_attack", str(model), stronger, columns, ">", bound))
            concentrated = difference(ours, "top_share", "share_low", "share_high")
            found.append(_claim("more_invariance_more_concentrated", str(model), concentrated, columns, ">", 0.0))
    return pd.DataFrame(found)


EVIDENCE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "fig1_energy": _fig1_energy,
    "fig2_spectra": _fig2_spectra,
    "fig2_dot_products": _fig2_dot_products,
    "tab1_angles": _tab1_angles,
    "fig5_fooling": _fig5_fooling,
    "ext_roteqnet_fooling": _fig5_fooling,
    "fig7_invariant_vectors": _fig7_invariant_vectors,
    "thm1_alignment": _thm1_alignment,
    "thm2_sampling": _thm2_sampling,
    "sec_accuracy": _sec_accuracy,
    "ext_lower_vectors": _ext_lower_vectors,
    "ext_rotation_range": _ext_rotation_range,
}
