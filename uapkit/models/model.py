"""A network from pixels to logits whose layers have names."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from uapkit import checks, gate, probe, provenance
from uapkit.data.images import Images, as_tensor
from uapkit.models.card import Card, state_sha256
from uapkit.models.layers import Tapped, Truncated, current_run, first_tensor
from uapkit.models.names import KINDS, aliases_of, kind_of
from uapkit.models.outputs import OUTPUTS, as_logits, check_outputs

LOGITS = "logits"


class Model(nn.Module):
    """A classifier: pixels in [0, 1], (n, c, h, w), to logits (n, classes); normalisation happens inside.

    The network is put in eval mode and frozen (no parameter asks for its gradient; ``requires_grad_(True)`` to train it).

    net: the module behind the normalisation. mean, std: one number a channel (or one for all), in units of pixels in
    [0, 1]: ``net`` sees ``(x - mean) / std``. Caffe's ``x * 255 - m`` is mean = m/255, std = 1/255. bounds: smallest
    and largest pixel. classes: the labels' names. input_size: (c, h, w) or None if unknown. card: see :class:`Card`.
    outputs: what ``net`` answers with: "logits" (also as ``.logits`` of an object, or in a tuple or mapping where one
    reading fits); "probabilities" (their logarithm is taken; one that has rounded to 0 has no gradient left; none may be
    negative and rows must sum to 1 within 0.01, one an image must lie in [0, 1]); "binary", one logit for class 1 against
    class 0, of which two are made. The first answer is looked at.

    Raises ValueError for a std that is not positive, empty bounds, images of another number of channels, or answers that
    are not what ``outputs`` says: at the first call.
    """

    derived = ("_order", "_tried")  # attributes that follow from the others, or change no answer
    turns_dtype = True  # images of any floating type are taken: the network's own comes behind the normalisation

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: float | Sequence[float] | Tensor | None = None,
        std: float | Sequence[float] | Tensor | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        classes: Iterable[str] | None = None,
        input_size: Sequence[int] | None = None,
        name: str | None = None,
        card: Card | None = None,
        outputs: str = "logits",
    ) -> None:
        super().__init__()
        net = gate.unwrapped(net)
        if not isinstance(net, nn.Module):
            raise TypeError(
                f"a model is made from a torch.nn.Module, got {type(net).__name__}; put a function in a module"
            )
        low, high = checks.bounds(bounds)
        self.net = net
        self.mean: Tensor
        self.std: Tensor
        mean_, std_ = (
            _per_channel(0.0 if mean is None else mean, "mean"),
            _per_channel(1.0 if std is None else std, "std"),
        )
        if not bool((std_ > 0).all()):
            raise ValueError(f"std must be positive in every channel, got {std!r}")
        if float(mean_.max()) > max(1.0, high):
            warnings.warn(
                f"mean = {float(mean_.max()):g} lies outside the pixels, [{low:g}, {high:g}]; on the scale of 0 to 255 "
                f"divide mean and std by 255",
                stacklevel=3,
            )
        if mean_.numel() > 1 and std_.numel() > 1 and mean_.numel() != std_.numel():
            raise ValueError(
                f"mean has {mean_.numel()} channels and std {std_.numel()}; give one number a channel in both"
            )
        device = gate.device_of(net) or mean_.device
        with torch.inference_mode(False):
            self.register_buffer("mean", mean_.to(device, torch.float32).clone(), persistent=False)
            self.register_buffer("std", std_.to(device, torch.float32).clone(), persistent=False)
        self.bounds = (low, high)
        self.classes: tuple[str, ...] = tuple(classes or ())
        self.input_size: tuple[int, int, int] | None = _size(input_size)
        self.outputs = checks.one_of(outputs, OUTPUTS, "kind of outputs")
        self.compiled = any("_orig_mod" in m._modules for m in net.modules())  # parts; the whole was unwrapped above
        self.name: str = name or str(
            getattr(net, "original_name", type(net).__name__)
        )  # a scripted module tells its class
        self.aliases = aliases_of(net)
        self.channels_last = False  # whether labels may be computed in this layout; see evaluate
        self.card = replace(
            card or Card(name=self.name, architecture=type(net).__name__),
            input_size=self.input_size,
            mean=tuple(mean_.flatten().tolist()),
            std=tuple(std_.flatten().tolist()),
        )
        self._order: list[tuple[str, str]] | None = None
        self._tried = self.outputs == "logits"  # has an answer been what ``outputs`` says
        with gate.eval_as_it_is(net):
            self.eval()
        gate.no_inference_parameters(self)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of pixels (n, c, h, w)."""
        channels = max(self.mean.numel(), self.std.numel(), self.input_size[0] if self.input_size else 1)
        known = channels > 1 or self.input_size is not None
        if known and x.shape[-3] != channels:  # broadcasting would turn grey images into colour ones, silently
            raise ValueError(f"{self.name} takes images of {channels} channels, got shape {tuple(x.shape)}")
        x = (x - self.mean) / self.std
        dtype = gate.dtype_of(self.net)
        x = x if dtype in (None, x.dtype) else x.to(dtype)
        with gate.eager(self.compiled):
            output = gate.logits_of(self.net(x), self.name)
            if not self._tried and len(x) and not torch.compiler.is_compiling():
                check_outputs(self.net, x, output, self.outputs, self.name)
                self._tried = True
        return output if self.outputs == "logits" else as_logits(output, self.outputs, self.name)

    def layers(self, kind: str | Sequence[str] | None = None) -> list[str]:
        """Names that ``layer=`` takes, in the order in which the layers finish.

        Every module has its name in the network (``features.5``, ``layer1.0``), blocks as well as their parts; the
        second call of a shared module is ``layer1.0.relu:2``. The papers' names follow the module they stand for; the
        last name is ``"logits"``. Functional operations (``F.relu``, ``+``) have no name. With ``kind`` (one or several
        of ``"conv"``, ``"activation"``, ``"pool"``, ``"linear"``, ``"norm"``, ``"block"``, ``"other"``): each such
        module once an output, under its own name only. The order comes from one run on a blank image of ``input_size``;
        without ``input_size`` the modules are listed as they were defined, once each.
        """
        if kind is not None:
            kinds = [kind] if isinstance(kind, str) else list(kind)
            for k in kinds:
                checks.one_of(k, [*KINDS, "block", "other"], "kind of layer")
            return [name for name, k in self._outputs() if k in kinds]
        of: dict[str, list[str]] = {}
        for alias, name in self.aliases.items():
            if alias != name:
                of.setdefault(name, []).append(alias)
        names = [n for name, _ in self._outputs() for n in (name, *of.get(name, ()))]
        return names if LOGITS in names else [*names, LOGITS]

    def _outputs(self) -> list[tuple[str, str]]:
        """(name, kind) of every output of a module, in order."""
        if self._order is None:
            modules = [(name, module) for name, module in self.net.named_modules() if name]
            if self.input_size is None:
                return [(name, kind_of(module)) for name, module in modules]
            self._order = self._dry_run(modules)
        return self._order

    @torch.no_grad()
    def _dry_run(self, modules: list[tuple[str, nn.Module]]) -> list[tuple[str, str]]:
        assert self.input_size is not None
        calls: Counter[str] = Counter()
        order: list[tuple[str, str]] = []

        run = object()

        def note(name: str, kind: str) -> Callable:
            def hook(module: nn.Module, args: tuple, output: object) -> None:
                if current_run.get() is not run:
                    return
                calls[name] += 1
                if first_tensor(output) is not None:
                    order.append((name if calls[name] == 1 else f"{name}:{calls[name]}", kind))

            return hook

        handles = [module.register_forward_hook(note(name, kind_of(module))) for name, module in modules]
        token = current_run.set(run)
        try:
            blank = torch.zeros(1, *self.input_size, device=self.mean.device, dtype=self.mean.dtype)
            probe.called(self, blank, self.name)
        finally:
            current_run.reset(token)
            for handle in handles:
                handle.remove()
        return order

    def until(self, layer: str) -> Truncated:
        """The network up to ``layer``, a callable from images (n, c, h, w) to (n, ...); nothing past it is computed.

        layer: a name of :meth:`layers`. Raises ValueError with the nearest names for another one.
        """
        if not isinstance(layer, str):
            raise TypeError(f"a layer is named by a text, such as {LOGITS!r}, got {type(layer).__name__}")
        name = self.aliases.get(layer, layer)
        base, _, call = name.rpartition(":")
        base, k = (base, int(call)) if base and call.isdigit() else (name, 1)
        modules = dict(self.net.named_modules())
        static = self.input_size is None and base in modules and base
        if not static and name not in (known := self.layers()):
            checks.one_of(layer, known, f"layer of {self.name}", "layers() lists all of them")
        return Truncated(self, layer, modules.get(base) if base else None, k)

    def several(self, layers: Sequence[str]) -> Tapped:
        """The network up to the last of some layers: a callable from images (n, c, h, w) to the tuple of their outputs.

        One pass gives all that :meth:`until` would give in as many. Raises as :meth:`until`.
        """
        return Tapped(self, layers)

    def to(self, *args: Any, **kwargs: Any) -> Model:
        """As ``torch.nn.Module.to``; ValueError for a device that this machine does not have."""
        for where in (*args[:1], kwargs.get("device")):
            if isinstance(where, str | torch.device):
                checks.device(where)
        return super().to(*args, **kwargs)

    @torch.no_grad()
    def predict(self, x: Tensor | Images, batch_size: int = 64) -> Tensor:
        """Predicted labels (n,), int64, on the device of ``x``. ValueError for logits that are not finite."""
        pixels = as_tensor(x)
        use = gate.admit(self, pixels)
        batches = pixels.split(checks.count(batch_size, "batch_size"))
        found = [checks.logits(use(batch.to(self.mean.device))).argmax(1) for batch in batches]
        return torch.cat(found).to(pixels.device)

    def extra_repr(self) -> str:
        """Name and weights, for ``print``."""
        return f"{self.name}[{self.card.weights}]"


