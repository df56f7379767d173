"""``Perturbation``, what universal attacks return and how it is kept; and what all attacks ask of a model."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from uapkit import checks, gate
from uapkit.attacks.foreign import read_array, to_chw
from uapkit.data.images import Images
from uapkit.data.images import as_tensor as pixels
from uapkit.files import write_whole
from uapkit.gate import Network


def plain(number: float) -> float | str:
    """A number as JSON takes it: infinity becomes ``"inf"``."""
    return "inf" if math.isinf(number) else float(number)


def ready(model: Network, x: Tensor | None = None) -> Network:
    """The network as it is attacked at images like ``x``, past the gate (:func:`uapkit.gate.admit`).

    ValueError if it is a module in training mode, which is no fixed function of the images.
    """
    exported = "train" in vars(model) if isinstance(model, torch.nn.Module) else False  # its mode was fixed for good
    if getattr(model, "training", False) and not exported:
        raise ValueError(
            "the model is in training mode, where it is no fixed function of the images; call model.eval()"
        )
    return gate.unwrapped(model) if x is None else gate.admit(model, x, gradient=True)


def warn_of_size(eps: float, norm: float, shape: Sequence[int]) -> None:
    """Say so if ``eps`` is as large as the box of pixels, [0, 1]: it may be meant on the scale of 0 to 255."""
    whole = torch.linalg.vector_norm(torch.ones(tuple(shape), dtype=torch.float64, device="cpu"), norm)
    if eps >= float(whole):
        warnings.warn(
            f"eps = {eps:g} in the {norm:g}-norm can take every pixel across the whole of [0, 1]; pixels lie in [0, 1] "
            f"here, so {eps:g} on the scale of 0 to 255 is {eps:g}/255",
            stacklevel=3,
        )


def fitted_on(model: Network, x: Any) -> dict[str, Any]:
    """The model and the images of a perturbation, as far as they have names, for its ``made_by``."""
    model_name = getattr(model, "name", None)
    about: dict[str, Any] = {"model": model_name if isinstance(model_name, str) else type(model).__name__}
    if isinstance(x, Images):
        about |= {"images": x.name, "images_sha256": x.sha256}
    if isinstance(x, Images | Tensor):
        about["n_fit"] = len(x)
    return about


def batch_for(x: Tensor, gradients: int = 1) -> int:
    """Images worked on at once when the caller does not say: about 8 MB of pixels, 64 MB of gradients."""
    d = x[0].numel()
    return max(1, min(2**21 // d, 2**24 // (d * gradients)))


@dataclass(frozen=True, eq=False)
class Perturbation:
    """One perturbation for all images.

    v: (c, h, w), in the images' unit, where pixels lie in [0, 1]. eps: the radius it was made for; norm: its norm, in
    [1, inf]. made_by: how it was made, plain JSON. history: what the method recorded on the way, a number a step.
    Raises TypeError or ValueError for a ``v`` that is not image-shaped and finite, or a ``made_by`` that is not JSON.
    """

    v: Tensor
    eps: float
    norm: float = math.inf
    made_by: dict[str, Any] = field(default_factory=dict)
    history: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        what = "a floating-point tensor (c, h, w)"
        if not checks.tensor(self.v, "v", what).is_floating_point():
            raise TypeError(f"v must be {what}, got {self.v.dtype}")
        if self.v.ndim == 4 and len(self.v) == 1:
            object.__setattr__(self, "v", self.v[0])
        if self.v.ndim != 3:
            raise ValueError(f"v must have the shape (c, h, w), got {tuple(self.v.shape)}")
        checks.perturbation(self.v, self.v.shape)
        object.__setattr__(self, "eps", checks.in_range(self.eps, 0, math.inf, "eps"))
        object.__setattr__(self, "norm", checks.exponent(self.norm, "norm"))
        object.__setattr__(self, "history", tuple(float(h) for h in self.history))
        try:
            json.dumps(self.made_by, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"made_by must be plain JSON ({error})") from None

    def __repr__(self) -> str:
        method = self.made_by.get("method", "unknown origin")
        return f"Perturbation({method}, {tuple(self.v.shape)}, norm {self.norm:g}, eps {self.eps:.4g})"

    def size(self, norm: float | None = None) -> float:
        """The norm that ``v`` has: its own, or any other in [1, inf]."""
        p = self.norm if norm is None else checks.exponent(norm, "norm")
        return float(torch.linalg.vector_norm(self.v.double(), p))

    def scaled(self, eps: float) -> Perturbation:
        """The same direction with norm exactly ``eps`` >= 0. ValueError for a zero perturbation, which has none."""
        eps = checks.radius(eps)
        if not self.size():
            raise ValueError("a perturbation that is zero everywhere has no direction and cannot be scaled")
        return replace(self, v=self.v * (eps / self.size()), eps=eps)

    def flipped(self) -> Perturbation:
        """-v. The sign of a singular vector is free, the fooling rates of v and -v differ: try both."""
        return replace(self, v=-self.v, made_by={**self.made_by, "flipped": not self.made_by.get("flipped", False)})

    def apply(self, x: Tensor | Images, clip: bool = False) -> Tensor:
        """Images plus v, (n, c, h, w). ``clip`` cuts back to [0, 1]; [moosavi2017] and [khrulkov2018] do not."""
        x = pixels(x)
        moved = x + checks.perturbation(self.v, x.shape[1:]).to(x)
        return moved.clamp(0, 1) if clip else moved

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all. OSError in one sentence if the disk refuses."""
        about = {"eps": self.eps, "norm": plain(self.norm), "made_by": self.made_by}
        history = torch.tensor(self.history, dtype=torch.float64, device="cpu")
        tensors = {"v": self.v.detach().cpu().contiguous(), "history": history}
        write_whole(Path(path), save(tensors, {"uapkit.perturbation": json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path) -> Perturbation:
        """Read what :meth:`save` wrote. FileNotFoundError, or ValueError for any other or damaged file."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path.name} in {path.parent}")
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["uapkit.perturbation"])
                v, history = file.get_tensor("v"), file.get_tensor("history").tolist()
            told = about["eps"], float(about["norm"]), about["made_by"]
        except SafetensorError as error:
            raise ValueError(f"{path.name} is not a whole safetensors file ({error})") from None
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ValueError(
                f"{path.name} was not written by Perturbation.save; read it with Perturbation.from_array"
            ) from None
        return cls(v, *told, history)

    @classmethod
    def from_array(
        cls,
        array: Tensor | np.ndarray | str | Path,
        *,
        layout: Literal["hwc", "chw"] | None = None,
        channels: Literal["rgb", "bgr"] = "rgb",
        scale: Literal[1, 255] | None = None,
        key: str | None = None,
        norm: float = math.inf,
    ) -> Perturbation:
        """A perturbation made by others: a tensor, an array, or a .npy, .npz, .mat, .pt, .pth or .safetensors file.

        Nothing in the file is executed. layout: where the channels are; None finds out where only one reading fits.
        channels: their order in the array. scale: 255 if pixels run from 0 to 255, 1 if from 0 to 1; None finds out
        (integers, or entries above 1: 255; all below 0.5: 1). key: which array of a file with several. Axes of length 1
        in front are dropped. eps becomes the norm that the array has in ``norm``. Raises ValueError where a reading is
        ambiguous, naming the argument that decides, and for anything that is not an image-shaped array of numbers.
        """
        source, norm = "array", checks.exponent(norm, "norm")
        if isinstance(array, (str, Path)):
            source = Path(array).name
            array = read_array(Path(array), key)
        v, how = to_chw(array, layout, channels, scale)
        made_by = {"method": "from_array", "source": source, **how}
        return cls(v, float(torch.linalg.vector_norm(v.double(), norm)), norm, made_by)


def as_tensor(v: Tensor | Perturbation) -> Tensor:
    """The (c, h, w) tensor of a perturbation in either form; TypeError for anything else."""
    return v.v if isinstance(v, Perturbation) else checks.tensor(v, "v", checks.PERTURBATION)
