"""Paper M across networks: Table 2, every perturbation on every network that takes images of its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from uapkit.experiments.common import paired, rate
from uapkit.experiments.moosavi2017_shared import Study, facts, kind_of_null
from uapkit.experiments.tidy import as_null, by_network, claim, evidence, mean_of
from uapkit.lab.sweep import PerNetwork, sweep

OWN, FOREIGN, OTHERS, ON_OTHERS = "own", "foreign", "all others", "its own, on all others"


def tab2_transfer(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits", "vgg_digits"),
    norm: float = math.inf,
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 32,
    n_images: PerNetwork = None,
    n_eval: PerNetwork = 300,
    eps: float = 0.2,
    target_rate: float = 0.8,
    max_passes: PerNetwork = 1,
    n_random: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 2 of [moosavi2017]: each network attacked by the perturbations of all networks on the same images.

    One row a (source, model): ``source`` is the network that the perturbation was computed for (a row of the paper's
    table), ``model`` the one attacked (a column); kind "own" or "foreign"; fooling_rate, low, high, n on scored images.
    kind "row mean": the mean over all other networks of the perturbation of ``model``, "column mean": the mean over all
    others' perturbations on ``model``, with intervals over the images. Null: source
    "random signs" or "random direction", one row a draw. Networks on other images (``data`` by network) make a table of
    their own. Flags as ``fooled/<model>/<source>``, perturbations as ``v/<source>`` in ``attrs["arrays"]``.
    """
    study = Study(data, n_fit, n_images, n_eval, eps, target_rate, max_passes, seed, device)
    specs = study.specs(models)

    def perturbation(model: str) -> tuple[list[dict], dict]:
        made = study.fit(model, norm=norm)
        return [facts(made)], {f"v/{model}": made.v.cpu().numpy()}

    made = [sweep([{"model": s}], perturbation, over=("models",), per_network=True, desc=f"{s}: UAP") for s in specs]
    vectors = {k[2:]: torch.from_numpy(v) for part in made for k, v in part.attrs["arrays"].items()}

    def attacked(model: str, sources: str) -> tuple[list[dict], dict]:
        shape = study.x(model)[1].shape
        rows, arrays = [], {}
        for source, v in vectors.items():
            if study.bench(source) is study.bench(model) and tuple(v.shape) == tuple(shape):
                arrays[f"fooled/{model}/{source}"] = flags = study.fooled(model, v.to(device)).numpy()
                rows.append({"source": source, "kind": OWN if source == model else FOREIGN, **rate(_t(flags))})
        for k in range(n_random):
            arrays[f"fooled/{model}/null/{k}"] = flags = study.fooled(model, study.random(model, k, norm)).numpy()
            rows.append({"source": kind_of_null(norm), "kind": "null", "draw": k, **rate(_t(flags))})
        return rows, arrays

    points = [{"model": s, "sources": ", ".join(vectors)} for s in specs]
    table = study.joined([sweep(points, attacked, over=("models",), desc="attacked")]).drop(columns="sources")
    means = pd.DataFrame(_means(table))
    arrays = table.attrs["arrays"] | {f"v/{name}": v.numpy() for name, v in vectors.items()}
    table = pd.concat([table, means], ignore_index=True) if len(means) else table
    table["norm"] = norm
    table.attrs["arrays"] = arrays
    return table


def _t(flags: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(flags)


def _means(table: pd.DataFrame) -> list[dict]:
    """Rows of the means over the other networks, with Student's interval over the images."""
    arrays: dict = table.attrs["arrays"]
    rows: list[dict] = []
    if "kind" not in table:
        return rows
    cells = table[table["kind"] == FOREIGN]
    weights = dict(zip(table["model"], table["weights"], strict=True))
    for kind, column in (("row mean", "source"), ("column mean", "model")):
        for name, part in cells.groupby(column, sort=False):
            flags = [arrays[f"fooled/{r.model}/{r.source}"] for r in part.itertuples()]
            mean = mean_of(_t(np.mean(flags, axis=0)))
            about = {
                "model": name,
                "source": ON_OTHERS if kind == "row mean" else OTHERS,
                "kind": kind,
                "status": "run",
            }
            about |= {"weights": weights[name], "data": part["data"].iloc[0]}
            rows.append(about | {"fooling_rate": mean["estimate"]} | {c: mean[c] for c in ("low", "high", "n")})
    return rows


@evidence
def tab2_transfer_evidence(table: pd.DataFrame) -> list[dict]:
    """Foreign perturbations against random ones on each network, paired; null: one random draw against the others."""
    arrays: dict = table.attrs["arrays"]
    found: list[dict] = []
    if "kind" not in table:
        return found
    for model, rows in by_network(table[table["kind"].isin([OWN, FOREIGN, "null"])]):
        foreign = rows.loc[rows["kind"] == FOREIGN, "source"]
        draws = [v for k, v in arrays.items() if k.startswith(f"fooled/{model}/null/")]
        if not len(foreign) or len(draws) < 2:
            continue
        mean = np.mean([arrays[f"fooled/{model}/{s}"] for s in foreign], axis=0)
        gain = paired(mean, np.mean(draws, axis=0))
        null = paired(draws[0], np.mean(draws[1:], axis=0))
        found.append(claim("transfers", f"{model}, over random", gain, ">", 0.0, **as_null(null)))
    return found
