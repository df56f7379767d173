"""A network up to one layer, or up to several, without what comes after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from uapkit.models.model import Model


class Truncated:
    """A model up to one layer: call it with images; ``model``, ``layer`` and ``module`` say what it is."""

    part_of_model = True  # what the gate knows of it, it knows of the model

    def __init__(self, model: Model, layer: str, module: nn.Module | None, call: int) -> None:
        self.model, self.layer, self.module, self.call = model, layer, module, call

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's output (n, ...)."""
        if self.module is None:
            return self.model(x)
        run, calls = object(), 0  # the hook answers to this run alone: other threads and nested runs pass it by

        def stop(module: nn.Module, args: tuple, output: object) -> None:
            nonlocal calls
            if current_run.get() is run:
                calls += 1
                if calls == self.call:
                    raise _Reached(run, output)

        handle = self.module.register_forward_hook(stop)
        token = current_run.set(run)
        try:
            self.model(x)
        except _Reached as reached:
            if reached.run is not run:
                raise
            output = first_tensor(reached.output)
        else:
            hidden = (
                " (a scripted or exported module hides its layers; wrap the module it was made from)"
                if not calls
                else ""
            )
            raise ValueError(
                f"layer {self.layer!r} of {self.model.name} was called only {calls} times in this run{hidden}"
            )
        finally:
            current_run.reset(token)
            handle.remove()
        if output is None:
            raise ValueError(f"layer {self.layer!r} of {self.model.name} returns no tensor; choose another layer")
        return output

    def __repr__(self) -> str:
        return f"{self.model.name}.until({self.layer!r})"


class Tapped:
    """A model up to several layers: call it with images for a tuple of their outputs, in the order of ``layers``."""

    part_of_model = True

    def __init__(self, model: Model, layers: Sequence[str]) -> None:
        self.model, self.layers = model, tuple(layers)
        self._ends = [model.until(layer) for layer in self.layers]

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layers' outputs, each (n, ...)."""
        run, calls, found = object(), Counter[nn.Module](), dict[int, Tensor | None]()

        def note(module: nn.Module, args: tuple, output: object) -> None:
            if current_run.get() is not run:
                return
            calls[module] += 1
            for k, end in enumerate(self._ends):
                if end.module is module and end.call == calls[module]:
                    tensor = first_tensor(output)
                    found[k] = None if tensor is None else tensor.clone()  # what comes next may work in place
            if len(found) == len(self._ends):
                raise _Reached(run, None)

        handles = [m.register_forward_hook(note) for m in {end.module for end in self._ends} if m is not None]
        token = current_run.set(run)
        try:
            logits = self.model(x)
            found |= {k: logits for k, end in enumerate(self._ends) if end.module is None}
        except _Reached as reached:
            if reached.run is not run:
                raise
        finally:
            current_run.reset(token)
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


current_run: ContextVar[object] = ContextVar("uapkit_truncated_run", default=None)


def first_tensor(output: object) -> Tensor | None:
    """A layer's output: a tensor, or the first of a tuple, list or mapping (attention returns its weights too)."""
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None
