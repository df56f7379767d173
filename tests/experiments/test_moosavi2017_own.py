"""Paper M's items take networks of the reader's own, give the same evidence once stored, and keep rows for missing weights."""

import inspect
import io

import pandas as pd
import pytest
import torch

from uapkit import models
from uapkit.experiments import moosavi2017 as paper
from uapkit.runner import results

ITEMS = (
    "fig1_teaser",
    "fig3_examples",
    "fig4_gallery",
    "fig5_diversity",
    "fig6_set_size",
    "tab1_fooling_rates",
    "tab2_transfer",
)
TINY = {"n_fit": 8, "n_eval": 24, "n_random": 2, "n_pictures": 1, "seeds": (0, 1), "sizes": (4, 8), "blocked": ("a",)}


def tiny(item):
    allowed = inspect.signature(getattr(paper, item)).parameters
    return {k: v for k, v in TINY.items() if k in allowed}


@pytest.fixture(scope="module")
def mine():
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 10)) for _ in range(2)]
    return [
        models.wrap(net, mean=0.3, std=0.3, input_size=(1, 28, 28), name=n) for net, n in zip(nets, "ab", strict=True)
    ]


def stored(table):
    """The table and its arrays as they come back from the results folder."""
    again = results.read_table(results.table_bytes(table))
    again.attrs["arrays"] = results.unpack(io.BytesIO(results.pack(table.attrs["arrays"])))
    return again


@pytest.mark.parametrize("item", ITEMS)
def test_a_users_own_networks_go_through_every_item(item, mine):
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in mine]
    table = getattr(paper, item)(models=mine, **tiny(item))
    assert set(table["model"]) == {"a", "b"}
    assert set(table["status"]) == {"run"}
    if item in paper.EVIDENCE:
        evidence = paper.EVIDENCE[item](table)
        pd.testing.assert_frame_equal(evidence, paper.EVIDENCE[item](stored(table)), rtol=1e-3, check_dtype=False)
        assert len(evidence)
    same = [torch.equal(old[k], v) for old, net in zip(before, mine, strict=True) for k, v in net.state_dict().items()]
    assert all(same), "the user's weights are left alone"


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("others", [0, 1])
def test_missing_weights_keep_their_row(item, others, mine, monkeypatch):
    missing = models.WeightsMissing("not here")

    def load(name, **kwargs):
        raise missing

    monkeypatch.setattr(models, "load", load)
    table = getattr(paper, item)(models=[*mine[:others], "vgg19"], **tiny(item))
    assert set(table.loc[table["model"] == "vgg19", "status"]) == {"not run here"}
    if item in paper.EVIDENCE:
        networks = paper.EVIDENCE[item](table)
        assert networks.empty or not networks["network"].str.contains("vgg19").any()
