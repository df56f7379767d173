"""The experiments of [equivariant2019], "Universal attacks on equivariant networks".

Departures, for all items: images are pixels in [0, 1], turned bilinearly with zeros from outside, each once by its own
fixed angle; the networks normalise inside. Norms of attacks are also given relative to the images' mean norm. The loss
gradient is taken with true labels unless ``labels`` says otherwise; DeepFool's failures have no row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit import data as sets
from uapkit import evaluate
from uapkit import models as networks
from uapkit.experiments import directions as d
from uapkit.experiments import equivariant2019_evidence as evidence
from uapkit.experiments.directions import ATTACKS, NULLS, Turned, family
from uapkit.experiments.universal import Course, difference
from uapkit.fourier import mean_wavelength
from uapkit.models import recipes
from uapkit.seeds import child_seed, generator
from uapkit.spectra import random_directions
from uapkit.subspace import principal_angles, random_subspace
from uapkit.sweep import sweep

__all__ = [
    "ext_lower_vectors",
    "ext_rotation_range",
    "ext_roteqnet_fooling",
    "fig1_energy",
    "fig2_dot_products",
    "fig2_spectra",
    "fig5_fooling",
    "fig7_invariant_vectors",
    "fig8_attack_vectors",
    "sec_accuracy",
    "tab1_angles",
    "thm1_alignment",
    "thm2_sampling",
]

EVIDENCE = evidence.EVIDENCE
QUICK = ("stdcnn_digits", "gcnn_digits")
CHOOSE = ("models", "attacks", "samples")  # parameters that only choose points


def _points(bench: Turned, models: Sequence[Any], **lists: Any) -> list[dict[str, Any]]:
    """All combinations of networks and the given lists, networks outermost (one is in memory at a time).

    A mapping gives each network its own list, "other" those that it does not name.
    """
    points: list[dict[str, Any]] = [{"model": spec} for spec in bench.specs(models)]
    for name, values in lists.items():
        own: dict[str, Any] = dict(values) if isinstance(values, Mapping) else {"other": values}
        points = [p | {name: value} for p in points for value in own.get(p["model"]) or own.get("other", ())]
    return points


def _table(
    bench: Turned, points: list[dict], compute: Callable[..., Any], over: Sequence[str], desc: str
) -> pd.DataFrame:
    """The sweep's table with the columns that all items share."""
    table = sweep(points, compute, over=over, desc=desc)
    if "model" in table:
        table.insert(1, "weights", [bench.weights(m) for m in table["model"]])
        table.insert(2, "network", [family(m) for m in table["model"]])
    table.insert(0, "data", bench.data)
    return table


