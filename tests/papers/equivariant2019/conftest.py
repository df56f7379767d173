"""What the tests of paper E share: a network whose gradients are known, a small setting, and evidence of a table."""

import pandas as pd
import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.equivariant2019.setting import Setting


@pytest.fixture(scope="session")
def net():
    """Its gradients are known: x enters them only through the probabilities."""
    return "linear_digits"


@pytest.fixture(scope="session")
def small(net):
    """Parameters of a small run."""
    return {"models": (net,), "data": "digits", "rotation": 30.0, "seed": 3}


@pytest.fixture
def setting():
    """Makes the setting of the small run."""
    return lambda labels="true": Setting.of("digits", 30.0, labels, seed=3, device="cpu")


@pytest.fixture(scope="session")
def evidence():
    """The evidence of an item from a table of its run; empty without claims."""

    def table_of(item, table):
        claims = list(item.claims(Run.of(table)))
        return evidence_table(claims) if claims else pd.DataFrame()

    return table_of
