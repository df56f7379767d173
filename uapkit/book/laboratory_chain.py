"""A digit network as the laboratory's page runs it: a chain of simple layers and one run of float32 weights."""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor, nn

from uapkit.models.model import LOGITS, Model
from uapkit.models.nets.gcnn import P4ConvP4, P4ConvZ2, P4MaxPool

Op = dict[str, Any]


def floats(x: Tensor) -> str:
    """Entries as base64 of little-endian float32."""
    return base64.b64encode(x.detach().float().contiguous().numpy().astype("<f4").tobytes()).decode()


def chain(model: Model) -> dict[str, Any]:
    """name, mean, std, ops, layers (name -> index of its last op) and weights (base64) of a chain of layers.

    ops: conv {co, k, pad}, linear {out}, relu, pool (2 x 2), flatten; the weights stand in their order, a kernel (co, ci,
    k, k) or matrix (out, in) before its bias. A p4 convolution becomes the planar one it is: a channel for each of the
    four rotations. layers: the network's own parts and "logits". Raises ValueError for any other kind of layer.
    """
    ops: list[Op] = []
    weights: list[Tensor] = []
    last: dict[str, int] = {}
    for name, module in model.net.named_modules():
        if any(True for _ in module.children()) or not name:
            continue
        made, own = _op(module, name, model.name)
        if made is not None:
            ops.append(made)
            weights += own
        last[name] = len(ops) - 1
    layers = {}
    for name, part in model.net.named_children():
        if not isinstance(part, nn.Flatten | nn.Dropout):
            layers[name] = max(i for leaf, i in last.items() if leaf == name or leaf.startswith(f"{name}."))
    final = list(layers)[-1]
    layers = {k: v for k, v in layers.items() if k != final} | {LOGITS: len(ops) - 1}
    flat = torch.cat([w.detach().flatten() for w in weights])
    return {
        "name": model.name,
        "mean": float(model.mean),
        "std": float(model.std),
        "ops": ops,
        "layers": layers,
        "weights": floats(flat),
    }


def _op(module: nn.Module, name: str, network: str) -> tuple[Op | None, list[Tensor]]:
    if isinstance(module, nn.Conv2d):
        k, pad = module.kernel_size[0], int(module.padding[0])
        assert module.bias is not None
        return {"op": "conv", "co": module.out_channels, "k": k, "pad": pad}, [module.weight, module.bias]
    if isinstance(module, P4ConvZ2 | P4ConvP4):
        bank = _bank(module)
        return {"op": "conv", "co": len(bank), "k": bank.shape[-1], "pad": 0}, [bank, module.bias.repeat_interleave(4)]
    if isinstance(module, nn.Linear):
        return {"op": "linear", "out": module.out_features}, [module.weight, module.bias]
    if isinstance(module, nn.ReLU):
        return {"op": "relu"}, []
    if isinstance(module, nn.MaxPool2d | P4MaxPool):
        return {"op": "pool"}, []
    if isinstance(module, nn.Flatten):
        return {"op": "flatten"}, []
    if isinstance(module, nn.Dropout):
        return None, []
    raise ValueError(
        f"the layer {name} of {network} is a {type(module).__name__}, which the laboratory's page cannot run"
    )


def _bank(module: P4ConvZ2 | P4ConvP4) -> Tensor:
    """(4 out, in, k, k) or (4 out, 4 in, k, k): the planar convolution that a p4 convolution is."""
    w = module.weight
    planar = isinstance(module, P4ConvZ2)
    turned = [torch.rot90(w if planar else w.roll(r, 2), r, (-2, -1)) for r in range(4)]
    return torch.stack([t if planar else t.flatten(1, 2) for t in turned], 1).flatten(0, 1)
