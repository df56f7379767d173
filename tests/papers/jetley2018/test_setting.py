"""What paper J's items share: projected networks, DeepFool by blocks, medians, and values by network."""

import math

import pandas as pd
import pytest
import torch

from uapkit import attacks, data, lab, models, runner, subspace
from uapkit.files import cache_folder
from uapkit.lab.identity import identity
from uapkit.papers.jetley2018 import setting
from uapkit.papers.jetley2018.spans import directions, spans_of

BOTH = ["lenet_digits", "mlp_digits"]


def test_projected_network_and_its_complement():
    net = models.load("linear_digits")
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    mean, basis = x.mean(0), subspace.random_subspace(784, 30, seed=1).float()
    only, without = setting.Projected(net, basis, mean), setting.Projected(net, basis, mean, remove=True)
    assert torch.allclose(only(x) + without(x), net(x) + net(mean[None]), atol=1e-4), "a linear network adds the parts"
    assert torch.allclose(without(mean[None]), net(mean[None]), atol=1e-5)
    whole = setting.Projected(net, torch.eye(784), mean)
    torch.testing.assert_close(whole(x), net(x), atol=1e-4, rtol=1e-4)
    assert not only.training, "a defended network is a fixed function of the images"


def test_each_projection_is_a_network_of_its_own():
    net, basis, mean = models.load("mlp_digits"), torch.eye(784)[:, :3], torch.zeros(1, 28, 28)
    one = setting.Projected(net, basis, mean)
    others = [
        setting.Projected(net, basis, mean, remove=True),
        setting.Projected(net, torch.eye(784)[:, 1:4], mean),
        setting.Projected(net, basis, mean + 0.1),
        setting.Projected(models.load("linear_digits"), basis, mean),
    ]
    assert identity(one) == identity(setting.Projected(net, basis.clone(), mean.clone()))
    assert len({identity(net) for net in (one, *others)}) == 5


def test_deepfool_by_blocks_is_deepfool():
    net, images = models.load("linear_digits"), data.load("digits", n=60)
    blocks, whole = setting.deepfool(net, images, max_iter=5), attacks.deepfool(net, images, max_iter=5)
    torch.testing.assert_close(blocks.r, whole.r, atol=1e-5, rtol=1e-4)
    assert torch.equal(blocks.success, whole.success)
    assert (setting.lengths(blocks) == torch.where(whole.success, setting.norms(blocks.r), math.inf)).all()


def test_median_with_infinite_values():
    found = setting.bootstrap_median(torch.tensor([1.0, 2.0, 3.0, math.inf, math.inf]))
    assert (found.value, found.n) == (3, 5)
    assert found.low <= found.value <= found.high == math.inf


def test_accuracy_needs_labels():
    unlabelled = data.Images(torch.rand(2, 1, 28, 28), name="mine")
    with pytest.raises(ValueError, match="mine has none"):
        setting.right(models.load("linear_digits"), unlabelled)


def test_spans_are_nested_orthonormal_and_seeded():
    bench = lab.Bench("digits", 30, 0, 10, 5, from_training=True)
    spans = spans_of(bench, "linear_digits", 5, n_random=2)
    assert spans.dimensions((1e-9, 0.1, 1.0)) == [1, 78, 784]
    for kind in ("S_hi", "S_lo", "random", "principal components"):
        basis = spans.span(kind, 20)
        torch.testing.assert_close(basis.T @ basis, torch.eye(20), atol=1e-4, rtol=0)
    assert torch.equal(spans.span("random", 5), spans.span("random", 9)[:, :5])
    assert not torch.equal(spans.span("random", 5), spans.span("random", 5, draw=1))
    assert float((spans.span("S_hi", 400).T @ spans.span("S_lo", 384)).abs().max()) < 1e-4, "complementary"
    with pytest.raises(ValueError, match="attack"):
        directions(bench, "linear_digits", "pgd", 5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("jetley2018/sec_direct_attack", {"d_lows": [100]}),
        ("jetley2018/tab1_downsampling", {"d_lows": [100], "factors": [1]}),
    ],
)
def test_a_change_for_one_network_computes_the_other_no_more(name, settings, tmp_path, monkeypatch):
    trained = cache_folder("models")
    for network in BOTH:
        models.load(network)  # trained at most once for both cases

    def run(cache, here):
        monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / cache))
        (tmp_path / cache).mkdir(exist_ok=True)
        if not (link := tmp_path / cache / "models").exists():
            link.symlink_to(trained, target_is_directory=True)
        return runner.run(name, models=BOTH, **settings, n_eval={"other": 6, "mlp_digits": here})

    before, after, anew = run("one", 6), run("one", 9), run("two", 9)
    pd.testing.assert_frame_equal(after, anew)
    assert not after.equals(before), "the change must show"
    own, still = (frame[frame["model"] == "lenet_digits"].reset_index(drop=True) for frame in (before, after))
    pd.testing.assert_frame_equal(own, still)
    kept = [frame.attrs["provenance"]["kept"] for frame in (before, after, anew)]
    assert kept[0]["reused"] == kept[2]["reused"] == 0
    assert kept[1]["reused"] == kept[1]["computed"] == kept[0]["computed"] / 2, (
        "the other network's answers are there already"
    )
