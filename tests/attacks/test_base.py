import json
import math
import os
import re
import warnings

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from uapkit.attacks import Perturbation, as_tensor, foreign
from uapkit.attacks.base import batch_for, fitted_on, plain, ready, warn_of_size
from uapkit.data import Images

inf = math.inf


def some(c: int = 3, h: int = 5, w: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(c, h, w, generator=torch.Generator().manual_seed(seed)) * 0.02


def test_norms_scaling_and_flipping():
    v = torch.tensor([[[3.0, -4.0]]]) / 10
    p = Perturbation(v, 1.0, 2)
    assert p.size() == pytest.approx(0.5)
    assert p.size(inf) == pytest.approx(0.4)
    twice = p.scaled(1.0)
    assert torch.allclose(twice.v, 2 * v)
    assert (twice.eps, twice.norm) == (1.0, 2)
    flipped = p.flipped()
    assert torch.equal(flipped.v, -v)
    assert flipped.made_by["flipped"] is True
    assert flipped.flipped().made_by["flipped"] is False
    with pytest.raises(ValueError, match="no direction"):
        Perturbation(torch.zeros(1, 2, 2), 0.1).scaled(0.1)


@settings(max_examples=20, deadline=None)
@given(eps=st.floats(1e-4, 10), norm=st.sampled_from([1.0, 2.0, 3.0, inf]), seed=st.integers(0, 99))
def test_scaled_has_the_norm_asked_for(eps, norm, seed):
    p = Perturbation(some(seed=seed), 1.0, norm).scaled(eps)
    assert float(torch.linalg.vector_norm(p.v.double(), norm)) == pytest.approx(eps, rel=1e-5)


def test_apply_adds_and_clips_only_when_asked():
    x = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
    p = Perturbation(torch.full((1, 1, 1), 0.25), 0.25)
    assert p.apply(x).flatten().tolist() == [0.25, 0.75, 1.25]
    assert p.apply(x, clip=True).flatten().tolist() == [0.25, 0.75, 1.0]
    with pytest.raises(ValueError, match="images' shape"):
        Perturbation(some(), 0.1).apply(x)


def test_bad_perturbations_are_refused():
    with pytest.raises(ValueError, match="finite"):
        Perturbation(torch.full((1, 2, 2), math.nan), 0.1)
    with pytest.raises(ValueError, match=r"\(c, h, w\)"):
        Perturbation(torch.zeros(2, 1, 2, 2), 0.1)
    with pytest.raises(ValueError, match="eps"):
        Perturbation(some(), -0.1)
    with pytest.raises(ValueError, match=r"eps must lie in .*, got inf"):
        Perturbation(some(), 0.1).scaled(inf)
    with pytest.raises(TypeError, match="dense"):
        Perturbation(some().to_sparse(), 0.1)
    with pytest.raises(ValueError, match="norm"):
        Perturbation(some(), 0.1, 0.5)
    with pytest.raises(ValueError, match="JSON"):
        Perturbation(some(), 0.1, made_by={"p": inf})
    with pytest.raises(TypeError, match="floating-point"):
        Perturbation(torch.zeros(1, 2, 2, dtype=torch.int64), 0.1)
    with pytest.raises(TypeError, match="Perturbation"):
        as_tensor([0.1])


def test_save_and_load_keep_everything(tmp_path):
    p = Perturbation(some(), 10 / 255, inf, {"method": "test", "p": "inf", "n": 3}, (0.1, 0.25))
    p.save(tmp_path / "deep" / "v.safetensors")
    q = Perturbation.load(tmp_path / "deep" / "v.safetensors")
    assert torch.equal(q.v, p.v)
    assert (q.eps, q.norm, q.made_by, q.history) == (p.eps, inf, p.made_by, (0.1, 0.25))
    assert [f.name for f in (tmp_path / "deep").iterdir()] == ["v.safetensors"]


def test_save_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "v.safetensors"
    Perturbation(some(seed=1), 0.1).save(path)
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="could not be written"):
        Perturbation(some(seed=2), 0.1).save(path)
    assert path.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["v.safetensors"]


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "v.safetensors"
    Perturbation(some(), 0.1).save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"v\.safetensors is not a whole"):
        Perturbation.load(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="from_array"):
        Perturbation.load(path)
    with pytest.raises(FileNotFoundError, match=r"no file missing\.safetensors"):
        Perturbation.load(tmp_path / "missing.safetensors")


