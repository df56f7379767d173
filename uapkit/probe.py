"""What the gate measures of a network: a few passes of two images, from which its answers are judged.

The two are the first of the images and one of fixed noise, so that no blank picture hides what the network does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from uapkit.seeds import generator

REPEATS = 8  # calls of a network that draws random numbers before it counts as fixed
STEPS = (1e-2, 3e-3, 1e-3, 1e-4)  # of finite differences, in units of the pixels
SMALL_STEPS = (3e-5, 1e-5, 1e-6)  # for many kinks close by; where rounding allows them
DIRECTIONS = 2
PROBABLY = 1e-4  # rows whose entries lie in [0, 1] and sum to 1 this closely are probabilities


def look(fn: Callable[[Tensor], Any], x: Tensor, name: str, todo: Sequence[str], logits: bool = True) -> None:
    """Raise ValueError in one sentence unless ``fn`` passes the checks ``todo``, and returns logits if it has to."""
    pair = pair_of(x)
    with torch.no_grad(), _generators_kept(x.device):
        before = _generators(x.device)
        kept = pair.clone()
        first = called(fn, pair, name)
        if "fixed" in todo and not torch.equal(pair, kept):
            raise ValueError(
                f"{name} changes the images that it is given (an operation in place at its start?); let it work on a copy"
                f"{say('fixed')}"
            )
        drew = _generators(x.device) != before
        tensors = [matrix(first, len(pair), name)] if logits else _tensors(first)
        if any(t.ndim == 0 or len(t) != len(pair) for t in tensors):
            return  # no layer: its operator says so
        if "fixed" in todo:
            gap = max(_gap(tensors, _tensors(called(fn, pair, name))) for _ in range(REPEATS if drew else 1))
            if gap > _tolerance(tensors, equal=True):
                raise ValueError(
                    f"{name} is no fixed function of its images: two equal calls differ {_by(gap)} "
                    "(dropout called as a function, noise or a random crop inside forward?); make it "
                    f"deterministic{say('fixed')}"
                )
        if "alone" in todo:
            single = [_tensors(called(fn, pair[i : i + 1], name)) for i in range(len(pair))]
            gap = max(_gap([t[i : i + 1] for t in tensors], one) for i, one in enumerate(single))
            if gap > _tolerance(tensors, equal=False):
                raise ValueError(
                    f"{name} gives an image alone another answer than in a batch, {_by(gap)} "
                    "(batch normalisation in training mode, a mean over the batch?); make it see one image at a time"
                    f"{say('alone')}"
                )
    if "logits" in todo:
        _no_probabilities(fn, tensors[0], pair, name)
    if "gradient" in todo:
        reaches(fn, pair, name, constant=not logits)


def pair_of(x: Tensor) -> Tensor:
    """(2, c, h, w): the first image and one of fixed noise in [0, 1], clearly darker or brighter."""
    noise = torch.rand(x.shape[1:], generator=generator(0, "gate"), dtype=torch.float32, device="cpu").to(x)
    return torch.stack([x[0].detach().clone(), noise / 4 if float(x[0].detach().mean()) > 0.3 else noise])


def called(fn: Callable[[Tensor], Any], x: Tensor, name: str) -> Any:
    """``fn(x)``; what a foreign forward stumbles over becomes a ValueError in one sentence."""
    try:
        return fn(x)
    except (torch.OutOfMemoryError, ValueError):
        raise
    except TypeError as error:
        if "forward()" in str(error) or "argument" in str(error):
            raise TypeError(f"{name} cannot be called with images alone: {_line(error)}") from error
        raise
    except (RuntimeError, AssertionError, IndexError, KeyError, AttributeError) as error:
        about = f"{len(x)} images {tuple(x.shape[1:])}, {str(x.dtype)[6:]}, on {x.device}"
        raise ValueError(f"{name} cannot take {about}: {_line(error)}") from error


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    skip = ("The following operation failed", "Traceback", "File ")
    return next((line for line in reversed(lines) if not line.startswith(skip)), type(error).__name__)[:300]


def matrix(logits: Tensor, n: int, name: str) -> Tensor:
    """``logits`` if they are (n, classes) of two classes or more, floating; one sentence otherwise."""
    shape = tuple(logits.shape)
    if logits.layout is not torch.strided:
        raise TypeError(f"{name} must return logits (n, classes), dense, got {str(logits.layout)[6:]} {shape}")
    if logits.is_complex() or not logits.is_floating_point():
        raise TypeError(f"{name} must return logits (n, classes), floating, got {str(logits.dtype)[6:]} {shape}")
    if shape in ((n,), (n, 1)):
        raise ValueError(
            f"{name} returns one logit an image, shape {shape}, but labels need two classes or more; "
            'models.wrap(network, outputs="binary") reads it as the logit of class 1 against class 0'
        )
    if logits.ndim != 2 or len(logits) != n:
        raise ValueError(f"{name} must return logits (n, classes), here ({n}, ...), got {shape}")
    if shape[1] < 2:
        raise ValueError(f"{name} must return logits (n, classes) of two classes or more, got {shape}")
    return logits


def _no_probabilities(fn: Callable[[Tensor], Tensor], logits: Tensor, pair: Tensor, name: str) -> None:
    rows = logits.double()
    sums = bool((rows.sum(1) - 1).abs().max() < PROBABLY) and bool((rows >= 0).all())
    with torch.enable_grad():
        made_by = type(called(fn, pair.clone().requires_grad_(), name).grad_fn).__name__
    if (sums and not bool(((rows == 0) | (rows == 1)).all())) or made_by.startswith(("Softmax", "Sigmoid")):
        which = "a sigmoid" if made_by.startswith("Sigmoid") else "a softmax"
        raise ValueError(
            f"{name} returns probabilities (the rows are those of {which}), whose gradients vanish; give the module "
            f'before it, or models.wrap(network, outputs="probabilities") takes the logarithm{say("logits")}'
        )


def reaches(fn: Callable[[Tensor], Tensor], x: Tensor, name: str, constant: bool = False) -> None:
    """ValueError unless the gradient of a random functional of ``fn`` at ``x`` is its derivative by finite differences.

    A gradient of zero passes where nothing changes with the image either. constant: so does a function whose answer is
    always the same, of which autograd knows no gradient at all. What the network draws it draws alike in every call, so
    that noise that its user knows of does not count as a difference.
    """
    with _generators_kept(x.device):
        _reaches(fn, x, name, constant)


def _alike(fn: Callable[[Tensor], Tensor], x: Tensor, name: str) -> Tensor:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    return called(fn, x, name)


def _reaches(fn: Callable[[Tensor], Tensor], x: Tensor, name: str, constant: bool) -> None:
    rng = generator(0, "gradient")
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_(True)
        y = _alike(fn, leaf, name)
        if not bool(torch.isfinite(y).all()):
            raise ValueError(
                f"{name} returns values that are not finite (NaN or infinity; a masked class?), so nothing can be "
                f"differentiated; leave such outputs out{say('gradient')}"
            )
        if not y.requires_grad and not (constant and not _changes(fn, x, y, name)):
            raise ValueError(
                f"the gradient of {name} does not reach the image: autograd knows of no way from the one to the other (a "
                f"part under no_grad, detach, labels instead of logits?); let the gradient through{say('gradient')}"
            )
        w = torch.randn(y.shape, generator=rng, dtype=torch.float32, device="cpu").to(y)
        try:
            g = torch.autograd.grad(y, leaf, w, allow_unused=True)[0] if y.requires_grad else None
        except RuntimeError as error:
            raise ValueError(f"{name} cannot be differentiated: {_line(error)}") from error
    g = torch.zeros_like(x) if g is None else g
    if not bool(torch.isfinite(g).all()):
        return  # a kink of infinite slope at this very image; the methods leave such images out
    y = y.detach()
    size, spread = float(g.norm()), float((w * y).norm())
    eps = torch.finfo(y.dtype).eps
    with torch.no_grad():
        for _ in range(DIRECTIONS):
            v = torch.randn(x.shape, generator=rng, dtype=torch.float32, device="cpu").to(x).sign()
            slope = float((g * v).sum())
            found = math.nan
            for h in (*STEPS, *(h for h in SMALL_STEPS if 10 * eps * spread / h <= 0.1 * size)):
                up, down = _differences(fn, x, y, w, h * v, h, name)
                found = (up + down) / 2  # or one side alone: a kink may lie on the other
                gap = min(abs(d - slope) for d in (found, up, down))
                if gap <= 0.1 * size + 10 * eps * spread / h:
                    break
            else:
                if _jumps(fn, x, y, w, g, name):
                    return
                wrong = "zero" if size == 0 else f"{slope:.3g} along a direction"
                raise ValueError(
                    f"the gradient of {name} does not reach the image: it is {wrong} where differences give {found:.3g} "
                    "(a part under no_grad, detach, rounding, or a gradient of its own?); let the gradient through"
                    f"{say('gradient')}"
                )


@torch.no_grad()
def _changes(fn: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, name: str) -> bool:
    """Does anything change with the image? Of a constant the gradient is zero, and rightly so."""
    rng = generator(0, "changes")
    others = [torch.rand(x.shape, generator=rng, dtype=torch.float32, device="cpu").to(x) for _ in range(4)]
    return any(not torch.equal(_alike(fn, z, name), y) for z in (x.flip(0), 1 - x, torch.zeros_like(x), *others))


def _differences(
    fn: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, w: Tensor, step: Tensor, h: float, name: str
) -> tuple[float, float]:
    """The functional's differences per unit, forwards and backwards."""
    up, down = (float(((_alike(fn, x + s * step, name) - y) * w).sum()) * s / h for s in (1, -1))
    return up, down


