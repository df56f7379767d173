"""One gate for networks: what every method here takes for granted is looked at once a network, and remembered.

A network is *a fixed function from each image to its logits, whose gradient reaches the image*. One that is not gives
wrong numbers without a word. :func:`admit` is called by everything that takes a network. Where one reading fits it
adapts (an object with ``.logits``, another dtype or device); otherwise it refuses in one sentence. What it has found is
kept as long as the network lives, and looked at anew once a parameter, a buffer or a mode changes.
:func:`trust` switches off a check.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from uapkit import checks, probe

Network = Callable[[Tensor], Tensor]
COARSE = (torch.float16, torch.bfloat16)
CHECKS = {
    "fixed": "two equal calls agree",
    "alone": "an image alone gets what it gets in a batch",
    "logits": "rows are logits, not probabilities",
    "gradient": "the gradient is the derivative",
    "precision": "it computes in 32 bits or more",
}


class _Weakly:
    """A value for each object, by identity, for as long as the object lives; anything else is not remembered."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref, Any]] = {}

    def _forget(self, key: int, _: Any) -> None:
        self._kept.pop(key, None)

    def of(self, thing: Any, make: Callable[[], Any]) -> Any:
        """What is kept for ``thing``, made now if there is nothing."""
        method = getattr(thing, "__func__", None)
        owner = (
            getattr(thing, "__self__", thing) if method is not None else thing
        )  # a bound method is made anew each time
        entry = self._kept.get(id(owner))
        if entry is None or entry[0]() is not owner:
            try:
                entry = (weakref.ref(owner, partial(self._forget, id(owner))), {})
            except TypeError:
                return make()
            self._kept[id(owner)] = entry
        kept: dict[Any, Any] = entry[1]
        return kept.setdefault(method, make())


_passed, _trusted = _Weakly(), _Weakly()


def trust(network: Network, *known: str) -> Network:
    """The network itself; the checks named in ``known`` are left out for it from now on: you know what you do.

    known: names of :data:`CHECKS`: ``"fixed"`` (two equal calls agree), ``"alone"`` (an image alone gets what it gets in
    a batch), ``"logits"`` (rows are logits, not probabilities), ``"gradient"`` (the gradient is the derivative),
    ``"precision"`` (32 bits or more). Results are then as good as what you know. ValueError for another name.
    """
    for name in known:
        checks.one_of(name, CHECKS, "check")
    _trusted.of(network, set).update(known)
    return network


def trusted(network: Network) -> set[str]:
    """The checks that :func:`trust` has switched off for the network."""
    return _trusted.of(network, set)


@torch.inference_mode(False)
def admit(network: Any, x: Tensor, *, gradient: bool = False, logits: bool | None = None, whole: bool = True) -> Any:
    """The network as a function from images like ``x`` (n, c, h, w) to logits (n, classes): itself where it is one.

    gradient: it is to be differentiated; its logits then have the images' dtype and device. logits: probabilities will
    not do (None: as ``gradient``). whole=False: it may return anything (n, ...), for the layers of an operator. Raises
    ValueError in one sentence for a network that is not what it is taken for, TypeError for what is no network.
    """
    network = unwrapped(network)
    wanted = ["fixed", "alone"] + ["gradient"] * gradient
    if whole:
        wanted += ["logits"] * (gradient if logits is None else logits) + ["precision"] * gradient
    use: Any = Adapted(network, x, gradient) if whole else network
    own = owner(network)  # a layer's function is remembered with its network
    layer = getattr(network, "layer", getattr(network, "layers", None)) if own is not network else None
    known, state = _passed.of(own, dict), _state(own)
    if known.get("state") != state:
        known.clear()
        known["state"] = state
    seen = known.setdefault((tuple(x.shape[1:]), x.dtype, x.device, whole, layer), {})
    if gradient:
        no_inference_parameters(own)
    if (device := device_of(own)) is not None and device.type == "meta":
        raise ValueError(f"{name_of(own)} is on the device 'meta', where parameters have no numbers; load its weights")
    free = trusted(own) | (
        {"alone"} if "fixed" in trusted(own) else set()
    )  # noise differs from call to call, alone too
    todo = [c for c in wanted if c not in seen and c not in free]
    if todo or "plain" not in seen:
        name = name_of(network)
        if "precision" in todo and (dtype := dtype_of(network)) in COARSE:
            raise ValueError(
                f"{name} computes in {str(dtype)[6:]}, too coarse for its derivatives; attack network.float() and "
                f"score the result on this one{probe.say('precision')}"
            )
        probe.look(use, x, name, todo, whole)
        seen |= {"plain": getattr(use, "plain", True), **dict.fromkeys(todo, True)}
    return use if whole and (use.needed or not seen["plain"]) else network


def name_of(network: Any) -> str:
    """What to call a network in a sentence."""
    if (own := owner(network)) is not network:
        layers = [network.layer] if hasattr(network, "layer") else network.layers
        return f"layer {', '.join(map(repr, layers))} of {name_of(own)}"
    name = getattr(network, "name", None)
    return name if isinstance(name, str) and name else f"the network ({type(network).__name__})"


def owner(network: Any) -> Any:
    """The network that a layer's function of ours belongs to; anything else belongs to itself."""
    return network.model if getattr(network, "part_of_model", False) else network


