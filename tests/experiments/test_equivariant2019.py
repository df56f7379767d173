"""Paper E's items on small runs: known answers for the parts, splits that do not leak, nulls, claims as inequalities."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from uapkit import attacks, data, evaluate, models
from uapkit.experiments import directions as d
from uapkit.experiments import equivariant2019 as paper
from uapkit.experiments.directions import Turned
from uapkit.experiments.equivariant2019_shared import over_seeds
from uapkit.experiments.per_image import unit
from uapkit.experiments.universal import Course
from uapkit.spectra import random_directions
from uapkit.lab.sweep import resuming

NET = "linear_digits"  # its gradients are known: x enters them only through the probabilities
SMALL = {"models": (NET,), "data": "digits", "rotation": 30.0, "seed": 3}


def bench(**more):
    return Turned("digits", 0, seed=3, rotation=30.0, **more)


# ---------------------------------------------------------------------------------------------- parts


def test_images_are_those_of_the_rotated_set_and_samples_are_nested():
    b = bench()
    all_of_them = {tuple(x.flatten().tolist()) for x in data.load("digits", rotation=30.0).x}
    few, many = b.turned(20), b.turned(60)
    assert torch.equal(few.x, many.x[:20])
    assert all(tuple(x.flatten().tolist()) in all_of_them for x in few.x)
    assert not torch.equal(few.x, data.load("digits", rotation=30.0)[:20].x), "the set's own order is not random"


def test_directions_are_unit_gradients_and_their_signs():
    b = bench()
    images, model = b.turned(20), b.model(NET)
    g = attacks.loss_gradient(model, images.x, images.y).flatten(1)
    rows = b.directions(NET, "gradient", 20)
    assert torch.allclose(rows, g / g.norm(dim=1, keepdim=True), atol=1e-6)
    signs = b.directions(NET, "fgsm", 20)
    assert torch.equal(signs.sign(), g.sign())
    assert torch.allclose(signs.norm(dim=1), torch.ones(20), atol=1e-5)
    predicted = bench(labels="predicted").directions(NET, "gradient", 20)
    right = model.predict(images) == images.y
    assert torch.allclose(predicted[right], rows[right], atol=1e-6)
    assert not torch.allclose(b.directions(NET, "gradient", 20, untrained=0), rows)


def test_deepfool_rows_change_the_label():
    b = bench()
    images, rows = b.turned(20), b.directions(NET, "deepfool", 20)
    r = attacks.deepfool(b.model(NET), images.x).r.flatten(1)
    assert torch.allclose(rows, r / r.norm(dim=1, keepdim=True), atol=1e-5)


def test_zero_rows_stay_zero_and_tiny_rows_keep_their_direction():
    rows = torch.tensor([[0.0, 0.0], [3e-38, 4e-38], [3.0, 4.0]])
    found = unit(rows)
    assert found[0].tolist() == [0, 0]
    assert torch.allclose(found[1:], torch.tensor([[0.6, 0.8], [0.6, 0.8]]), atol=1e-5)


def test_kept_directions_are_computed_once_and_follow_the_weights(tmp_path, monkeypatch):
    key = {"params": {}, "code": "x", "torch": "y"}
    with resuming(tmp_path / "item", key):
        first = bench().directions(NET, "gradient", 20)
    monkeypatch.setattr(attacks, "loss_gradient", lambda *a, **k: pytest.fail("computed again"))
    with resuming(tmp_path / "other_item", key):
        assert torch.equal(bench().directions(NET, "gradient", 20), first)
        with pytest.raises(pytest.fail.Exception):
            bench().directions("mlp_digits", "gradient", 20)


def test_moments_do_not_depend_on_the_blocks():
    rows = random_directions(50, 8, 0)
    assert torch.allclose(d.moments(rows, 7).sum(0), rows.double().T @ rows.double(), atol=1e-6)


def test_jackknife_of_a_mean_is_students_interval_of_the_groups():
    x = torch.randn(40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 2
    parts = torch.stack([part.sum() for part in x.tensor_split(10)])[:, None, None]
    counts = torch.full((10, 1, 1), 4.0, dtype=torch.float64)
    value, low, high, error = d.jackknife(lambda s, n: (s / n).numpy().ravel(), parts, counts)
    groups = parts.ravel() / 4
    assert value[0] == pytest.approx(float(x.mean()))
    assert error[0] == pytest.approx(float(groups.std() / math.sqrt(10)))
    assert low[0] < value[0] < high[0]


def test_shares_angles_and_dots_of_planted_subspaces():
    a, b = torch.zeros(6, 6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    a.diagonal().copy_(torch.tensor([4.0, 3, 2, 1, 0, 0]))
    b.diagonal().copy_(torch.tensor([0.0, 5, 0, 0, 3, 2]))
    assert d.shares(a, 3) == pytest.approx([0.4, 0.7, 0.9])
    assert d.angles(a, b, 2) == pytest.approx([90, 0], abs=1e-6), "they share the second axis"
    assert d.mean_dots(a, b, [1, 2]) == pytest.approx([0, 0.25], abs=1e-9)


def test_held_out_share_is_not_inflated_by_few_rows():
    rows = random_directions(40, 400, 0)
    parts = d.moments(rows)
    assert d.shares(parts.sum(0), 5)[-1] > 0.1, "in sample five directions hold much of forty random rows"
    assert d.held_out_share(parts, 5) == pytest.approx(5 / 400, abs=0.01)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_a_steerable_filter_has_one_angular_frequency(m):
    y, x = torch.meshgrid(*[torch.arange(28.0) - 13.5] * 2, indexing="ij")
    r, t = torch.hypot(x, y), torch.atan2(y, x)
    share, found = d.angular_share((torch.exp(-((r - 8) ** 2) / 8) * torch.cos(m * t + 0.3))[None])
    assert found == m
    assert share > 0.97
    noise = torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert d.angular_share(noise)[0] < 0.5


def test_round_share_is_what_no_rotation_changes():
    y, x = torch.meshgrid(*[torch.arange(28.0) - 13.5] * 2, indexing="ij")
    ring, wave = torch.exp(-((torch.hypot(x, y) - 8) ** 2) / 8), torch.cos(2 * torch.atan2(y, x))
    assert d.round_share(ring[None]) > 0.99
    assert d.round_share((ring * wave)[None]) < 0.01
    half = d.round_share((ring * (1 + 2**0.5 * wave))[None])  # cos^2 is one half on average
    assert half == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("slug", "given", "words"),
    [
        ("tab1_angles", {"k": 785}, r"top directions must lie in \[1, 784\]"),
        ("fig1_energy", {"k": 0}, "top directions must be an integer of at least 1"),
        ("tab1_angles", {"n_random": 0}, "n_random must be an integer of at least 1"),
        ("thm1_alignment", {"n_delta": 1}, "n_delta must be an integer of at least 2"),
        ("thm2_sampling", {"samples": (0,)}, "sampled rows must be an integer of at least 1"),
    ],
)
def test_bad_parameters_get_one_clear_sentence(slug, given, words):
    with pytest.raises(ValueError, match=words):
        getattr(paper, slug)(**SMALL, n_fit=40, **given)


def test_images_that_the_network_does_not_take_are_refused(tmp_path):
    for k in range(24):
        Image.fromarray(np.full((32, 32, 3), 10 * k, np.uint8)).save(tmp_path / f"{k:02d}.png")
    with pytest.raises(ValueError, match=rf"{NET} takes images of 1 x 28 x 28, but .* holds 3 x 32 x 32"):
        paper.fig1_energy(models=(NET,), data=str(tmp_path), n_fit=24, labels="predicted")


def test_too_large_a_sample_is_refused():
    with pytest.raises(ValueError, match="digits holds 500 images, got a sample of 501"):
        paper.tab1_angles(**SMALL, n_fit=501)


def test_weights_have_their_tag_without_being_loaded():
    b = bench()
    mine = models.wrap(torch.nn.Flatten(), input_size=(1, 28, 28), name="mine")
    b.specs([mine])
    names = ("stdcnn_mnist_rot", "gcnn_mnist_rot[trained]", "nobody_trained_this", "mine")
    assert [b.weights(n) for n in names] == ["trained", "trained", "default", "wrapped"]
    assert not b._models


def test_training_seeds_are_read_from_names_and_averaged():
    assert [d.training_seed(n) for n in ("stdcnn_mnist_rot", "gcnn_mnist_rot_seed2", "x_seed12[tag]")] == [0, 2, 12]
    assert d.family("gcnn_mnist_rot_seed2") == d.family("gcnn_mnist_rot")
    rows = {"network": ["a"] * 4, "training_seed": [0, 1, 2, 3], "v": [1.0, 2.0, 6.0, math.nan], "status": "run"}
    found = over_seeds(pd.DataFrame(rows), "v").iloc[0]
    assert found[["v", "min", "max", "n_seeds"]].tolist() == [3, 1, 6, 3]
    assert found["spread"] == pytest.approx(math.sqrt(7))
    with pytest.raises(ValueError, match="several rows a training seed"):
        over_seeds(pd.DataFrame(rows | {"training_seed": 0}), "v")


# ---------------------------------------------------------------------------------------------- items


def test_fig1_energy():
    table = paper.fig1_energy(**SMALL, n_fit=100, k=9)
    trained = table[table["kind"] == "trained"].iloc[0]
    assert trained["top_share"] == pytest.approx(1, abs=1e-6), "ten classes: gradients of a linear network span nine"
    shares = table.set_index("kind")["top_share"]
    assert shares["random"] < shares["random in the data's subspace"] < 1
    assert (table["held_out_share"] <= table["top_share"] + 1e-6).all()
    evidence = paper.EVIDENCE["fig1_energy"](table).set_index("claim")
    assert evidence.loc["top5_above_10_percent", "null"] == shares[1:].max(), "the null nearest to the claim"


def test_fig2_spectra():
    table = paper.fig2_spectra(**SMALL, attacks=("gradient", "fgsm"), samples=(40, 80))
    assert len(table) == 2 * 2 * 5
    for row in table.to_dict("records"):
        s = table.attrs["arrays"][f"s/{NET}/{row['attack']}/{row['sample']}/{row['kind']}"]
        assert (s**2).sum() == pytest.approx(row["n_rows"], rel=1e-6), "unit rows"
        assert (s[:5] ** 2).sum() / (s**2).sum() == pytest.approx(row["top5_share"], rel=1e-6)
        assert row["ratio_low"] <= row["tenth_to_first"] <= row["ratio_high"]
    gradient = table[(table["attack"] == "gradient") & (table["kind"] == "trained")]
    assert (gradient["tenth_to_first"] < 1e-3).all(), "rank nine"
    random = table[table["kind"] == "random"]
    assert (random["effective_dimension"] > 30).all()
    exact = np.linalg.svd(bench().directions(NET, "gradient", 80).double().numpy(), compute_uv=False)
    assert table.attrs["arrays"][f"s/{NET}/gradient/80/trained"][:9] == pytest.approx(exact[:9], rel=1e-5)


def test_fig2_dot_products():
    table = paper.fig2_dot_products(**SMALL, attacks=("gradient",), samples=(60,), ks=(3, 5), n_random=20)
    random = table[(table["kind"] == "random") & (table["k"] == 5)].iloc[0]
    assert random["mean_dot"] == pytest.approx(math.sqrt(2 / (math.pi * 784)), rel=0.1)
    inside = table[(table["kind"] == "random in the data's subspace") & (table["k"] == 5)].iloc[0]
    assert inside["mean_dot"] > 2 * random["mean_dot"]
    v = torch.linalg.svd(bench().directions(NET, "gradient", 60).double())[2][:3]
    u = torch.linalg.svd(bench().invariant(60, 2.0).double())[2][:3]
    mine = table[(table["kind"] == "trained") & (table["k"] == 3)].iloc[0]
    assert mine["mean_dot"] == pytest.approx(float((v @ u.T).abs().mean()), rel=1e-4)
    claims = set(paper.EVIDENCE["fig2_dot_products"](table)["claim"])
    assert claims == {"dot_below_0.07", "dot_below_random", "dot_below_random_in_data"}


def test_tab1_angles():
    table = paper.tab1_angles(**SMALL, n_fit=60, n_random=30)
    assert table.groupby("kind").size().tolist() == [5] * 4
    for _, rows in table.groupby("kind"):
        assert rows["principal_angle"].is_monotonic_decreasing, "the paper's column 1 is the largest"
    random = table[table["kind"] == "random"]["principal_angle"].to_numpy()
    assert random == pytest.approx([89.4, 88.0, 86.4, 84.7, 82.5], abs=1.0), "the reference's simulated null"
    inside = table[table["kind"] == "random in the data's subspace"]["principal_angle"].to_numpy()
    assert inside[-1] < random[-1] - 5, "digits do not fill R^784"
    evidence = paper.EVIDENCE["tab1_angles"](table).set_index("claim")
    assert evidence.loc["nearly_orthogonal", "null"] == pytest.approx(random[-1], abs=8)


@pytest.fixture(scope="module")
def curves():
    return paper.fig5_fooling(
        **SMALL, attacks=("gradient",), samples=(20, 60, 200), n_eval=100, norms=(0.0, 0.3), n_random=2, passes=1
    )


def test_fig5_fooling(curves):
    vectors = curves[curves["kind"] == "singular vector"]
    assert set(vectors["fit"]) == {"held out", "in sample", "other half"}
    still = curves[curves["relative_norm"] == 0]
    assert (still["fooling_rate"].dropna() == 0).all()
    clean = 1 - evaluate.accuracy(bench().model(NET), bench().turned(200)[100:])["accuracy"].item()
    assert still["error_rate"].dropna().unique() == pytest.approx([clean]), "at norm 0 it is the clean error"
    assert set(vectors["sign"]) == {1, -1}
    signs = vectors.groupby(["fit", "n_fit"])["chosen"].mean()
    assert (signs.drop("other half") == 0.5).all(), "one sign of two"
    assert (signs["other half"] == 1).all(), "of the cross-fit only the sign that fitted images choose"
    moved = vectors[(vectors["relative_norm"] == 0.5) & (vectors["chosen"] == True)]  # noqa: E712
    random = curves[(curves["kind"] == "random direction") & (curves["relative_norm"] == 0.5)]
    assert moved["error_rate"].min() > random["error_rate"].max()
    assert "universal perturbation" in set(curves["kind"])
    claims = paper.EVIDENCE["fig5_fooling"](curves)
    assert claims["claim"].tolist() == ["reaches_80_percent", "beats_random_directions", "100_samples_suffice"]
    reached = claims.iloc[0]
    assert reached["estimate"] == moved.loc[moved["fit"] == "other half", "error_rate"].item()


def test_fig5_fooling_scores_no_fitted_image():
    """The rate of the smallest sample is that of its vector on images 100 to 200, and it was fitted on the first 20."""
    b = bench()
    at = Course(b, NET, 200, 100, (0.3,), 0.5)
    assert at.first == 100
    rows = b.directions(NET, "gradient", 200)
    found, _ = at.singular(rows, 20)
    v = at.vector(rows[:20]).view(1, 28, 28)
    scored = b.turned(200)[100:]
    eps = 0.3 * float(scored.x.flatten(1).norm(dim=1).mean())
    row = next(r for r in found if r["relative_norm"] == 0.3 and r["sign"] == 1)
    assert row["eps"] == pytest.approx(eps)
    assert row["error_rate"] == pytest.approx(float(evaluate.error_rate(b.model(NET), scored, v * eps)))
    assert row["fooling_rate"] == pytest.approx(float(evaluate.fooling_rate(b.model(NET), scored, v * eps)))
    other = next(r for r in at.singular(rows, 200)[0] if r["fit"] == "other half" and r["relative_norm"] == 0.3)
    a = at.vector(rows[:100]).view(1, 28, 28) * other["sign"]  # the second half is scored: the first half's vector
    assert other["error_rate"] == pytest.approx(float(evaluate.error_rate(b.model(NET), scored, a * eps)))


def test_ext_roteqnet_fooling():
    table = paper.ext_roteqnet_fooling(**SMALL, attacks=("gradient",), samples=(20, 60), n_eval=30, norms=(), passes=1)
    assert set(table["model"]) == {NET}
    assert set(table["relative_norm"].dropna()) == {0.5}


def test_ext_lower_vectors():
    table = paper.ext_lower_vectors(**SMALL, attacks=("gradient",), n_fit=60, n_eval=60, k=3)
    vectors = table[table["kind"] == "singular vector"]
    assert vectors["index"].tolist() == [1, 2, 3]
    assert vectors["share"].is_monotonic_decreasing
    evidence = paper.EVIDENCE["ext_lower_vectors"](table)
    assert len(evidence) == 2, "from the second on"


def test_fig7_invariant_vectors():
    table = paper.fig7_invariant_vectors(n_fit=300, n_random=5)
    ours, random = table[table["kind"] == "invariant directions"], table[table["kind"] == "random"]
    assert ours["angular_share"].min() > random["angular_share"].max(), "steerable, and chance is not"
    u = [table.attrs["arrays"][f"u/{k}"].ravel() for k in range(1, 6)]
    assert np.abs(np.stack(u) @ np.stack(u).T - np.eye(5)).max() < 1e-5
    upright = paper.fig7_invariant_vectors(n_fit=300, n_random=5, rotation=0.0)
    assert upright.iloc[0]["angular_share"] < ours["angular_share"].iloc[0], "upright digits are not at all angles"


def test_fig8_attack_vectors():
    table = paper.fig8_attack_vectors(**SMALL, attacks=("gradient", "fgsm"), n_fit=60)
    assert len(table) == 10
    v = torch.from_numpy(table.attrs["arrays"][f"v/{NET}/gradient/1"]).flatten()
    rows = bench().directions(NET, "gradient", 60)
    assert float((rows @ v).square().mean()) == pytest.approx(table.iloc[0]["share"], rel=1e-4)


def test_thm1_alignment():
    table = paper.thm1_alignment(**SMALL, attacks=("gradient", "fgsm"), n_fit=100)
    inside = table[table["sample"] == "in sample"]
    assert (inside["survival"] >= inside["bound"] - 1e-9).all(), "in sample the theorem is exact, for every kind"
    assert inside["lambda"].to_numpy() == pytest.approx(inside["mean_square"].to_numpy(), rel=1e-5)
    start = inside[inside["delta"] == 0]
    assert (start["survival"] == 1).all()
    assert start["bound"].to_numpy() == pytest.approx(start["lambda"].to_numpy())
    assert (table["same_sign"].dropna() >= 0.5).all()
    claims = paper.EVIDENCE["thm1_alignment"](table)
    assert (claims.loc[claims["claim"] == "bound_holds_in_sample", "low"] >= 0).all()


def test_thm2_sampling():
    table = paper.thm2_sampling(**SMALL, attacks=("gradient",), n_fit=200, samples=(25, 400), n_draws=4)
    trained = table[table["kind"] == "trained"]
    by_m = trained.groupby("m")[["error", "distance"]].mean()
    assert (by_m.loc[25] > by_m.loc[400]).all()
    assert (trained["distance"] <= math.sqrt(2) * trained["sine"] + 1e-9).all(), "the factor that is dropped"
    assert (trained["sine"] <= trained["davis_kahan"] + 1e-9).all(), "Davis and Kahan bound the sine"
    stated = trained.dropna(subset="bound")
    assert (stated["error"] < stated["gap"]).all()
    assert (trained["m_bernstein"] < trained["m_stated"] / 10).all()
    assert (table.loc[table["kind"] == "random", "gap"] < trained["gap"].min()).all()


def test_sec_accuracy():
    table = paper.sec_accuracy(models=(NET,), rotations=(0.0, 30.0), train=("stdcnn",), epochs=1, n_eval=100)
    clean = table[table["kind"] == "clean"].set_index("rotation")
    images = data.load("digits", n=100, seed=0, rotation=30.0)
    expected = float((models.load(NET).predict(images) == images.y).double().mean())
    assert clean.loc[30.0, "accuracy"] == pytest.approx(expected)
    assert table[table["kind"] == "untrained network"]["accuracy"].max() < 0.4
    averaged = table[table["kind"] == "averaged"]
    assert averaged["rotation"].tolist() == [30.0]
    net, quarters = models.load(NET), [torch.rot90(images.x, k, (-1, -2)) for k in range(4)]
    labels = sum(net(x).softmax(1) for x in quarters).argmax(1)
    assert averaged["accuracy"].item() == pytest.approx(float((labels == images.y).double().mean()))
    curve = table[table["kind"] == "epoch"]
    assert curve["epoch"].tolist() == [1]
    assert 0 < curve["train_loss"].item() < 3
    evidence = paper.EVIDENCE["sec_accuracy"](table)
    assert evidence["estimate"].item() == clean.loc[30.0, "accuracy"]


def test_ext_rotation_range():
    table = paper.ext_rotation_range(ranges=(0.0, 180.0), epochs={"stdcnn": 1}, n_fit=40, n_eval=60, n_random=1)
    assert (table["epochs"] == 1).all()
    assert ((table["share_low"] <= table["top_share"]) & (table["top_share"] <= table["share_high"])).all()
    assert table["trained_range"].unique().tolist() == [0.0, 180.0]
    assert table[["accuracy", "invariance", "top_share"]].stack().between(0, 1).all()
    evidence, concentrated = (row for _, row in paper.EVIDENCE["ext_rotation_range"](table).iterrows())
    random = table[(table["kind"] == "random direction") & (table["relative_norm"] == 0.5)]
    assert evidence["bound"] > random["error_rate"].iloc[1] - random["error_rate"].iloc[0], (
        "beyond any random direction"
    )
    shares = table.groupby("trained_range")["top_share"].first()
    assert concentrated["estimate"] == pytest.approx(shares[180.0] - shares[0.0])
    chosen = table[(table["kind"] == "singular vector") & (table["chosen"] == True) & (table["relative_norm"] == 0.5)]  # noqa: E712
    first, last = chosen["error_rate"]
    assert evidence["estimate"] == pytest.approx(last - first)


def test_missing_weights_keep_their_rows(monkeypatch):
    monkeypatch.setattr(models, "load", lambda name, **kw: (_ for _ in ()).throw(models.WeightsMissing("not here")))
    for slug in paper.__all__:
        if slug not in ("fig7_invariant_vectors", "ext_rotation_range"):  # these need no stored weights
            more = {"train": ()} if slug == "sec_accuracy" else {}
            table = getattr(paper, slug)(models=("roteqnet_mnist_rot",), **more)
            assert table["status"].unique().tolist() == ["not run here"], slug
            assert set(table["model"]) == {"roteqnet_mnist_rot"}
            assert slug not in paper.EVIDENCE or paper.EVIDENCE[slug](table).empty, slug


def test_a_users_own_module_goes_through():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2 * 576, 10)
    )
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = paper.tab1_angles(models=[mine], n_fit=40, n_random=5)
    assert set(table["model"]) == {"mine"}
    angles = table.pivot_table(index="index", columns="kind", values="principal_angle")
    assert not np.allclose(angles["trained"], angles["untrained network"]), "fresh weights, not the user's"
