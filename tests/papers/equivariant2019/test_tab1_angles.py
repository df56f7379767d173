"""Table 1: principal angles against their nulls, the figure, and the widget that picks the dimension."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from uapkit import models, runner
from uapkit.figures.style import short
from uapkit.lab import Run
from uapkit.papers.equivariant2019 import tab1_angles


def test_tab1_angles(small, evidence):
    table = tab1_angles.run(**small, n_fit=60, n_random=30)
    assert table.groupby("kind").size().tolist() == [5] * 4
    for _, rows in table.groupby("kind"):
        assert rows["principal_angle"].is_monotonic_decreasing, "the paper's column 1 is the largest"
    random = table[table["kind"] == "random"]["principal_angle"].to_numpy()
    assert random == pytest.approx([89.4, 88.0, 86.4, 84.7, 82.5], abs=1.0), "the reference's simulated null"
    inside = table[table["kind"] == "random in the data's subspace"]["principal_angle"].to_numpy()
    assert inside[-1] < random[-1] - 5, "digits do not fill R^784"
    found = evidence(tab1_angles, table).set_index("claim")
    assert set(found.index) == {f"orthogonal_beyond_{null}" for null in ("random", "random_in_data", "untrained")}
    highest = table[(table["kind"] == "random") & (table["index"] == 5)]["high"].item()
    assert found.loc["orthogonal_beyond_random", "bound"] == highest


def test_the_gap_below_the_subspace_is_that_of_the_singular_values(small, setting, net):
    table = tab1_angles.run(**small, n_fit=60, n_random=2, k=3)
    of = table.groupby("kind")[["gap", "gap_invariant"]].first()
    for rows, column in (
        (setting().directions(net, "gradient", 60), "gap"),
        (setting().invariant(60, 2.0), "gap_invariant"),
    ):
        s = torch.linalg.svdvals(rows.double())
        assert of.loc["trained", column] == pytest.approx(float(1 - s[3] / s[2]), abs=1e-5)
    assert np.isnan(of.loc["random", "gap"])


def test_a_users_own_module_goes_through():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2 * 576, 10)
    )
    mine = models.wrap(net, input_size=(1, 28, 28), name="mine")
    table = tab1_angles.run(models=[mine], n_fit=40, n_random=5)
    assert set(table["model"]) == {"mine"}
    angles = table.pivot_table(index="index", columns="kind", values="principal_angle")
    assert not np.allclose(angles["trained"], angles["untrained network"]), "fresh weights, not the user's"


def test_angles_have_the_networks_points_and_the_random_band():
    rows = [
        {"status": "run", "model": "a", "kind": k, "index": j, "principal_angle": v, "low": v - 1, "high": v + 2}
        for k, values in (("trained", (80.0, 60.0)), ("random", (89.0, 82.0)))
        for j, v in enumerate(values, 1)
    ]
    (ax,) = tab1_angles.figure(Run.of(pd.DataFrame(rows))).axes
    assert list(ax.lines[0].get_ydata()) == [80, 60]
    band = ax.collections[-1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (81, 91)


def test_picked_angles_are_those_of_the_stored_table():
    attack, invariant, table = (
        runner.stored_run(f"equivariant2019/{name}")
        for name in ("fig8_attack_vectors", "fig7_invariant_vectors", "tab1_angles")
    )
    page = tab1_angles.picker(table, attack, invariant, n_random=20).html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S).group(1))
    networks = data["controls"][0]["values"]
    rows = table.where(kind="trained", attack="gradient")
    checked = 0
    for state in data["states"]:
        name, kind, k = (c["values"][i] for c, i in zip(data["controls"], state["at"], strict=True))
        mine = rows[rows["model"].map(short) == name]
        if kind == "gradient" and k == str(table.provenance["params"]["k"]) and len(mine):
            shown = [float(v) for v in re.findall(r"<td>([\d.]+) \[", state["bars"])]
            off = np.abs(np.array(shown) - mine["principal_angle"]).max()
            assert off < 0.06, "half precision of the stored vectors"
            checked += 1
    assert checked == len(set(networks)) >= 1


def test_random_subspaces_of_the_line_are_nearly_orthogonal_in_high_dimension():
    ((low, high),) = tab1_angles.random_angles(784, 1, 50)
    assert 80 < low < high <= 90
