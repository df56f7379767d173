"""Paper E's items on a reader's own network, images and rotations, as functions and through papermill."""

import io

import numpy as np
import pandas as pd
import papermill
import pytest
import torch
from PIL import Image

from uapkit import data, models, runner
from uapkit.papers.equivariant2019 import fig7_invariant_vectors, thm2_sampling
from uapkit.runner import project_root, results

TINY = {
    "attacks": ("gradient",),
    "n_fit": 40,
    "samples": (20, 40),
    "n_eval": 20,
    "norms": (),
    "n_random": 2,
    "n_delta": 5,
    "n_draws": 2,
    "passes": 1,
    "train": (),
    "rotations": (0.0, 60.0),
    "rotation": 60.0,
    "data": "digits",
}
WITH_MODELS = [i for i in runner.items().values() if i.paper == "equivariant2019" and "models" in i.parameters]


def tiny(about, **more):
    return {k: v for k, v in (TINY | more).items() if k in about.parameters}


@pytest.fixture(scope="module")
def mine():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(49, 10), torch.nn.Tanh())
    return models.wrap(net, mean=0.3, std=0.3, input_size=(1, 28, 28), name="mine")


@pytest.mark.parametrize("about", WITH_MODELS, ids=lambda about: about.slug)
def test_a_users_own_module_goes_through_every_item(about, mine, evidence):
    fewer = {"samples": (20,)} if about.slug.startswith("fig2") else {}
    table = about.function(models=[mine], **tiny(about, **fewer))
    assert set(table["model"]) == {"mine"}
    assert set(table["status"]) == {"run"}
    assert set(table["training_seed"]) == {0}
    if about.claims:
        again = results.read_table(results.table_bytes(table))
        again.attrs["arrays"] = results.unpack(io.BytesIO(results.pack(table.attrs.get("arrays", {}))))
        fresh, stored = (evidence(about.module, t) for t in (table, again))
        pd.testing.assert_frame_equal(fresh, stored, rtol=1e-3, check_dtype=False)
        assert len(fresh)


def test_a_users_own_images_without_labels(tmp_path):
    for k, x in enumerate(data.load("digits", n=24, seed=0).x):
        Image.fromarray((255 * x[0, 6:22, 6:22].numpy()).astype(np.uint8)).save(tmp_path / f"{k:02d}.png")
    net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(3 * 16, 10))
    mine = models.wrap(net, mean=0.3, std=0.3, input_size=(3, 16, 16), name="mine")  # a folder's pictures are in colour
    table = thm2_sampling.run(
        models=[mine], attacks=("gradient",), data=str(tmp_path), n_fit=24, labels="predicted", samples=(8,), n_draws=1
    )
    draws = table.dropna(subset=["n_rows"])  # the others say how many rows an error takes
    assert set(draws["n_rows"]) == {24}
    assert draws["gap"].between(0, 1).all()


def test_papermill_takes_another_rotation_range_and_data_set(tmp_path, monkeypatch):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    given = {"data": "digits", "rotation": 120.0, "n_fit": 30, "k": 2, "n_random": 2}
    source = project_root() / "notebooks/equivariant2019/fig7_invariant_vectors.ipynb"
    done = papermill.execute_notebook(source, tmp_path / "out.ipynb", given, progress_bar=False, cwd=project_root())
    shown = "".join(str(output) for cell in done.cells for output in cell.get("outputs", []))
    asked, usual = (fig7_invariant_vectors.run(**given | {"rotation": r})["wavelength"][0] for r in (120.0, 30.0))
    assert f">{asked:.3g}<" in shown
    assert f">{usual:.3g}<" not in shown


OWN_FILE = """
import torch
from uapkit import models

def make():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(49, 10))
    return models.wrap(net, mean=0.3, std=0.3, input_size=(1, 28, 28), name="mine")
"""


def test_papermill_takes_a_users_own_module(tmp_path, monkeypatch):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_net.py").write_text(OWN_FILE)
    given = {"models": [f"{tmp_path}/my_net.py:make"], "rotation": 120.0, "n_fit": 30, "k": 2, "n_random": 2}
    source = project_root() / "notebooks/equivariant2019/tab1_angles.ipynb"
    done = papermill.execute_notebook(source, tmp_path / "out.ipynb", given, progress_bar=False, cwd=project_root())
    shown = "".join(str(output) for cell in done.cells for output in cell.get("outputs", []))
    assert "networks mine; images digits; 30 to fit" in shown
