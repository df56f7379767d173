"""The home page draws stored runs and shows nothing that no run has stored."""

import base64
import json

import numpy as np

from uapkit.book import home
from uapkit.runner import results


def test_labels_and_signs_are_the_stored_ones(tmp_path):
    home.stage(tmp_path)
    text = (tmp_path / "book" / "assets" / "vendor" / "home" / "home.js").read_text()
    given = json.loads(text.partition("window.uapkitHome = ")[2].rstrip(";\n"))
    table = results.load(home.EXAMPLES)
    rows = table[(table.model == home.NETWORK) & (table.direction == "singular vector") & (table.kind == "picture")]
    for one in given["pictures"]:
        row = rows[rows.picture == one["picture"]].iloc[0]
        assert [one["before"][0], one["after"][0]] == [row.label, row.perturbed_label]
    signs = np.unpackbits(np.frombuffer(base64.b64decode(given["signs"]), np.uint8)).reshape(3, 224, 224)
    v = table.attrs["arrays"][f"v/{home.NETWORK}/singular vector"]
    assert np.array_equal(signs * 2.0 - 1, np.sign(v))
    fragment = (tmp_path / "book" / "_generated" / "home.md").read_text()
    assert given["pictures"][0]["after"][0] in fragment
    assert "findings.svg" in fragment


def test_without_stored_runs_the_page_says_less(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "stored", lambda name: None)
    home.stage(tmp_path)
    fragment = (tmp_path / "book" / "_generated" / "home.md").read_text()
    assert fragment.count("\n") == 1
    assert "Compute one yourself" in fragment
    assert not (tmp_path / "book" / "assets").exists()
