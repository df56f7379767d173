"""Where Algorithm 1 stalls: the recipes, their courses, and the propositions behind the page."""

import itertools
import math

import numpy as np
import pytest
import torch

from uapkit import attacks, runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import ext_stall as item

inf = math.inf


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(norms=(2.0, inf), n_eval=120, n_random=2, max_visits=36, sizes=(6, 12), n_fit=12))


def test_ext_stall(run):
    ends = rows_of(run.rows, row="end")
    assert set(ends["kind"]) >= {*item.RECIPES, "random signs", "random direction", "equal length"}
    sphere = rows_of(ends, kind=item.SPHERE, norm=2.0)["l2_norm"].item()
    assert sphere == pytest.approx(255 * 0.2 * 200 * math.sqrt(784 / (3 * 224 * 224))), (
        "the whole radius, by definition"
    )
    others = rows_of(ends, kind=item.OTHERS)
    assert (others["n_images"] == 36).all()
    printed = rows_of(ends, kind=item.UAP, norm=inf, n_images=12).iloc[0]
    equal = rows_of(ends, kind=item.EQUAL, norm=inf)
    assert equal["l2_norm"].tolist() == pytest.approx([printed["l2_norm"]] * 2)
    last = rows_of(run.rows, row="pass", kind=item.UAP, norm=inf, n_images=12).iloc[-1]
    assert last["fooling_rate"] == printed["fooling_rate"], "the curve ends at the end"
    assert last["visits"] == 12 * last["pass"]


def test_amplified_is_the_same_direction_at_full_length(run):
    v = torch.tensor(run.arrays["v/mlp_digits/inf/UAP/12"])
    made = attacks.Perturbation(v, 0.2, inf, {})
    full = item.amplified(made, inf)
    assert torch.equal(full[v != 0], 0.2 * v.sign()[v != 0])
    assert torch.equal(item.amplified(made, 3.0), (3 * v).clamp(-0.2, 0.2))
    made = attacks.Perturbation(v, 50.0, 2, {})
    assert float(item.amplified(made, inf).norm()) == pytest.approx(50)
    assert float(item.amplified(made, 1.5).norm()) == pytest.approx(min(50, 1.5 * float(v.norm())))
    rows = rows_of(run.rows, row="amplified", norm=inf, n_images=12).set_index("factor")
    flags = run.arrays["fooled/mlp_digits/inf/UAP/12/inf"]
    assert rows.loc[inf, "fooling_rate"] == flags.mean()


def test_claims_compare_on_the_same_images(run):
    table = runner.evidence("moosavi2017/ext_stall", run)
    row = rows_of(table, claim="views_go_further", network="mlp_digits, norm inf").iloc[0]
    views, printed = (run.arrays[f"fooled/mlp_digits/inf/{kind}/12"].astype(float) for kind in (item.VIEWS, item.UAP))
    assert row["estimate"] == pytest.approx(views.mean() - printed.mean())
    noise = np.mean([run.arrays[f"fooled/mlp_digits/inf/random signs/{k}"] for k in range(2)])
    assert row["null"] == pytest.approx(noise - printed.mean()), "what noise has over v, in the mean of its draws"
    assert {"length_is_missing", "sphere_goes_further", "other_photographs_go_further"} <= set(table["claim"])
    own = rows_of(table, claim="direction_beats_its_spectrum", network="mlp_digits, norm inf").iloc[0]
    longer = run.arrays["fooled/mlp_digits/inf/UAP/12/inf"].mean()
    same = np.mean([run.arrays[f"fooled/mlp_digits/inf/random phases/{k}"] for k in range(2)])
    assert own["estimate"] == pytest.approx(longer - same)


def test_noise_with_the_spectrum_is_made_of_the_largest_x_and_has_full_length(run, monkeypatch):
    """In the 2-norm its spectrum is that of v, scaled; in the infinity norm it is two-valued."""
    seen = []
    real = item.rephased
    monkeypatch.setattr(item, "rephased", lambda v, seed: seen.append(v) or real(v, seed))
    table = item.run(
        norms=(2.0,), n_eval=20, n_random=2, max_visits=12, sizes=(6, 12), n_fit=12, recipes=("UAP",), factors=()
    )
    printed = torch.tensor(table.attrs["arrays"]["v/mlp_digits/2/UAP/12"])
    assert all(torch.equal(v, printed) for v in seen)
    assert len(seen) == 2
    noise = rows_of(run.rows, kind=item.PHASES)
    full = {2.0: 255 * 0.2 * 200 * math.sqrt(784 / (3 * 224 * 224)), inf: 255 * 0.2 * 28}
    for norm, rows in noise.groupby("norm"):
        assert rows["l2_norm"].tolist() == pytest.approx([full[norm]] * 2, rel=1e-4)
    assert noise["is_null"].all()


class TwoClasses(torch.nn.Module):
    """An affine classifier of two classes, for which a step of DeepFool is a projection onto a half-space."""

    def __init__(self, normal: torch.Tensor):
        super().__init__()
        self.register_buffer("w", normal)

    def forward(self, x):
        score = x.flatten(1) @ self.w
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_projections_never_move_away_from_what_fools_all_images():
    """Watched: proposition moosavi2017/prop_stall. v ends within twice the distance of the nearest z that fools all of X."""
    draw = torch.Generator().manual_seed(0)
    d = 64
    w = torch.randn(d, generator=draw, dtype=torch.float64)
    x = torch.rand(20, 1, 8, 8, generator=draw, dtype=torch.float64)
    net = TwoClasses(w - w.mean()).eval()
    score = net(x)[:, 0]
    x, score = x[score > 0], score[score > 0]  # one label: each image's half-space is {v: <w, v> <= -score}
    z = -(1.02 * float(score.max()) / float(net.w @ net.w)) * net.w.view(
        1, 8, 8
    )  # fools all, with the overshoot's room
    for norm, eps in ((inf, 2 * float(z.abs().max())), (2, 2 * float(z.norm()))):
        seen = [torch.zeros_like(z)]
        made = attacks.uap(net, x, norm=norm, eps=eps, target_rate=1, max_passes=5, callback=lambda p: seen.append(p.v))  # noqa: B023
        distance = [float((v - z).norm()) for v in seen]
        assert all(b <= a + 1e-9 for a, b in itertools.pairwise(distance))
        assert float(made.v.norm()) <= 2 * float(z.norm()) + 1e-9
        assert made.history[-1] == 1
        sphere = attacks.uap(net, x, norm=2, eps=5 * float(z.norm()), target_rate=1, max_passes=2, projection="sphere")
        assert float(sphere.v.norm()) > 2 * float(z.norm()), "the sphere leaves that ball"


def test_figures_show_each_recipe(run):
    axes = item.figure(run).axes
    for ax, norm in zip(axes, (2, inf), strict=True):
        drawn = {line.get_label(): line for line in ax.lines}
        assert set(item.RECIPES) <= set(drawn)
        part = rows_of(run.rows, row="pass", kind=item.VIEWS, norm=norm)
        assert np.allclose(drawn[item.VIEWS].get_ydata(), part["fooling_rate"])
    (ax,) = item.lengths(run).axes
    part = rows_of(run.rows, row="pass", kind=item.UAP, norm=inf, n_images=6)
    assert any(np.array_equal(line.get_ydata(), part["l2_norm"]) for line in ax.lines)
    assert list(item.ends(run)["kind"][:1]) == [item.UAP]
    assert "pass" not in set(item.ends(run).get("row", []))
