"""Vectors two and more as attacks: in their order, and only they are judged."""

import numpy as np
import pandas as pd

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import ext_lower_vectors


def test_ext_lower_vectors(small, evidence):
    table = ext_lower_vectors.run(**small, attacks=("gradient",), n_fit=60, n_eval=60, k=3)
    vectors = table[table["kind"] == "singular vector"]
    assert vectors["index"].tolist() == [1, 2, 3]
    assert vectors["share"].is_monotonic_decreasing
    found = evidence(ext_lower_vectors, table)
    assert len(found) == 2, "from the second on"
    random = table[table["kind"].str.startswith("random")].groupby("kind")["error_rate"]
    assert (found["bound"] == random.quantile(0.975).max()).all()


def test_the_largest_norm_is_shown_with_the_random_band():
    base = {"status": "run", "model": "n", "attack": "gradient", "kind": "singular vector", "chosen": True}
    rates = {"error_low": 0.0, "error_high": 1.0}
    rows = [
        {**base, **rates, "index": k, "relative_norm": size, "error_rate": e}
        for k in (1, 2)
        for size, e in ((0.25, 0.05), (0.5, 0.9))
    ]
    null = {"attack": np.nan, "kind": "random direction", "index": np.nan, "error_rate": 0.1, "error_high": 0.2}
    rows.append({**rows[-1], **null})
    (ax,) = ext_lower_vectors.figure(Run.of(pd.DataFrame(rows))).axes
    assert list(ax.lines[0].get_ydata()) == [0.9, 0.9]
    assert ax.get_ylabel() == "error at 0.5 mean norms"
    assert "random direction" in ax.get_legend_handles_labels()[1]
