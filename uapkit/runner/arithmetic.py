"""How this machine rounds: two processors add the same numbers up in another order, and some results hang on the last bit.

:func:`checksum` tells whether another machine rounds as this one does. :func:`elsewhere` are environments in which the
libraries of a new process keep to an older instruction set, so that this machine computes as others would.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import torch
from torch.nn.functional import conv2d

from uapkit.seeds import generator, threads

OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
OLDER |= {"OPENBLAS_CORETYPE": "Haswell"}  # NumPy's and SciPy's linear algebra
OLDEST = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
OLDEST |= {"OPENBLAS_CORETYPE": "Nehalem"}


def checksum() -> str:
    """First digits of the sha256 of what products, convolutions, exponentials and decompositions give here, to the last bit."""
    draws = generator(0, "how this machine rounds")
    a, b = (torch.randn(193, 257, generator=draws) for _ in range(2))
    x, w = torch.randn(3, 5, 29, 29, generator=draws), torch.randn(7, 5, 3, 3, generator=draws)
    digest = hashlib.sha256()
    with threads(1):
        square = a @ b.T
        found = [square, a.double() @ b.double().T, a @ b[0], conv2d(x, w, stride=2), a.softmax(1), a.exp().sum(1)]
        found += [torch.linalg.svdvals(a), torch.linalg.eigvalsh((a @ a.T).double())]
        for part in found:
            digest.update(part.numpy().tobytes())
        digest.update(np.linalg.svd(b.numpy(), compute_uv=False).tobytes())
    return digest.hexdigest()[:12]


def elsewhere() -> list[dict[str, str]]:
    """Environments of processes that keep to older instruction sets than torch uses here, the newest of them first."""
    newest = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return [{**os.environ, **older} for older in ((OLDER, OLDEST) if newest else (OLDEST,))]
