"""Paper J's subspaces: what the network recognises in them, and how much of each attack lies there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from uapkit import attacks as attack
from uapkit import checks, subspace
from uapkit.evaluate import Rate
from uapkit.experiments.common import paired
from uapkit.experiments.jetley2018_shared import (
    DATA,
    KINDS,
    RANDOM,
    Curved,
    Subspaces,
    class_subspaces,
    curved,
    table_of,
)
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import for_network
from uapkit.seeds import child_seed, generator

ATTACKS = ("deepfool", "fgsm", "uap", "saliency")
FEW = 0.1  # share of the dimension that counts as few directions


def _dims(spaces: Subspaces, kind: str, dims: Sequence[int]) -> list[int]:
    """The numbers of directions a class that are known for this kind."""
    return sorted({checks.count(d, "dims") for d in dims if d <= spaces.most(kind)})


def _spaces(study: Curved, spec: str, dims: Sequence[int]) -> list[tuple[str, int, Tensor]]:
    """(kind, d, basis) of a network's curvature subspaces, and of the nulls for each of their dimensions (d = 0)."""
    spaces = class_subspaces(study, spec)
    found = [(kind, d, spaces.basis(kind, d)) for kind in KINDS for d in _dims(spaces, kind, dims)]
    sizes = sorted({basis.shape[1] for *_, basis in found})
    null = [(RANDOM, 0, spaces.null(RANDOM, m)) for m in sizes]
    return found + null + [(DATA, 0, spaces.null(DATA, m)) for m in sizes if m <= study.components(spec).shape[1]]


