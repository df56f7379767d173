"""A stored matrix as an operator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from uapkit.operators.base import Operator


class DenseOperator(Operator):
    """The operator of a matrix ``a`` (rows, columns), a tensor or a NumPy array; ``.a`` is the tensor.

    Integers become float32. Raises ValueError if ``a`` is not a finite, non-empty matrix, TypeError if it is complex.
    """

    def __init__(self, a: Tensor | np.ndarray) -> None:
        a = a if isinstance(a, Tensor) else torch.as_tensor(a, device="cpu")
        if a.ndim != 2 or a.numel() == 0:
            raise ValueError(f"a must be a non-empty matrix (rows, columns), got the shape {tuple(a.shape)}")
        if a.is_complex():
            raise TypeError(f"a must be a matrix of real numbers, got {a.dtype}; give its real part")
        self.a = a.detach() if a.is_floating_point() else a.float()
        if not bool(torch.isfinite(self.a).all()):
            raise ValueError("a holds values that are not finite (NaN or infinity)")
        super().__init__((a.shape[0], a.shape[1]), self.a.dtype, self.a.device)

    def _matvec(self, v: Tensor) -> Tensor:
        return self.a @ v

    def _rmatvec(self, w: Tensor) -> Tensor:
        return self.a.T @ w

    def _matmat(self, V: Tensor) -> Tensor:
        return self.a @ V