@contextmanager
def eager(compiled: bool) -> Iterator[None]:
    """Compiled parts of a network run as they were written: their derivatives can be taken twice, their layers seen."""
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def unwrapped(network: Any) -> Any:
    """The module behind ``torch.compile``, whose numbers are the same; TypeError for what is no network."""
    if isinstance(network, nn.Module) and isinstance(inner := getattr(network, "_orig_mod", None), nn.Module):
        return inner
    if isinstance(network, torch.export.ExportedProgram):
        raise TypeError("an exported program is no module; give its .module()")
    if isinstance(network, type):
        raise TypeError(
            f"a network is a torch.nn.Module or a function of images, got the class {network.__name__}; make one"
        )
    if not callable(network):
        raise TypeError(f"a network is a torch.nn.Module or a function of images, got {type(network).__name__}")
    return network


def dtype_of(network: Any) -> torch.dtype | None:
    """The dtype of a module's first floating parameter or buffer; None for a function, or a module with none."""
    return next((t.dtype for t in _tensors(network) if t.is_floating_point()), None)


def device_of(network: Any) -> torch.device | None:
    """The device of a module's first parameter or buffer; None for a function, or a module with none."""
    return next((t.device for t in _tensors(network)), None)


def no_inference_parameters(network: Any) -> None:
    """ValueError for parameters through which autograd cannot go."""
    if any(t.is_inference() for t in _tensors(network)):
        raise ValueError(
            f"the parameters of {name_of(network)} were made under torch.inference_mode, so nothing can be "
            "differentiated through them; build or load the network outside of it"
        )


def own(t: Tensor) -> Tensor:
    """``t`` without its history; a copy if it was made in inference mode, from which autograd takes nothing."""
    return t.clone() if t.is_inference() else t.detach()


@contextmanager
def eval_as_it_is(network: nn.Module) -> Iterator[None]:
    """Exported modules were put in one mode for good when they were exported, and refuse to be put in another."""
    try:
        yield
    except NotImplementedError:
        for part in network.modules():
            part.training = False


def _tensors(network: Any) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers()) if isinstance(network, nn.Module) else iter(())


def _state(network: Any) -> tuple:
    """Changes with every change of a parameter, a buffer or a mode that PyTorch notices, in a function's modules too."""
    parts = [network, getattr(network, "__self__", None), getattr(network, "func", None)]
    parts += [cell.cell_contents for cell in getattr(network, "__closure__", None) or () if _full(cell)]
    if not isinstance(network, nn.Module):
        parts += getattr(network, "__dict__", {}).values()
    modules = [m for m in parts if isinstance(m, nn.Module)]
    tensors = (t for m in modules for t in _tensors(m))
    told = ((t.data_ptr(), None if t.is_inference() else t._version, t.dtype, t.device) for t in tensors)
    return tuple(told), tuple(part.training for m in modules for part in m.modules())


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


class Adapted:
    """A network that answers with logits only, and takes the images' dtype and device; the rest is the network's own."""

    def __init__(self, network: Any, x: Tensor, gradient: bool) -> None:
        self.network, self.gradient = network, gradient
        own_inside = getattr(network, "turns_dtype", False)  # our Model does so itself, behind its normalisation
        dtype, device = dtype_of(network), device_of(network)
        self.dtype = x.dtype if own_inside or dtype is None else dtype
        self.device = x.device if device is None else device
        self.answer, self.plain = x.dtype, True
        self.needed = (self.dtype, self.device) != (x.dtype, x.device) or (
            own_inside and gradient and dtype not in (None, x.dtype)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (n, classes)."""
        output = self.network(x.to(self.device, self.dtype))
        self.plain &= isinstance(output, Tensor)
        logits = logits_of(output, name_of(self.network))
        if self.gradient and logits.is_floating_point():
            return logits.to(x.device, self.answer)
        return logits.float() if logits.dtype in COARSE else logits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


def logits_of(output: Any, name: str = "the network") -> Tensor:
    """The logits in what a network returns: a tensor, or the one reading of an object, mapping, tuple or list.

    ``.logits`` or ``["logits"]`` come first, as the transformers library and torchvision's Inception name them; else the
    only floating matrix (n, classes) among the parts. Raises TypeError where none or several could be meant.
    """
    if isinstance(output, Tensor):
        return output
    parts = _parts(output)
    if isinstance(parts.get("logits"), Tensor):
        return parts["logits"]
    fit = [k for k, t in parts.items() if isinstance(t, Tensor) and t.ndim == 2 and t.is_floating_point()]
    if len(fit) == 1:
        return parts[fit[0]]
    found = ", ".join(f"{k}: {tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__}" for k, t in parts.items())
    raise TypeError(
        f"{name} must return logits (n, classes), got {type(output).__name__}"
        + (f" with {found}, of which {len(fit)} could be logits" if found else "")
        + "; give a module that returns the logits alone"
    )


def _parts(output: Any) -> dict[Any, Any]:
    if hasattr(output, "logits"):
        return {"logits": output.logits}
    if isinstance(output, Mapping):
        return dict(output)
    if hasattr(output, "_asdict"):
        return output._asdict()
    if is_dataclass(output) and not isinstance(output, type):
        return {f.name: getattr(output, f.name) for f in fields(output)}
    return dict(enumerate(output)) if isinstance(output, (tuple, list)) else {}
