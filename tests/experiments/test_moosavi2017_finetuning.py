"""Paper M's defence: what perturbing does to a batch, and that tuning on a perturbation protects against it."""

import pytest
import torch

from uapkit import data, models
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_finetuning as module

SMALL = {"n_train": 300, "n_fit": 30, "n_eval": 100, "epochs": 3, "pool": 2, "max_passes": 1, "seeds": (0, 1)}


@pytest.fixture(scope="module")
def table():
    return paper.sec_finetuning(**SMALL)


def test_sec_finetuning(table):
    assert len(table) == 2 * 3 * 2
    by = table.set_index(["seed", "round", "kind"])
    for seed in (0, 1):
        assert by.loc[(seed, 0, "perturbed"), "fooling_rate"] == by.loc[(seed, 0, "control"), "fooling_rate"]
        new, old = by.loc[(seed, 1, "perturbed")], by.loc[(seed, 1, "control")]
        assert new["old_rate"] < old["old_rate"], "tuned on the pool, the network withstands the pool"
        assert new["accuracy"] > 0.85
    assert by["old_rate"].isna().sum() == 4, "before the first round there is no pool"


def test_sec_finetuning_evidence(table):
    claims = paper.EVIDENCE["sec_finetuning"](table)
    assert claims["claim"].tolist() == ["finetuning_helps_little"] * 2
    rates = table.groupby(["kind", "round"])["fooling_rate"].mean()
    assert claims["estimate"][0] == pytest.approx(rates["perturbed", 0] - rates["perturbed", 1])
    assert claims["null"][0] == pytest.approx(rates["control", 0] - rates["control", 1])
    assert claims["estimate"][1] == pytest.approx(rates["perturbed", 1] - rates["perturbed", 2])
    assert paper.EVIDENCE["sec_finetuning"](table.assign(status="not run here")).empty


def test_perturbing_finds_the_least_multiple():
    net = models.load("linear_digits")
    x = data.load("digits").x[:40]
    v = 0.5 * (torch.rand(2, *x.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5)
    clean = net(x).argmax(1)
    seen = module.perturbing(net, v, 1.0)(x, torch.Generator().manual_seed(1))
    draws = torch.Generator().manual_seed(1)
    torch.rand(len(x), generator=draws)
    member = v[torch.randint(2, (len(x),), generator=draws)]
    size = (seen - x).flatten(1).norm(dim=1) / member.flatten(1).norm(dim=1)
    for i in range(len(x)):
        crossing = [m for m in module.MULTIPLES if net(x[i : i + 1] + m * member[i]).argmax(1) != clean[i]]
        assert float(size[i]) == pytest.approx(crossing[0] if crossing else 1.0, abs=1e-4)
    assert size.round(decimals=3).unique().numel() > 2, "sizes differ from image to image"


def test_the_share_of_perturbed_images():
    net, x = models.load("linear_digits"), data.load("digits").x[:100].repeat(5, 1, 1, 1)
    v = torch.full((1, *x.shape[1:]), 0.01)
    moved = (module.perturbing(net, v, 0.5)(x, torch.Generator().manual_seed(0)) != x).flatten(1).any(1)
    assert 0.42 < float(moved.float().mean()) < 0.58
    still = module.perturbing(net, v, 0.0)(x, torch.Generator().manual_seed(0))
    assert torch.equal(still, x)


def test_the_given_network_is_not_changed():
    own = models.load("mlp_digits")
    before = {k: v.clone() for k, v in own.state_dict().items()}
    paper.sec_finetuning(**SMALL | {"models": (own,), "rounds": 1, "epochs": 1, "seeds": (0,)})
    assert all(torch.equal(v, before[k]) for k, v in own.state_dict().items())
    assert not any(p.requires_grad for p in own.parameters())
