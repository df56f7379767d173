"""Universal perturbations by going from image to image and adding what each still needs."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import Perturbation, batch_for, fitted_on, plain, warn_of_size
from uapkit.attacks.checkpoint import read_state, write_state
from uapkit.attacks.deepfool import Settings, walk
from uapkit.attacks.labelled import Labelled
from uapkit.data.batches import Pictures
from uapkit.data.views import View, viewed
from uapkit.gate import Network
from uapkit.norms import lp_norm, project
from uapkit.progress import Bar
from uapkit.seeds import generator

SAVE_EVERY = 60.0  # seconds between checkpoints within a pass


class Pass(NamedTuple):
    """What ``callback`` sees after a pass: its number from 1, the rates in [0, 1], steps taken in all, v (c, h, w)."""

    number: int
    fooling_rate: float
    held_out_rate: float | None
    steps: int
    v: Tensor


@dataclass
class _State:
    """Where a run stands: all that a checkpoint has to hold."""

    v: Tensor
    best: Tensor  # the v of the best pass so far, the earliest of equals
    batch: int = 0  # of the pass under way: its batch, and the place in the order of that batch
    place: int = 0
    moved: bool = False  # has anything changed v in this pass
    stalled: bool = False  # did the last pass change nothing
    steps: int = 0
    gradients: int = 0  # of one class's score at one image, in all DeepFools
    way: float = 0.0  # the sum of the 2-norms of the steps
    failures: int = 0
    unfooled: float = 1.0  # running share, among the images looked at, of those not fooled yet
    rates: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    course: list[dict[str, float]] = field(default_factory=list)


@torch.inference_mode(False)
def uap(
    model: Network,
    x: Pictures,
    *,
    norm: float = math.inf,
    eps: float = 10 / 255,
    target_rate: float = 0.8,
    max_passes: int = 10,
    seed: int = 0,
    callback: Callable[[Pass], object] | None = None,
    block: int = 1,
    num_classes: int = 10,
    overshoot: float = 0.02,
    max_iter: int = 10,
    discard_from: int | None = None,
    linearise: Literal["overshot", "plain"] = "overshot",
    keep: Literal["last", "best"] = "last",
    held_out: Pictures | None = None,
    checkpoint: str | Path | None = None,
    projection: Literal["ball", "sphere"] = "ball",
    views: View | None = None,
) -> Perturbation:
    """Algorithm 1 of [moosavi2017]: for each image not yet fooled by v, v <- P(v + DeepFool at x + v), pass after pass.

    x: (n, c, h, w) in [0, 1], or batches of such images that can be gone through again and again and are then the same
    (a :func:`uapkit.data.stream`, a DataLoader of images or pairs (x, y) with ``shuffle=False``, a list, or a function
    that returns an iterator). The order of the images is drawn anew for each pass from ``seed``; batches keep their
    place and are shuffled within. norm, eps: P projects on the ball of this norm, 2 or inf, in the unit of the pixels, or
    on its sphere (``projection``, see :func:`uapkit.norms.project`). Nothing is clipped to [0, 1]. Only predicted labels
    count. views: a transform of one image, (c, h, w) to (c, h, w) in [0, 1], such as torchvision's random crops; each
    pass then meets each image once in a new view, with the label that the network gives to that view. Rates are those
    of the images as they are.

    The run ends with the pass after which at least ``target_rate`` of the images are fooled ("reached"), that changed
    nothing ("stalled": no later pass could; never with ``views``), or with pass ``max_passes`` ("pass limit");
    made_by["end"] says which.
    keep: return the v of the last pass, as the released code does, or of the pass with the best rate on x; on small
    networks the rate goes up and down from pass to pass. made_by["kept_pass"] says which pass it was, from 1.
    history holds the fooling rate on x after each pass, made_by["held_out_rates"] that on ``held_out``, made_by["course"]
    what v was then: "steps" so far, "way" (the sum of their 2-norms), "l2_norm", "saturated" (share of the entries within
    a tenth of eps, norm inf), all in the unit of the pixels; and "gradients" of one class's score at one image so far.

    num_classes, overshoot, max_iter, linearise: of DeepFool, which minimises the 2-norm whatever ``norm`` is. A DeepFool
    that does not reach another label changes nothing, and an image whose logits under v are not finite is not fooled.
    discard_from: also those that needed this many steps or more
    (the released code has 9; the paper says nothing, so None). block: how many images not yet fooled are gathered at
    the same v; their steps are found together and added up before the projection. 1 is the paper's algorithm.

    callback: called with a :class:`Pass` after each pass. checkpoint: a file that the state is kept in, after each pass
    and once a minute; a run with the same settings, images, held_out and network goes on from there, with a larger
    ``max_passes`` too.

    Raises ValueError for settings out of range, a checkpoint of another run or of an earlier version, or batches that
    change from pass to pass; TypeError for batches that can be gone through once only. Warns where ``eps`` covers all of
    [0, 1], and of images whose logits under v are not finite. Source: [moosavi2017], Algorithm 1; 10 steps of DeepFool
    and the target of 0.8 are those of its code, which has no pass limit in Python. In 2016 the code projected the 2-norm
    onto the sphere, and its MATLAB version let DeepFool take 100 steps (``max_iter``). Departures: ``block`` > 1,
    ``views`` and the sphere of the infinity norm are ours.
    """
    settings = Settings(num_classes, overshoot, max_iter, linearise=linearise)
    eps = checks.radius(eps)
    if norm not in (2, math.inf):
        raise ValueError(f"norm must be 2 or inf to project onto its ball, got {norm!r}")
    target_rate = checks.in_range(target_rate, 0, 1, "target_rate", open_low=True)
    max_passes = checks.count(max_passes, "max_passes")
    checks.one_of(keep, ("last", "best"), "choice of keep")
    checks.one_of(projection, ("ball", "sphere"), "projection")
    made_by = {
        "method": "uap",
        **fitted_on(model, x),
        "seed": checks.seed(seed),
        "block": checks.count(block, "block"),
        "discard_from": None if discard_from is None else checks.count(discard_from, "discard_from"),
        **{name: getattr(settings, name) for name in ("num_classes", "overshoot", "max_iter", "linearise")},
        "projection": projection,
        "views": None if views is None else repr(views),
    }
    fit, held = Labelled(model, x), None if held_out is None else Labelled(model, held_out, "held_out")
    made_by["n_fit"] = fit.n
    path = None if checkpoint is None else Path(checkpoint)
    sweep = _Sweep(fit, held, settings, float(norm), eps, made_by, path, views)
    state = sweep.start()
    warn_of_size(eps, norm, state.v.shape)
    while not (end := _end(state, target_rate, max_passes)):
        sweep(state)
        state.rates.append(fit.rate(state.v))
        if held is not None:
            state.held_out.append(held.rate(state.v))
        state.course.append(_stand(state, norm, eps))
        if state.rates[-1] > max(state.rates[:-1], default=-1.0):
            state.best = state.v
        state.stalled, state.moved = not state.moved and views is None, False
        state.batch, state.place = 0, 0
        sweep.save(state)
        if callback is not None:
            held_out_rate = state.held_out[-1] if held is not None else None
            callback(Pass(len(state.rates), state.rates[-1], held_out_rate, state.steps, state.v))
    kept = state.rates.index(max(state.rates)) if keep == "best" else len(state.rates) - 1
    made_by |= {
        "kept_pass": kept + 1,
        "target_rate": target_rate,
        "end": end,
        "n_passes": len(state.rates),
        "steps": state.steps,
        "gradients": state.gradients,
        "failures": state.failures,
        "fooling_rate_fit": state.rates[kept],
        "course": state.course,
    }
    if held is not None:
        made_by["held_out_rates"] = state.held_out
    return Perturbation(state.best if keep == "best" else state.v, eps, norm, made_by, tuple(state.rates))


def _stand(state: _State, norm: float, eps: float) -> dict[str, float]:
    """What v is after a pass; see :func:`uap`."""
    stand = {"steps": state.steps, "way": state.way, "l2_norm": float(lp_norm(state.v, 2))}
    stand["gradients"] = state.gradients
    if norm == math.inf:
        stand["saturated"] = float((state.v.abs() >= 0.9 * eps).double().mean())
    return stand


def _end(state: _State, target_rate: float, max_passes: int) -> str:
    """How the run has ended, "" if it has not; only between passes, where the last rate is that of v."""
    if not state.rates or state.batch or state.place:
        return ""
    if state.rates[-1] >= target_rate:
        return "reached"
    return "stalled" if state.stalled else "pass limit" if len(state.rates) >= max_passes else ""


@dataclass
class _Sweep:
    """One pass through the images, from wherever the state stands."""

    fit: Labelled
    held: Labelled | None
    settings: Settings
    norm: float
    eps: float
    made_by: dict[str, Any]
    path: Path | None
    views: View | None = None
    saved: float = field(default_factory=time.monotonic)

    def __call__(self, state: _State) -> None:
        number = len(state.rates) + 1
        with Bar(total=self.fit.n, desc=f"uap, pass {number}", unit="image") as bar:
            for i, (batch, clean) in enumerate(zip(self.fit, self.fit.clean, strict=True)):
                if i >= state.batch:
                    draw = generator(self.made_by["seed"], f"uap/pass{number}/batch{i}")
                    order = torch.randperm(len(batch), generator=draw, device="cpu").to(batch.device)
                    if self.views is not None:
                        batch = viewed(self.views, batch, self.made_by["seed"], f"uap/pass{number}/views{i}")
                        clean = self.fit.labels(batch)
                    self._through(state, batch, clean, order, bar)
                    state.batch, state.place = i + 1, 0
                bar.n = sum(map(len, self.fit.clean[: i + 1]))

    def _through(self, state: _State, x: Tensor, clean: Tensor, order: Tensor, bar: Bar) -> None:
        start = state.place
        while state.place < len(order):
            found = self._not_fooled(state, x, clean, order)
            if len(found):
                self._step(state, x[found], clean[found])
            bar.update(state.place - start)
            start = state.place
            if time.monotonic() - self.saved > SAVE_EVERY:
                self.save(state)

    def _not_fooled(self, state: _State, x: Tensor, clean: Tensor, order: Tensor) -> Tensor:
        """The next ``block`` images, in their order, that v does not fool, fewer at the end; moves the place behind them.

        v stays the same until the next of them, so the images up to there may be looked at together: as many as should
        hold those that are missing. What lies behind them is looked at again, under the v of then.
        """
        block, found = self.made_by["block"], order[:0]
        while len(found) < block and state.place < len(order):
            missing = block - len(found)
            look = min(math.ceil(missing / max(state.unfooled, 1e-3)), batch_for(x))
            window = order[state.place : state.place + look]
            fooled, _ = self.fit.fooled(x[window], clean[window], state.v)
            places = (~fooled).nonzero()[:missing, 0]
            seen = int(places[-1]) + 1 if len(places) == missing else len(window)
            found, state.place = torch.cat([found, window[places]]), state.place + seen
            weight = 0.9**seen
            state.unfooled = weight * state.unfooled + (1 - weight) * len(places) / seen
        return found

    def _step(self, state: _State, x: Tensor, clean: Tensor) -> None:
        result = walk(self.fit.model, x + state.v, self.settings, away=clean)
        state.gradients += int(result.gradients.sum())
        used = result.success & (result.n_iter < (self.made_by["discard_from"] or math.inf))
        state.failures += int((~used).sum())
        used &= result.n_iter > 0
        if bool(used.any()):
            v = project(state.v + result.r[used].sum(0), self.norm, self.eps, self.made_by["projection"])
            state.moved |= not torch.equal(v, state.v)
            state.v, state.steps = v, state.steps + int(used.sum())
            state.way += float(result.r[used].flatten(1).double().norm(dim=1).sum())

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What two runs must share to be one: the settings, the images, the network and what it makes of them."""
        labels = torch.cat(self.fit.clean).cpu().numpy().tobytes()
        return {
            **self.made_by,
            "norm": plain(self.norm),
            "eps": self.eps,
            "clean labels": hashlib.sha256(labels).hexdigest(),
            "pixels": self.fit.sha256,
            "weights": self.fit.network_sha256(),
            "held_out": None if self.held is None else self.held.sha256,
        }

    def start(self) -> _State:
        """A new state, or the one that the checkpoint holds."""
        first = next(iter(self.fit))
        if self.path is not None and self.path.is_dir():
            raise IsADirectoryError(f"checkpoint must be a file, {self.path.name} is a folder")
        if self.path is None or not self.path.exists():
            return _State(torch.zeros_like(first[0]), torch.zeros_like(first[0]))
        v, best, rest = read_state(self.path, self.identity)
        return _State(v.to(first), best.to(first), **rest)

    def save(self, state: _State) -> None:
        """Keep the state, whole or not at all."""
        self.saved = time.monotonic()
        if self.path is not None:
            rest = {name: value for name, value in vars(state).items() if name not in ("v", "best")}
            write_state(self.path, self.identity, state.v, state.best, rest)
