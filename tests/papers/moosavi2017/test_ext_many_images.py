"""Algorithm 1 on images of another set: which are in X, which are scored, what is at full length, and the claims."""

import math

import numpy as np
import pytest
import torch

from uapkit import data, runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import ext_many_images as item
from uapkit.papers.moosavi2017.setting import bench_of

NAME, NET, inf = "moosavi2017/ext_many_images", "mlp_digits", math.inf
SMALL = {"models": (NET,), "sizes": (6, 30), "n_eval": 120, "n_random": 2, "max_passes": 2, "norms": (2.0, inf)}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**SMALL, recipes=item.RECIPES))


def test_ext_many_images(run):
    """Every end is scored again here, as it came out and at full length, in both norms."""
    bench = bench_of("digits", 30, 120)
    for norm, radius in ((inf, 0.2), (2.0, 0.2 * 200 * math.sqrt(784 / (3 * 224 * 224)))):
        for kind, n in ((item.UAP, 6), (item.UAP, 30), (item.VIEWS, 30)):
            v = torch.from_numpy(run.flags("v", NET, f"{norm:g}", kind, n))
            full = 0.2 * v.sign() if norm == inf else v * (radius / v.norm())
            rows = rows_of(run.rows, norm=norm, kind=kind, n_images=n).set_index("row")
            for row, w in (("end", v), ("amplified", full)):
                assert rows.loc[row, "fooling_rate"] == pytest.approx(float(bench.fooled(NET, w).float().mean()))
                assert rows.loc[row, "l2_norm"] == pytest.approx(255 * float(w.norm()), rel=1e-4)
            assert float(v.norm(p=norm)) <= radius * (1 + 1e-5)
    last = rows_of(run.rows, kind=item.UAP, norm=inf, n_images=30, row="pass").iloc[-1]
    assert last["visits"] == 30 * last["pass"]
    equal = rows_of(run.rows, kind=item.EQUAL, norm=inf)["l2_norm"]
    end = rows_of(run.rows, kind=item.UAP, norm=inf, n_images=30, row="end")["l2_norm"].item()
    assert list(equal) == pytest.approx([end] * 2)
    noise = rows_of(run.rows, kind=item.PHASES)
    assert noise["is_null"].all()
    assert len(noise) == 4
    assert np.allclose(rows_of(noise, norm=inf)["l2_norm"], 255 * 0.2 * 28), "at full length"


@pytest.fixture
def met(monkeypatch):
    """Every X that Algorithm 1 is run on."""
    found, real = [], item.fitted

    def fitted(bench, model, x, *rest, **more):
        found.append(x)
        return real(bench, model, x, *rest, **more)

    monkeypatch.setattr(item, "fitted", fitted)
    return found


def test_no_scored_image_is_in_x(met):
    item.run(**SMALL | {"norms": (inf,)})
    small, large = met
    assert torch.equal(large.x[:6], small.x), "every larger X holds the smaller ones"
    scored = bench_of("digits", 30, 120).split(NET).scored
    assert not (large.x.flatten(1)[:, None] == scored.x.flatten(1)).all(-1).any()


def test_x_comes_from_the_other_set(met, monkeypatch):
    """Bright images on the one side, dark ones on the other; all of the scored set is scored."""
    digits, real = data.load("digits", split="test"), data.load
    bright = data.Images(1 - digits.x[:40])
    monkeypatch.setattr(
        data, "load", lambda name, **more: bright[: more["n"]] if name == "bright" else real(name, **more)
    )
    table = item.run(**SMALL | {"norms": (inf,), "x_data": "bright", "n_eval": None})
    assert [len(x) for x in met] == [6, 30]
    assert all(float(x.x.mean()) > 0.5 for x in met)
    assert torch.equal(met[1].x[:6], met[0].x), "every larger X holds the smaller ones"
    assert set(table["x"]) == {"bright"}
    assert set(table["data"]) == {"digits"}
    assert set(table["n"]) == {len(digits)}


def test_claims(run):
    found = runner.evidence(NAME, run)
    about = f"{NET}, norm inf, 30 images"
    told = found.set_index(["claim", "network"])["estimate"]
    rate = {(r.kind, r.row, r.n_images): r.fooling_rate for r in rows_of(run.rows, norm=inf).itertuples()}
    mean = rows_of(run.rows, norm=inf, row="end").groupby("kind")["fooling_rate"].mean()
    end, full = rate[item.UAP, "end", 30], rate[item.UAP, "amplified", 30]
    assert told["more_images_fool_more", f"{about} against 6"] == pytest.approx(end - rate[item.UAP, "end", 6])
    assert told["fools_more_than_noise", about] == pytest.approx(end - mean["random signs"])
    assert told["direction_beats_its_spectrum", about] == pytest.approx(full - mean[item.PHASES])
    last = rows_of(found, claim="beats_every_null", network=f"{about}, full length").iloc[0]
    assert last["estimate"] == pytest.approx(full)
    assert last["null"] == pytest.approx(max(mean["random signs"], mean[item.PHASES])), "the strongest"


@pytest.mark.parametrize(("end", "high"), [("pass limit", 1.0), ("reached", None)])
def test_a_run_that_could_go_on_bounds_its_rate_from_below(run, end, high):
    ended = Run(run.table.assign(end=end), run.arrays)
    found = {(c.name, c.network): c.found for c in item.claims(ended)}
    about = f"{NET}, norm inf, 30 images"
    for one in (("fools_more_than_noise", about), ("beats_every_null", f"{about}, full length")):
        assert (found[one].high == 1.0) == (high == 1.0)
    assert found["direction_beats_its_spectrum", about].high < 1, "of this very vector"


def test_growth_finds_a_power_that_was_put_in(run):
    table = run.table.copy()
    ends = (table["kind"] == item.UAP) & (table["row"] == item.END)
    table.loc[ends, "l2_norm"] = 7 * table.loc[ends, "n_images"] ** 0.5
    assert item.growth(Run.of(table))["exponent"].tolist() == pytest.approx([0.5, 0.5])


def test_figure_shows_both_lengths_and_the_published_rate(run):
    drawn = item.figure(run, {(NET, inf): 0.78})
    labels = {label for ax in drawn.axes for label in ax.get_legend_handles_labels()[1]}
    assert {item.UAP, f"{item.UAP}, at full length", "random noise", "published, 10,000 images"} <= labels
    ax = drawn.axes[1]
    star = next(line for line in ax.lines if line.get_label() == "published, 10,000 images")
    assert star.get_xydata().tolist() == [[10_000, 0.78]]


def test_a_network_that_is_not_here_has_a_row_and_no_claim():
    run = Run.of(item.run(**SMALL | {"models": ("vgg16",), "data": "imagenet-sample"}))
    assert set(run.table["status"]) == {"not run here"}
    assert not list(item.claims(run))
