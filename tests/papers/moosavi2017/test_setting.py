"""What paper M's items share: the split, the radii, one fit for all, networks of the reader's own, values by network."""

import inspect
import io
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from uapkit import attacks, lab, models, runner
from uapkit.files import cache_folder
from uapkit.lab import Run, rows_of
from uapkit.lab.sweep import for_network
from uapkit.papers.moosavi2017 import fig1_teaser, tab1_fooling_rates
from uapkit.papers.moosavi2017.setting import Setting, bench_of, radius, universal
from uapkit.runner import results

UAP_MODULE = sys.modules["uapkit.attacks.uap"]  # the function of this name hides the module
SMALL = {"models": ("mlp_digits",), "n_fit": 24, "n_eval": 120, "seed": 3}
ONE_FIT = {"norms": (math.inf,), "blocked": (), "n_random": 0}
ITEMS = (
    "fig1_teaser",
    "fig3_examples",
    "fig4_gallery",
    "fig5_diversity",
    "fig6_set_size",
    "tab1_fooling_rates",
    "tab2_transfer",
)
TINY = {"n_fit": 8, "n_eval": 24, "n_random": 2, "n_pictures": 1, "seeds": (0, 1), "sizes": (4, 8), "blocked": ("a",)}


def test_radii_are_the_papers():
    assert radius(math.inf, 10 / 255, (3, 224, 224)) == 10 / 255
    assert radius(2.0, 10 / 255, (3, 224, 224)) == pytest.approx(2000 / 255)
    small = radius(2.0, 10 / 255, (3, 32, 32))
    assert small / math.sqrt(3072) == pytest.approx(2000 / 255 / math.sqrt(150528)), "the same for each pixel"


def test_a_setting_by_network():
    by = {"default": 1, "squeezenet1_1": 2, "squeezenet1_1[gluon]": 3}
    assert [for_network(by, name) for name in ("vgg16", "squeezenet1_1", "squeezenet1_1[gluon]")] == [1, 2, 3]
    assert for_network({"squeezenet1_1": 2}, "squeezenet1_1[gluon]") == 2
    assert for_network(5, "vgg16") == 5
    with pytest.raises(ValueError, match='or for "default", got'):
        for_network({"vgg19": 2}, "vgg16")


@pytest.mark.parametrize("n_eval", [60, None])
def test_no_scored_image_is_fitted_on(n_eval):
    setting = Setting(bench_of("digits", 200, n_eval), 100)
    x, scored = setting.x("mlp_digits"), setting.bench.split("mlp_digits").scored
    assert len(x) == 100
    rows = [set(map(bytes, images.x.flatten(1).numpy())) for images in (x, scored)]
    assert not rows[0] & rows[1]
    assert (x.name, scored.name) == ("digits/train", "digits/test")


def test_a_set_without_training_split_is_parted(tmp_path):
    for k in range(12):
        Image.new("RGB", (28, 28), (20 * k, 0, 0)).save(tmp_path / f"{k}.png")
    setting = Setting(bench_of(str(tmp_path), 5, None))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 28 * 28, 3)).eval()
    assert setting.bench.names([models.wrap(net, input_size=(3, 28, 28), name="mine")]) == ["mine"]
    x, scored = setting.x("mine"), setting.bench.split("mine").scored
    assert (len(x), len(scored)) == (5, 7)
    values = {round(float(v), 4) for images in (x, scored) for v in images.x[:, 0, 0, 0]}
    assert len(values) == 12, "every image once"


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match=r"n_images must be in \[1, n_fit\] = \[1, 8\], got 9"):
        Setting(bench_of("digits", 8, 20), 9).x("mlp_digits")


def test_networks_share_images_where_all_settings_agree():
    setting = Setting(bench_of("digits", {"default": 8, "vgg_digits": 9}, 20))
    assert setting.same_images("mlp_digits", "lenet_digits")
    assert not setting.same_images("mlp_digits", "vgg_digits")