def test_from_array_reads_every_layout_alike(tmp_path):
    v = some(3, 6, 5)
    hwc255 = (v * 255).permute(1, 2, 0).numpy()
    bgr = hwc255[..., ::-1].copy()
    np.save(tmp_path / "v.npy", hwc255[None])
    np.savez(tmp_path / "v.npz", v=hwc255, name=np.array(["a"]), other=np.zeros((2, 2)))
    scipy.io.savemat(tmp_path / "v.mat", {"r": bgr})
    torch.save({"v": v[None], "step": 3}, tmp_path / "v.pt")
    save_file({"v": v}, tmp_path / "v.safetensors")
    for read in (
        Perturbation.from_array(v),
        Perturbation.from_array(v.numpy(), layout="chw", scale=1),
        Perturbation.from_array(tmp_path / "v.npy"),
        Perturbation.from_array(str(tmp_path / "v.npz"), key="v"),
        Perturbation.from_array(tmp_path / "v.mat", channels="bgr"),
        Perturbation.from_array(tmp_path / "v.pt"),
        Perturbation.from_array(tmp_path / "v.safetensors"),
    ):
        assert torch.allclose(read.v, v, atol=1e-7)
        assert read.eps == pytest.approx(float(v.abs().max()), rel=1e-5)
    assert json.loads(json.dumps(read.made_by))["source"] == "v.safetensors"
    assert Perturbation.from_array(torch.full((3, 2, 2), 0.5)).made_by["scale"] == 1, "up to a half it is clear"
    assert Perturbation.from_array(torch.full((3, 2, 2), 1.5)).made_by["scale"] == 255
    assert Perturbation.from_array(np.ones((1, 2, 2), dtype=np.uint8)).eps == pytest.approx(1 / 255)
    how = Perturbation.from_array(torch.zeros(1, 1, 5, 4, 3), channels="bgr", norm=2).made_by
    assert how == {"method": "from_array", "source": "array", "layout": "hwc", "channels": "bgr", "scale": 1}
    grey = Perturbation.from_array(np.full((4, 4), -10, dtype=np.int16), norm=2)
    assert grey.v.shape == (1, 4, 4)
    assert grey.eps == pytest.approx(4 * 10 / 255)


class Runs:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_from_array_takes_bfloat16_in_and_out_of_files(tmp_path):
    v = (torch.arange(48).view(3, 4, 4) / 1000).bfloat16()
    torch.save(v, tmp_path / "v.pt")
    save_file({"v": v}, tmp_path / "v.safetensors")
    for array in (v, tmp_path / "v.pt", tmp_path / "v.safetensors"):
        assert torch.equal(Perturbation.from_array(array, layout="chw").v, v.float())
    with pytest.raises(TypeError, match="norm must be a number, got 'inf'"):
        Perturbation.from_array(v, norm="inf")


