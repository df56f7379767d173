"""Figure 8: every direction has the norm it claims, none is scored on the images that made it."""

import pandas as pd
import pytest
import torch

from uapkit import evaluate, models, runner
from uapkit.lab import Run
from uapkit.papers.moosavi2017 import fig8_norms as item
from uapkit.papers.moosavi2017.setting import bench_of

SMALL = {"models": ("mlp_digits",), "n_fit": 40, "n_eval": 80, "sizes": (0.5, 1.0), "n_draws": 2, "max_passes": 1}
DRAWN = (item.RANDOM, item.DEEPFOOL, item.FGSM)  # directions of which there are several


def evidence(table):
    return runner.evidence("moosavi2017/fig8_norms", Run.of(table))


@pytest.fixture
def scored(monkeypatch):
    """(images, v) of everything that is scored."""
    seen, real = [], evaluate.fooled
    monkeypatch.setattr(evaluate, "fooled", lambda m, x, v, *a, **k: seen.append((x, v)) or real(m, x, v, *a, **k))
    return seen


def test_fig8_norms(scored):
    table = item.run(**SMALL)
    assert list(dict.fromkeys(table["kind"])) == list(item.KINDS)
    assert table.groupby("kind").size().to_dict() == {k: 4 if k in DRAWN else 2 for k in item.KINDS}
    assert [255 * float(v.norm()) for _, v in scored] == pytest.approx(table["l2_norm"].tolist(), rel=1e-4)
    rates = table[table["size"] == 1].groupby("kind")["fooling_rate"].mean()
    assert rates[item.UNIVERSAL] > rates[item.RANDOM] + 0.1
    found = evidence(table).set_index(["claim", "network"])["estimate"]
    for kind in list(item.KINDS)[1:]:
        for claim, times in (("universal_fools_more", 1), ("universal_above_others", 2)):
            expected = rates[item.UNIVERSAL] - times * rates[kind]
            assert found[claim, f"mlp_digits against {kind}"] == pytest.approx(expected, abs=1e-6), (
                "far more: twice as many"
            )


def test_rates_are_those_of_the_public_sweep():
    table = item.run(**SMALL)
    split = bench_of("digits", 40, 80).split("mlp_digits")
    model, own = models.load("mlp_digits"), table[table["kind"] == item.MEAN].sort_values("l2_norm")
    public = evaluate.norm_sweep(model, split.scored, split.fit.x.mean(0), (own["l2_norm"] / 255).tolist())
    assert own["fooling_rate"].tolist() == pytest.approx(public["fooling_rate"].tolist(), abs=0.03)


def test_the_mean_image_is_that_of_the_images_to_fit_on(scored, monkeypatch):
    monkeypatch.setattr(item, "KINDS", {item.MEAN: "images"})
    item.run(**SMALL)
    split = bench_of("digits", 40, 80).split("mlp_digits")
    mean, (images, v) = split.fit.x.mean(0), scored[0]
    assert torch.allclose(v / v.norm(), mean / mean.norm(), atol=1e-6)
    assert images.sha256 == split.scored.sha256
    assert not (split.fit.x.flatten(1)[:, None] == split.scored.x.flatten(1)[None]).all(2).any()


def test_networks_that_are_not_here_keep_their_rows():
    table = item.run(**SMALL | {"models": ("vgg16",)})
    assert set(table["status"]) == {"not run here"}
    assert evidence(table).empty
    assert item.figure(Run.of(table)).axes[0].texts[0].get_text() == "not run here"


def test_a_network_of_ones_own():
    own = models.load("linear_digits")
    table = item.run(**SMALL | {"models": (own,), "sizes": (1.0,), "n_draws": 1})
    assert set(table["model"]) == {own.name}
    assert len(table) == 6


def test_figure_draws_means_over_the_draws():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "draw": k, "l2_norm": 100.0 * size, "fooling_rate": size / 10 + k / 10}
        for kind in ("universal", "random direction")
        for k in range(3)
        for size in (1, 2)
    ]  # fmt: skip
    ax = item.figure(Run.of(pd.DataFrame(rows))).axes[0]
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"universal", "random direction"}
    assert lines["universal"].get_xdata().tolist() == [100, 200]
    assert lines["universal"].get_ydata().tolist() == pytest.approx([0.2, 0.3])
    wide = item.means(Run.of(pd.DataFrame(rows).assign(size=lambda t: t["l2_norm"], share_of_image=0.1)))
    assert wide["universal"].tolist() == pytest.approx([0.2, 0.3])