def test_fit_is_the_public_attack_with_the_released_settings():
    bench = bench_of("digits", 24, 120)
    net, x = bench.network("mlp_digits"), bench.split("mlp_digits").fit
    given = {"norm": math.inf, "eps": 0.1, "target_rate": 1.0, "max_passes": 3, "seed": 1, "block": 2}
    made = universal(net, x, **given)
    public = attacks.uap(net, x, num_classes=10, overshoot=0.02, max_iter=10, keep="best", **given)
    assert torch.equal(made.v, public.v)
    assert made.made_by == public.made_by
    assert float(made.made_by["fooling_rate_fit"]) == max(made.history), "the best pass, not the last"


def steps_of(monkeypatch):
    """A list that grows by one with every DeepFool inside the attack."""
    taken, real = [], UAP_MODULE.walk
    monkeypatch.setattr(UAP_MODULE, "walk", lambda *a, **k: taken.append(1) or real(*a, **k))
    return taken


def test_fit_is_made_once_for_all_items(tmp_path, monkeypatch):
    taken = steps_of(monkeypatch)
    with lab.keeping(tmp_path):
        first = tab1_fooling_rates.run(**SMALL, **ONE_FIT)
        assert (before := len(taken)) > 0
        again = fig1_teaser.run(**SMALL, n_pictures=1)
    assert len(taken) == before
    rate = rows_of(first, kind="UAP", scored_on="held out")["fooling_rate"].item()
    assert rows_of(again, kind="UAP", what="scored images")["fooling_rate"].item() == rate


@pytest.mark.parametrize("other", [{"eps": 0.1}, {"seed": 4}, {"n_fit": 23}, {"max_passes": 2}, {"target_rate": 0.5}])
def test_a_fit_under_other_settings_is_another(tmp_path, monkeypatch, other):
    taken = steps_of(monkeypatch)
    with lab.keeping(tmp_path):
        tab1_fooling_rates.run(**SMALL, **ONE_FIT)
        before = len(taken)
        kept = tab1_fooling_rates.run(**SMALL | ONE_FIT | other)
    assert len(taken) > before
    pd.testing.assert_frame_equal(kept, tab1_fooling_rates.run(**SMALL | ONE_FIT | other))


def test_an_interrupted_fit_goes_on_where_it_was(tmp_path, monkeypatch):
    there, sweep = [], UAP_MODULE._Sweep
    start, save = sweep.start, sweep.save

    def interrupted(self, state):
        save(self, state)
        if len(there) == 1:
            raise KeyboardInterrupt

    given = {**SMALL, **ONE_FIT, "max_passes": 2, "target_rate": 1.0}
    whole = tab1_fooling_rates.run(**given)
    monkeypatch.setattr(sweep, "start", lambda self: there.append(self.path.exists()) or start(self))
    monkeypatch.setattr(sweep, "save", interrupted)
    with lab.keeping(tmp_path):
        with pytest.raises(KeyboardInterrupt):
            tab1_fooling_rates.run(**given)
        states = list(tmp_path.rglob("*.state"))
        assert len(states) == 1
        table = tab1_fooling_rates.run(**given)
    assert there == [False, True]
    assert not states[0].exists()
    pd.testing.assert_frame_equal(table, whole)


def tiny(slug):
    about = runner.item(f"moosavi2017/{slug}")
    return about, {k: v for k, v in TINY.items() if k in inspect.signature(about.function).parameters}


@pytest.fixture(scope="module")
def mine():
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 10)) for _ in range(2)]
    return [
        models.wrap(net, mean=0.3, std=0.3, input_size=(1, 28, 28), name=n) for net, n in zip(nets, "ab", strict=True)
    ]


def stored(table):
    """The table and its arrays as they come back from the results folder."""
    again = results.read_table(results.table_bytes(table))
    again.attrs["arrays"] = results.unpack(io.BytesIO(results.pack(table.attrs["arrays"])))
    return again


@pytest.mark.parametrize("slug", ITEMS)
def test_a_users_own_networks_go_through_every_item(slug, mine):
    before = [{k: v.clone() for k, v in net.state_dict().items()} for net in mine]
    about, given = tiny(slug)
    table = about.function(models=mine, **given)
    assert set(table["model"]) == {"a", "b"}
    assert set(table["status"]) == {"run"}
    if about.claims:
        evidence, again = (runner.evidence(about.name, Run.of(t)) for t in (table, stored(table)))
        pd.testing.assert_frame_equal(evidence, again, rtol=1e-3, check_dtype=False)
        assert len(evidence)
    same = [torch.equal(old[k], v) for old, net in zip(before, mine, strict=True) for k, v in net.state_dict().items()]
    assert all(same), "the user's weights are left alone"