def wrap(
    module: nn.Module,
    mean: float | Sequence[float] | Tensor | None = None,
    std: float | Sequence[float] | Tensor | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    classes: Iterable[str] | None = None,
    input_size: Sequence[int] | None = None,
    name: str | None = None,
    outputs: str = "logits",
    trust: Sequence[str] = (),
) -> Model:
    """Anyone's module from normalised images to logits as a :class:`Model`; not copied, but put in eval mode and frozen.

    Arguments and errors are those of :class:`Model`. ``input_size`` makes ``layers()`` list names in execution order.
    Of a module made by ``torch.compile`` the one inside is taken, whose numbers are the same. trust: checks left out for
    this network, see :func:`uapkit.models.trust`; all are made at its first use.
    """
    model = Model(
        module, mean=mean, std=std, bounds=bounds, classes=classes, input_size=input_size, name=name, outputs=outputs
    )
    gate.trust(model, *trust)
    model.card = replace(
        model.card,
        weights="wrapped",
        source="a module of the user's",
        sha256=state_sha256(model.net.state_dict()),
    )
    provenance.note_input(f"{model.name}[wrapped]", model.card.sha256)
    return model


def _per_channel(value: float | Sequence[float] | Tensor, name: str) -> Tensor:
    what = "one number or one a channel"
    if isinstance(value, Tensor):
        checks.tensor(value, name, what)
    try:
        numbers = torch.as_tensor(value, dtype=torch.float64, device="cpu").detach().clone()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{name} must be {what}, got {value!r}") from None
    if numbers.ndim > 1 and numbers.numel() != max(numbers.shape):
        raise ValueError(f"{name} must be {what}, got shape {tuple(numbers.shape)}")
    if not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return numbers.reshape(-1, 1, 1)


def _size(input_size: Sequence[int] | None) -> tuple[int, int, int] | None:
    if input_size is None:
        return None
    if not isinstance(input_size, Iterable) or len(tuple(input_size)) != 3:
        raise ValueError(f"input_size must be (c, h, w), got {input_size!r}")
    c, h, w = (checks.count(side, "input_size") for side in input_size)
    return c, h, w
