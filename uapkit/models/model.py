"""A network from pixels to logits whose layers have names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import replace

import torch
from torch import Tensor, nn

from uapkit import checks, provenance
from uapkit.data.images import Images, as_tensor
from uapkit.models.card import Card, state_sha256
from uapkit.models.names import KINDS, aliases_of, kind_of

LOGITS = "logits"


class Model(nn.Module):
    """A classifier: pixels in [0, 1], (n, c, h, w), to logits (n, classes); normalisation happens inside.

    The network is put in eval mode and frozen (no parameter asks for its gradient; ``requires_grad_(True)`` to train it).

    net: the module behind the normalisation. mean, std: one number a channel (or one for all), in units of pixels in
    [0, 1]: ``net`` sees ``(x - mean) / std``. Caffe's ``x * 255 - m`` is mean = m/255, std = 1/255. bounds: smallest
    and largest pixel. classes: the labels' names. input_size: (c, h, w) or None if unknown. card: see :class:`Card`.

    Raises ValueError for a std that is not positive, empty bounds, or images of another number of channels.
    """

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
    ) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(
                f"a model is made from a torch.nn.Module, got {type(net).__name__}; put a function in a module"
            )
        low, high = (float(b) for b in bounds)
        if not low < high:
            raise ValueError(f"bounds must be (low, high) with low < high, got {bounds!r}")
        self.net = net
        self.mean: Tensor
        self.std: Tensor
        mean_, std_ = (
            _per_channel(0.0 if mean is None else mean, "mean"),
            _per_channel(1.0 if std is None else std, "std"),
        )
        if not bool((std_ > 0).all()):
            raise ValueError(f"std must be positive in every channel, got {std!r}")
        if mean_.numel() > 1 and std_.numel() > 1 and mean_.numel() != std_.numel():
            raise ValueError(
                f"mean has {mean_.numel()} channels and std {std_.numel()}; give one number a channel in both"
            )
        device = next(net.parameters(), mean_).device
        self.register_buffer("mean", mean_.to(device, torch.float32), persistent=False)
        self.register_buffer("std", std_.to(device, torch.float32), persistent=False)
        self.bounds = (low, high)
        self.classes: tuple[str, ...] = tuple(classes or ())
        self.input_size: tuple[int, int, int] | None = _size(input_size)
        self.name = name or type(net).__name__
        self.aliases = aliases_of(net)
        self.channels_last = False  # whether labels may be computed in this layout; see evaluate
        self.card = replace(
            card or Card(name=self.name, architecture=type(net).__name__),
            input_size=self.input_size,
            mean=tuple(mean_.flatten().tolist()),
            std=tuple(std_.flatten().tolist()),
        )
        self._order: list[tuple[str, str]] | None = None
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of pixels (n, c, h, w)."""
        channels = max(self.mean.numel(), self.std.numel())
        if channels > 1 and x.shape[-3] != channels:  # broadcasting would turn grey images into colour ones, silently
            raise ValueError(f"{self.name} takes images of {channels} channels, got shape {tuple(x.shape)}")
        return self.net((x - self.mean) / self.std)

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
                if _current_run.get() is not run:
                    return
                calls[name] += 1
                if _first_tensor(output) is not None:
                    order.append((name if calls[name] == 1 else f"{name}:{calls[name]}", kind))

            return hook

        handles = [module.register_forward_hook(note(name, kind_of(module))) for name, module in modules]
        token = _current_run.set(run)
        try:
            like = next(self.net.parameters(), self.mean)
            self(torch.zeros(1, *self.input_size, device=like.device, dtype=like.dtype))
        finally:
            _current_run.reset(token)
            for handle in handles:
                handle.remove()
        return order

    def until(self, layer: str) -> Truncated:
        """The network up to ``layer``, a callable from images (n, c, h, w) to (n, ...); nothing past it is computed.

        layer: a name of :meth:`layers`. Raises ValueError with the nearest names for another one.
        """
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

    @torch.no_grad()
    def predict(self, x: Tensor | Images, batch_size: int = 64) -> Tensor:
        """Predicted labels (n,), int64, on the device of ``x``."""
        pixels = as_tensor(x)
        device = next(self.net.parameters(), self.mean).device
        batches = pixels.split(checks.count(batch_size, "batch_size"))
        return torch.cat([self(batch.to(device)).argmax(1) for batch in batches]).to(pixels.device)

    def extra_repr(self) -> str:
        """Name and weights, for ``print``."""
        return f"{self.name}[{self.card.weights}]"


