"""Paper M's defence: fine-tuning on perturbed images, twice, and what a new perturbation does to the tuned network."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate
from uapkit.data.images import Images
from uapkit.experiments.common import paired, rate
from uapkit.experiments.moosavi2017_fit import fit_uap
from uapkit.experiments.moosavi2017_shared import Study
from uapkit.experiments.tidy import as_null, by_network, claim, evidence
from uapkit.lab.sweep import PerNetwork, for_network, sweep
from uapkit.models import Model
from uapkit.models.training import Augment, fit
from uapkit.seeds import child_seed

MULTIPLES = tuple(k / 5 for k in range(1, 11))  # of a perturbation's own size, tried from small to large


def perturbing(reference: Model, pool: Tensor, share: float) -> Augment:
    """Batches in which each image is perturbed with probability ``share`` by a random member of ``pool`` (m, c, h, w).

    The direction stays, the size is the image's own: the least of ten multiples, 0.2 to 2, with which ``reference``
    changes its label; 1 where none does. Nothing is clipped.
    """

    @torch.no_grad()
    def augment(x: Tensor, draws: torch.Generator) -> Tensor:
        hit = torch.rand(len(x), generator=draws, device=x.device) < share
        v = pool[torch.randint(len(pool), (len(x),), generator=draws, device=x.device)]
        clean, size = reference(x).argmax(1), torch.ones(len(x), device=x.device)
        waiting = hit.nonzero()[:, 0]
        for multiple in MULTIPLES:
            crossed = reference(x[waiting] + multiple * v[waiting]).argmax(1) != clean[waiting]
            size[waiting[crossed]] = multiple
            waiting = waiting[~crossed]
            if not len(waiting):
                break
        return x + (hit * size)[:, None, None, None] * v

    return augment


def sec_finetuning(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    data: PerNetwork = "digits",
    n_train: PerNetwork = 600,
    n_fit: PerNetwork = 60,
    n_eval: PerNetwork = 200,
    eps: PerNetwork = 0.2,
    rounds: int = 2,
    pool: int = 3,
    share: float = 0.5,
    epochs: PerNetwork = 5,
    lr: PerNetwork = 0.001,
    batch_size: int = 64,
    target_rate: float = 0.8,
    max_passes: int = 2,
    block: int = 8,
    seeds: PerNetwork = (0,),
    device: str = "cpu",
) -> pd.DataFrame:
    """Fine-tuning as a defence, section 3 of [moosavi2017], with the second round.

    A round: ``pool`` universal perturbations (norm inf, radius eps, other shuffles of the same ``n_fit`` images) of the
    network as it is; ``epochs`` epochs (Adam at ``lr``) on ``n_train`` training images, each perturbed with probability
    ``share`` by a random one of them, see :func:`perturbing`; then a new perturbation for the new network. Source: the
    pool, the share, the number of epochs and the adapted sizes are the paper's; it does not give its optimiser.

    One row a (model, seed, round, kind), round 0 being the network before: fooling_rate (low, high, n) of the new
    perturbation on ``n_eval`` test images, old_rate: mean of those of the pool that it was tuned on, random_rate: of
    random signs; accuracy on the same images, clean. Kinds: "perturbed", and the null "control", tuned for as long on
    images that nobody perturbed. Flags as ``fooled/<model>/<seed>/<round>/<kind>`` in ``attrs["arrays"]``. The images
    to fit on are of the training split, where the set has one.
    """
    specs = [m if isinstance(m, str) else m.name for m in models]
    studies = {spec: Study(data, n_fit, None, n_eval, for_network(eps, spec), device=device) for spec in specs}
    for study in studies.values():
        study.specs(models)

    def tuning(model: str, seed: int) -> tuple[list[dict], dict]:
        study, radius = studies[model], float(for_network(eps, model))
        images, scored = study.x(model)
        first = study.bench(model).model(model)
        train = sets.load(for_network(data, model), split="train", n=for_network(n_train, model), seed=seed).to(device)
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}

        def attack(net: Model, k: int) -> Tensor:
            made = fit_uap(
                net,
                images,
                norm=math.inf,
                eps=radius,
                target_rate=target_rate,
                max_passes=max_passes,
                seed=child_seed(seed, f"shuffle {k}") % 2**31,
                block=block,
                device=device,
            )
            return made.v

        def tuned(net: Model, change: Augment | None, number: int) -> Model:
            net = copy.deepcopy(net)
            settings = {
                "lr": for_network(lr, model),
                "batch_size": batch_size,
                "optimizer": "adam",
                "schedule": "constant",
            }
            name = f"fine-tuning, round {number}"
            fit(net, train, epochs=for_network(epochs, model), seed=child_seed(seed, name), augment=change, **settings)
            return net

        def note(net: Model, kind: str, number: int, old: Tensor | None) -> None:
            clean = evaluate.labels(net, scored)
            flags = evaluate.fooled(net, scored, attack(net, 0), clean)
            signs = evaluate.random_perturbation(scored.shape, eps=radius, seed=child_seed(seed, "random signs"))
            about: dict[str, Any] = {
                "round": number,
                "kind": kind,
                "eps": 255 * radius,
                "n_train": len(train),
                **rate(flags),
            }
            about["random_rate"] = _mean_rate(net, scored, signs[None].to(device), clean)
            if old is not None:
                about["old_rate"] = _mean_rate(net, scored, old, clean)
            if scored.y is not None:
                about["accuracy"] = float((clean == scored.y.cpu()).float().mean())
            rows.append(about)
            arrays[f"fooled/{model}/{seed}/{number}/{kind}"] = flags.numpy()

        net = control = first
        note(first, "perturbed", 0, None)
        rows.append(rows[0] | {"kind": "control"})
        arrays[f"fooled/{model}/{seed}/0/control"] = arrays[f"fooled/{model}/{seed}/0/perturbed"]
        for number in range(1, rounds + 1):
            members = torch.stack([attack(net, k) for k in range(pool)])
            net = tuned(net, perturbing(net, members, share), number)
            control = tuned(control, None, number)
            note(net, "perturbed", number, members)
            note(control, "control", number, members)
        return rows, arrays

    points = [{"model": spec, "seed": seed} for spec in specs for seed in for_network(seeds, spec)]
    table = sweep(points, tuning, over=("models", "seeds"), desc="fine-tuning")
    table.insert(1, "weights", [studies[m].bench(m).weights(m) for m in table["model"]])
    return table.assign(data=[for_network(data, m) for m in table["model"]])


def _mean_rate(net: Model, scored: Images, members: Tensor, clean: Tensor) -> float:
    """Mean fooling rate of several perturbations."""
    return float(np.mean([float(evaluate.fooling_rate(net, scored, v, clean=clean)) for v in members]))


@evidence
def sec_finetuning_evidence(table: pd.DataFrame) -> list[dict]:
    """Rate before minus rate after the first round, with the control as its null; and what further rounds gain, paired.

    The same images for all rounds, means over the seeds; no gain means less than 5 points.
    """
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        seeds, last = sorted(set(rows["seed"])), int(rows["round"].max())

        def mean(number: int, kind: str = "perturbed", model: str = model, seeds: Sequence[int] = seeds) -> np.ndarray:
            return np.mean([arrays[f"fooled/{model}/{int(s)}/{number}/{kind}"].astype(float) for s in seeds], axis=0)

        null = as_null(paired(mean(0, "control"), mean(1, "control")))
        first = paired(mean(0), mean(1))
        found.append(claim("finetuning_helps_little", f"{model}: first round lowers", first, ">", 0.0, **null))
        if last > 1:
            more = paired(mean(1), mean(last))
            found.append(claim("finetuning_helps_little", f"{model}: round {last} gains", more, "<", 0.05))
    return found
