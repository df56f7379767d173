"""Paper M's two drawings, Figures 2 and 10, made from small computations in the plane and in space instead of by hand."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from uapkit import models, spectra
from uapkit.attacks.deepfool import Settings, walk
from uapkit.checks import count
from uapkit.data.images import Images
from uapkit.experiments.per_image import unit
from uapkit.lab.sweep import sweep
from uapkit.models import Model
from uapkit.models.training import fit
from uapkit.norms import project
from uapkit.seeds import child_seed, generator

SIDE = 121  # of the grid that regions are drawn on


class Toy(nn.Sequential):
    """Two hidden layers of ReLUs between d numbers and three classes."""

    def __init__(self, d: int, width: int = 32) -> None:
        layers = OrderedDict(
            flatten=nn.Flatten(), fc1=nn.Linear(d, width), relu1=nn.ReLU(), fc2=nn.Linear(width, width)
        )
        super().__init__(OrderedDict(**layers, relu2=nn.ReLU(), fc3=nn.Linear(width, 3)))


def toy(d: int, classes_of: Tensor, x: Tensor, epochs: int, seed: int) -> Model:
    """A network trained on points x (n, d) of the unit cube; ``classes_of`` are their classes (n,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "weights"))
        net = models.wrap(Toy(d), mean=0.5, std=0.3, name="toy network", input_size=(d, 1, 1))
    if epochs:
        points = Images(x.view(-1, d, 1, 1), classes_of, name="toy points")
        fit(net, points, epochs=epochs, lr=0.01, optimizer="adam", batch_size=100, seed=seed)
    return net


def fig2_aggregation(
    *,
    n_points: int = 3,
    eps: float = 0.45,
    max_passes: int = 3,
    n_train: int = 400,
    epochs: int = 20,
    seed: int = 7,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 2 of [moosavi2017], a schematic: how Algorithm 1 adds up minimal steps, in the plane.

    A network of three classes is trained on ``n_train`` points of the unit square, and Algorithm 1 (2-norm, radius
    ``eps``) runs on ``n_points`` others, one of each class in turn. One row a visit: number, pass, point, fooled (by v,
    before the step), r_x, r_y (the step), v_x, v_y (v after it), norm. In ``attrs["arrays"]``: points (n, 2), regions
    (n, 121, 121), the label at point + offset for offsets in the square [-1.5 eps, 1.5 eps]^2, first axis y, and
    plane (121, 121), the labels of the unit square.
    """
    count(n_points, "n_points")

    def visits(model: str) -> tuple[list[dict], dict]:
        draws = generator(seed, "points of the plane")
        x = torch.rand(n_train + 200, 2, generator=draws)
        centre = (x - 0.5) * 2
        angle = torch.atan2(centre[:, 1], centre[:, 0]) + 1.5 * centre.norm(dim=1)
        classes = ((angle + math.pi) / (2 * math.pi) * 3).long() % 3
        net = toy(2, classes[:n_train], x[:n_train], epochs, seed).to(device)
        spare = x[n_train:][
            ((x[n_train:] - 0.5).abs().amax(1) < 0.3)
        ]  # not so near the edge that a step leaves the square
        found = labels(net, spare.view(-1, 2, 1, 1))
        chosen = [spare[found == k % 3][k // 3] for k in range(n_points)]
        points = torch.stack(chosen).view(-1, 2, 1, 1).to(device)
        clean = labels(net, points)
        v, settings = torch.zeros(2, 1, 1, device=device), Settings(num_classes=3, max_iter=10)
        rows: list[dict] = []
        for number in range(1, max_passes + 1):
            order = torch.randperm(n_points, generator=generator(seed, f"uap/pass{number}/batch0"))
            for i in order.tolist():
                step = walk(net, points[i : i + 1] + v, settings, away=clean[i : i + 1])
                fooled = int(step.n_iter) == 0
                r = step.r[0] * step.success
                v = v if fooled else project(v + r, 2, eps)
                cells = zip(("r_x", "r_y", "v_x", "v_y"), [*r.flatten().tolist(), *v.flatten().tolist()], strict=True)
                rows.append({"number": len(rows) + 1, "pass": number, "point": i, "fooled": fooled, **dict(cells)})
                rows[-1] |= {"norm": float(v.norm()), "n": n_points}
            if bool((labels(net, points + v) != clean).all()):
                break
        offsets = grid(-1.5 * eps, 1.5 * eps).to(device)
        regions = [labels(net, p + offsets).view(SIDE, SIDE) for p in points]
        plane = labels(net, grid(0, 1).to(device)).view(SIDE, SIDE)
        arrays = {
            "points": points.flatten(1),
            "regions": torch.stack(regions).to(torch.int8),
            "plane": plane.to(torch.int8),
        }
        return rows, {name: array.cpu().numpy() for name, array in arrays.items()}

    return sweep([{"model": "toy network"}], visits, desc="visits")


@torch.no_grad()
def labels(net: Model, x: Tensor) -> Tensor:
    """(n,) classes of any points, outside the unit square too."""
    return net(x).argmax(1)


def grid(low: float, high: float) -> Tensor:
    """(121 * 121, 2, 1, 1) points of the square, row by row from low y to high y."""
    line = torch.linspace(low, high, SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1).view(-1, 2, 1, 1)


def fig10_subspace(
    *,
    n_points: int = 60,
    n_train: int = 600,
    epochs: int = 30,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Figure 10 of [moosavi2017], a schematic: normals that lie near a subspace, in space.

    A network of three classes is trained on ``n_train`` points of the unit cube whose classes depend on two directions
    only; the normals are the unit minimal perturbations (DeepFool) of ``n_points`` others. One row a (kind, place):
    singular_value and energy, the share of the sum of squares up to there. Kinds: "trained"; nulls "untrained", the
    same network before training, and "random, on the sphere". In ``attrs["arrays"]``: normals (n, 3), plane (2, 3), their
    first two singular vectors, and truth (2, 3), the directions that the classes depend on.
    """

    def normals(model: str) -> tuple[list[dict], dict]:
        draws = generator(seed, "points of space")
        truth = torch.linalg.qr(torch.randn(3, 3, generator=draws))[0][:, :2].T
        x = torch.rand(n_train + n_points, 3, generator=draws)
        a, b = ((x - 0.5) @ truth.T).unbind(1)
        classes = ((torch.atan2(b, a) + math.pi) / (2 * math.pi) * 3).long() % 3
        points = x[n_train:].view(-1, 3, 1, 1).to(device)
        rows, arrays = [], {"truth": truth.numpy()}
        for kind, trained in (("trained", epochs), ("untrained", 0)):
            net = toy(3, classes[:n_train], x[:n_train], trained, seed).to(device)
            found = walk(net, points, Settings(num_classes=3))
            normal = unit(found.r[found.success].flatten(1).cpu())
            rows += spectrum(kind, normal)
            if kind == "trained":
                arrays |= {"normals": normal.numpy(), "plane": spectra.top_singular(normal, 2).vectors.numpy()}
        sphere = spectra.random_directions(len(normal), 3, child_seed(seed, "sphere"))
        return rows + spectrum("random, on the sphere", sphere), arrays

    return sweep([{"model": "toy network"}], normals, desc="normals")


def spectrum(kind: str, rows: Tensor) -> list[dict]:
    """A row a place: singular value and energy of unit rows (n, 3)."""
    values = spectra.singular_values(rows)
    energy = np.asarray(spectra.energy(values))
    return [
        {"kind": kind, "place": k + 1, "singular_value": float(values[k]), "energy": float(energy[k]), "n": len(rows)}
        for k in range(len(values))
    ]
