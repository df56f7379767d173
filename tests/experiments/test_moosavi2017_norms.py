"""Paper M's Figure 8: every direction has the norm it claims, none is scored on the images that made it."""

import pytest
import torch

from uapkit import models
from uapkit.experiments import moosavi2017 as paper
from uapkit.experiments import moosavi2017_norms as module
from uapkit.experiments.moosavi2017_shared import Study

SMALL = {"models": ("mlp_digits",), "n_fit": 40, "n_eval": 80, "sizes": (0.5, 1.0), "n_draws": 2, "max_passes": 1}


def test_fig8_norms(monkeypatch):
    seen = []
    real = module.evaluate.fooled
    monkeypatch.setattr(module.evaluate, "fooled", lambda m, x, v, *a, **k: seen.append(v) or real(m, x, v, *a, **k))
    table = paper.fig8_norms(**SMALL)
    assert list(dict.fromkeys(table["kind"])) == list(module.KINDS)
    assert table.groupby("kind").size().to_dict() == {k: 4 if k in module.DRAWN else 2 for k in module.KINDS}
    assert [255 * float(v.norm()) for v in seen] == pytest.approx(table["l2_norm"].tolist(), rel=1e-4)
    rates = table[table["size"] == 1].groupby("kind")["fooling_rate"].mean()
    assert rates[module.UNIVERSAL] > rates[module.RANDOM] + 0.1
    claims = paper.EVIDENCE["fig8_norms"](table).set_index("network")["estimate"]
    for kind in module.KINDS[1:]:
        expected = rates[module.UNIVERSAL] - rates[kind]
        assert claims[f"mlp_digits against {kind}"] == pytest.approx(expected, abs=1e-6)


def test_the_mean_image_is_that_of_the_images_to_fit_on(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "KINDS", (module.MEAN,))
    real = module.evaluate.fooled
    monkeypatch.setattr(
        module.evaluate, "fooled", lambda m, x, v, *a, **k: seen.append((x, v)) or real(m, x, v, *a, **k)
    )
    paper.fig8_norms(**SMALL)
    fit, scored = Study("digits", 40, n_eval=80).x("mlp_digits")
    mean = fit.x.mean(0)
    assert torch.allclose(seen[0][1] / seen[0][1].norm(), mean / mean.norm(), atol=1e-6)
    assert seen[0][0].sha256 == scored.sha256
    assert not (fit.x.flatten(1)[:, None] == scored.x.flatten(1)[None]).all(2).any()


def test_networks_that_are_not_here_keep_their_rows():
    table = paper.fig8_norms(**SMALL | {"models": ("vgg16",)})
    assert set(table["status"]) == {"not run here"}
    assert paper.EVIDENCE["fig8_norms"](table).empty


def test_a_network_of_ones_own():
    own = models.load("linear_digits")
    table = paper.fig8_norms(**SMALL | {"models": (own,), "sizes": (1.0,), "n_draws": 1})
    assert set(table["model"]) == {own.name}
    assert len(table) == 6
