"""What a training gives, for all papers: weights, curve and record, as plain values that can be kept and stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from safetensors.torch import save
from torch import Tensor, nn

from uapkit.data.images import Images

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of MNIST's pixels in [0, 1]
CURVE_IMAGES = 2000  # test images scored after every epoch; all of them after the last


@dataclass(frozen=True, eq=False)
class Trained:
    """Trained weights by name, the curve (one row an epoch) and what is known about the run."""

    state: dict[str, Tensor]
    curve: pd.DataFrame
    record: dict[str, Any]

    @classmethod
    def of(cls, net: nn.Module, curve: pd.DataFrame, record: dict[str, Any]) -> Trained:
        """With the weights and buffers that ``net`` has now."""
        return cls({k: v.detach().clone().contiguous() for k, v in net.state_dict().items()}, curve, record)

    def into(self, net: nn.Module) -> nn.Module:
        """``net`` with these weights, in eval mode. RuntimeError for a network of another architecture."""
        net.load_state_dict(self.state)
        return net.eval()

    def weights_bytes(self) -> bytes:
        """The weights as a safetensors file with the recipe as metadata."""
        return save(self.state, metadata={"recipe": json.dumps(self.record["recipe"], sort_keys=True)})


def record_of(
    recipe: Any, train: Images, test: Images, rows: Sequence[dict[str, float]], *, threads: int, **more: Any
) -> dict[str, Any]:
    """What every training records: recipe (a dataclass), inputs, numbers of images, seconds of its ``rows``, and ``more``."""
    return {
        "recipe": asdict(recipe),
        "inputs": {train.name: train.sha256, test.name: test.sha256},
        "n_test": len(test),
        "n_test_curve": min(CURVE_IMAGES, len(test)),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "threads": threads,
        "device": "cpu",
        "dtype": "float32",
        **more,
    }
