"""Paper K's premises: exact on a linear network, broken far away on others."""

import pytest
import torch

from uapkit.experiments import khrulkov2018 as paper
from uapkit.experiments.khrulkov2018_premise import top_image

SMALL = {"n_fit": 8, "max_iter": 6, "seed": 3}


def test_ext_linearity():
    table = paper.ext_linearity(models=("mlp_digits",), layers=["relu2"], n_eval=24, scales=(0.01, 1.0, 10.0), **SMALL)
    own = table[table["direction"] == "singular vector"].set_index("scale")
    assert own.loc[0.01, "error"] < 0.1, "the derivative is the limit"
    assert own["error"].is_monotonic_increasing
    assert own["cosine"].is_monotonic_decreasing
    evidence = paper.EVIDENCE["ext_linearity"](table)
    assert evidence["estimate"].tolist() == [own.loc[1.0, "error"]]


def test_a_linear_network_is_its_jacobian():
    table = paper.ext_linearity(models=("linear_digits",), layers=["fc"], n_eval=8, scales=(1.0, 5.0), **SMALL)
    assert table["ratio"].to_numpy() == pytest.approx(1, abs=1e-4)
    assert table["error"].to_numpy() == pytest.approx(0, abs=1e-4)
    assert table["cosine"].to_numpy() == pytest.approx(1, abs=1e-4)


def test_ext_batch_against_all():
    settings = {"n_fit": 16, "n_select": 16, "n_eval": 24, "batch_sizes": (2, 16), "n_draws": 2, "max_iter": 10}
    table = paper.ext_batch_against_all(models=("mlp_digits",), layer="relu2", **settings)
    share = table.groupby(["kind", "batch_size"], dropna=False)["share"].mean()
    batch = table[table["kind"] == "batch"].groupby("batch_size")["share"].mean()
    assert share.loc["random signs"].max() < batch[2] < 1.2
    assert batch[16] > 0.6, "a batch's vector serves images outside it"
    assert paper.EVIDENCE["ext_batch_against_all"](table)["estimate"].item() == pytest.approx(batch[16])


def test_a_linear_networks_batch_is_the_whole_set():
    table = paper.ext_batch_against_all(
        models=("linear_digits",), layer="fc", n_fit=8, n_select=8, n_eval=8, batch_sizes=(2, 8)
    )
    batch = table[table["kind"] == "batch"]
    assert batch["own_share"].to_numpy() == pytest.approx(batch["share"].to_numpy(), rel=1e-4)
    assert batch["share"].max() == pytest.approx(1, abs=1e-4), "the same start finds the same vector"
    alike = (1 / table["batch_size"].fillna(8)).to_numpy()
    assert table["top_image"].to_numpy() == pytest.approx(alike, rel=1e-4), "every image has the same Jacobian"


@pytest.mark.parametrize("q", [1.0, 2.0, 10.0])
def test_one_steep_image_holds_the_norm(q):
    changes = torch.tensor([[0.0, -3.0], [1.0, 1.0], [2.0, 0.0]])  # one row an image
    expected = 3**q / (3**q + 2 + 2**q)
    assert top_image(changes.flatten() * 1e30, 3, q) == pytest.approx(expected)


def test_sec_cost():
    table = paper.sec_cost(
        models=("linear_digits",), layer="fc", n_fit=32, batch_sizes=(8, 16, 32), iterations=(2, 4, 8), n_repeat=1
    )
    assert (table[["seconds", "record_seconds", "forward_seconds"]] > 0).all().all()
    per = table["seconds"] / (table["iterations"] * table["batch_size"])
    assert per.to_numpy() == pytest.approx(table["per_iteration_and_image"].to_numpy())
    made = table.assign(seconds=0.01 * table["iterations"] * table["batch_size"])
    evidence = paper.EVIDENCE["sec_cost"](made)
    assert evidence["estimate"].to_numpy() == pytest.approx(1), "a linear law has slope one"
    square = paper.EVIDENCE["sec_cost"](table.assign(seconds=table["iterations"] ** 2.0 * table["batch_size"] ** 2))
    assert (square.loc[square["sense"] == "<", "low"] > 1.25).all(), "and a square one is refused"
