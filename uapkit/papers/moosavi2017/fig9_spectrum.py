"""Figure 9 of [moosavi2017]: singular values of the normals to the decision boundary, beside those of random matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from uapkit import lab, spectra
from uapkit.figures.panels import legend, panels
from uapkit.figures.style import look, short, style
from uapkit.lab import Claim, Run, claim
from uapkit.lab.sweep import PerNetwork
from uapkit.papers.moosavi2017.normals import all_values, minimal
from uapkit.papers.moosavi2017.setting import Setting, bench_of
from uapkit.seeds import child_seed

NORMALS, SPHERE, INSIDE = "normals", "random, on the sphere", "random, in the images' subspace"
MEANINGS = {NORMALS: "normals", SPHERE: "random", INSIDE: "random in the data's subspace"}
FAST = 0.05  # share of the energy
SHARES = (0.01, 0.1, 0.5)  # of the places of a spectrum, where a table reads it


def run(
    *,
    models: Sequence[Any] = ("lenet_digits", "mlp_digits"),
    data: PerNetwork = "digits",
    n_fit: PerNetwork = 200,
    n_images: PerNetwork = None,
    k: int = 100,
    n_groups: int = 5,
    num_classes: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Singular values of the normals to the decision boundary, Figure 9 of [moosavi2017], beside those of random matrices.

    The rows r / |r|, r the minimal perturbation (DeepFool, 2-norm) of one image, are the normals at the boundary points
    x + r; of the first ``n_images`` (None: all) of ``n_fit``, as everywhere in this paper's items. Kinds: "normals";
    the paper's comparison "random, on the sphere", as many rows uniform on the unit sphere of R^d; and ours "random, in
    the images' subspace", on the unit sphere of the ``image_rank``-dimensional subspace that holds 99 % of the images'
    energy (no mean subtracted). One row a (model, kind, share): singular_value is the one at this share of the min(n,
    d) places, energy the share of the sum of squares up to there; half: how many directions hold half of it. Rows with
    ``group``: the same for one of ``n_groups`` equal parts of the images, from which the intervals come. mean_length:
    of r, 0 to 255. All values as ``values/<model>/<kind>`` in ``attrs["arrays"]``. k: singular vectors kept for
    :func:`uapkit.papers.moosavi2017.sec_subspace.run`, which shares this item's computation.
    """
    bench = bench_of(data, n_fit, 1, seed, device)
    setting = Setting(bench, n_images)

    def spectrum(model: str) -> tuple[list[dict], dict]:
        x = setting.x(model)
        normals = lab.keep(minimal, bench.network(model), x, k=k, n_groups=n_groups, num_classes=num_classes)
        n, d, m = len(normals.lengths), x.x[0].numel(), normals.image_rank
        about = {"d": d, "image_rank": m, "mean_length": 255 * float(normals.lengths.mean())}

        def kinds(values: Tensor, n: int, name: str) -> dict[str, Tensor]:
            """In an orthonormal basis of a subspace, rows on its sphere are rows on the sphere of R^m."""
            drawn = {kind: lab.keep(random_values, n, w, child_seed(seed, name + kind)) for kind, w in nulls.items()}
            return {NORMALS: values} | drawn

        nulls = {SPHERE: d, INSIDE: m}
        whole, rows = kinds(normals.values, n, "all"), []
        for kind, values in whole.items():
            rows += [{"kind": kind, **about, "n": n, **cells} for cells in read(values, SHARES, min(n, d))]
        for g, part in enumerate(normals.group_values):
            size = n // n_groups
            for kind, values in kinds(part, size, f"group {g}").items():
                rows += [{"kind": kind, "group": g, **about, "n": size, **read(values, (0.1,), min(size, d))[0]}]
        return rows, {f"values/{model}/{kind}": values.float().numpy() for kind, values in whole.items()}

    return setting.table([lab.sweep([{"model": m} for m in bench.names(models)], spectrum, desc="spectra")])


def random_values(n: int, d: int, seed: int) -> Tensor:
    """All singular values of n rows uniform on the sphere of R^d."""
    return all_values(spectra.random_directions(n, d, seed))


def read(values: Tensor, shares: Sequence[float], places: int) -> list[dict[str, float]]:
    """Singular value and energy at shares of the places (zero and one behind a spectrum's end), and half its energy."""
    energy = spectra.energy(values)
    half = int((energy < 0.5).sum()) + 1
    rows = []
    for share in shares:
        i = max(1, round(share * places)) - 1
        inside = i < len(values)
        cells = {"singular_value": float(values[i]) if inside else 0.0, "energy": float(energy[i]) if inside else 1.0}
        rows.append({"share": share, **cells, "half": half})
    return rows


def claims(run: Run) -> Iterator[Claim]:
    """A tenth of the directions: energy of the normals minus that of a random matrix, over groups of images.

    "Fast" is at least :data:`FAST` more of the energy. With far fewer images than dimensions any rows look nearly
    orthogonal, and a tenth of the places holds little more than a tenth of the energy whatever the rows have in common: there the
    difference bounds from below only, its interval reaches up to 1, and it can confirm but not refute. Against the images' own
    subspace only where there are more images than dimensions: it is not known otherwise.
    """
    for model, rows in run.by_network():
        energy = rows[rows["group"].notna()].pivot(index="group", columns="kind", values="energy")
        whole = rows[rows["group"].isna()]
        enough = int(whole["n"].max()) >= int(whole["d"].max())
        gain = lab.mean_of(energy[NORMALS] - energy[SPHERE])
        yield claim("fast_decay", model, gain if enough else replace(gain, high=1.0), ">", FAST)
        yield claim("decays_at_all", model, gain, ">", 0.0)
        if enough:
            gain = lab.mean_of(energy[NORMALS] - energy[INSIDE])
            yield claim("faster_than_in_the_images_subspace", model, gain, ">", 0.0)


def figure(run: Run) -> Figure:
    """All singular values over their place, a panel a network."""
    spectra_of: dict[str, dict[str, Any]] = {}
    for name, values in run.arrays.items():
        if name.startswith("values/"):
            _, model, kind = name.split("/", 2)
            spectra_of.setdefault(model, {})[kind] = values
    with style():
        drawn, axes = panels(list(spectra_of), height=3.4)
        for ax, (model, kinds) in zip(axes, spectra_of.items(), strict=False):
            for kind, values in kinds.items():
                shown = look(MEANINGS[kind])
                ax.plot(range(1, len(values) + 1), values, color=shown.colour, linestyle=shown.line, label=kind)
            ax.set(title=short(model), xlabel="place", ylabel="singular value", xscale="log")
        legend(drawn, axes, columns=1)
    return drawn


def whole(run: Run) -> pd.DataFrame:
    """The rows of all images, without those of the groups."""
    return run.rows[run.rows["group"].isna()]


def alike(run: Run) -> pd.DataFrame:
    """How alike the rows are: the dimension of the sphere on which random rows would be, a row a network and kind."""
    rows = whole(run).drop_duplicates(["model", "kind"])
    values = [torch.as_tensor(run.flags("values", row.model, row.kind)) for row in rows.itertuples()]
    dimensions = [round(spectra.sphere_dimension(v)) for v in values]
    return rows[["model", "kind", "n", "d"]].assign(as_alike_as_in_dimensions=dimensions)
