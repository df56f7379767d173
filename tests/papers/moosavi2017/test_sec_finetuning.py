"""Paper M's defence: what perturbing does to a batch, and that tuning on a perturbation protects against it."""

import pandas as pd
import pytest
import torch

from uapkit import data, lab, models, runner
from uapkit.lab import Run
from uapkit.papers.moosavi2017 import sec_finetuning as item

SMALL = {"n_train": 300, "n_fit": 30, "n_eval": 100, "epochs": 3, "pool": 2, "max_passes": 1, "seeds": (0, 1)}


@pytest.fixture(scope="module")
def table():
    return item.run(**SMALL)


def evidence(table):
    return runner.evidence("moosavi2017/sec_finetuning", Run.of(table))


def test_sec_finetuning(table):
    assert len(table) == 2 * 3 * 2
    by = table.set_index(["seed", "round", "kind"])
    for seed in (0, 1):
        assert by.loc[(seed, 0, "perturbed"), "fooling_rate"] == by.loc[(seed, 0, "control"), "fooling_rate"]
        new, old = by.loc[(seed, 1, "perturbed")], by.loc[(seed, 1, "control")]
        assert new["old_rate"] < old["old_rate"], "tuned on the pool, the network withstands the pool"
        assert new["accuracy"] > 0.85
    assert by["old_rate"].isna().sum() == 4, "before the first round there is no pool"


def test_sec_finetuning_claims(table):
    found = evidence(table)
    assert found["claim"].tolist() == ["finetuning_helps_little"] * 2
    assert found["network"].tolist() == ["mlp_digits"] * 2, "both halves are one setting, which has to pass both"
    rates = table.groupby(["kind", "round"])["fooling_rate"].mean()
    assert found["estimate"][0] == pytest.approx(rates["perturbed", 0] - rates["perturbed", 1])
    assert found["null"][0] == pytest.approx(rates["control", 0] - rates["control", 1])
    assert found["estimate"][1] == pytest.approx(rates["perturbed", 1] - rates["perturbed", 2])
    assert evidence(table.assign(status="not run here")).empty


def test_perturbing_finds_the_least_multiple():
    net = models.load("linear_digits")
    x = data.load("digits").x[:40]
    v = 0.5 * (torch.rand(2, *x.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5)
    clean = net(x).argmax(1)
    seen = item.perturbing(net, v, 1.0)(x, torch.Generator().manual_seed(1))
    draws = torch.Generator().manual_seed(1)
    torch.rand(len(x), generator=draws)
    member = v[torch.randint(2, (len(x),), generator=draws)]
    size = (seen - x).flatten(1).norm(dim=1) / member.flatten(1).norm(dim=1)
    for i in range(len(x)):
        crossing = [m for m in item.MULTIPLES if net(x[i : i + 1] + m * member[i]).argmax(1) != clean[i]]
        assert float(size[i]) == pytest.approx(crossing[0] if crossing else 1.0, abs=1e-4)
    assert size.round(decimals=3).unique().numel() > 2, "sizes differ from image to image"


def test_the_share_of_perturbed_images():
    net, x = models.load("linear_digits"), data.load("digits").x[:100].repeat(5, 1, 1, 1)
    v = torch.full((1, *x.shape[1:]), 0.01)
    moved = (item.perturbing(net, v, 0.5)(x, torch.Generator().manual_seed(0)) != x).flatten(1).any(1)
    assert 0.42 < float(moved.float().mean()) < 0.58
    still = item.perturbing(net, v, 0.0)(x, torch.Generator().manual_seed(0))
    assert torch.equal(still, x)


def test_the_given_network_is_not_changed():
    own = models.load("mlp_digits")
    before = {k: v.clone() for k, v in own.state_dict().items()}
    item.run(**SMALL | {"models": (own,), "rounds": 1, "epochs": 1, "seeds": (0,)})
    assert all(torch.equal(v, before[k]) for k, v in own.state_dict().items())
    assert not any(p.requires_grad for p in own.parameters())


def test_a_kept_tuning_gives_the_network_that_it_gave(tmp_path):
    own, train = models.load("mlp_digits"), data.load("digits", split="train", n=100)
    members = torch.full((1, 1, 28, 28), 0.1)
    how = {"share": 0.5, "epochs": 1, "lr": 0.01, "batch_size": 50, "seed": 3}
    first = item.tuned(own, train, members, **how)
    with lab.keeping(tmp_path) as memo:
        made, again = (item.tuned(own, train, members, **how) for _ in range(2))
        control = item.tuned(own, train, None, **how)
    assert (memo.computed, memo.reused) == (2, 1)
    x = train.x[:20]
    assert torch.equal(first(x), made(x))
    assert torch.equal(made(x), again(x))
    assert not torch.equal(made(x), control(x))


def test_figure_sets_the_control_apart():
    rows = [
        {"model": "net", "status": "run", "kind": kind, "round": r, "seed": s, "fooling_rate": rate - 0.1 * r, "old_rate": 0.2,
         "random_rate": 0.01, "accuracy": 0.9}
        for kind, rate in (("perturbed", 0.6), ("control", 0.8)) for r in (0, 1, 2) for s in (0, 1)
    ]  # fmt: skip
    lines = item.figure(Run.of(pd.DataFrame(rows))).axes[0].lines
    found = {line.get_label(): line for line in lines if not line.get_label().startswith("_")}
    assert found["new universal perturbation"].get_ydata().tolist() == pytest.approx([0.6, 0.5, 0.4])
    assert found["new one, tuned on clean images"].get_ydata().tolist() == pytest.approx([0.8, 0.7, 0.6])
    assert len({(line.get_color(), line.get_marker()) for line in found.values()}) == 5
    nothing = pd.DataFrame([{"model": "vgg16", "status": "not run here"}])
    assert item.figure(Run.of(nothing)).axes[0].texts[0].get_text() == "not run here"