def fig1_energy(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    k: int = 5,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 1 of [equivariant2019]: share of the squared singular values of the direction matrix in the top k.

    One row a (model, attack, kind): kind "trained", or a null with the same number of rows. top_share in [0, 1] with
    its jackknife interval; held_out_share: of one half's energy in the top k directions of the other half.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    once: dict[str, dict] = {}  # random rows are the same for every network

    def one(model: str, attack: str, kind: str) -> dict:
        rows = bench.rows(model, attack, n, kind)
        parts = d.moments(rows)
        share, low, high, _ = d.jackknife(lambda m: d.shares(m, k)[-1:], parts)
        row = {"kind": kind, "k": k, "n_fit": n, "n_rows": int(rows.any(1).sum()), "top_share": share[0]}
        return row | {"low": low[0], "high": high[0], "held_out_share": d.held_out_share(parts, k)}

    def shares(model: str, attack: str) -> list[dict]:
        bench.model(model)  # first of all: a network that is not here costs nothing
        once.update({kind: one(model, attack, kind) for kind in NULLS[:2] if kind not in once})
        kinds = ("trained", *NULLS[2:])
        return [one(model, attack, kind) for kind in kinds] + [once[kind] for kind in NULLS[:2]]

    return _table(bench, _points(bench, models, attack=attacks), shares, CHOOSE, "shares")


def _statistics(moment: torch.Tensor) -> np.ndarray:
    """Shares of the top 1, 5 and 10, and the tenth singular value as a share of the first."""
    values = d.top_values(moment, 10)
    return np.array([values[0], values[:5].sum(), values.sum(), math.sqrt(values[9] / values[0])])


def fig2_spectra(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (50, 150),
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 2a, 3a and 4a of [equivariant2019]: singular values of the stacked directions, with matched nulls.

    One row a (model, attack, sample, kind). tenth_to_first: the tenth singular value over the first, with interval;
    half_energy: how many directions hold half of the squares; effective_dimension: (sum s^2)^2 / sum s^4. The singular
    values of unit rows are in ``attrs["arrays"]`` as ``s/<model>/<attack>/<sample>/<kind>``. DeepFool on an untrained
    network is computed for the smallest sample only.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    bench.most = max(bench.count(n) for n in samples)

    once: dict[tuple[str, int], tuple[dict, np.ndarray]] = {}  # random rows are the same for every network and attack

    def one(model: str, attack: str, sample: int, kind: str) -> tuple[dict, np.ndarray]:
        rows = bench.rows(model, attack, sample, kind)
        parts = d.moments(rows)
        value, low, high, _ = d.jackknife(_statistics, parts)
        squares = d.top_values(parts.sum(0))
        used = int(rows.any(1).sum())
        row = {"kind": kind, "n_fit": sample, "n_rows": used, "top1_share": value[0], "top5_share": value[1]}
        row |= {"top10_share": value[2], "tenth_to_first": value[3], "ratio_low": low[3], "ratio_high": high[3]}
        row |= {"half_energy": int((np.cumsum(squares) < 0.5).sum()) + 1}
        row |= {"effective_dimension": 1 / float((squares**2).sum())}
        return row, np.sqrt(squares * used)[: min(used, len(squares))]

    def spectrum(model: str, attack: str, sample: int) -> tuple[list[dict], dict]:
        bench.model(model)
        done = {k: one(model, attack, sample, k) for k in ("trained", "shuffled pixels")}
        if attack != "deepfool" or sample == min(samples):
            done["untrained network"] = one(model, attack, sample, "untrained network")
        once.update({(k, sample): one(model, attack, sample, k) for k in NULLS[:2] if (k, sample) not in once})
        done |= {k: once[k, sample] for k in NULLS[:2]}
        arrays = {f"s/{model}/{attack}/{sample}/{k}": values for k, (_, values) in done.items()}
        return [row for row, _ in done.values()], arrays

    return _table(
        bench, _points(bench, models, attack=attacks, sample=samples), spectrum, ("models", "attacks"), "spectra"
    )


def fig2_dot_products(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    samples: Sequence[int] = (50, 150),
    ks: Sequence[int] = (5, 10),
    n_random: int = 50,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 2b, 3b and 4b of [equivariant2019]: dot products of top attack and top invariant directions.

    One row a (model, attack, sample, k, kind): mean_dot, the mean modulus over all k x k pairs, with its jackknife
    interval; for random subspaces the mean and the central 95 % of ``n_random`` draws. step: degrees between the two
    images whose difference is an invariant direction.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    bench.most = max(bench.count(n) for n in samples)
    invariants: dict[int, torch.Tensor] = {}

    def dots(model: str, attack: str, sample: int) -> list[dict]:
        if sample not in invariants:
            invariants[sample] = d.moments(bench.invariant(sample, step))
        invariant, found = invariants[sample], []
        for kind in ("trained", "untrained network"):
            if kind == "trained" or attack != "deepfool" or sample == min(samples):
                parts = d.moments(bench.rows(model, attack, sample, kind))
                value, low, high, _ = d.jackknife(lambda a, b: d.mean_dots(a, b, ks), parts, invariant)
                found += [
                    {"kind": kind, "k": k, "mean_dot": value[j], "low": low[j], "high": high[j]}
                    for j, k in enumerate(ks)
                ]
        return [row | {"n_fit": sample} for row in found + random_dots(sample)]

    @cache
    def random_dots(sample: int) -> list[dict]:
        """The same for every network and attack: invariant directions against random subspaces."""
        u = d.top(invariants[sample].sum(0), max(ks))[1]
        draws = {kind: _subspaces(bench, kind, sample, max(ks), n_random) for kind in NULLS[:2]}
        return [
            {"kind": kind, "k": k, **_central("mean_dot", [np.abs(u[:, :k].T @ w[:, :k]).mean() for w in ws])}
            for kind, ws in draws.items()
            for k in ks
        ]

    points = _points(bench, models, attack=attacks, sample=samples)
    return _table(bench, points, dots, ("models", "attacks"), "dot products")


def _subspaces(bench: Turned, kind: str, n: int, k: int, n_random: int) -> list[np.ndarray]:
    """(d, k) bases of random subspaces of all of R^d, or inside the images' own principal subspace."""
    size, inside = bench.turned(1).x[0].numel(), None if kind == "random" else bench.own_subspace(n)
    return [
        random_subspace(size, k, child_seed(bench.seed, f"{kind} {j}"), inside=inside).numpy() for j in range(n_random)
    ]


def _central(name: str, draws: Sequence[float]) -> dict[str, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return {name: float(np.mean(draws)), "low": float(low), "high": float(high)}


def tab1_angles(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient",),
    data: str = "digits",
    rotation: float = 30.0,
    step: float = 2.0,
    n_fit: int | None = 300,
    k: int = 5,
    n_random: int = 100,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [equivariant2019]: principal angles between the top k attack and the top k invariant directions.

    One row a (model, attack, kind, index): principal_angle in degrees, index 1 the largest as in the paper, with its
    jackknife interval. Nulls: random subspaces of R^d and of the images' own principal subspace (mean and central 95 %
    of ``n_random`` draws), and the attack directions of an untrained network. data_dimension: of the images' principal
    subspace; inside_data: share of the k attack directions that lies in it, which says how apt that null is.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def table(model: str, attack: str) -> list[dict]:
        invariant, found = d.moments(bench.invariant(n, step)), []

        own = bench.own_subspace(n).numpy()

        def add(kind: str, triples: Any, v: np.ndarray | None = None) -> None:
            inside = math.nan if v is None else float(((own.T @ v) ** 2).sum() / k)
            for j, (value, low, high) in enumerate(triples, 1):
                row = {"kind": kind, "index": j, "principal_angle": value, "low": low, "high": high}
                found.append(row | {"n_fit": n, "data_dimension": own.shape[1], "inside_data": inside})

        for kind in ("trained", "untrained network"):
            parts = d.moments(bench.rows(model, attack, n, kind))
            value, low, high, _ = d.jackknife(lambda a, b: d.angles(a, b, k), parts, invariant)
            add(kind, list(zip(value, low, high.clip(max=90), strict=True)), d.top(parts.sum(0), k)[1])
        u = torch.from_numpy(d.top(invariant.sum(0), k)[1].copy())
        for kind in NULLS[:2]:
            draws = [principal_angles(u, torch.from_numpy(w)) for w in _subspaces(bench, kind, n, k, n_random)]
            add(kind, np.vstack([np.mean(draws, 0), np.percentile(draws, [2.5, 97.5], axis=0)]).T)
        return found

    return _table(bench, _points(bench, models, attack=attacks), table, CHOOSE, "angles")


def _fooling(
    bench: Turned,
    models: Sequence[Any],
    attacks: Sequence[str] | Mapping[str, Sequence[str]],
    samples: Sequence[int],
    n_eval: int | None,
    norms: Sequence[float],
    small: float,
    n_random: int,
    passes: int,
) -> pd.DataFrame:
    """Figures 5 and 6: the table of fig5_fooling and ext_roteqnet_fooling."""
    total = bench.most = max(bench.count(n) for n in samples)
    apart = max([n for n in samples if n <= total // 2] or [total // 2])  # samples that are kept out of scoring
    scored = total - apart if n_eval is None else min(n_eval, total - apart)
    courses: dict[str, Course] = {}

    def course(model: str) -> Course:
        if model not in courses:
            courses.clear()
            courses[model] = Course(bench, model, total, scored, norms, small)
        return courses[model]

    def vectors(model: str, attack: str) -> list[dict]:
        at, found, wrong = course(model), [], {}
        directions = bench.directions(model, attack, total)
        for sample in samples:
            rows, wrong[sample] = at.singular(directions, sample)
            found += rows
        for sample in samples:
            if sample < max(samples):
                row = {
                    "kind": "difference",
                    "n_fit": sample,
                    "relative_norm": small,
                    "fit": "against the largest sample",
                }
                found.append(row | difference(wrong[sample], wrong[max(samples)]))
        return found

    def baselines(model: str) -> list[dict]:
        at = course(model)
        found = at.random(n_random, None, "random direction")
        found += at.random(n_random, bench.own_subspace(total), "random direction in the data's subspace")
        untrained = at.vector(bench.directions(model, "gradient", min(samples), untrained=0))
        found += at.rows(untrained, kind="untrained network", n_fit=min(samples), chosen=True)[0]
        return found + at.best_fixed(apart, passes)

    over = ("models", "attacks")
    specs = bench.specs(models)
    parts = [_table(bench, _points(bench, [s], attack=attacks), vectors, over, f"{s}: curves") for s in specs]
    parts += [_table(bench, [{"model": s}], baselines, over, f"{s}: baselines") for s in specs]
    return pd.concat(parts, ignore_index=True)


def fig5_fooling(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (20, 60, 200),
    n_eval: int | None = 100,
    norms: Sequence[float] = (0.0, 0.25),
    small: float = 0.5,
    n_random: int = 2,
    passes: int = 1,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 5 and 6 of [equivariant2019]: misclassification against the norm along the top singular vector.

    One row a (model, attack, sample, sign, norm). error_rate (error_low, error_high): labels that are not the true one;
    fooling_rate (low, high): labels that change; both on the same n images. fit: "held out" where none of them was
    fitted on; "in sample" as the paper has it for all images; "other half" for the vector of the half that the image
    is not in. chosen: the sign that is better on fitted images. norms and small are shares of the images' mean norm,
    eps the norm itself. Baselines of equal norm: random directions, the vector of an untrained network, and Algorithm
    1 of [moosavi2017]. Rows of kind "difference": error of a sample's vector minus that of the largest sample's.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    return _fooling(bench, models, attacks, samples, n_eval, norms, small, n_random, passes)


def ext_roteqnet_fooling(
    *,
    models: Sequence[Any] = ("roteqnet_digits",),
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    samples: Sequence[int] = (40, 100),
    n_eval: int | None = 50,
    norms: Sequence[float] = (0.0, 0.3),
    small: float = 0.5,
    n_random: int = 1,
    passes: int = 1,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """The curves of Figures 5 and 6 for RotEqNet, which [equivariant2019] does not show; as fig5_fooling."""
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    return _fooling(bench, models, attacks, samples, n_eval, norms, small, n_random, passes)


def ext_lower_vectors(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int = 200,
    n_eval: int | None = 100,
    k: int = 5,
    norms: Sequence[float] = (),
    small: float = 0.5,
    n_random: int = 2,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Vectors 1 to k of [equivariant2019]'s matrix as attacks: its Theorem 1 speaks of any eigenvector.

    Columns as in fig5_fooling; index: which vector; share: of the squared singular values that it holds. No scored image
    was fitted on.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    total = bench.count(None if n_eval is None else n_fit + n_eval)
    bench.most = n_fit

    def vectors(model: str, attack: str) -> list[dict]:
        at, found = Course(bench, model, total, total - n_fit, norms, small), []
        directions = bench.directions(model, attack, n_fit)
        shares = d.top(d.moments(directions, 1).sum(0), k)[0]
        for index in range(1, k + 1):
            v = at.vector(directions, index)
            chosen = at.better_sign(v, at.images[:n_fit])
            rows, _ = at.rows(v, kind="singular vector", index=index, share=shares[index - 1], n_fit=n_fit)
            found += [row | {"chosen": row["sign"] == chosen} for row in rows]
        return found

    def null(model: str) -> list[dict]:
        at = Course(bench, model, total, total - n_fit, norms, small)
        found = at.random(n_random, None, "random direction")
        return found + at.random(n_random, bench.own_subspace(total), "random direction in the data's subspace")

    parts = [_table(bench, _points(bench, models, attack=attacks), vectors, CHOOSE, "lower vectors")]
    parts.append(_table(bench, _points(bench, models), null, CHOOSE, "random directions"))
    return pd.concat(parts, ignore_index=True)


def _pictured(v: np.ndarray, shape: Sequence[int]) -> dict[str, float]:
    """How a direction looks, in numbers: mean wavelength, and how much of it turns at one angular frequency."""
    picture = torch.from_numpy(v.copy()).view(*shape)
    share, frequency = d.angular_share(picture)
    return {"wavelength": mean_wavelength(picture), "angular_frequency": frequency, "angular_share": share}


def fig7_invariant_vectors(
    *,
    data: str = "digits",
    rotation: float = 180.0,
    step: float = 2.0,
    n_fit: int | None = None,
    k: int = 5,
    n_random: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 7 of [equivariant2019]: top singular vectors of the differences under ``step`` degrees more of rotation.

    One row a vector: share of the squared singular values, wavelength in pixels, and angular_share, the part of its
    energy (beyond the mean over angles) at one angular frequency: steerable filters have it all at one. The vectors are in
    ``attrs["arrays"]`` as ``u/<index>``. Null: random directions in the images' own principal subspace.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation)
    n = bench.count(n_fit)
    shape = tuple(bench.turned(1).x.shape[1:])

    def vectors(what: str) -> tuple[list[dict], dict]:
        if what != "invariant directions":
            inside = bench.own_subspace(n) if what.endswith("subspace") else None
            draws = random_directions(n_random, math.prod(shape), child_seed(seed, what), inside=inside).numpy()
            return [{"kind": what, "draw": j, **_pictured(v, shape)} for j, v in enumerate(draws)], {}
        values, u = d.top(d.moments(bench.invariant(n, step), 1).sum(0), k)
        rows = [
            {"kind": what, "index": j + 1, "n_fit": n, "share": values[j], **_pictured(u[:, j], shape)}
            for j in range(k)
        ]
        return rows, {f"u/{j + 1}": u[:, j].reshape(shape).astype(np.float32) for j in range(k)}

    points = [{"what": what} for what in ("invariant directions", "random", "random in the data's subspace")]
    return _table(bench, points, vectors, (), "invariant directions").drop(columns="what")


def fig8_attack_vectors(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    k: int = 5,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figures 8 to 16 of [equivariant2019]: the top k singular vectors of each network and attack as pictures.

    One row a (model, attack, index): share, wavelength, angular frequency as in fig7_invariant_vectors. The vectors are
    in ``attrs["arrays"]`` as ``v/<model>/<attack>/<index>``.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)
    shape = tuple(bench.turned(1).x.shape[1:])

    def vectors(model: str, attack: str) -> tuple[list[dict], dict]:
        values, v = d.top(d.moments(bench.directions(model, attack, n), 1).sum(0), k)
        rows = [{"index": j + 1, "n_fit": n, "share": values[j], **_pictured(v[:, j], shape)} for j in range(k)]
        return rows, {f"v/{model}/{attack}/{j + 1}": v[:, j].reshape(shape).astype(np.float32) for j in range(k)}

    return _table(bench, _points(bench, models, attack=attacks), vectors, CHOOSE, "vectors")


def thm1_alignment(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ATTACKS,
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 200,
    n_delta: int = 21,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 1 of [equivariant2019], measured: share of directions with |<a, v>| >= delta |a| against its bound.

    One row a (model, attack, kind, sample, delta): survival in [0, 1] with Wilson's interval on n_rows rows, bound =
    (lambda - delta^2) / (1 - delta^2), or 0. sample "in sample": v and lambda from the rows themselves; "held out": from
    one half, measured on the other, both ways. mean_square: of the measured c = <a, v>, the lambda for which the bound is
    exact there; same_sign: share of the larger sign among the rows that are aligned, of which the theorem says nothing.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def aligned(fit: torch.Tensor, rows: torch.Tensor) -> tuple[float, np.ndarray]:
        values, v = d.top(d.moments(fit, 1).sum(0), 1)
        return float(values[0]), rows.double().numpy() @ v[:, 0]

    def survival(model: str, attack: str) -> list[dict]:
        found = []
        kinds = ("trained", "random", "untrained network") if attack != "deepfool" else ("trained", "random")
        for kind in kinds:
            rows = bench.rows(model, attack, n, kind)
            rows = rows[rows.any(1)]
            half = len(rows) // 2
            value, c = aligned(rows, rows)
            first, c_second = aligned(rows[:half], rows[half:])
            second, c_first = aligned(rows[half:], rows[:half])
            agree = (
                1.0 if c_first @ c[:half] * (c_second @ c[half:]) >= 0 else -1.0
            )  # one sign for both halves' vectors
            both = {"in sample": (value, c)}
            both["held out"] = ((first + second) / 2, np.concatenate([c_first * agree, c_second]))
            for sample, (top_value, cosines) in both.items():
                for delta in np.linspace(0, 1, n_delta)[:-1]:
                    hit = np.abs(cosines) >= delta
                    rate = evaluate.Rate.of(int(hit.sum()), len(hit))
                    row = {"kind": kind, "sample": sample, "delta": float(delta), "lambda": top_value}
                    row |= {"mean_square": float((cosines**2).mean()), "n_rows": len(hit)}
                    row |= {"survival": rate.value, "low": rate.low, "high": rate.high}
                    row["bound"] = max(0.0, (top_value - delta**2) / (1 - delta**2))
                    row["same_sign"] = float(
                        max((cosines[hit] > 0).mean(), (cosines[hit] < 0).mean()) if hit.any() else np.nan
                    )
                    found.append(row)
        return found

    return _table(bench, _points(bench, models, attack=attacks), survival, CHOOSE, "alignment")


def thm2_sampling(
    *,
    models: Sequence[Any] = QUICK,
    attacks: Sequence[str] | Mapping[str, Sequence[str]] = ("gradient", "fgsm"),
    data: str = "digits",
    rotation: float = 30.0,
    n_fit: int | None = 300,
    samples: Sequence[int] = (25, 50, 100, 200),
    n_draws: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Theorem 2 of [equivariant2019], measured: how far the top eigenvector of m sampled rows is from that of all.

    One row a (model, attack, m, draw), m rows drawn with repetition. error: the spectral norm of M - M~; gap: lambda1 -
    lambda2 of M; distance: |v - v~| with the better sign; sine of their angle; bound: error / (gap - error) as stated,
    davis_kahan: 2 error / gap, which bounds the sine whatever the error (Yu, Wang and Samworth 2015). m_stated:
    d log d / error^2, the stated order; m_bernstein: 2 (lambda1 + error / 3) log(2 d) / error^2, what the matrix
    Bernstein bound asks for rank-one summands of unit norm. kind "random": rows without a common direction.
    """
    bench = Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)
    n = bench.count(n_fit)

    def measured(rows: torch.Tensor, kind: str) -> list[dict]:
        rows = rows[rows.any(1)].double()
        whole = rows.T @ rows / len(rows)
        values, vectors = d.top(whole, 2)
        size, gap, found = len(whole), float(values[0] - values[1]), []
        for m, j in itertools.product(samples, range(n_draws)):
            pick = torch.randint(len(rows), (m,), generator=generator(seed, f"theorem 2/{m}/{j}"))
            sample = rows[pick].T @ rows[pick] / m
            error = float(np.abs(np.linalg.eigvalsh((whole - sample).numpy())).max())
            cosine = min(1.0, abs(float(d.top(sample, 1)[1][:, 0] @ vectors[:, 0])))
            row = {"kind": kind, "m": m, "draw": j, "n_rows": len(rows), "lambda1": values[0], "gap": gap}
            row |= {"error": error, "distance": math.sqrt(2 - 2 * cosine), "sine": math.sqrt(1 - cosine**2)}
            row |= {"bound": error / (gap - error) if error < gap else math.nan, "davis_kahan": 2 * error / gap}
            row["m_stated"] = size * math.log(size) / error**2
            row["m_bernstein"] = 2 * (values[0] + error / 3) * math.log(2 * size) / error**2
            found.append(row)
        return found

    @cache
    def random() -> list[dict]:
        return measured(bench.rows("", "", n, "random"), "random")

    def draws(model: str, attack: str) -> list[dict]:
        return measured(bench.rows(model, attack, n), "trained") + random()

    return _table(bench, _points(bench, models, attack=attacks), draws, ("models", "attacks"), "sampling")


def sec_accuracy(
    *,
    models: Sequence[Any] = QUICK,
    data: str = "digits",
    rotations: Sequence[float] = (0.0, 30.0),
    train: Sequence[str] = ("stdcnn",),
    epochs: int | None = 2,
    n_eval: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Training and clean accuracy of the three networks of [equivariant2019].

    Rows of kind "clean", one a (model, rotation): accuracy on the turned test images, low, high, n; "untrained network":
    the null. Rows of kind "epoch": the curve of a training made now, one a (net, epoch), for the nets in ``train`` by
    :mod:`uapkit.models.recipes` with ``epochs`` epochs (None: the recipe's own), turned by the largest rotation. The
    curves of the stored weights lie in results/equivariant2019/training.
    """
    bench = Turned(data, 0, seed=seed, device=device)

    def clean(model: str, rotation: float) -> list[dict]:
        net, found = bench.model(model), []
        images = sets.load(data, n=n_eval, seed=seed, rotation=rotation).to(device)
        for kind, one in (("clean", net), ("untrained network", bench.fresh(model, 0))):
            row = evaluate.accuracy(one, images).iloc[0]
            found.append({"kind": kind, **{c: row[c] for c in ("accuracy", "low", "high", "n")}})
        return found

    def curve(model: str) -> list[dict]:
        done = recipes.train(model, data=data, rotation=max(rotations), seed=seed, epochs=epochs)
        return [{"kind": "epoch", **row} for row in done.curve.to_dict("records")]

    over = ("models", "rotations", "train")
    parts = [_table(bench, _points(bench, models, rotation=rotations), clean, over, "accuracy")]
    if train:
        parts.append(_table(bench, [{"model": net} for net in train], curve, ("models", "train"), "training"))
    return pd.concat(parts, ignore_index=True)


def ext_rotation_range(
    *,
    nets: Sequence[str] = ("stdcnn",),
    ranges: Sequence[float] = (0.0, 90.0),
    data: str = "digits",
    epochs: int | None = 3,
    n_fit: int = 200,
    n_eval: int | None = 200,
    norms: Sequence[float] = (0.25,),
    small: float = 0.5,
    k: int = 5,
    n_random: int = 3,
    labels: str = "true",
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Does more invariance mean a stronger universal direction? An extension of [equivariant2019].

    Each net is trained here with random rotations of each range, by one recipe. One row a (net, range, kind, sign, norm),
    columns as in fig5_fooling, for the top gradient direction of test images turned in the net's own range; besides
    accuracy (on the scored images), top_share of the top k, and invariance: the share of scored images that keep their
    label when turned by up to 180 degrees instead. Kind "random direction" is the null of equal norm.
    """

    def bench_of(rotation: float) -> Turned:
        return Turned(data, 0, seed=seed, device=device, rotation=rotation, labels=labels)

    def trained(model: str, trained_range: float) -> list[dict]:
        done = recipes.train(model, data=data, rotation=trained_range, seed=seed, epochs=epochs)
        name = f"{model}, {trained_range:g} degrees"
        bench = bench_of(trained_range)
        bench.specs([networks.wrap(done.net, mean=recipes.MEAN, std=recipes.STD, input_size=(1, 28, 28), name=name)])
        total = bench.count(None if n_eval is None else n_fit + n_eval)
        at = Course(bench, name, total, total - n_fit, norms, small)
        rows = bench.directions(name, "gradient", n_fit)
        v = at.vector(rows)
        chosen = at.better_sign(v, at.images[:n_fit])
        found, _ = at.rows(v, kind="singular vector", n_fit=n_fit)
        found = [row | {"chosen": row["sign"] == chosen} for row in found]
        found += at.random(n_random, None, "random direction")
        widely = bench_of(180.0).turned(total)[n_fit:]
        same = evaluate.labels(at.model, widely) == at.clean
        about = {"accuracy": float((at.clean == at.truth).double().mean()), "invariance": float(same.double().mean())}
        about["top_share"] = float(d.shares(d.moments(rows, 1).sum(0), k)[-1])
        return [row | about for row in found]

    points = [{"model": net, "trained_range": r} for net in nets for r in ranges]
    table = sweep(points, trained, over=("nets", "ranges"), desc="rotation ranges")
    table.insert(0, "data", data)
    return table
