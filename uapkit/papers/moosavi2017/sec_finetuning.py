"""Section 3 of [moosavi2017]: fine-tuning on perturbed images, twice, and what a new perturbation does to the tuned network."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import data as sets
from uapkit import evaluate, lab
from uapkit.data.images import Images
from uapkit.figures.panels import legend, models_of, of_a_run, panels
from uapkit.figures.style import look, short, style
from uapkit.intervals import Interval
from uapkit.lab import Claim, Run, claim, nulls
from uapkit.lab.sweep import PerNetwork, for_network
from uapkit.models import Model
from uapkit.models.training import Augment, fit
from uapkit.papers.moosavi2017.setting import bench_of, universal
from uapkit.seeds import child_seed

MULTIPLES = tuple(k / 5 for k in range(1, 11))  # of a perturbation's own size, tried from small to large
PERTURBED, CONTROL = "perturbed", "control"
LINES = {  # column: how it is drawn, what it is called
    "fooling_rate": ("UAP", "new universal perturbation"),
    "old_rate": ("UAP, earlier", "the pool it was tuned on"),
    "random_rate": (nulls.RANDOM_SIGNS, "random"),
    "accuracy": ("clean", "accuracy, clean images"),
}


def run(
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
    bench = bench_of(data, n_fit, n_eval, device=device)

    def tuning(model: str, seed: int) -> tuple[list[dict], dict]:
        first, split, radius = bench.network(model), bench.split(model), float(for_network(eps, model, "eps"))
        n, scored = for_network(n_train, model, "n_train"), split.scored
        train = sets.load(bench.setting(model, "data"), split="train", n=n, seed=seed).to(device)
        signs = nulls.random(scored.shape, eps=radius, seed=seed, name="random signs").to(device)
        how = {
            "share": share,
            "epochs": for_network(epochs, model, "epochs"),
            "lr": for_network(lr, model, "lr"),
            "batch_size": batch_size,
        }
        rows: list[dict] = []
        arrays: dict[str, np.ndarray] = {}

        def attack(net: Model, k: int) -> Tensor:
            made = universal(
                net,
                split.fit,
                norm=math.inf,
                eps=radius,
                target_rate=target_rate,
                max_passes=max_passes,
                seed=child_seed(seed, f"shuffle {k}") % 2**31,
                block=block,
            )
            return made.v

        def note(net: Model, kind: str, number: int, old: Sequence[Tensor]) -> None:
            clean = lab.keep(evaluate.labels, net, scored)

            def flags_of(v: Tensor) -> Tensor:
                return lab.keep(evaluate.fooled, net, scored, v, clean=clean)

            flags = flags_of(attack(net, 0))
            row: dict[str, Any] = {
                "round": number,
                "kind": kind,
                "eps": 255 * radius,
                "n_train": len(train),
                **lab.rate(flags),
                "random_rate": float(evaluate.Rate.mean(flags_of(signs))),
            }
            if old:
                row["old_rate"] = float(np.mean([float(evaluate.Rate.mean(flags_of(v))) for v in old]))
            if scored.y is not None:
                row["accuracy"] = float((clean == scored.y.cpu()).float().mean())
            rows.append(row)
            arrays[f"fooled/{model}/{seed}/{number}/{kind}"] = flags.numpy()

        net = control = first
        note(first, PERTURBED, 0, ())
        rows.append({**rows[0], "kind": CONTROL})
        arrays[f"fooled/{model}/{seed}/0/{CONTROL}"] = arrays[f"fooled/{model}/{seed}/0/{PERTURBED}"]
        for number in range(1, rounds + 1):
            members, order = [attack(net, k) for k in range(pool)], child_seed(seed, f"fine-tuning, round {number}")
            net = tuned(net, train, torch.stack(members), seed=order, **how)
            control = tuned(control, train, None, seed=order, **how)
            note(net, PERTURBED, number, members)
            note(control, CONTROL, number, members)
        return rows, arrays

    names = bench.names(models)
    points = [{"model": model, "seed": seed} for model in names for seed in for_network(seeds, model, "seeds")]
    return bench.told(lab.sweep(points, tuning, desc="fine-tuning"))


def tuned(net: Model, train: Images, members: Tensor | None, **how: Any) -> Model:
    """A copy of the network with the weights of :func:`tuned_weights`; the network itself stays as it is."""
    copied = copy.deepcopy(net)
    copied.load_state_dict(lab.keep(tuned_weights, net, train, members, **how))
    return copied


def tuned_weights(
    net: Model,
    train: Images,
    members: Tensor | None,
    *,
    share: float,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int,
) -> dict[str, Tensor]:
    """Weights after ``epochs`` on ``train``, perturbed by ``members`` (m, c, h, w); None: the control, on clean images."""
    change = None if members is None else perturbing(net, members, share)
    trained = copy.deepcopy(net)
    settings: dict[str, Any] = {"optimizer": "adam", "schedule": "constant", "augment": change}
    fit(trained, train, epochs=epochs, lr=lr, batch_size=batch_size, seed=seed, **settings)
    return dict(trained.state_dict())


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


def claims(run: Run) -> Iterator[Claim]:
    """Rate before minus rate after the first round, with the control as its null; and what further rounds gain, paired.

    The same images and the same seeds for all rounds: intervals are over the images and over the seeds' differences. No gain means
    less than 5 points. A network has to pass both.
    """
    for model, rows in run.by_network():
        seeds, last = sorted(set(rows["seed"].astype(int))), int(rows["round"].max())

        def lost(before: int, after: int, kind: str, model: str = model, seeds: Sequence[int] = seeds) -> Interval:
            rounds = ([run.flags("fooled", model, s, at, kind) for s in seeds] for at in (before, after))
            return lab.paired_draws(*rounds)

        first, control = lost(0, 1, PERTURBED), lost(0, 1, CONTROL)
        yield claim("finetuning_helps_little", model, first, ">", 0.0, null=control)
        if last > 1:
            yield claim("finetuning_helps_little", model, lost(1, last, PERTURBED), "<", 0.05)


@of_a_run
def figure(run: Run) -> Figure:
    """Fooling rate and accuracy after each round of fine-tuning, a panel a network; dots are seeds, lines their means."""
    models, of_control = models_of(run.rows), look(CONTROL)
    with style():
        drawn, axes = panels(models, height=3.4)
        for ax, model in zip(axes, models, strict=False):
            tuned = run.where(model=model, kind=PERTURBED)
            for column, (meaning, label) in LINES.items():
                rows, shown = tuned[tuned[column].notna()], look(meaning)
                mean = rows.groupby("round")[column].mean()
                ax.plot(rows["round"], rows[column], ".", color=shown.colour, alpha=0.5)
                line: dict[str, Any] = {"color": shown.colour, "marker": shown.marker, "linestyle": shown.line}
                ax.plot(mean.index, mean, label=label, **line)
            mean = run.where(model=model, kind=CONTROL).groupby("round")["fooling_rate"].mean()
            line = {"color": of_control.colour, "marker": of_control.marker, "linestyle": of_control.line}
            ax.plot(mean.index, mean, label="new one, tuned on clean images", **line)
            ax.set_xticks(sorted(set(tuned["round"])))
            ax.set(title=short(model), xlabel="rounds of fine-tuning", ylabel="rate", ylim=(0, 1.02))
        legend(drawn, axes, columns=2)
    return drawn
