"""Every item of paper K takes a network of the reader's own, and keeps a row for one whose weights are missing."""

import inspect
import io

import pandas as pd
import pytest
import torch

from uapkit import models
from uapkit.experiments import khrulkov2018 as paper
from uapkit.runner import results

TINY = {
    "n_fit": 8,
    "n_select": 8,
    "n_eval": 24,
    "max_iter": 2,
    "n_random": 1,
    "n_draws": 2,
    "n_seeds": 2,
    "n_steps": 2,
    "n_pictures": 1,
    "n_repeat": 1,
    "n_train": 40,
    "epochs": 1,
    "max_passes": 1,
    "qs": (1.0, 4.0),
    "ps": (2.0, 3.0),
    "scales": (0.0, 1.0),
    "steps": (0.1,),
    "strengths": (0.0, 0.1),
    "seeds": (0, 1),
    "batch_sizes": (2, 4, 8),
    "n_images": (4,),
    "iterations": (1, 2, 3),
}


def tiny(item, **more):
    allowed = inspect.signature(getattr(paper, item)).parameters
    return {k: v for k, v in (TINY | more).items() if k in allowed}


@pytest.fixture(scope="module")
def mine():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, stride=2),
        torch.nn.GELU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 6 * 6, 10),
    )
    return models.wrap(net, mean=0.3, std=0.3, input_size=(1, 28, 28), name="mine")


def stored(table):
    """The table and its arrays as they come back from the results folder."""
    again = results.read_table(results.table_bytes(table))
    again.attrs["arrays"] = results.unpack(io.BytesIO(results.pack(table.attrs["arrays"])))
    return again


@pytest.mark.parametrize("item", paper.__all__)
def test_a_users_own_module_goes_through_every_item(item, mine):
    before = {k: v.clone() for k, v in mine.state_dict().items()}
    table = getattr(paper, item)(models=[mine], **tiny(item))
    assert set(table["model"]) == {"mine"}
    assert set(table["status"]) == {"run"}
    evidence = paper.EVIDENCE[item](table)
    pd.testing.assert_frame_equal(evidence, paper.EVIDENCE[item](stored(table)), rtol=1e-3, check_dtype=False)
    assert evidence.empty or (evidence["low"] <= evidence["high"]).all() or evidence["low"].isna().any()
    assert all(torch.equal(before[k], v) for k, v in mine.state_dict().items()), "the user's weights are left alone"


@pytest.mark.parametrize("item", sorted(set(paper.__all__) - {"ext_regulariser"}))
def test_missing_weights_keep_their_row_in_every_item(item, monkeypatch):
    missing = models.WeightsMissing("not here")

    def load(name, **kwargs):
        raise missing

    monkeypatch.setattr(models, "load", load)
    table = getattr(paper, item)(models=("vgg19",), **tiny(item))
    assert set(table["status"]) == {"not run here"}
    assert set(table["layer"].dropna() if "layer" in table else []) <= {*paper_layers()}
    assert paper.EVIDENCE[item](table).empty


def paper_layers():
    from uapkit.experiments.khrulkov2018_shared import KERAS_VGG

    return KERAS_VGG
