"""What the laboratory's page is made of: its networks are the package's, vectors have one length, no test image chooses."""

import base64
import json
import shutil

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu

from uapkit import data, models
from uapkit.book import laboratory
from uapkit.book.laboratory_answers import answers
from uapkit.book.laboratory_chain import chain
from uapkit.models.nets.roteqnet import RotEqNet
from uapkit.runner.catalogue import project_root


def by_hand(made, x):
    """Logits by the chain that the page gets."""
    weights = torch.tensor(np.frombuffer(base64.b64decode(made["weights"]), "<f4").copy())
    z, at = (x - made["mean"]) / made["std"], 0

    def take(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return weights[at - int(np.prod(shape)) : at].view(shape)

    outputs = []
    for op in made["ops"]:
        if op["op"] == "conv":
            z = conv2d(z, take(op["co"], z.shape[1], op["k"], op["k"]), take(op["co"]), padding=op["pad"])
        elif op["op"] == "linear":
            z = linear(z, take(op["out"], z.shape[1]), take(op["out"]))
        else:
            z = {"relu": relu, "pool": lambda z: max_pool2d(z, 2), "flatten": lambda z: z.flatten(1)}[op["op"]](z)
        outputs.append(z)
    assert at == len(weights), "all weights are used"
    return outputs


@pytest.mark.parametrize("name", ["vgg_digits", "stdcnn_digits", "gcnn_digits", "mlp_digits", "lenet_digits"])
def test_a_chain_is_its_network(name):
    model, x = models.load(name), data.load("digits", n=2).x
    made = chain(model)
    outputs = by_hand(made, x)
    assert (outputs[-1] - model(x)).abs().max() < 1e-4
    for layer, last in made["layers"].items():
        wanted = model.until(layer)(x).flatten(1)
        assert (outputs[last].flatten(1) - wanted).abs().max() < 1e-4, layer


def test_a_network_that_is_no_chain_is_refused():
    with pytest.raises(ValueError, match="cannot run"):
        chain(models.wrap(RotEqNet(), mean=0.3, std=0.3, input_size=(1, 28, 28), name="roteqnet"))


def test_perturbations_have_one_length(monkeypatch):
    monkeypatch.setattr(laboratory, "N_FIT", 8)
    monkeypatch.setattr(laboratory, "N_SELECT", 8)
    made = laboratory.perturbations(models.load("vgg_digits"), data.load("digits", split="train")[:16])
    assert list(made) == ["SPM", "UAP", "SVD", "random"]
    for _, v in made.values():
        assert float(v.square().mean().sqrt()) == pytest.approx(1, abs=1e-5)
    assert made["random"][1].abs().eq(1).all()


def test_distorted_digits_stay_digits():
    images = data.load("digits", n=20)
    moved = laboratory.distorted(images.x, torch.Generator().manual_seed(0))
    assert moved.shape == images.x.shape
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    again = laboratory.distorted(images.x, torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)
    assert not torch.equal(moved, images.x)


def test_digits_of_the_page_hold_the_whole_set():
    made = laboratory.digits()
    assert len(made["train"]["labels"]) == 1297
    assert len(base64.b64decode(made["test"]["blocks"])) == 500 * 64


def test_answers_are_the_packages_own():
    model = models.load("vgg_digits")
    made = answers(model)
    from uapkit.attacks import singular_uap

    one = made["K"][1]
    images = data.load("digits", split="train", n=4, seed=3)
    wanted = singular_uap(model, images, layer="block1_conv2", p=float("inf"), q=2, eps=1.0, max_iter=12, seed=3)
    assert one["history"] == list(wanted.history)
    json.dumps(made, allow_nan=False)


@pytest.mark.skipif(
    shutil.which("node") is None or not (project_root() / "node_modules" / "assemblyscript").is_dir(),
    reason="node or its packages are not installed; `make book` installs them",
)
def test_the_script_is_one_classic_script(tmp_path):
    made = laboratory.bundle(project_root() / "node_modules").decode()
    assert not made.lstrip().startswith(("import", "export"))
    assert "import(" not in made
    assert len(made) < 200_000
    named = laboratory.licences(project_root() / "node_modules")
    assert named.count("opyright") >= len(laboratory.INSIDE)
    assert "Matsumoto" in named
    with pytest.raises(RuntimeError, match="could not make"):
        laboratory.bundle(project_root() / "node_modules", tmp_path)


def test_summary_draws_the_measured_rates():
    made = {
        "network_sha256": "a" * 64,
        "data_sha256": "b" * 64,
        "accuracy": [0.98, 0.97, 0.99],
        "n": 500,
        "n_train": 9,
        "n_fit": 4,
        "n_select": 5,
        "seed": 0,
        "torch": "2",
        "strengths": [0, 0.1],
        "perturbations": [{"name": "SPM", "about": "how", "rates": [[0, 0, 0.1], [0.5, 0.4, 0.6]]}],
    }
    table = laboratory.summary(made)
    assert "| SPM | how | 0.500 [0.400, 0.600] |" in table
    assert "at 0.1" in table


def test_the_film_strip_holds_four_runs():
    from uapkit.book import laboratory_film

    picture = laboratory_film.floats(torch.rand(1, 28, 28))
    frame = {"picture": picture, "below": "iteration 1\n3.0", "signed": True}
    made = [{"bench": b, "frames": [frame] * (1 + k), "sentence": f"About {b}."} for k, b in enumerate("KMEJ")]
    assert laboratory_film.strip(made)[:8] == b"\x89PNG\r\n\x1a\n"
    text = laboratory_film.page(made, "/film.png")
    assert all(f"- **{b}.** About {b}." in text for b in "KMEJ")
    assert ":alt:" in text


def test_runs_of_the_film_strip_say_what_they_measured(monkeypatch):
    from uapkit.book import laboratory_film
    from uapkit.evaluate import fooling_rate

    monkeypatch.setattr(laboratory_film, "N_OTHERS", 20)
    model, others = models.load("vgg_digits"), data.load("digits", n=20)
    made = laboratory_film._power(
        model, lambda v: fooling_rate(model, others, v), fooling_rate(model, others, torch.zeros(1, 28, 28))
    )
    assert [f["below"].partition("\n")[0] for f in made["frames"]][:3] == ["iteration 1", "iteration 2", "iteration 4"]
    assert "random signs 0.0%" in made["sentence"]
