"""Figure 6: sizes share their cost and their images, and what needs ImageNet keeps its row."""

import numpy as np
import pytest

from uapkit import runner
from uapkit.lab import Run, rows_of
from uapkit.papers.moosavi2017 import fig6_set_size as item
from uapkit.papers.moosavi2017 import tab1_fooling_rates

SMALL = {"models": ("mlp_digits",), "n_fit": 32, "n_eval": 120, "seed": 3}


def evidence(table):
    return runner.evidence("moosavi2017/fig6_set_size", Run.of(table))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UAPKIT_DATA", str(tmp_path_factory.mktemp("no data")))
        return item.run(**SMALL, sizes=(4, 32, 1000), max_visits=32, n_random=2)


def test_fig6_set_size(table):
    attack = rows_of(table, kind="UAP").set_index("n_images")
    assert attack.loc[32, "passes"] == 1
    assert attack.loc[4, "passes"] <= 5
    assert attack.loc[32, "fooling_rate"] > rows_of(table, kind="random signs")["high"].max()
    missing = rows_of(table, status="not run here")
    assert missing["n_images"].tolist() == [1000], "a thousand images of ImageNet's training split are not here"
    same = tab1_fooling_rates.run(**SMALL, norms=(float("inf"),), blocked=(), n_random=1)
    held = rows_of(same, kind="UAP", scored_on="held out")
    assert held["fooling_rate"].item() == attack.loc[32, "fooling_rate"], "the same X, the same rate"


def test_fig6_set_size_claims(table):
    attack = rows_of(table, kind="UAP").set_index("n_images")["fooling_rate"]
    small = rows_of(evidence(table), claim="rises_with_size").iloc[0]
    assert small["network"] == "mlp_digits, 32 against 4 images", "a small run has no others"
    large = table.assign(n_images=table["n_images"].replace({4: 500, 32: 600}))
    told = runner.evidence("moosavi2017/fig6_set_size", _renamed(large, {"4": "500", "32": "600"}))
    rise = rows_of(told, claim="rises_with_size").iloc[0]
    assert rise["network"] == "mlp_digits, 600 against 500 images"
    assert rise["estimate"] == pytest.approx(attack[32] - attack[4])
    one = table.assign(n_images=table["n_images"].replace(32, 500))
    told = runner.evidence("moosavi2017/fig6_set_size", _renamed(one))
    assert rows_of(told, claim="rises_with_size").empty, "4 images are fewer than the paper's figure has"
    many = table.assign(n_images=table["n_images"].replace(32, 500))
    level = rows_of(runner.evidence("moosavi2017/fig6_set_size", _renamed(many)), claim="500_images_fool_30_percent")
    assert level["estimate"].item() == attack[32]
    ends = []
    for end in ("reached", "pass limit"):
        told = runner.evidence("moosavi2017/fig6_set_size", _renamed(many.assign(end=end)))
        ends.append(rows_of(told, claim="500_images_fool_30_percent")["high"].item())
    assert ends[0] < ends[1] == 1, "a run cut off at its pass limit bounds the rate from below only"
    assert level["null"].item() == pytest.approx(rows_of(table, kind="random signs")["fooling_rate"].mean())
    assert evidence(table.assign(status="not run here")).empty


def _renamed(table, sizes=None):
    sizes, run = sizes or {"32": "500"}, Run.of(table)
    ends = {name: name.rpartition("/") for name in run.arrays}
    named = {name: f"{start}/{sizes.get(size, size)}" for name, (start, _, size) in ends.items()}
    return Run(run.table, {named[name]: array for name, array in run.arrays.items()})


def test_figures_show_every_size(table):
    run = Run.of(table)
    ax = item.figure(run, {"mlp_digits": 0.7}).axes[0]
    assert any(np.allclose(line.get_xdata(), 10_000) and np.allclose(line.get_ydata(), 0.7) for line in ax.lines)
    on_x = next(line for line in ax.lines if line.get_label() == "on X")
    assert on_x.get_ydata().tolist() == rows_of(table, kind="UAP")["rate_on_fit"].tolist()[: len(on_x.get_ydata())]
    curves = item.passes(run)
    assert {line.get_linestyle() for line in curves.axes[0].lines} == {"-", "--"}
    assert item.passes(Run(run.table)) is None
