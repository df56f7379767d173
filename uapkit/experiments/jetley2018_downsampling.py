"""Paper J: down-sampling as a defence, and the attack on the defended network itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from uapkit import checks, evaluate, models
from uapkit import data as sets
from uapkit.data.images import Images
from uapkit.experiments.common import SIZED, Bench, paired, rate
from uapkit.experiments.jetley2018_first_order import Data, accuracy, bootstrap_median, deepfool
from uapkit.experiments.tidy import as_null, by_network, claim, evidence
from uapkit.lab.sweep import for_network, sweep
from uapkit.models import Model
from uapkit.seeds import generator

PAPERS_SIDE = 227  # AlexNet's input, which Table 1's d_low are to be read against


class Resampled(nn.Module):
    """A network that sees its images sampled down to ``side`` and up again; differentiable, so it can be attacked itself.

    Bicubic with antialiasing, as MATLAB's imresize and Pillow do it: torch takes their kernel (a = -1/2, widened when
    shrinking) only with ``antialias=True``, up as well as down. Images of that side pass unchanged. Source: [jetley2018],
    Table 1.
    """

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side
        self.channels_last = getattr(net, "channels_last", False)  # twice as fast on a CPU; see evaluate

    def resampled(self, x: Tensor) -> Tensor:
        """(n, c, h, w) images sampled down and up; not clipped."""
        if self.side == x.shape[-1]:
            return x
        low = interpolate(x, (self.side, self.side), mode="bicubic", antialias=True)
        return interpolate(low, x.shape[-2:], mode="bicubic", antialias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, c, h, w)."""
        return self.net(self.resampled(x))


def defended(net: Model, side: int) -> Model:
    """The network behind a down-sampling to ``side``, as anyone would wrap a module."""
    return models.wrap(
        Resampled(net, side), classes=net.classes, input_size=net.input_size, name=f"{net.name} seen at {side}"
    )


class Attacked:
    """Networks and the images they are attacked on, with one DeepFool an image; nothing is fitted here.

    data, n_eval: one for all networks, or mappings by network. Photographs are cropped to the network's input.
    """

    def __init__(self, data: Data, n_eval: int | Mapping[str, int], max_iter: int, seed: int, device: str) -> None:
        self.data, self.n_eval, self.max_iter = data, n_eval, max_iter
        self.bench = Bench(str(data), 0, seed=seed, device=device)  # of its networks alone
        self._kept: tuple[str, Images, Tensor] | None = None

    def attacked(self, spec: str) -> tuple[Model, Images, Tensor]:
        """The network, the images that DeepFool fooled it on, and DeepFool's r (n, c, h, w) for them."""
        model = self.bench.model(spec)
        if self._kept is None or self._kept[0] != spec:
            data, n = (
                for_network(self.data, spec, "data"),
                checks.count(for_network(self.n_eval, spec, "n_eval"), "n_eval", 2),
            )
            size: dict[str, Any] = (
                {"size": model.input_size[-1], "resize": "crop"} if model.input_size and data in SIZED else {}
            )
            images = sets.load(data, n=n, seed=self.bench.seed, **size).to(self.bench.device)
            found = deepfool(model, images, max_iter=self.max_iter)
            fooled = found["success"].nonzero()[:, 0]
            if not len(fooled):
                raise ValueError(
                    f"DeepFool fooled {spec} on none of {n} images within max_iter = {self.max_iter} steps"
                )
            self._kept = spec, images[fooled], found["r"][fooled]
        return model, *self._kept[1:]

    def side(self, d_low: int, images: Images) -> int:
        """The paper's ``d_low`` for an input of 227 pixels, scaled to these images."""
        return max(1, round(checks.count(d_low, "d_lows") * images.x.shape[-1] / PAPERS_SIDE))

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """The item's table with the weights and the images of every row."""
        table.insert(1, "weights", [self.bench.weights(m) for m in table["model"]])
        table.insert(2, "data", [for_network(self.data, m, "data") for m in table["model"]])
        return table


