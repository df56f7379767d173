"""How often intervals contain the truth, by simulation: ``python -m tests.simulated [--draws 4000] [--save]``.

Nominal is 95 %; the suite asks for 93 to 97 % of the same settings (``tests/test_intervals.py``). ``--save`` stores the shares as
``results/trust/coverage.csv``, which the page "How this is tested" shows.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from uapkit.files import write_whole
from uapkit.intervals import Rate, mean_interval, paired_difference
from uapkit.runner import results

ROOT = Path(__file__).parents[1]


def rates(n, draws, seed=0):
    """True rates from 2 % to 98 %: for one rate alone a discrete count cannot have exactly 95 %."""
    rng = np.random.default_rng((seed, n))
    truth = rng.uniform(0.02, 0.98, draws)
    found = [Rate.of(int(hits), n) for hits in rng.binomial(n, truth)]
    return sum(r.low <= p <= r.high for r, p in zip(found, truth, strict=True))


def means(n, draws, seed=0):
    """Normal values, a mean over seeds."""
    values = np.random.default_rng((seed, n)).normal(3.0, 2.0, (draws, n))
    return sum(i.low <= 3.0 <= i.high for i in (mean_interval(row.tolist()) for row in values))


def differences(n, draws, seed=0):
    """Two rates on the same images, which depend on one another as those of two attacks do."""
    rng = torch.Generator().manual_seed(1000 * n + seed)
    hits = 0
    for k in range(draws):
        hard = torch.rand(n, generator=rng)
        a, b = (hard + 0.3 * torch.rand(n, generator=rng) < edge for edge in (0.7, 0.5))
        # the truth: P(u + 0.3 w < e) = e - 0.15 for e in [0.3, 1]
        found = paired_difference(a, b, seed=k)
        hits += found.low <= 0.2 <= found.high
    return hits


def from_noise(n, count, seed=0, *, draws=3, spread=0.03):
    """One attack and a few draws of noise on the same images; how much a draw fools varies from draw to draw."""
    rng = np.random.default_rng((seed, n, draws))
    hits = 0
    for k in range(count):
        hard = rng.random(n)
        edges = [0.7, *rng.normal(0.5, spread, draws)]
        own, *noise = (torch.from_numpy(hard + 0.3 * rng.random(n) < edge) for edge in edges)
        # the truth over all draws: as above, for edges within [0.3, 1]
        found = paired_difference(own, torch.stack(noise), seed=k, n_boot=400)
        hits += found.low <= 0.2 <= found.high
    return hits


KINDS = {
    "a rate": (rates, (40, 136, 800), 1.0),
    "a mean over seeds": (means, (3, 5, 20), 1.0),
    "a difference of two rates on the same images": (differences, (136, 500), 0.5),
    "a difference from three draws of noise": (from_noise, (500, 4000), 0.5),
}


def table(draws, seed=0):
    """One row a kind of interval and size; share in [0, 1] of intervals that contain the truth, with its own interval."""
    rows = []
    for kind, (simulate, sizes, part) in KINDS.items():
        for n in sizes:
            share = Rate.of(int(simulate(n, round(draws * part), seed)), round(draws * part))
            rows.append(
                {"interval": kind, "n": n, "draws": share.n, "share": share.value, "low": share.low, "high": share.high}
            )
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulated", description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    found = table(given.draws, given.seed)
    print(found.to_string(index=False))
    if given.save:
        at, dirty = results.commit()
        about = {"commit": at, "dirty": dirty, "seed": given.seed, "date": datetime.now(UTC).date().isoformat()}
        write_whole(ROOT / "results" / "trust" / "coverage.csv", results.table_bytes(found))
        write_whole(ROOT / "results" / "trust" / "coverage.json", (json.dumps(about, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