def _jumps(fn: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, w: Tensor, g: Tensor, name: str) -> bool:
    """Does the gradient hold along its own few largest entries?

    A network with many jumps, such as RotEqNet, which takes the angle of the strongest response, crosses one at any step
    that moves all pixels; few pixels cross few. Only steps that rounding leaves meaning count.
    """
    spread, eps = float((w * y).norm()), torch.finfo(y.dtype).eps
    for count in (16, 4, 1):
        v = torch.zeros_like(g).flatten()
        top = g.flatten().abs().topk(min(count, g.numel())).indices
        v[top] = g.flatten()[top].sign()
        slope = float((g.flatten() * v).sum())
        for h in STEPS:
            if 10 * eps * spread / h <= 0.1 * slope:
                found = _differences(fn, x, y, w, h * v.view_as(g), h, name)
                if min(abs(d - slope) for d in found) <= 0.1 * slope:
                    return True
    return False


def say(check: str) -> str:
    """How a refusal ends: the way out for those who know."""
    return f"; if you know better, say models.trust(network, {check!r})"


def _tensors(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else [t for t in output if isinstance(t, Tensor)]


def _gap(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Largest difference, as a share of the largest modulus; infinite where shapes differ."""
    if [t.shape for t in a] != [t.shape for t in b]:
        return float("inf")
    gaps = [0.0]
    for s, t in zip(a, b, strict=True):
        s, t = s.double(), t.double()
        both = s.isfinite() & t.isfinite()
        if not torch.equal(s.isfinite(), t.isfinite()):
            return float("inf")
        scale = float(s[both].abs().amax()) if bool(both.any()) else 0.0
        gap = float((s - t)[both].abs().amax()) if scale else 0.0
        gaps.append(gap / scale if scale else 0.0)
    return max(gaps)


def _by(gap: float) -> str:
    return f"by {gap:.1%} of its largest output" if math.isfinite(gap) else "of another shape or not finite"


def _tolerance(tensors: Sequence[Tensor], equal: bool) -> float:
    """How far rounding can take two answers apart: larger for short numbers, and for a GPU's short products."""
    first = tensors[0]
    eps = max((torch.finfo(t.dtype).eps for t in tensors if t.is_floating_point()), default=1e-7)
    if first.device.type != "cpu":
        eps = max(eps, 1e-3)  # TF32 products
    return max(1e-5 if equal else 1e-3, eps if equal else eps**0.5)


def _generators(device: torch.device) -> tuple:
    gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.empty(0, device="cpu")
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - foreign code may draw from it
    return (
        torch.get_rng_state().numpy().tobytes(),
        gpu.numpy().tobytes(),
        random.getstate(),
        (kind, np.asarray(keys).tobytes(), *rest),
    )


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """Whatever a network draws here, the caller's generators stand where they stood."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
