"""The home page shows stored labels and rates and nothing that no run has stored."""

import base64
import json

import numpy as np

from uapkit.book import home
from uapkit.runner import results


def staged(tmp_path):
    home.stage(tmp_path)
    text = (tmp_path / "book" / "assets" / "vendor" / "home" / "home.js").read_text()
    fragment = (tmp_path / "book" / "_generated" / "home.md").read_text()
    return json.loads(text.partition("window.uapkitHome = ")[2].rstrip(";\n")), fragment


def test_labels_and_signs_are_the_stored_ones(tmp_path):
    given, fragment = staged(tmp_path)
    table = results.load(home.EXAMPLES)
    rows = table[(table.model == home.NETWORK) & (table.kind == "picture")]
    for name, kind in home.KINDS.items():
        for one in given["pictures"]:
            row = rows[(rows.picture == one["picture"]) & (rows.direction == kind)].iloc[0]
            assert [one["before"][0], one[name][0]] == [row.label, row.perturbed_label]
            assert one[name][1] == row.perturbed_confidence
        packed = np.frombuffer(base64.b64decode(given["signs"][name]), np.uint8)
        v = table.attrs["arrays"][f"v/{home.NETWORK}/{kind}"]
        assert np.array_equal(np.unpackbits(packed).reshape(3, 224, 224) * 2.0 - 1, np.sign(v))
        assert given["pictures"][0][name][0] in fragment


def test_the_null_stands_beside_the_vector_with_its_rate(tmp_path):
    _, fragment = staged(tmp_path)
    table = results.load(home.EXAMPLES)
    scored = table[(table.model == home.NETWORK) & (table.kind == "scored images")].set_index("direction")
    for kind in home.KINDS.values():
        assert f"<b>{scored.fooling_rate[kind]:.0%}</b>" in fragment
    for picture in ("photograph", "with_vector", "with_signs", "vector_1", "vector_10", "signs_10"):
        assert f"{picture}.jpg" in fragment
        assert (tmp_path / "book" / "assets" / "vendor" / "home" / f"{picture}.jpg").is_file()


def test_without_stored_runs_the_page_says_less(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "stored", lambda name: None)
    home.stage(tmp_path)
    fragment = (tmp_path / "book" / "_generated" / "home.md").read_text()
    assert fragment.count("\n") == 1
    assert "Compute one yourself" in fragment
    assert not (tmp_path / "book" / "assets").exists()
