"""Small runs have too few images for directions that others would find again."""

import pytest

from uapkit.papers.jetley2018 import subspaces


@pytest.fixture
def every_row_decides(monkeypatch):
    """The bound on the overlap of halves is off."""
    monkeypatch.setattr(subspaces, "LEAST_OVERLAP", 0.0)