def fig3_accuracy(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    dims: Sequence[int] = (1, 2, 4, 8, 16, 39, 78),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 900,
    n_fit: int | Mapping[str, int] = 10,
    n_eval: int | None = 300,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [jetley2018], top: accuracy on images projected on curvature subspaces, training and test images.

    One row a (model, kind, d, split): kind "positive", "negative", "both" (2 d directions a class), "flat", with d
    directions a class and m, the dimension of the space that those of all classes span together; "whole" without a
    projection. Nulls for every m: "random" subspace, "data", the first principal components of the training images.
    accuracy against true labels (low, high, n); curvature: asymmetry and n_points of the bases, averaged over classes;
    flat_is: what S_flat is made of. Flags of test images as ``right/<model>/<kind>/<m>``.
    """
    settings = {"n_train": n_train, "k": k, "step_factor": step_factor, "max_products": max_products}
    study = curved(data, n_fit, n_eval, seed, device, **settings)

    def accuracies(model: str) -> tuple[list[dict], dict]:
        spaces = class_subspaces(study, model)
        about = {
            "asymmetry": float(np.mean([c.asymmetry for c in spaces.classes])),
            "n_points": float(np.mean([c.n for c in spaces.classes])),
            "converged": all(c.converged for c in spaces.classes),
            "flat_is": spaces.flat_is,
        }
        rows: list[dict] = []
        arrays = {f"values/{model}": np.stack([c.values.cpu().numpy() for c in spaces.classes])}
        for kind, d, basis in [("whole", 0, None), *_spaces(study, model, dims)]:
            m = spaces.d if basis is None else basis.shape[1]
            for split in ("train", "test"):
                right = study.right(model, split, basis)
                row = {"kind": kind, "d": d, "m": m, "share": m / spaces.d, "split": split}
                rows.append(row | Rate.mean(right).columns("accuracy") | about)
            arrays[f"right/{model}/{kind}/{m}"] = right.numpy()
        return rows, arrays

    return table_of(study, [{"model": m} for m in study.specs(models)], accuracies, ("models",), "accuracy")


def _few(rows: pd.DataFrame, kind: str) -> pd.Series | None:
    """The test row of a kind with the most directions that still are few."""
    part = rows[(rows["kind"] == kind) & (rows["split"] == "test") & (rows["share"] <= FEW + 0.01)]
    return None if part.empty else part.sort_values("m").iloc[-1]


@evidence
def fig3_accuracy_evidence(table: pd.DataFrame) -> list[dict]:
    """On a tenth of the dimensions: curvature subspaces keep over half of the accuracy; paired differences to nulls."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        clean = rows.loc[(rows["kind"] == "whole") & (rows["split"] == "test"), "accuracy"].item()
        for kind in ("positive", "negative"):
            one = _few(rows, kind)
            if one is None:
                continue
            m = int(one["m"])
            null = rows[(rows["kind"] == RANDOM) & (rows["split"] == "test") & (rows["m"] == m)].iloc[0]
            share = {"estimate": one["accuracy"] / clean, "low": one["low"] / clean, "high": one["high"] / clean}
            chance = {"null_low": null["low"] / clean, "null_high": null["high"] / clean}
            name = f"{model} ({kind}, {m} of {round(m / one['share'])} dimensions)"
            found.append(claim("few_directions_carry_accuracy", name, share | {"n": one["n"]}, ">", 0.5, **chance))
            if f"right/{model}/{DATA}/{m}" in arrays:
                gain = paired(arrays[f"right/{model}/{kind}/{m}"], arrays[f"right/{model}/{DATA}/{m}"])
                found.append(claim("beyond_principal_components", name, gain, ">", 0.0))
        flat = _few(rows, "flat")
        if flat is not None:
            m = int(flat["m"])
            gain = paired(arrays[f"right/{model}/flat/{m}"], arrays[f"right/{model}/{RANDOM}/{m}"])
            found.append(claim("flat_is_useless", f"{model} ({m} dimensions)", gain, "<", 0.0))
    return found


def attack_directions(study: Curved, spec: str, names: Sequence[str], uap_eps: float, n_uap: int) -> dict[str, Tensor]:
    """(n, d) rows of each attack on the test images, zero rows left out; "uap": one row, fitted on training images."""
    model, images = study.model(spec), study.part("test", spec)
    made: dict[str, Tensor] = {}
    for name in names:
        if checks.one_of(name, (*ATTACKS, RANDOM), "attack") == "deepfool":
            rows = attack.deepfool(model, images).r
        elif name == "fgsm":
            rows = attack.fgsm(model, images, eps=1.0)
        elif name == "saliency":
            rows = attack.saliency(model, images)
        elif name == "uap":
            fit = study.part("train", spec)[:n_uap]
            found = attack.uap(model, fit, eps=uap_eps, max_passes=3, seed=child_seed(study.seed, "uap"), block=8)
            rows = found.v[None]
        else:
            rows = torch.randn(images.x.shape, generator=generator(study.seed, "random attack")).to(images.x)
        rows = rows.flatten(1)
        made[name] = rows[rows.any(1)]
    return made


def fig3_attack_energy(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    attacks: Sequence[str] = ATTACKS,
    dims: Sequence[int] = (1, 2, 4, 8, 16, 39, 78),
    data: str | Mapping[str, str] = "digits",
    n_train: int = 900,
    n_fit: int | Mapping[str, int] = 10,
    n_eval: int | None = 100,
    k: int | Mapping[str, int | None] | None = None,
    step_factor: float = 10.0,
    max_products: int = 300,
    uap_eps: float | Mapping[str, float] = 0.2,
    n_uap: int = 100,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 3 of [jetley2018], bottom: the share of the 2-norm of attacks that lies in the curvature subspaces.

    One row a (model, attack, kind, d): norm_share, the mean over test images of |Q Q^T r| / |r| (low, high: Student, n);
    chance = sqrt(m / D), what a random direction has; projected_accuracy, of the projected test images on the same subspace. Kinds
    and nulls as in the upper figure; the attack "random" is a null too. The universal perturbation (one row, no
    interval) is fitted on ``n_uap`` training images with the largest pixel ``uap_eps``.
    """
    settings = {"n_train": n_train, "k": k, "step_factor": step_factor, "max_products": max_products}
    study = curved(data, n_fit, n_eval, seed, device, **settings)

    def shares(model: str) -> tuple[list[dict], dict]:
        made = attack_directions(study, model, (*attacks, RANDOM), for_network(uap_eps, model), n_uap)
        rows: list[dict] = []
        for kind, d, basis in _spaces(study, model, dims):
            right = study.right(model, "test", basis).double().mean()
            m, size = basis.shape[1], len(basis)
            for name, r in made.items():
                part = (subspace.project(r, basis).norm(dim=1) / r.norm(dim=1)).double()
                half = 1.96 * float(part.std()) / math.sqrt(len(part)) if len(part) > 1 else math.nan
                mean = float(part.mean())
                row = {"attack": name, "kind": kind, "d": d, "m": m, "norm_share": mean, "low": mean - half}
                row |= {
                    "high": mean + half,
                    "n": len(part),
                    "chance": math.sqrt(m / size),
                    "projected_accuracy": float(right),
                }
                rows.append(row)
        arrays = (
            {f"v/{model}/uap": made["uap"].view(study.part("test", model).x.shape[1:]).cpu().numpy()}
            if "uap" in made
            else {}
        )
        return rows, arrays

    return table_of(study, [{"model": m} for m in study.specs(models)], shares, ("models",), "norm in subspaces")


def _mirror(rows: pd.DataFrame, attack: str) -> tuple[np.ndarray, np.ndarray]:
    """For each curvature subspace: norm share above chance, and accuracy above that of a random subspace of its size."""
    part = rows[(rows["attack"] == attack) & rows["kind"].isin(KINDS)]
    null = rows[(rows["attack"] == attack) & (rows["kind"] == RANDOM)].set_index("m")["projected_accuracy"]
    return (part["norm_share"] - part["chance"]).to_numpy(float), (
        part["projected_accuracy"] - part["m"].map(null)
    ).to_numpy(float)


def _correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Spearman's rho with its interval by Fisher's transformation (standard error after Bonett and Wright)."""
    usable = len(a) > 4 and np.ptp(a) > 0 and np.ptp(b) > 0
    rho = float(spearmanr(a, b).statistic) if usable else math.nan
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(a) - 3)) if usable else math.nan
    at = math.atanh(min(max(rho, -0.999999), 0.999999))
    return {"estimate": rho, "low": math.tanh(at - half), "high": math.tanh(at + half), "n": len(a)}


@evidence
def fig3_attack_energy_evidence(table: pd.DataFrame) -> list[dict]:
    """Rank correlation, over subspaces, of norm share above chance with accuracy above a random subspace's; null: noise."""
    found = []
    for model, rows in by_network(table):
        null = _correlation(*_mirror(rows, RANDOM))
        for name in dict.fromkeys(rows["attack"]):
            if name != RANDOM:
                one = _correlation(*_mirror(rows, name))
                chance = {"null_low": null["low"], "null_high": null["high"]}
                found.append(claim("mirrors_accuracy", f"{model} ({name})", one, ">", 0.5, **chance))
    return found
