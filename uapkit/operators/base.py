"""What every operator shares: vectors are checked, NumPy in gives NumPy out, tensors give tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from uapkit.gate import COARSE, device_of, dtype_of, name_of, own, owner

Vector = TypeVar("Vector", Tensor, np.ndarray)


class Operator(ABC):
    """A linear map known by its products with vectors.

    ``shape`` (rows, columns); ``dtype`` is a NumPy dtype, so that ``scipy.sparse.linalg.aslinearoperator`` takes the
    operator as it is; ``torch_dtype`` and ``device`` are those the products are computed with. A vector may come in any
    shape with the right number of entries (an image-shaped perturbation, a column); what comes out is flat.
    """

    def __init__(self, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
        self.shape, self.torch_dtype, self.device = shape, dtype, device
        self.dtype = np.dtype(str(dtype).removeprefix("torch."))

    def matvec(self, v: Vector) -> Vector:
        """A v: (columns,) to (rows,). ValueError for a wrong number of entries, TypeError for another type or complex v."""
        return self._product(self._matvec, v, self.shape[1])

    def rmatvec(self, w: Vector) -> Vector:
        """A^T w: (rows,) to (columns,). Raises as :meth:`matvec`."""
        return self._product(self._rmatvec, w, self.shape[0])

    def matmat(self, V: Vector) -> Vector:
        """A V for a block of vectors: (columns, k) to (rows, k)."""
        if V.ndim != 2 or V.shape[0] != self.shape[1]:
            raise ValueError(f"a block of vectors must have the shape ({self.shape[1]}, k), got {tuple(V.shape)}")
        return self._applied(self._matmat, V)

    def _product(self, product, v, length):  # type: ignore[no-untyped-def]
        if not isinstance(v, Tensor | np.ndarray):
            raise TypeError(f"an operator takes a torch tensor or a NumPy array, got {type(v).__name__}")
        flat = v.reshape(-1)
        if flat.shape[0] != length:
            raise ValueError(
                f"the vector must have {length} entries for an operator of shape {self.shape}, got {tuple(v.shape)}"
            )
        return self._applied(product, flat)

    def _applied(self, product, v):  # type: ignore[no-untyped-def]
        if v.is_complex() if isinstance(v, Tensor) else np.iscomplexobj(v):
            raise TypeError(f"an operator takes real vectors, got {v.dtype}; give real and imaginary part one by one")
        with torch.inference_mode(False), torch.no_grad():
            if isinstance(v, Tensor):
                return product(own(v).to(self.device, self.torch_dtype))
            return product(torch.tensor(v, device="cpu").to(self.device, self.torch_dtype)).cpu().numpy()

    def _matmat(self, V: Tensor) -> Tensor:
        return torch.stack([self.matvec(V[:, i]) for i in range(V.shape[1])], 1)

    @abstractmethod
    def _matvec(self, v: Tensor) -> Tensor: ...

    @abstractmethod
    def _rmatvec(self, w: Tensor) -> Tensor: ...


def batch_of(images: Tensor, name: str = "images") -> Tensor:
    """The images as a detached, finite, non-empty (n, c, h, w); not confined to [0, 1]. TypeError or ValueError."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise TypeError(
            f"{name} must be a floating-point tensor (n, c, h, w), got {getattr(images, 'dtype', images)!r}"
        )
    if images.dtype in COARSE:
        raise TypeError(f"{name} of {str(images.dtype)[6:]} are too coarse for derivatives; give {name}.float()")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"{name} must be a non-empty batch (n, c, h, w), got the shape {tuple(images.shape)}")
    if not bool(torch.isfinite(images).all()):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    return own(images)


def placed(fn: Any, images: Tensor) -> Tensor:
    """The images on the device and in the floating type of the module behind ``fn``, if one is known."""
    network = owner(fn)
    dtype, device = dtype_of(network), device_of(network)
    if dtype in COARSE:
        raise TypeError(
            f"{name_of(network)} computes in {str(dtype)[6:]}, too coarse for its derivatives; give network.float()"
        )
    return images.to(device or images.device, dtype or images.dtype)


def default_chunk(images: Tensor) -> int:
    """Images that go through a network at once: a million pixel values on a CPU, whose cache they fit, else 16."""
    return max(1, (2**20 if images.device.type == "cpu" else 2**24) // images[0].numel())