def test_from_array_executes_nothing_and_asks_where_it_cannot_know(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"v": torch.zeros(3, 4, 4), "x": Runs()}, "evil.pt")
    np.save("evil.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    for name in ("evil.pt", "evil.npy"):
        with pytest.raises(ValueError, match="plain arrays"):
            Perturbation.from_array(name)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ValueError, match="say layout"):
        Perturbation.from_array(torch.zeros(3, 5, 3))
    with pytest.raises(ValueError, match="say scale"):
        Perturbation.from_array(torch.ones(3, 5, 5))
    with pytest.raises(ValueError, match="three axes"):
        Perturbation.from_array(torch.zeros(2, 3, 5, 5))
    with pytest.raises(ValueError, match="scale must be"):
        Perturbation.from_array(some(), scale=128)
    with pytest.raises(ValueError, match="three channels"):
        Perturbation.from_array(some(1), channels="bgr")
    np.savez("two.npz", a=np.zeros((3, 4, 4)), b=np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="choose with key"):
        Perturbation.from_array("two.npz")
    with pytest.raises(ValueError, match="nearest names are 'a'"):
        Perturbation.from_array("two.npz", key="A")
    (tmp_path / "v.txt").write_text("1")
    with pytest.raises(ValueError, match=r"kind of file '\.txt'"):
        Perturbation.from_array("v.txt")
    with pytest.raises(FileNotFoundError, match="no file"):
        Perturbation.from_array("none.npy")
    with pytest.raises(TypeError, match="real numbers"):
        Perturbation.from_array(np.zeros((3, 4, 4), dtype=complex))
    with pytest.raises(TypeError, match="dense"):
        Perturbation.from_array(torch.zeros(3, 4, 4).to_sparse())


def test_an_array_too_large_for_an_image_is_refused_before_it_is_copied(monkeypatch):
    monkeypatch.setattr(foreign, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"in the shape of an image is needed, got \(3, 8, 8\)"):
        Perturbation.from_array(torch.zeros(3, 8, 8))
    assert Perturbation.from_array(torch.zeros(3, 6, 6)).eps == 0


def test_training_mode_is_refused():
    model = nn.Linear(4, 3).eval()
    assert ready(model) is model
    with pytest.raises(ValueError, match="training mode"):
        ready(model.train())


def test_batches_shrink_with_images_and_gradients():
    small, large = torch.empty(1, 1, 28, 28), torch.empty(1, 3, 224, 224)
    assert batch_for(small) > batch_for(large) >= batch_for(large, 100) >= 1
    assert (batch_for(small), batch_for(small, 8), batch_for(small, 100)) == (
        2**21 // 784,
        2**21 // 784,
        2**24 // 78400,
    )
    assert batch_for(torch.empty(1, 3, 1024, 1024)) == 1


def test_what_a_perturbation_says_of_itself():
    assert repr(Perturbation(some(), 10 / 255, inf, {"method": "uap"})) == (
        "Perturbation(uap, (3, 5, 4), norm inf, eps 0.03922)"
    )
    assert repr(Perturbation(some()[None], 2, 2)) == "Perturbation(unknown origin, (3, 5, 4), norm 2, eps 2)"
    assert (plain(inf), plain(2)) == ("inf", 2.0)
    for odd in (torch.stack([some(), some()]), some()[0]):
        with pytest.raises(ValueError, match=re.escape(f"(c, h, w), got {tuple(odd.shape)}")):
            Perturbation(odd, 0.1)
    p = Perturbation(some(), 0.1)
    assert len({p, Perturbation(p.v, p.eps)}) == 2, "each is equal to itself alone"
    with pytest.raises(ValueError, match="eps"):
        Perturbation(some(), 0.1).scaled(-0.1)
    assert not Perturbation(some(), 0.1).scaled(0).v.any()


def test_model_and_images_are_named_as_far_as_they_have_names():
    named, images = nn.Flatten(), Images(torch.rand(4, 1, 2, 2), name="random")
    named.name = "own"
    assert fitted_on(named, images) == {"model": "own", "images": "random", "images_sha256": images.sha256, "n_fit": 4}
    named.name = lambda: "a method"
    assert fitted_on(named, torch.rand(3, 1, 2, 2)) == {"model": "Flatten", "n_fit": 3}
    assert fitted_on(nn.Flatten(), [torch.rand(3, 1, 2, 2)]) == {"model": "Flatten"}


@pytest.mark.parametrize(("eps", "norm", "large"), [(0.99, inf, False), (1, inf, True), (1.99, 2, False), (2, 2, True)])
def test_a_size_that_covers_the_box_of_pixels_is_warned_of(eps, norm, large):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_size(eps, norm, (1, 2, 2))
    assert [f"{eps}/255" in str(one.message) for one in said] == [True] * large
