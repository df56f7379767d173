"""Vectors two and more as attacks: in their order, and only they are judged, against the strongest null without a gradient."""

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit.lab import Run
from uapkit.papers.equivariant2019 import ext_lower_vectors
from uapkit.papers.equivariant2019.course import IN_DATA, Course
from uapkit.spectra import unit_rows


def test_ext_lower_vectors(small, evidence):
    table = ext_lower_vectors.run(**small, attacks=("gradient",), n_fit=60, n_eval=60, k=3, energies=(0.5, 0.99))
    vectors = table[table["kind"] == "singular vector"]
    assert vectors["index"].tolist() == [1, 2, 3]
    assert vectors["share"].is_monotonic_decreasing
    found = evidence(ext_lower_vectors, table)
    assert len(found) == 2, "from the second on"
    random = table[table["kind"].str.startswith("random")].groupby("energy", dropna=False)["error_rate"]
    assert random.size().tolist() == [10, 10, 10]
    assert (found["bound"] == random.quantile(0.975).max()).all()


def test_a_subspace_has_the_fewest_directions_that_hold_its_share_of_the_images(setting):
    here = setting()
    rows = unit_rows(here.turned(80).x.flatten(1)).double()
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    held = values.square().cumsum(0) / values.square().sum()
    for energy in (0.3, 0.8, 0.99):
        basis = here.own_subspace(80, energy)
        m = basis.shape[1]
        assert held[m - 1] >= energy
        assert m == 1 or held[m - 2] < energy
        assert torch.allclose(basis @ basis.T, vectors[:m].T @ vectors[:m], atol=1e-6)
    assert torch.equal(here.own_subspace(80, 0.99), here.own_subspace(80))


def test_the_draws_of_99_percent_are_those_of_the_other_figures(small, setting, net):
    sizes = {"n_fit": 40, "n_eval": 30, "k": 1, "n_random": 3}
    table = ext_lower_vectors.run(**small, **sizes, attacks=("gradient",), norms=(0.1, 0.75), energies=(0.8, 0.99))
    here = setting()
    rows, _ = Course(here, net, 70, 30, (0.75,), 0.5).random(3, IN_DATA, 3)
    ours = table[table["energy"] == 0.99]
    assert ours[["draw", "relative_norm", "sign", "error_rate"]].to_dict("records") == [
        {key: row[key] for key in ("draw", "relative_norm", "sign", "error_rate")} for row in rows
    ]
    nulls = table[table["kind"].str.startswith("random")]
    assert set(nulls["relative_norm"]) == {0.5, 0.75}, "the norm of the signs and the one judged"
    few, many = (nulls.loc[nulls["energy"] == energy, "dimensions"].unique().tolist() for energy in (0.8, 0.99))
    assert (len(few), len(many)) == (1, 1)
    assert few < many


@pytest.mark.parametrize("energy", [0.0, -1.0, 0.999, 1.5])
def test_a_share_that_no_subspace_can_have_is_refused(small, energy):
    with pytest.raises(ValueError, match=r"energies must lie in \(0, 0.99\]"):
        ext_lower_vectors.run(**small, energies=(0.8, energy))


@pytest.fixture
def made():
    """A run with known errors: vectors 1 to 3 at two norms, and three nulls of two draws, the strongest that of 80 %."""
    base = {"status": "run", "model": "n", "attack": "gradient", "kind": "singular vector", "chosen": True, "n": 100}
    vectors = [
        {**base, "index": index, "relative_norm": size, "error_rate": rate, "error_low": rate - 0.1, "error_high": 1.0}
        for size, rates in ((0.25, (0.05, 0.05, 0.05)), (0.5, (0.9, 0.7, 0.4)))
        for index, rate in enumerate(rates, 1)
    ]
    null = {**base, "attack": np.nan, "relative_norm": 0.5, "error_low": 0.0, "error_high": 1.0}
    draws = [
        {**null, "kind": kind, "energy": energy, "dimensions": 300 * energy, "error_rate": rate, "draw": draw}
        for kind, energy, rate in (("random direction", np.nan, 0.1), (IN_DATA, 0.99, 0.2), (IN_DATA, 0.8, 0.65))
        for draw in (0, 1)
    ]
    return Run.of(pd.DataFrame(vectors + draws))


def test_a_vector_must_beat_the_strongest_null(made):
    found = list(ext_lower_vectors.claims(made))
    assert [one.bound for one in found] == [0.65, 0.65]
    assert [one.found.value for one in found] == [0.7, 0.4]
    chances = {"80 %": 0.65, "99 %": 0.2, "all of space": 0.1, "strongest": 0.65}
    assert ext_lower_vectors.strength(made).to_dict("records") == [{"network": "n", **chances}]


def test_those_above_a_null_are_counted_by_null_first_vectors_apart(made):
    lower, every = ext_lower_vectors.above(made).to_dict("records")
    assert lower == {"network": "n", "of": 2, "80 %": 0, "99 %": 2, "all of space": 2, "strongest": 0}
    assert every == {**lower, "network": "all networks"}
    first = ext_lower_vectors.above(made, first=True).iloc[0]
    assert (first["of"], first["80 %"], first["strongest"]) == (1, 1, 1)


def test_the_page_says_what_a_null_does_and_how_many_are_left(made):
    done, lower, first = ext_lower_vectors.words(made).split(". ")
    assert "65 to 65 % in the 80 % subspace (240 dimensions), 20 to 20 % in the 99 % subspace (297 dimensions)" in done
    assert lower == (
        "Of the 2 vectors from the second on, 0 lie above the null of the 80 % subspace, 2 lie above the null of the 99 % "
        "subspace, 2 lie above the null of all of space and 0 above the strongest of their network"
    )
    assert first.startswith("Of the 1 first vectors, 1 lie above the null of the 80 %")


def test_the_largest_norm_is_shown_with_every_draw_and_the_line_to_beat(made):
    (ax,) = ext_lower_vectors.figure(made).axes
    assert list(ax.lines[0].get_ydata()) == [0.9, 0.7, 0.4]
    assert ax.get_ylabel() == "error at 0.5 mean norms"
    drawn = {line.get_label(): line for line in ax.lines}
    assert list(drawn["97.5 % of the strongest null"].get_ydata()) == [0.65, 0.65]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3", "80 %", "99 %", "all"]
    assert list(drawn["random direction"].get_ydata()) == [0.1, 0.1]
    assert list(drawn["random direction"].get_xdata()) == [6, 6]
