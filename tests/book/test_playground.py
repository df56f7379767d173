"""What the playground page is made of: the exported network is the network, vectors have one length, no test image chooses."""

import base64
import json

import numpy as np
import onnx
import pytest
import torch

from uapkit import data, models
from uapkit.book import playground


@pytest.fixture(scope="module")
def model():
    return models.load("vgg_digits")


@pytest.fixture(scope="module")
def exported(model):
    return playground.export(model)


def test_exported_network_takes_any_number_of_images_and_names_no_file(exported):
    graph = onnx.load_from_string(exported)
    onnx.checker.check_model(graph)
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert b".py" not in exported, "stack traces would name this machine's folders"


def test_exported_network_gives_the_logits_of_the_network(model, exported):
    from onnx.reference import ReferenceEvaluator

    x = data.load("digits", n=2).x
    found = ReferenceEvaluator(onnx.load_from_string(exported)).run(None, {"x": x.numpy()})[0]
    assert np.abs(found - model(x).numpy()).max() < 1e-4


def test_perturbations_have_one_length(model, monkeypatch):
    monkeypatch.setattr(playground, "N_FIT", 8)
    monkeypatch.setattr(playground, "N_SELECT", 8)
    made = playground.perturbations(model, data.load("digits", split="train")[:16])
    assert list(made) == ["SPM", "UAP", "SVD", "random"]
    for _, v in made.values():
        assert float(v.square().mean().sqrt()) == pytest.approx(1, abs=1e-5)
    assert made["random"][1].abs().eq(1).all()


def test_distorted_digits_stay_digits():
    images = data.load("digits", n=20)
    moved = playground.distorted(images.x, torch.Generator().manual_seed(0))
    assert moved.shape == images.x.shape
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    again = playground.distorted(images.x, torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)
    assert not torch.equal(moved, images.x)


def test_staged_scripts_are_plain_assignments(tmp_path, monkeypatch):
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
    monkeypatch.setattr(playground, "contents", lambda: made)
    package = tmp_path / "node_modules" / playground.RUNTIME
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1", "license": "MIT"}')
    for name in ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs", "ort.wasm.min.js"):
        (package / "dist" / name).write_text(name)
    playground.stage(tmp_path / "staging", tmp_path / "node_modules")
    place = tmp_path / "staging" / "book" / "assets" / "vendor" / "playground"
    start, _, text = (place / "runtime.js").read_text().partition("window.uapkitRuntime = ")
    assert "MIT" in start
    assert base64.b64decode(json.loads(text.rstrip(";\n"))["wasm"])[:2] == b"\x1f\x8b", "gzip"
    table = (tmp_path / "staging" / "book" / "_generated" / "playground.md").read_text()
    assert "| SPM | how | 0.500 [0.400, 0.600] |" in table
    assert "at 0.1" in table
