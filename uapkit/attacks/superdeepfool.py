"""SuperDeepFool: DeepFool, then the part of its step that is normal to the boundary it met, again and again."""

from __future__ import annotations

import torch
from torch import Tensor

from uapkit import checks
from uapkit.attacks.base import batch_for, ready
from uapkit.attacks.deepfool import DeepFoolResult, Settings, answered, walk
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.gate import Network, own
from uapkit.progress import Bar


@torch.inference_mode(False)
def superdeepfool(
    model: Network,
    x: Tensor | Images,
    *,
    num_classes: int = 10,
    overshoot: float = 0.02,
    max_iter: int = 50,
    max_rounds: int = 10,
    batch_size: int | None = None,
) -> DeepFoolResult:
    """Shorter steps than DeepFool's that change the predicted labels, in the 2-norm.

    A round goes on with DeepFool until the label changes, takes the normal w of the boundary between the two classes
    there, and keeps of the whole step r only its part along w. The search ends for an image whose label is another
    after that projection; otherwise the next round starts there. x: (n, c, h, w) in [0, 1]. num_classes, overshoot,
    max_iter: of each :func:`~uapkit.attacks.deepfool`; max_rounds: at most so many rounds, 1 or more. batch_size:
    images at once.

    Returns the shortest step seen that changes the label, with n_iter and gradients (of one class's score, or of the
    difference of two) over all rounds. Nothing is clipped to [0, 1]. Raises ValueError for settings out of range.

    Source: [abdolahpourrostam2024], SDF(inf, 1). Departures: its rounds have no limit and it returns the last point,
    after a search along the segment to the image, for which there is ``refine`` of DeepFool.
    """
    x = own(pixels(x))
    settings = Settings(num_classes, overshoot, max_iter)
    rounds = checks.count(max_rounds, "max_rounds")
    size = batch_for(x, settings.num_classes) if batch_size is None else checks.count(batch_size, "batch_size")
    use = ready(model, x)
    parts = [
        _rounds(use, x[i : i + size], settings, rounds)
        for i in Bar(range(0, len(x), size), desc="SuperDeepFool", unit="batch")
    ]
    return DeepFoolResult(
        *(torch.cat([getattr(part, name) for part in parts]) for name in DeepFoolResult.__annotations__)
    )


@torch.no_grad()
def _rounds(model: Network, x: Tensor, settings: Settings, rounds: int) -> DeepFoolResult:
    first = walk(model, x, settings)
    shortest, adversarial = first.r.clone(), first.adversarial.clone()
    n_iter, gradients = first.n_iter.clone(), first.gradients.clone()
    alive = first.success.nonzero()[:, 0]  # those that go on, with their whole steps and where these lead
    step, there = first.r[alive], first.adversarial[alive]
    for number in range(rounds):
        if not len(alive):
            break
        step, moved = _normal_part(model, x[alive] + step, step, first.label[alive], there)
        gradients[alive] += 1
        alive, step = alive[moved], step[moved]
        if not len(alive):
            break
        logits = model(x[alive] + step)
        now = logits.argmax(1)
        crossed = (now != first.label[alive]) & answered(logits)
        _keep_shorter(shortest, adversarial, alive[crossed], step[crossed], now[crossed])
        alive, step = alive[~crossed], step[~crossed]
        if number == rounds - 1 or not len(alive):
            break
        more = walk(model, x[alive] + step, settings, away=first.label[alive])
        n_iter[alive] += more.n_iter
        gradients[alive] += more.gradients
        won = more.success
        alive, step, there = alive[won], (step + more.r)[won], more.adversarial[won]
        _keep_shorter(shortest, adversarial, alive, step, there)
    return DeepFoolResult(shortest, first.success, n_iter, first.label, adversarial, gradients)


def _normal_part(model: Network, point: Tensor, step: Tensor, label: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """(n, c, h, w) the projection of each step onto the gradient of score ``there`` minus score ``label``; where it has one."""
    with torch.enable_grad():
        point = point.detach().requires_grad_()
        scores = model(point)
        gap = scores.gather(1, there[:, None]) - scores.gather(1, label[:, None])
        (w,) = torch.autograd.grad(gap.sum(), point)
    w, flat = w.flatten(1).double(), step.flatten(1).double()
    square = (w * w).sum(1)
    along = (w * flat).sum(1) / square
    return (along[:, None] * w).to(step).view_as(step), (square > 0) & (along > 0)


def _keep_shorter(shortest: Tensor, adversarial: Tensor, who: Tensor, step: Tensor, label: Tensor) -> None:
    """Write down the steps of the images ``who`` that are shorter than what they had."""
    better = step.flatten(1).norm(dim=1) < shortest[who].flatten(1).norm(dim=1)
    shortest[who[better]], adversarial[who[better]] = step[better], label[better]
