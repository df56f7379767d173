"""Every item of paper K takes a network of the reader's own, and keeps a row for one whose weights are missing."""

import io

import pandas as pd
import pytest
import torch

from uapkit import models, runner
from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.khrulkov2018.setting import KERAS_VGG
from uapkit.runner import results

ITEMS = [item.slug for item in runner.items().values() if item.paper == "khrulkov2018"]

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


def run(slug, **more):
    item = runner.item(f"khrulkov2018/{slug}")
    return item.function(**{k: v for k, v in (TINY | more).items() if k in item.parameters})


def evidence(slug, table):
    return evidence_table(list(runner.item(f"khrulkov2018/{slug}").claims(Run.of(table))))


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


@pytest.mark.parametrize("item", ITEMS)
def test_a_users_own_module_goes_through_every_item(item, mine):
    before = {k: v.clone() for k, v in mine.state_dict().items()}
    table = run(item, models=[mine])
    assert set(table["model"]) == {"mine"}
    assert set(table["status"]) == {"run"}
    found = evidence(item, table)
    pd.testing.assert_frame_equal(found, evidence(item, stored(table)), rtol=1e-3, atol=1e-4, check_dtype=False)
    assert found.empty or (found["low"] <= found["high"]).all() or found["low"].isna().any()
    assert all(torch.equal(before[k], v) for k, v in mine.state_dict().items()), "the user's weights are left alone"


@pytest.mark.parametrize("item", sorted(set(ITEMS) - {"ext_regulariser"}))
def test_missing_weights_keep_their_row_in_every_item(item, monkeypatch):
    missing = models.WeightsMissing("not here")

    def load(name, **kwargs):
        raise missing

    monkeypatch.setattr(models, "load", load)
    table = run(item, models=("vgg19",))
    assert set(table["status"]) == {"not run here"}
    assert set(table["layer"].dropna() if "layer" in table else []) <= {*KERAS_VGG}
    assert evidence(item, table).empty


PICTURES = {"fig1_gallery", "fig_q_gallery", "fig_examples", "tab_predictions"}  # show what is stored, or a table


@pytest.mark.parametrize("item", sorted(set(ITEMS) - PICTURES))
def test_a_figure_of_what_was_not_run_says_so(item):
    run = Run.of(pd.DataFrame({"model": ["vgg19"], "status": ["not run here"]}))
    drawn = runner.item(f"khrulkov2018/{item}").module.figure(run)
    assert [t.get_text() for t in drawn.axes[0].texts] == ["not run here"]
