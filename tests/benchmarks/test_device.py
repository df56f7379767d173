"""The device's benchmark on the path that a card takes, small; and the sizes that are computed from its stored run."""

import importlib
import sys

import pandas as pd
import pytest
import torch
from torch import nn

from uapkit import models
from uapkit.runner.catalogue import project_root

sys.path.insert(0, str(project_root()))
device = importlib.import_module("benchmarks.device")
sizes = importlib.import_module("benchmarks.sizes")
papers = importlib.import_module("benchmarks.papers")


@pytest.fixture
def tiny(monkeypatch):
    def made(name, where):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 12))
        return models.wrap(net, name=name).to(where)

    monkeypatch.setattr(device, "network", made)
    monkeypatch.setitem(device.LAYERS, "tiny", "1")
    monkeypatch.setattr(device, "SMALL", device.Scale(("tiny",), 6, 2, 3, 16))
    monkeypatch.setattr(device, "CARD", device.Scale(("tiny",), 6, 2, 3, 16))


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_every_kernel_runs_on_the_device(tiny, where):
    if where == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    table = device.run(where, repeats=2).set_index("kernel")
    assert table.index.tolist() == ["forward", "power", "deepfool", "uap", "bfloat16"]
    rates = table.drop("bfloat16")
    assert (rates["least"] <= rates["a_second"]).all()
    assert (rates["a_second"] <= rates["most"]).all()
    assert set(table["meaning"]) == {"speed only"}
    assert rates.loc["deepfool", "gradients_each"] > 0
    assert table.loc["bfloat16", "mixed"] == (
        "could be used" if table.loc["bfloat16", "signs_kept"] >= 0.999 else "refused"
    )


def test_a_card_that_is_not_here_is_asked_for_in_vain():
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert device.here() == "cpu"
    with pytest.raises(ValueError, match="no CUDA device is here"):
        device.run("cuda")
    with pytest.raises(ValueError, match="cuda or cpu"):
        device.run("tpu")


def test_signs_are_counted():
    """In full precision all are kept; in bfloat16 not, where sums of many terms end near zero: it is refused."""
    net = device.network("squeezenet1_1", "cpu")
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert device.signs_kept(net, "features.5", x, torch.float32) > 0.999
    assert 0.5 < device.signs_kept(net, "features.5", x) < device.KEPT


def test_hours_follow_from_counts_and_speeds():
    table = pd.DataFrame({"network": ["vgg19"] * 4, "kernel": sizes.KERNELS, "a_second": [10.0, 5.0, 1.0, 2.0]})
    speed = sizes.speeds(table)
    size = {"networks": ["vgg19", "vgg19"], "forward": 36000, "visits": 7200, "jobs": 4, "vectors": 3}
    row = sizes.row("x", size, speed)
    assert row["hours"] == pytest.approx(2 * (36000 / 10 + 7200 / 2) / 3600)
    assert row["hours_a_job"] == row["hours"] / 4
    assert row["GB_kept"] == pytest.approx((6 * 150528 * 4 + 2 * 36000 * 8) / 1e9, abs=1e-3)
    half = sizes.row("x", {**size, "networks": ["alexnet"]}, speed)
    assert half["hours"] < row["hours"] / 20


def test_every_item_of_the_sizes_is_an_item(monkeypatch):
    import yaml

    listed = yaml.safe_load((project_root() / "benchmarks" / "sizes.yml").read_text(encoding="utf-8"))
    from uapkit import runner

    for item, size in listed.items():
        assert runner.item(item).name == item
        assert size.keys() <= {"networks", "jobs", "vectors", *sizes.COUNTS.values()}
        assert all(sizes.operations(network) > 0 for network in size["networks"])
    monkeypatch.setattr(sizes, "stored", lambda name: None)
    with pytest.raises(ValueError, match="uapkit bench device --save"):
        sizes.run()


def test_the_papers_sizes_run_on_the_path_of_a_card(tiny, monkeypatch):
    listed = {
        "an item": {"networks": ["tiny", "tiny"], "forward": 400, "power": 80, "visits": 60, "deepfool": 20, "jobs": 4}
    }
    monkeypatch.setattr(papers.yaml, "safe_load", lambda text: listed)
    monkeypatch.setitem(papers.LAYERS, "tiny", "1")
    monkeypatch.setattr(papers, "X", 10)
    monkeypatch.setattr(papers, "BATCH", 8)
    monkeypatch.setattr(papers, "FIT", 4)
    table = papers.run("cpu", share=0.5, side=16).set_index("kernel")
    # one job of the item: two networks share four jobs, and half of its counts
    assert table.loc["forward", "count"] == 100
    assert table.loc["deepfool", "count"] == 5
    assert 4 <= table.loc["power", "count"] <= 20
    assert table.loc["visits", "count"] in (10, 20)  # the second pass only where the first changed something
    assert set(table["meaning"]) == {"speed only"}
    assert (table["share"] == 0.5).all()
    with pytest.raises(ValueError, match="unknown item"):
        papers.run("cpu", items=["another"])
    with pytest.raises(ValueError, match="share"):
        papers.run("cpu", share=2)


def test_random_images_are_made_again_the_same_and_never_all_at_once():
    images = papers.Random(2 * papers.BATCH + 3, 8, "cpu")
    once, again = list(images), list(images)
    assert [len(x) for x in once] == [papers.BATCH, papers.BATCH, 3]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not torch.equal(once[0], once[1])


def test_every_network_of_the_sizes_has_a_layer():
    import yaml

    listed = yaml.safe_load((project_root() / "benchmarks" / "sizes.yml").read_text(encoding="utf-8"))
    for network in {n for size in listed.values() for n in size["networks"]}:
        net = device.torchvision.models.get_model(
            network, weights=None, **({"init_weights": False} if network == "googlenet" else {})
        )
        assert papers.LAYERS[network] in dict(net.named_modules())