@pytest.mark.parametrize("slug", ITEMS)
@pytest.mark.parametrize("others", [0, 1])
def test_missing_weights_keep_their_row(slug, others, mine, monkeypatch):
    missing = models.WeightsMissing("not here")

    def load(name, **kwargs):
        raise missing

    monkeypatch.setattr(models, "load", load)
    about, given = tiny(slug)
    table = about.function(models=[*mine[:others], "vgg19"], **given)
    assert set(table.loc[table["model"] == "vgg19", "status"]) == {"not run here"}
    if about.claims:
        networks = runner.evidence(about.name, Run.of(table))
        assert networks.empty or not networks["network"].str.contains("vgg19").any()


BOTH = ["lenet_digits", "mlp_digits"]
OF_SEVERAL = ["pair", "foreign", "row mean", "column mean"]  # rows that two networks share, which may change
CASES = {  # item: its small settings, the parameter that changes for the second network, from and to
    "tab1_fooling_rates": ({"n_fit": 20, "n_eval": 40, "norms": [2.0]}, "n_images", 8, 12),
    "fig4_gallery": ({"n_fit": 20, "n_eval": 40}, "n_images", 8, 12),
    "fig5_diversity": ({"n_fit": 20, "seeds": [0, 1]}, "n_eval", 30, 40),
    "fig1_teaser": ({"n_fit": 20, "n_eval": 40, "n_pictures": 2}, "n_images", 8, 12),
    "fig3_examples": ({"n_fit": 20, "n_eval": 40, "n_pictures": 2, "norms": [2.0]}, "n_images", 8, 12),
    "fig6_set_size": ({"n_fit": 20, "n_eval": 40, "sizes": [8, 16]}, "max_visits", 8, 32),
    "fig7_label_graph": ({"n_fit": 20, "n_eval": 60, "n_noise": 20}, "n_graph", 40, 60),
    "tab2_transfer": ({"n_fit": 20, "n_eval": 40}, "n_images", 8, 12),
    "fig8_norms": ({"n_fit": 20, "sizes": [1.0], "n_normals": 10}, "n_eval", 30, 40),
    "sec_subspace": ({"n_images": 20, "ks": [3], "n_random": 2}, "n_eval", 30, 40),
    "fig9_spectrum": ({"n_groups": 2}, "n_images", 20, 30),
}


def of_the_other(table):
    """The rows that the second network has no part in."""
    rows = table[(table["model"] == "lenet_digits") & ~table["kind"].isin(OF_SEVERAL)]
    if "source" in rows:  # noise that was made like a vector of the second network, or as long
        rows = rows[~rows["source"].str.contains("mlp_digits")]
    assert len(rows)
    return rows.reset_index(drop=True)


@pytest.mark.parametrize("slug", CASES)
def test_a_change_for_one_network(slug, tmp_path, monkeypatch):
    """It gives what a run from nothing gives, and computes the other network's answers no more."""
    trained = cache_folder("models")
    for name in BOTH:
        models.load(name)  # trained at most once for all cases
    settings, parameter, first, second = CASES[slug]

    def table(cache, here):
        monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path / cache))
        (tmp_path / cache).mkdir(exist_ok=True)
        if not (link := tmp_path / cache / "models").exists():
            link.symlink_to(trained, target_is_directory=True)
        by_network = {parameter: {"default": first, "mlp_digits": here}}
        return runner.run(f"moosavi2017/{slug}", models=BOTH, **settings, **by_network)

    before, after, anew = table("one", first), table("one", second), table("two", second)
    pd.testing.assert_frame_equal(after, anew)
    assert not after.equals(before), "the change must show"
    pd.testing.assert_frame_equal(of_the_other(before), of_the_other(after))
    kept = [frame.attrs["provenance"]["kept"] for frame in (after, anew)]
    assert kept[0]["computed"] < kept[1]["computed"], "the other network's answers are there already"
    for name, array in anew.attrs["arrays"].items():
        assert np.array_equal(after.attrs["arrays"][name], array), name