def random_directions(r: Tensor, seed: int) -> Tensor:
    """For each row of r a random direction of the same norm: the null of an attack by image."""
    noise = torch.randn(r.shape, generator=generator(seed, "random direction an image"))
    return noise * (_norms(r) / _norms(noise))[:, None, None, None]


def _norms(r: Tensor) -> Tensor:
    """(n,) 2-norms of (n, c, h, w)."""
    return r.flatten(1).norm(dim=1)


def tab1_downsampling(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    d_lows: Sequence[int] = (227, 200, 150, 120, 100),
    factors: Sequence[float] = (1, 2, 3, 4, 5, 10),
    n_eval: int | Mapping[str, int] = 100,
    max_iter: int = 50,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Table 1 of [jetley2018]: fooling rate of f times DeepFool on a network that sees its images sampled down and up.

    DeepFool is made on the network as it is. One row a (model, d_low, kind, f): kind "deepfool", or the null "random
    direction" of the same norm for each image (at the smallest and the largest f). fooling_rate, low, high, n: images
    whose label under the resampled network changes against that of the clean image, resampled too. d_low: for an input
    of 227 pixels, as in the paper; side: what it is for this network. accuracy with accuracy_low and accuracy_high: of
    the resampled network. mean_image_l2_norm (mean colour subtracted) and mean_deepfool_l2_norm: after the resampling,
    for pixels from 0 to 255; image_norm and deepfool_norm: for pixels in [0, 1]. Images that DeepFool does not fool are
    left out (deepfool_success is the share that stays).
    """
    study = Attacked(data, n_eval, max_iter, seed, device)

    def resampled(model: str, d_low: int) -> tuple[list[dict], dict]:
        net, images, r = study.attacked(model)
        side, total = study.side(d_low, images), for_network(n_eval, model, "n_eval")
        low_net = Resampled(net, side).eval()
        clean = evaluate.labels(low_net, images)
        colour = images.x.mean((0, 2, 3), keepdim=True)
        image = sum(float(_norms(low_net.resampled(part.x - colour)).sum()) for part in images.batches(50)) / len(
            images
        )
        attack = float(_norms(low_net.resampled(r)).mean())
        about: dict[str, Any] = {"side": side, "deepfool_success": len(images) / total}
        about |= {"image_norm": image, "deepfool_norm": attack}
        about |= {"mean_image_l2_norm": 255 * image, "mean_deepfool_l2_norm": 255 * attack}
        if images.y is not None:
            right = accuracy(clean == images.y.cpu())
            about |= {"accuracy": right["accuracy"], "accuracy_low": right["low"], "accuracy_high": right["high"]}
        rows, arrays = [], {}
        null = random_directions(r, seed)
        for kind, v, fs in (("deepfool", r, factors), ("random direction", null, sorted({min(factors), max(factors)}))):
            for f in fs:
                fooled = evaluate.fooled(low_net, images, f * v, clean)
                rows.append({"kind": kind, "f": f, **about, **rate(fooled)})
                arrays[f"fooled/{model}/{kind}/{d_low}/{f:g}"] = fooled.numpy()
        return rows, arrays

    points = [{"model": spec, "d_low": d} for spec in study.bench.specs(models) for d in d_lows]
    return study.table(sweep(points, resampled, over=("models", "d_lows"), per_network=True, desc="down-sampling"))


@evidence
def tab1_downsampling_evidence(table: pd.DataFrame) -> list[dict]:
    """Fooling rate at the smallest d_low minus that at the largest below full size; the null: random directions."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        sizes = sorted(set(rows.loc[rows["d_low"] < rows["d_low"].max(), "d_low"].astype(int)))
        if len(sizes) < 2:
            continue

        def change(kind: str, f: float, model: str = model, sizes: Sequence[int] = sizes) -> dict[str, float]:
            return paired(*(arrays[f"fooled/{model}/{kind}/{d}/{f:g}"] for d in (sizes[0], sizes[-1])))

        for f in sorted(set(rows.loc[rows["kind"] == "deepfool", "f"])):
            has_null = f"fooled/{model}/random direction/{sizes[0]}/{f:g}" in arrays
            beside = as_null(change("random direction", f)) if has_null else {}
            name, sense = ("f1_rises", ">") if f == 1 else ("robust_for_larger_f", "<")
            if f == 1 or f >= 2:
                found.append(claim(name, f"{model}, f = {f:g}", change("deepfool", f), sense, 0.0, **beside))
    return found


def sec_direct_attack(
    *,
    models: Sequence[Any] = ("mlp_digits", "lenet_digits"),
    data: Data = "digits",
    d_lows: Sequence[int] = (227, 120, 100),
    n_eval: int | Mapping[str, int] = 50,
    max_iter: int = 50,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Section 4 of [jetley2018]: DeepFool on the resampling network itself, through the resampling.

    One row a (model, d_low, kind). kind "direct": DeepFool on the network of Table 1 that sees its images at ``d_low``;
    "transferred": DeepFool made on the network as it is, scaled for each image to the direct attack's norm; the null
    "random direction", of that norm too. fooling_rate, low, high, n: of the resampling network. norm_ratio: norm of the
    direct attack over that of DeepFool on the network as it is, median over images (ratio_low, ratio_high: bootstrap
    interval); an image that the attack does not fool counts as infinite. norm: median 2-norm, for pixels in [0, 1].
    """
    study = Attacked(data, n_eval, max_iter, seed, device)

    def direct(model: str, d_low: int) -> tuple[list[dict], dict]:
        net, images, r = study.attacked(model)
        side = study.side(d_low, images)
        low_net = defended(net, side)
        found = deepfool(low_net, images, max_iter=max_iter)
        length = torch.where(found["success"], _norms(found["r"]), math.inf)
        ratio, low, high = bootstrap_median(length / _norms(r))
        about = {"side": side, "norm_ratio": ratio, "ratio_low": low, "ratio_high": high}
        about |= {"norm": float(length.median()), "original_norm": float(_norms(r).median())}
        clean, size = evaluate.labels(low_net, images), (_norms(found["r"]) / _norms(r))[:, None, None, None]
        flags = {"direct": found["success"]}
        for kind, v in (("transferred", r), ("random direction", random_directions(r, seed))):
            flags[kind] = evaluate.fooled(low_net, images, size * v, clean)
        rows = [{"kind": kind, **about, **rate(fooled)} for kind, fooled in flags.items()]
        return rows, {f"fooled/{model}/{kind}/{d_low}": fooled.numpy() for kind, fooled in flags.items()}

    points = [{"model": spec, "d_low": d} for spec in study.bench.specs(models) for d in d_lows]
    return study.table(sweep(points, direct, over=("models", "d_lows"), per_network=True, desc="direct attack"))


@evidence
def sec_direct_attack_evidence(table: pd.DataFrame) -> list[dict]:
    """The direct attack needs less than one and a half times the norm; it fools more than the transferred one at its norm."""
    found, arrays = [], table.attrs["arrays"]
    for model, rows in by_network(table):
        for row in rows[(rows["kind"] == "direct") & (rows["d_low"] < PAPERS_SIDE)].to_dict("records"):
            name = f"{model}, d_low = {row['d_low']:g}"
            ratio = {"estimate": row["norm_ratio"], "low": row["ratio_low"], "high": row["ratio_high"], "n": row["n"]}
            found.append(claim("as_effective", name, ratio, "<", 1.5))
            flags = {kind: arrays[f"fooled/{model}/{kind}/{row['d_low']:.0f}"] for kind in set(rows["kind"])}
            gain = paired(flags["direct"], flags["transferred"])
            found.append(claim("direct_beats_transferred", name, gain, ">", 0.0))
    return found
