"""Figures 5 and 6 of [equivariant2019] as a table and as claims, for whatever networks: what fig5_fooling and others share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from uapkit import checks, lab
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.papers.equivariant2019.course import BOTH, ERROR, IN_DATA, PHASES, Course
from uapkit.papers.equivariant2019.evidence import estimate, nearest_null
from uapkit.papers.equivariant2019.setting import Attacks, Setting, training
from uapkit.papers.equivariant2019.spectrum import DATA_ENERGY

N_BOOT = 2000
CURVES = 2  # draws of a random null that are followed over all norms
DRAWN = (nulls.RANDOM_DIRECTION, IN_DATA, PHASES)
GAP_BY_CHANCE, GAP_OF_PHASES = "difference of random directions", "difference of random phases"
GAPS_BY_CHANCE = (GAP_BY_CHANCE, GAP_OF_PHASES)


def fooling_curves(
    setting: Setting,
    models: Sequence[Any],
    wanted: Attacks,
    *,
    samples: Sequence[int],
    n_eval: PerNetwork,
    n_draws: int,
    norms: Sequence[float] | Mapping[str, Sequence[float]],
    small: float,
    n_random: int,
    passes: int,
    energies: Sequence[float],
) -> pd.DataFrame:
    """The table of fig5_fooling and ext_roteqnet_fooling: curves of the samples' vectors, redraws, baselines of equal norm."""
    for energy in energies:
        checks.in_range(energy, 0, DATA_ENERGY, "share of the images' energy in energies", open_low=True)
    total = setting.most = max(setting.count(n) for n in samples)
    apart = max([n for n in samples if n <= total // 2] or [total // 2])  # samples that are kept out of scoring
    courses: dict[str, Course] = {}
    chance: dict[str, tuple[list[dict], dict[float, Tensor]]] = {}

    def course(model: str) -> Course:
        if model not in courses:
            courses.clear()
            chance.clear()
            n = for_network(n_eval, model, "n_eval")
            scored = total - apart if n is None else min(n, total - apart)
            courses[model] = Course(setting, model, total, scored, for_network(norms, model, "norms"), small)
        return courses[model]

    def nulls_of(model: str) -> tuple[list[dict], dict[float, Tensor]]:
        """The rows of all random nulls; and who is wrong under them, by the energy of the subspace (all of space: NaN)."""
        along = course(model)
        if model not in chance:
            rows, whole = along.random(n_random, nulls.RANDOM_DIRECTION, CURVES)
            wrong = {math.nan: whole}
            for energy in energies:
                inside, wrong[energy] = along.random(n_random, IN_DATA, CURVES, energy)
                rows = rows + inside
            chance[model] = rows, wrong
        return chance[model]

    def vectors(model: str, attack: str) -> list[dict]:
        along, found, wrong = course(model), [], {}
        directions = setting.directions(model, attack, total)
        for sample in samples:
            rows, wrong[sample] = along.singular(directions, sample)
            crossed = [r for r in rows if r["fit"] == "other half" and r["relative_norm"] == small]
            if crossed:
                crossed[0] |= _over_both(along.refits(directions, n_draws), wrong[sample])
            found += rows
        fewest, largest = min(samples), wrong[max(samples)]
        redraws, under = along.redraws(directions, fewest, n_draws)
        found += redraws
        _, by_chance = nulls_of(model)
        about = {"n_fit": fewest, "relative_norm": small, "n": along.n_eval}
        found.append({"kind": "difference", **about, **_one_draw(under, largest)})
        for energy, wrong_by_chance in by_chance.items():
            gap = _one_draw(wrong_by_chance, largest)
            found.append({"kind": GAP_BY_CHANCE, "is_null": True, "energy": energy, **about, **gap})
        noise, wrong_by_noise = along.phases(along.vector(directions), n_random, CURVES)
        gap = _one_draw(wrong_by_noise, largest)
        return [*found, {"kind": GAP_OF_PHASES, "is_null": True, **about, **gap}, *noise]

    def baselines(model: str) -> list[dict]:
        along = course(model)
        fresh = setting.directions(model, "gradient", min(samples), untrained=True)
        return [*nulls_of(model)[0], *along.untrained(fresh), *along.universal(apart, passes)]

    names = setting.bench.names(models)
    parts = [setting.table(setting.points([m], attack=wanted), vectors, f"{m}: curves") for m in names]
    parts += [setting.table([{"model": m}], baselines, f"{m}: baselines") for m in names]
    table = lab.joined(parts)
    kinds = table["kind"] if "kind" in table else pd.Series(index=table.index, dtype=object)
    table["is_null"] = kinds.isin([*DRAWN, nulls.UNTRAINED, *GAPS_BY_CHANCE])
    return table


def _one_draw(wrong: Tensor, largest: Tensor) -> dict[str, float]:
    """Error of one draw's vector minus that of the largest sample's: mean over draws, interval of a single draw, spread.

    wrong: (draws, n) booleans, largest (n,). The interval draws one of the draws and, anew, the images that are scored,
    so that it holds what varies from draw to draw and from image to image.
    """
    difference = wrong.double().numpy() - largest.double().numpy()
    low, high = _single(difference)
    each = difference.mean(1)
    return {
        "difference": float(each.mean()),
        "difference_low": low,
        "difference_high": high,
        "draws": len(each),
        "spread": float(each.std(ddof=1)) if len(each) > 1 else float("nan"),
        "smallest": float(each.min()),
        "largest": float(each.max()),
    }


def _over_both(wrong: Tensor, found: Tensor) -> dict[str, float]:
    """Interval of an error over the images that are fitted on and those that are scored; and what the former do alone.

    wrong: (draws, n) booleans under vectors of images drawn anew, found (n,) under the vector itself, whose error the
    interval holds in any case.
    """
    flags, error = wrong.double().numpy(), float(found.double().mean())
    low, high = _single(flags)
    each = flags.mean(1)
    spread = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
    both = {"both_low": min(low, error), "both_high": max(high, error)}
    return both | {"refits": len(each), "refit_mean": float(each.mean()), "refit_spread": spread}


def _single(values: np.ndarray) -> tuple[float, float]:
    """Central 95 % of the mean of one draw, values (draws, n), over draws and over images drawn anew."""
    draws, n = values.shape
    rng = np.random.default_rng(0)
    images = rng.multinomial(n, np.full(n, 1 / n), N_BOOT) / n  # (boot, n): weights of resampled images
    single = (images @ values.T)[np.arange(N_BOOT), rng.integers(draws, size=N_BOOT)]
    low, high = np.percentile(single, [2.5, 97.5])
    return float(low), float(high)


def fooling_claims(run: Run) -> Iterator[Claim]:
    """80 % wrong at half the images' mean norm or less, and anywhere, by a vector that no scored image was fitted on.

    Chance is the 97.5 % quantile of the random draws, each at its better sign, of the subspace of the images in which they err
    most, or of noise with the vector's own spectrum, or the untrained network's vector.
    """
    difference = ("difference", "difference_low", "difference_high")
    for network, of_network in run.by_network():
        differences = lab.rows_of(of_network, kind="difference")
        small, how = float(differences["relative_norm"].max()), training(network)
        random = of_network[of_network["is_null"] & of_network["error_rate"].notna()]
        for attack, rows in of_network.dropna(subset="attack").groupby("attack", sort=False):
            name = f"{network}, {attack}"
            apart = lab.rows_of(rows, kind="singular vector", fit=["held out", "other half"])
            chances = random[random["attack"].isna() | (random["attack"] == attack)]
            curve = lab.rows_of(apart, n_fit=apart["n_fit"].max(), chosen=True)
            curve = curve[curve["relative_norm"] > 0].sort_values("relative_norm")
            ours = curve.loc[curve.loc[curve["relative_norm"] <= small, "error_rate"].idxmax()]
            found, chance = _estimate(ours), nearest_null(_at(chances, ours), ERROR, ">")
            yield claim("reaches_80_percent", name, found, ">", 0.80, null=chance, training=how)
            reached = curve[[_estimate(row).low > 0.80 for _, row in curve.iterrows()]]
            first = reached.iloc[0] if len(reached) else curve.loc[curve["error_rate"].idxmax()]
            best = nearest_null(_at(chances, first), ERROR, ">")
            yield claim("saturates_above_80_percent", name, _estimate(first), ">", 0.80, null=best, training=how)
            bound = highest_of_chance(lab.rows_of(chances, relative_norm=small))
            at_small = _estimate(lab.rows_of(curve, relative_norm=small).iloc[0])
            yield claim("beats_random_directions", name, at_small, ">", bound, training=how)
            single = lab.rows_of(differences, attack=attack).iloc[0]
            others = lab.rows_of(rows, kind=GAPS_BY_CHANCE)
            reach = float(others["difference_high"].max())  # the upper end: what random directions may do, too
            typical = Interval(reach, int(others["n"].iloc[0]), reach, reach)
            few = estimate(single, difference)
            yield claim("100_samples_suffice", name, few, ">", -0.05, null=typical, training=how)


def _estimate(row: pd.Series) -> Interval:
    """The error of a row, over fitted and scored images where both were drawn anew, else over the scored ones."""
    return estimate(row, BOTH if pd.notna(row.get("both_low")) else ERROR)


def _at(rows: pd.DataFrame, one: pd.Series) -> pd.DataFrame:
    return lab.rows_of(rows, relative_norm=one["relative_norm"])


def highest_of_chance(rows: pd.DataFrame) -> float:
    """Error that chance reaches at one norm: the largest, over nulls and subspaces, of the draws' 97.5 % quantile."""
    by = ["kind", "energy"] if "energy" in rows else ["kind"]  # runs of before have one subspace
    return float(rows.groupby(by, sort=False, dropna=False)["error_rate"].quantile(0.975).max())


def refitted(run: Run | None) -> pd.DataFrame:
    """The rows whose vector was found again from images drawn anew, both intervals beside the error; empty where none was."""
    shown = ["model", "attack", "n_fit", "relative_norm", "error_rate", "error_low", "error_high"]
    shown += ["both_low", "both_high", "refits", "refit_mean", "refit_spread"]
    if run is None or "both_low" not in run.rows:
        return pd.DataFrame(columns=shown)
    return run.rows.dropna(subset=["both_low"])[shown]
