"""Figures 5 and 6 of [equivariant2019] and two extensions: top singular vectors as attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from uapkit.experiments import directions as d
from uapkit.experiments.directions import Turned
from uapkit.experiments.equivariant2019_shared import CHOOSE, QUICK, points_of, tidy
from uapkit.experiments.universal import Course, difference


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
    parts = [tidy(bench, points_of(bench, [s], attack=attacks), vectors, over, f"{s}: curves") for s in specs]
    parts += [tidy(bench, [{"model": s}], baselines, over, f"{s}: baselines") for s in specs]
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

    Columns as in fig5_fooling; index: which vector, at the sign that is better on fitted images; share: of the squared
    singular values that it holds. No scored image was fitted on.
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
            about = {"index": index, "share": shares[index - 1], "n_fit": n_fit, "chosen": True}
            found += at.rows(v, (chosen,), kind="singular vector", **about)[0]
        return found

    def null(model: str) -> list[dict]:
        at = Course(bench, model, total, total - n_fit, norms, small)
        found = at.random(n_random, None, "random direction")
        return found + at.random(n_random, bench.own_subspace(total), "random direction in the data's subspace")

    parts = [tidy(bench, points_of(bench, models, attack=attacks), vectors, CHOOSE, "lower vectors")]
    parts.append(tidy(bench, points_of(bench, models), null, CHOOSE, "random directions"))
    return pd.concat(parts, ignore_index=True)