class Truncated:
    """A model up to one layer: call it with images; ``model``, ``layer`` and ``module`` say what it is."""

    def __init__(self, model: Model, layer: str, module: nn.Module | None, call: int) -> None:
        self.model, self.layer, self.module, self.call = model, layer, module, call

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's output (n, ...)."""
        if self.module is None:
            return self.model(x)
        run, calls = object(), 0  # the hook answers to this run alone: other threads and nested runs pass it by

        def stop(module: nn.Module, args: tuple, output: object) -> None:
            nonlocal calls
            if _current_run.get() is run:
                calls += 1
                if calls == self.call:
                    raise _Reached(run, output)

        handle = self.module.register_forward_hook(stop)
        token = _current_run.set(run)
        try:
            self.model(x)
        except _Reached as reached:
            if reached.run is not run:
                raise
            output = _first_tensor(reached.output)
        else:
            raise ValueError(f"layer {self.layer!r} of {self.model.name} was called only {calls} times in this run")
        finally:
            _current_run.reset(token)
            handle.remove()
        if output is None:
            raise ValueError(f"layer {self.layer!r} of {self.model.name} returns no tensor; choose another layer")
        return output

    def __repr__(self) -> str:
        return f"{self.model.name}.until({self.layer!r})"


class Tapped:
    """A model up to several layers: call it with images for a tuple of their outputs, in the order of ``layers``."""

    def __init__(self, model: Model, layers: Sequence[str]) -> None:
        self.model, self.layers = model, tuple(layers)
        self._ends = [model.until(layer) for layer in self.layers]

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layers' outputs, each (n, ...)."""
        run, calls, found = object(), Counter[nn.Module](), dict[int, Tensor | None]()

        def note(module: nn.Module, args: tuple, output: object) -> None:
            if _current_run.get() is not run:
                return
            calls[module] += 1
            for k, end in enumerate(self._ends):
                if end.module is module and end.call == calls[module]:
                    tensor = _first_tensor(output)
                    found[k] = None if tensor is None else tensor.clone()  # what comes next may work in place
            if len(found) == len(self._ends):
                raise _Reached(run, None)

        handles = [m.register_forward_hook(note) for m in {end.module for end in self._ends} if m is not None]
        token = _current_run.set(run)
        try:
            logits = self.model(x)
            found |= {k: logits for k, end in enumerate(self._ends) if end.module is None}
        except _Reached as reached:
            if reached.run is not run:
                raise
        finally:
            _current_run.reset(token)
            for handle in handles:
                handle.remove()
        for k, layer in enumerate(self.layers):
            if found.get(k) is None:
                why = "returns no tensor" if k in found else "was not called so often in this run"
                raise ValueError(f"layer {layer!r} of {self.model.name} {why}; choose another layer")
        return tuple(found[k] for k in range(len(self.layers)))  # type: ignore[misc]


class _Reached(Exception):
    """Carries a layer's output out of the forward pass, so that nothing behind the layer runs."""

    def __init__(self, run: object, output: object) -> None:
        super().__init__()
        self.run, self.output = run, output


_current_run: ContextVar[object] = ContextVar("uapkit_truncated_run", default=None)


def wrap(
    module: nn.Module,
    mean: float | Sequence[float] | Tensor | None = None,
    std: float | Sequence[float] | Tensor | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    classes: Iterable[str] | None = None,
    input_size: Sequence[int] | None = None,
    name: str | None = None,
) -> Model:
    """Anyone's module from normalised images to logits as a :class:`Model`; not copied, but put in eval mode and frozen.

    Arguments and errors are those of :class:`Model`. ``input_size`` makes ``layers()`` list names in execution order.
    """
    model = Model(module, mean=mean, std=std, bounds=bounds, classes=classes, input_size=input_size, name=name)
    model.card = replace(
        model.card,
        weights="wrapped",
        source="a module of the user's",
        sha256=state_sha256(module.state_dict()),
    )
    provenance.note_input(f"{model.name}[wrapped]", model.card.sha256)
    return model


def _per_channel(value: float | Sequence[float] | Tensor, name: str) -> Tensor:
    numbers = torch.as_tensor(value, dtype=torch.float64).detach().cpu().clone()
    if numbers.ndim > 1 and numbers.numel() != max(numbers.shape):
        raise ValueError(f"{name} must be one number or one a channel, got shape {tuple(numbers.shape)}")
    if not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return numbers.reshape(-1, 1, 1)


def _size(input_size: Sequence[int] | None) -> tuple[int, int, int] | None:
    if input_size is None:
        return None
    if len(tuple(input_size)) != 3:
        raise ValueError(f"input_size must be (c, h, w), got {input_size!r}")
    c, h, w = (checks.count(side, "input_size") for side in input_size)
    return c, h, w


def _first_tensor(output: object) -> Tensor | None:
    """A layer's output: a tensor, or the first of a tuple or list (attention returns its weights too)."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None
