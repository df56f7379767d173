"""Paper M's rates: the split, the radii, the same fit for all items, claims as inequalities on a small run."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from uapkit import attacks, evaluate, models
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_fit as fits
from uapkit.experiments import moosavi2017_shared as shared
from uapkit.experiments.tidy import rows_of
from uapkit.lab import sweep as points
from uapkit.lab.sweep import for_network

SMALL = {"models": ("mlp_digits",), "n_fit": 24, "n_eval": 120, "seed": 3}
SETTINGS = {"eps": 0.2, "target_rate": 0.8, "max_passes": 1, "seed": 3, "max_iter": 10}


@pytest.fixture(scope="module")
def rates():
    return paper.tab1_fooling_rates(**SMALL, blocked=("mlp_digits",), block=8, n_random=2)


def test_radii_are_the_papers():
    assert shared.radius(math.inf, 10 / 255, (3, 224, 224)) == 10 / 255
    assert shared.radius(2.0, 10 / 255, (3, 224, 224)) == pytest.approx(2000 / 255)
    small = shared.radius(2.0, 10 / 255, (3, 32, 32))
    assert small / math.sqrt(3072) == pytest.approx(2000 / 255 / math.sqrt(150528)), "the same for each pixel"


def test_a_setting_by_network():
    by = {"default": 1, "squeezenet1_1": 2, "squeezenet1_1[gluon]": 3}
    found = [for_network(by, spec) for spec in ("vgg16", "squeezenet1_1", "squeezenet1_1[gluon]")]
    assert found == [1, 2, 3]
    assert for_network({"squeezenet1_1": 2}, "squeezenet1_1[gluon]") == 2
    assert for_network(5, "vgg16") == 5
    with pytest.raises(ValueError, match='or for "default", got'):
        for_network({"vgg19": 2}, "vgg16")


@pytest.mark.parametrize("n_eval", [60, None])
def test_no_scored_image_is_fitted_on(n_eval):
    study = shared.Study("digits", 200, 100, n_eval)
    x, scored = study.x("mlp_digits")
    assert len(x) == 100
    rows = [set(map(bytes, images.x.flatten(1).numpy())) for images in (x, scored)]
    assert not rows[0] & rows[1]
    assert (x.name, scored.name) == ("digits/train", "digits/test")


def test_a_set_without_training_split_is_parted(tmp_path):
    for k in range(12):
        Image.new("RGB", (28, 28), (20 * k, 0, 0)).save(tmp_path / f"{k}.png")
    study = shared.Study(str(tmp_path), 5, None, None)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 28 * 28, 3)).eval()
    assert study.specs([models.wrap(net, input_size=(3, 28, 28), name="mine")]) == ["mine"]
    x, scored = study.x("mine")
    assert (len(x), len(scored)) == (5, 7)
    values = {round(float(v), 4) for images in (x, scored) for v in images.x[:, 0, 0, 0]}
    assert len(values) == 12, "every image once"


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="n_images must be in \\[1, n_fit\\] = \\[1, 8\\], got 9"):
        shared.Study("digits", 8, 9, 20).x("mlp_digits")


def test_tab1_fooling_rates(rates):
    held = rates[rates["scored_on"] == "held out"]
    assert (held["n"] == 120).all()
    bench = shared.Study("digits", 24, None, 120, eps=0.2, seed=3)
    x, scored = bench.x("mlp_digits")
    model = bench.bench("mlp_digits").model("mlp_digits")
    for kind, block in (("UAP", 1), ("UAP, blocked", 8)):
        made = attacks.uap(model, x, block=block, **SETTINGS)
        row = rows_of(held, kind=kind, norm=math.inf).iloc[0]
        assert row["fooling_rate"] == pytest.approx(float(evaluate.fooling_rate(model, scored, made.v)))
        on_x = rows_of(rows_of(rates, kind=kind, norm=math.inf), scored_on="X").iloc[0]
        assert on_x["fooling_rate"] == pytest.approx(made.history[0])
        assert on_x["data"] == "X (24 train)"
        assert on_x["end"] == made.made_by["end"]
    assert (held["l2_norm"].dropna() <= 255 * 0.2 * 28 * 1.0001).all()
    assert (rows_of(held, kind="equal length")["l2_norm"].to_numpy() == rows_of(held, kind="UAP")["l2_norm"]).all()
    for norm in (2.0, math.inf):
        attack = rows_of(held, kind="UAP", norm=norm)
        null = held[held["kind"].str.startswith("random") & (held["norm"] == norm)]
        assert len(null) == 2
        assert attack["low"].min() > null["high"].max(), "the attack beats its null"


def test_tab1_fooling_rates_evidence(rates):
    evidence = paper.EVIDENCE["tab1_fooling_rates"](rates)
    level = evidence[evidence["claim"] == "above_77_percent"]
    assert (level["high"] == 1).all(), "a small X bounds the rate from below only"
    assert (level["null_high"] < level["estimate"]).all()
    held = rates[rates["scored_on"] == "held out"]
    blocked, plain = (rows_of(held, kind=k, norm=math.inf)["fooling_rate"].item() for k in ("UAP, blocked", "UAP"))
    more = evidence[evidence["claim"] == "blocked_fools_more"]
    assert more["estimate"].item() == pytest.approx(blocked - plain)
    gap = evidence[evidence["claim"] == "no_overfitting"].iloc[-1]
    assert gap["low"] < gap["estimate"] < gap["high"]
    large = rates.assign(n=20_000)
    assert (paper.EVIDENCE["tab1_fooling_rates"](large).query("claim == 'above_77_percent'")["high"] < 1).all()


def test_fit_is_made_once_for_all_items(tmp_path, monkeypatch):
    made = []
    real = attacks.uap
    monkeypatch.setattr(fits.attacks, "uap", lambda *a, **kw: made.append(kw["norm"]) or real(*a, **kw))
    results = []
    for item, given in (
        ("tab1_fooling_rates", {"norms": (math.inf,), "blocked": ()}),
        ("fig1_teaser", {"n_pictures": 1}),
    ):
        with points.resuming(tmp_path / item, {"params": {"item": item}}):
            results.append(getattr(paper, item)(**SMALL, **given))
    assert made == [math.inf]
    first = rows_of(rows_of(results[0], kind="UAP"), scored_on="held out")["fooling_rate"].item()
    again = rows_of(rows_of(results[1], kind="UAP"), what="scored images")["fooling_rate"].item()
    assert first == again


def test_an_interrupted_fit_goes_on_where_it_was(tmp_path, monkeypatch):
    real, at_start = attacks.uap, []

    def uap(*a, callback=None, **kw):
        at_start.append(kw["checkpoint"].exists())

        def stop(one):
            if len(at_start) == 1:
                raise KeyboardInterrupt

        return real(*a, callback=stop, **kw)

    given = {**SMALL, "norms": (math.inf,), "blocked": (), "n_random": 0, "max_passes": 2, "target_rate": 1.0}
    whole = paper.tab1_fooling_rates(**given)
    monkeypatch.setattr(fits.attacks, "uap", uap)
    with points.resuming(tmp_path / "item", {"params": {}}):
        with pytest.raises(KeyboardInterrupt):
            paper.tab1_fooling_rates(**given)
        states = list((tmp_path / "shared").glob("*.state"))
        assert len(states) == 1
        table = paper.tab1_fooling_rates(**given)
    assert at_start == [False, True]
    assert not states[0].exists()
    pd.testing.assert_frame_equal(table, whole)


def test_fig5_diversity():
    table = paper.fig5_diversity(**SMALL, seeds=(0, 1, 2))
    grams = table.attrs["arrays"]["gram/mlp_digits"]
    assert np.allclose(np.diag(grams), 1)
    assert np.allclose(grams, grams.T)
    pairs = table[table["kind"] == "pair"]
    assert len(pairs) == 3
    assert sorted(pairs["cosine"]) == pytest.approx(sorted([grams[0, 1], grams[0, 2], grams[1, 2]]))
    first = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/0"]).flatten()
    second = torch.from_numpy(table.attrs["arrays"]["v/mlp_digits/1"]).flatten()
    assert grams[0, 1] == pytest.approx(float(torch.cosine_similarity(first, second, 0)), abs=1e-5)
    evidence = paper.EVIDENCE["fig5_diversity"](table).iloc[0]
    assert evidence["estimate"] == pytest.approx(pairs["cosine"].abs().max())
    assert not table.loc[table["kind"] == "sum", "fooling_rate"].isna().any()


def test_diversity_of_vectors_that_fool_nobody_is_chance():
    rates = {"n": 100, "fooling_rate": 0.02, "low": 0.0, "high": 0.07}
    rows = [
        {"kind": "UAP", **rates},
        {"kind": "random signs", **rates},
        {"kind": "pair", "cosine": 0.01},
        {"kind": "random signs", "cosine": 0.0},
    ]
    table = pd.DataFrame([{"model": "m", "status": "run", **row} for row in rows])
    assert paper.EVIDENCE["fig5_diversity"](table)["null_high"].item() == 0, "the null passes too"
    table.loc[0, ["low", "fooling_rate", "high"]] = 0.5, 0.6, 0.7
    assert math.isnan(paper.EVIDENCE["fig5_diversity"](table)["null_high"].item())


def test_fig6_set_size(monkeypatch, tmp_path):
    monkeypatch.setenv("UAPKIT_DATA", str(tmp_path))
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))
    table = paper.fig6_set_size(**SMALL | {"n_fit": 32}, sizes=(4, 32, 1000), max_visits=32, n_random=2)
    attack = table[table["kind"] == "UAP"].set_index("n_images")
    assert attack.loc[32, "passes"] == 1
    assert attack.loc[4, "passes"] <= 5
    assert attack.loc[32, "fooling_rate"] > table.loc[table["kind"] == "random signs", "high"].max()
    missing = table[table["status"] == "not run here"]
    assert missing["n_images"].tolist() == [1000], "a thousand images of ImageNet's training split are not here"
    evidence = paper.EVIDENCE["fig6_set_size"](table)
    rise = evidence[evidence["claim"] == "rises_with_size"].iloc[0]
    assert rise["network"] == "mlp_digits, 32 against 4 images"
    assert rise["estimate"] == pytest.approx(attack.loc[32, "fooling_rate"] - attack.loc[4, "fooling_rate"])
    same = paper.tab1_fooling_rates(**SMALL | {"n_fit": 32}, norms=(math.inf,), blocked=(), n_random=1)
    held = rows_of(rows_of(same, kind="UAP"), scored_on="held out")
    assert held["fooling_rate"].item() == attack.loc[32, "fooling_rate"], "the same X, the same rate"


def test_claims_about_nothing_are_no_claims(rates):
    empty = rates.assign(status="not run here")
    for name in ("tab1_fooling_rates", "fig5_diversity", "fig6_set_size"):
        assert paper.EVIDENCE[name](empty).empty
