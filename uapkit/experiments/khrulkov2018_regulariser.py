"""The defence that paper K only proposes: training with the singular values of layers in the loss."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from uapkit import attacks, evaluate
from uapkit import data as sets
from uapkit.data.images import Images
from uapkit.experiments.common import Bench, rate
from uapkit.experiments.khrulkov2018_shared import Study, joined
from uapkit.experiments.tidy import by_network, claim, evidence
from uapkit.lab.sweep import sweep
from uapkit.models import Model
from uapkit.norms import dual_exponent, lp_norm, psi
from uapkit.operators import JacobianOperator
from uapkit.seeds import child_seed, generator


def penalty(model: Model, layer: str, x: Tensor, v: Tensor, p: float, q: float) -> tuple[Tensor, Tensor]:
    """(||J v'||_q over the q-th root of the number of images, v'), v' being v after one power iteration.

    v' counts as constant: at a singular vector the derivative of the singular value is that of ||J v'||_q (Danskin), so
    one warm-started iteration a step follows the singular vector while the weights move. v: (c, h, w), unit p-norm.
    """
    respond = model.until(layer)
    pixels = x.detach().requires_grad_()

    def along(w: Tensor) -> Tensor:
        return torch.func.jvp(respond, (x,), (w.expand_as(x),))[1]

    with torch.no_grad():
        z = psi(along(v).flatten(), q, scaled=True)
    answer = respond(pixels)
    (g,) = torch.autograd.grad(answer, pixels, z.view_as(answer))
    new = psi(g.sum(0), dual_exponent(p), scaled=True)
    new = torch.where(new == 0, v, new) if p == math.inf else new / lp_norm(new.flatten(), p)
    return lp_norm(along(new).flatten(), q) / len(x) ** (1 / q), new


def train(
    model: Model,
    images: Images,
    *,
    strength: float,
    layers: Sequence[str],
    p: float,
    q: float,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int,
) -> Model:
    """Train ``model`` in place by Adam (cosine schedule) on cross entropy + strength * sum of the layers' penalties.

    Source: [khrulkov2018], which proposes the sum of sigma_{p,q}(J(X)) as a term and trains nothing. Departures: the
    batch is the training batch, the term is divided by the q-th root of its size, and its vectors take one power
    iteration a step from where they were. No dropout. Deterministic by ``seed`` on one thread.
    """
    assert images.y is not None
    model.requires_grad_(True)
    steps = torch.optim.Adam(model.parameters(), lr)
    draws = generator(seed, "start_vector")
    v = {name: (torch.rand(images.shape, generator=draws) - 0.5).sign().to(images.x) for name in layers}
    v = {name: w / lp_norm(w.flatten(), p) for name, w in v.items()}
    for epoch in tqdm(range(epochs), desc=f"training, strength {strength:g}", disable=None, leave=False):
        for group in steps.param_groups:
            group["lr"] = lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        order = torch.randperm(len(images), generator=generator(seed, f"order of epoch {epoch}"))
        for index in order.to(images.x.device).split(batch_size):
            x = images.x[index]
            loss = cross_entropy(model(x), images.y[index])
            for name in layers if strength else ():
                term, v[name] = penalty(model, name, x, v[name], p, q)
                loss = loss + strength * term
            steps.zero_grad()
            loss.backward()
            steps.step()
    return model.eval().requires_grad_(False)


def ext_regulariser(
    *,
    models: Sequence[Any] = ("mlp_digits",),
    layers: Sequence[str] | None = None,
    strengths: Sequence[float] = (0.0, 0.01),
    seeds: Sequence[int] = (0, 1),
    data: str = "digits",
    n_train: int | None = 400,
    epochs: int = 8,
    lr: float = 0.002,
    batch_size: int = 64,
    n_fit: int = 16,
    n_select: int = 100,
    n_eval: int | None = 300,
    p: float = math.inf,
    q: float = 10.0,
    eps: float = 0.2,
    max_iter: int = 10,
    max_passes: int = 2,
    device: str = "cpu",
) -> pd.DataFrame:
    """Training with the singular-value term that [khrulkov2018] proposes as a defence and does not run; ours.

    One row a (model, strength, seed): accuracy on scored images and held_in_accuracy; singular_value, the sum over
    ``layers`` (None: all activations and the logits) on ``n_fit`` test images; fooling_rate (low, high, n) of the
    singular vector at the layer that is best on held-in images (attacked_layer), made against this very network;
    uap_rate of UAP on the same images, which knows nothing of singular values; random_rate, the null of random signs.
    """

    def one(model: str, strength: float, seed: int) -> list[dict]:
        net = bench(seed).untrained(model)
        names = list(layers or [*net.layers(kind="activation"), "logits"])
        images = sets.load(data, split="train", n=n_train, seed=seed, size=None).to(device)
        started = time.perf_counter()
        train(
            net,
            images,
            strength=strength,
            layers=names,
            p=p,
            q=q,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            seed=child_seed(seed, "training"),
        )
        row: dict[str, Any] = {"seconds": time.perf_counter() - started}
        fit, held_in, scored = bench(seed).images(net)
        right = 1 - float(evaluate.error_rate(net, scored))
        row |= {"accuracy": right, "held_in_accuracy": 1 - float(evaluate.error_rate(net, held_in))}
        study = Study(bench(seed), p, q, eps, max_iter, seed)
        pairs = {name: study.pair(JacobianOperator(net.until(name), fit.x)) for name in names}
        tried = []
        for name, pair in pairs.items():
            v = pair.v.view(fit.shape) * (eps / float(pair.v.abs().max()))
            tried += [(float(evaluate.fooling_rate(net, held_in, w)), name, w) for w in (v, -v)]
        best = max(tried, key=lambda t: t[0])
        noise = evaluate.random_perturbation(fit.shape, eps=eps, seed=child_seed(seed, "random signs 0"))
        other = attacks.uap(net, fit.x, eps=eps, max_passes=max_passes, seed=seed).v
        row |= {"singular_value": sum(pair.value for pair in pairs.values()), "attacked_layer": best[1]}
        row |= {
            f"{k}_rate": float(evaluate.fooling_rate(net, scored, v)) for k, v in (("uap", other), ("random", noise))
        }
        return [row | rate(evaluate.fooled(net, scored, best[2]))]

    benches: dict[int, Bench] = {}

    def bench(seed: int) -> Bench:
        if seed not in benches:
            benches[seed] = Bench(data, n_fit, n_select, n_eval, seed, device)
            benches[seed].specs(models)
        return benches[seed]

    over = ("models", "strengths", "seeds")
    specs = Bench(data, n_fit).specs(models)
    points = [{"model": m, "strength": float(s), "seed": k} for m in specs for k in seeds for s in strengths]
    return joined(bench(seeds[0]), [sweep(points, one, over=over, desc="trainings")]).assign(weights="trained here")


@evidence
def ext_regulariser_evidence(table: pd.DataFrame) -> list[dict]:
    """Fooling rate without the term minus with it, over seeds.

    The term is the strongest one that costs at most 2 points of accuracy on held-in images.
    """
    found = []
    for model, rows in by_network(table):
        mean = rows.groupby("strength")["held_in_accuracy"].mean()
        kept = [s for s in mean.index if s > 0 and mean[s] >= mean[0.0] - 0.02] if 0.0 in mean.index else []
        if not kept:
            continue
        pairs = rows.pivot(index="seed", columns="strength")
        for column in ("fooling_rate", "uap_rate"):
            gain = pairs[column][0.0] - pairs[column][max(kept)]
            one = evaluate.mean_interval(list(gain))
            cells = {"estimate": one.value, "low": one.low, "high": one.high, "n": one.n}
            name = "the singular vector" if column == "fooling_rate" else "UAP"
            found.append(
                claim("regulariser_defends", f"{model} against {name} (strength {max(kept):g})", cells, ">", 0.0)
            )
    return found
