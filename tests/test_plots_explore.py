"""Widgets of items: what they show is what is stored, and the two ways to an angle agree."""

import json
import re

import numpy as np

from uapkit import runner
from uapkit.figures import explore as plots_explore


def states(widget):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', widget.html, re.S).group(1))


def test_explored_angles_are_those_of_the_stored_table():
    attack, invariant, table = (
        runner.load(f"equivariant2019/{name}")
        for name in ("fig8_attack_vectors", "fig7_invariant_vectors", "tab1_angles")
    )
    data = states(plots_explore.angles(attack, invariant, table, n_random=20))
    networks = data["controls"][0]["values"]
    rows = table[(table["status"] == "run") & (table["kind"] == "trained") & (table["attack"] == "gradient")]
    checked = 0
    for state in data["states"]:
        name, kind, k = (c["values"][i] for c, i in zip(data["controls"], state["at"], strict=True))
        mine = rows[rows["model"].str.replace("_", " ") == name]
        if kind == "gradient" and k == str(table.attrs["provenance"]["params"]["k"]) and len(mine):
            shown = [float(v) for v in re.findall(r"<td>([\d.]+) \[", state["bars"])]
            assert np.abs(np.array(shown) - mine["principal_angle"]).max() < 0.06, (
                "half precision of the stored vectors"
            )
            checked += 1
    assert checked == len(set(rows["model"].str.replace("_", " ")) & set(networks)) >= 1


def test_random_subspaces_of_the_line_are_nearly_orthogonal_in_high_dimension():
    ((low, high),) = plots_explore._random_angles(784, 1, 50)
    assert 80 < low < high <= 90
