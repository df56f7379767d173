"""What every experiment needs, once: networks and images, one memo, sweeps, runs, claims, nulls."""

from uapkit.lab.bench import Bench, Split, class_names, layers_of, split_name
from uapkit.lab.claims import Claim, claim, from_row, hull, mean_of, paired, paired_draws, rank_correlation, rate
from uapkit.lab.memo import keep, keeping
from uapkit.lab.run import Run, joined, rows_of
from uapkit.lab.sweep import for_network, sweep

__all__ = [
    "Bench",
    "Claim",
    "Run",
    "Split",
    "claim",
    "class_names",
    "for_network",
    "from_row",
    "hull",
    "joined",
    "keep",
    "keeping",
    "layers_of",
    "mean_of",
    "paired",
    "paired_draws",
    "rank_correlation",
    "rate",
    "rows_of",
    "split_name",
    "sweep",
]
