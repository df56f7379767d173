"""Which Hessian? Exact, at a finite step, of a smooth copy: the choice behind paper J's curvatures, measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from uapkit import curvature
from uapkit.evaluate import Rate
from uapkit.experiments.jetley2018_along import walk
from uapkit.experiments.jetley2018_shared import curved, logits, table_of
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import for_network
from uapkit.models.smooth import softened
from uapkit.seeds import child_seed, generator


def ext_step(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    targets: Sequence[int] = (3,),
    factors: Sequence[float] = (1.0, 3.0, 10.0, 30.0),
    betas: Sequence[float] = (1.0, 5.0),
    noises: Sequence[float] = (0.05,),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 500,
    n_fit: int | Mapping[str, int] = 20,
    n_eval: int | None = 100,
    k: int = 5,
    max_products: int = 120,
    reach: float = 20.0,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """How the curvatures of [jetley2018] depend on the finite step, and what a smooth copy of the network gives; ours.

    One row a (model, target, how, size): how "exact" (second derivatives of the network as it is), "finite step" (size:
    factor of the paper's step, which has 10), "softplus" (exact, on a copy with softplus of sharpness size and a smooth
    maximum) and "Gaussian noise" (the paper's step, averaged over noise of this standard deviation). All by Lanczos, k
    directions at each end. largest and smallest value; asymmetry and residual (largest, relative to the largest value):
    how far the finite difference is from a linear map; converged; overlap: mean squared cosine between the k most
    positive directions and those at the paper's step, k/d by chance; moved_in (low, high, n): share of test images
    from outside that are in the class at one end of the walk along the first direction or the other.
    """
    study = curved(data, n_fit, n_eval, seed, device, n_train=n_train, k=k)

    def measure(model: str, target: int, how: str, size: float) -> list[dict]:
        net, x = study.model(model), study.part("test", model).x
        order = torch.randperm(n_train, generator=generator(seed, f"images for class {target}"))
        images = study.part("train", model)[order[: for_network(n_fit, model)]]

        def solve(how: str, size: float) -> curvature.Curvatures:
            factor = size if how == "finite step" else 10.0
            smooth = how in ("exact", "softplus")
            return curvature.principal_curvatures(
                softened(net, size) if how == "softplus" else net,
                images,
                target,
                k=k,
                step=None if smooth else curvature.paper_step(tuple(x.shape[1:]), factor=factor),
                noise=size if how == "Gaussian noise" else 0.0,
                n_noise=4,
                method="lanczos",
                max_products=max_products,
                seed=child_seed(seed, f"curvature of class {target}"),
            )

        found = solve(how, size)
        key = (model, target)
        if key not in reference:
            reference[key] = found if (how, size) == ("finite step", 10.0) else solve("finite step", 10.0)
        largest = float(found.values.abs().max())
        row = {"largest": float(found.values[0]), "smallest": float(found.values[-1]), "asymmetry": found.asymmetry}
        row |= {"residual": float(found.residuals.nan_to_num().max()) / largest if largest else math.nan}
        row |= {"converged": found.converged, "n_points": found.n, "chance": k / len(found.vectors)}
        if not largest:
            return [row]
        row["overlap"] = float((found.vectors[:, :k].T @ reference[key].vectors[:, :k]).square().sum()) / k
        end = reach * curvature.paper_step(tuple(x.shape[1:]))
        start = logits(net, x).argmax(1) != target
        ends = walk(study, model, x[start], found.vectors[:, 0].view(x.shape[1:]), (-end, end)).argmax(2) == target
        return [row | Rate.mean(ends.flatten()).columns("moved_in")]

    reference: dict[tuple[str, int], curvature.Curvatures] = {}
    ways: list[tuple[str, float]] = [("exact", 0.0), *(("finite step", float(f)) for f in factors)]
    ways += [*(("softplus", float(b)) for b in betas), *(("Gaussian noise", float(s)) for s in noises)]
    points = [
        {"model": m, "target": t, "how": how, "size": size}
        for m in study.specs(models)
        for t in targets
        for how, size in ways
    ]
    return table_of(study, points, measure, ("models", "targets", "factors", "betas", "noises"), "steps")


@evidence
def ext_step_evidence(table: pd.DataFrame) -> list[dict]:
    """The exact Hessian is zero; the directions of the smooth copies are those of the finite step more than by chance."""
    found = []
    for model, rows in by_network(table):
        exact = rows.loc[rows["how"] == "exact", ["largest", "smallest"]].abs().to_numpy()
        value = {"estimate": exact.max(), "low": exact.max(), "high": exact.max(), "n": len(exact)}
        found.append(claim("exact_hessian_vanishes", model, value, "<", 1e-6))
        for target, part in rows.groupby("target"):
            smooth = part[part["how"] == "softplus"]
            if len(smooth):
                best = smooth.loc[smooth["overlap"].idxmax()]
                share = dict.fromkeys(("estimate", "low", "high"), best["overlap"]) | {"n": best["n_points"]}
                chance = dict.fromkeys(("null_low", "null_high"), best["chance"])
                found.append(claim("smooth_copy_agrees", f"{model} (class {target})", share, ">", 0.25, **chance))
    return found
