"""What a network answers with, as its user says, and the logits that follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uapkit import gate
from uapkit.models.layers import current_run

OUTPUTS = ("logits", "probabilities", "binary")
SUMS = 0.01  # how far rows of probabilities may sum from 1; rounding to 16 bits stays below


def check_outputs(net: nn.Module, x: Tensor, output: Tensor, outputs: str, name: str) -> None:
    """ValueError where ``output``, the answer of ``net`` at ``x``, is surely not what ``outputs`` says."""
    if outputs == "probabilities":
        if (wrong := _no_probabilities(output.detach())) is not None:
            raise ValueError(
                f'{name} has outputs="probabilities" but {wrong}; give the outputs that it has (logits or their '
                "log-softmax are logits), or a module that ends in a softmax"
            )
        return
    run = current_run.set(None)  # no layer's hook counts this call
    try:
        with (
            torch.random.fork_rng([x.device] if x.is_cuda else []),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            one = net(x[:1].detach().clone().requires_grad_().clone())  # no leaf: it may be changed in place
    finally:
        current_run.reset(run)
    if type(gate.logits_of(one, name).grad_fn).__name__.startswith("Sigmoid"):
        raise ValueError(
            f'{name} has outputs="binary", one logit an image, but returns the probabilities of a sigmoid; give '
            'the module before it, or outputs="probabilities"'
        )


def _no_probabilities(output: Tensor) -> str | None:
    """What an answer has that probabilities (n, classes), (n,) or (n, 1) have not; None if nothing, as for NaN."""
    low, high = output.min(), output.max()
    if bool(low < 0):
        return f"returns {float(low):.4g}, which is negative"
    if output.ndim == 1 or output.shape[1:] == (1,):
        return f"returns {float(high):.4g}, which is above 1" if bool(high > 1) else None
    sums = output.double().sum(1)
    off = sums[(sums - 1).abs() > SUMS]
    return f"a row of what it returns sums to {float(off[0]):.4g}, not to 1" if output.ndim == 2 and len(off) else None


def as_logits(output: Tensor, outputs: str, name: str) -> Tensor:
    """Logits (n, classes) from probabilities (n, classes) or, as for one binary logit or probability, from (n,), (n, 1)."""
    single = output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)
    if outputs == "binary" and not single:
        raise ValueError(f'{name} has outputs="binary" but returns {tuple(output.shape)}, not one logit an image')
    tiny = torch.finfo(output.dtype).tiny
    if single:
        p = output.reshape(-1, 1)
        if outputs == "binary":
            return torch.cat([torch.zeros_like(p), p], 1)
        return torch.cat([1 - p, p], 1).clamp_min(tiny).log()
    return output.clamp_min(tiny).log()
