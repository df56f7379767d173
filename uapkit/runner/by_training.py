"""Does a claim hold after one training and fail after another?"""

from __future__ import annotations

import re

import pandas as pd

from uapkit.runner.words import NO, NULL_TOO, YES

LEAST = 2  # settings of a training, below which nothing is said of it
MARKS = re.compile(r"_(sgd|seed\d+)(?![a-z0-9])")  # what a network's name says of its training


def depends(found: pd.DataFrame) -> bool:
    """Whether the answers depend on the training; found: a row a setting with network, answer and training.

    So it is where the claim holds in at least half of the settings of one training, and in none of another's, at least half
    of which fail. Or where both trainings have the same network and attack: in all settings of one, and all of the other fail.
    """
    alike = found.groupby(found["network"].astype(str).str.replace(MARKS, "", regex=True))
    return _apart(found, 0.5) or any(_apart(some, 1.0, LEAST) for _, some in alike)


def _apart(found: pd.DataFrame, share: float, others: int = 1) -> bool:
    by = found["answer"].groupby(found["training"])
    held, many = by.agg(lambda a: (a == YES).mean()), by.size()
    failed = by.agg(lambda a: a.isin([NO, NULL_TOO]).mean())
    holds = (held >= share) & (held * many >= LEAST)
    fails = (held == 0) & (failed >= share) & (many >= others)
    return bool(holds.any() and fails.any())
