"""Captions: numbered on their page, the finding first and drawn from the verdicts, then what is seen, then the source."""

import importlib.util
import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from docutils import nodes
from docutils.utils import new_document

from uapkit import runner
from uapkit.book import captions
from uapkit.lab import Run

ROOT = runner.project_root()
COLUMNS = ["claim", "kind", "text", "carried", "verdict"]


@pytest.fixture(scope="module")
def fixes():
    spec = importlib.util.spec_from_file_location("book_fixes", ROOT / "book" / "_ext" / "book_fixes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(*cells):
    """A page as myst-nb makes it: (heading or None, image's alt, cell's metadata, tag)."""
    document = new_document("page")
    for heading, alt, metadata, tag in cells:
        section = nodes.section()
        if heading:
            section += nodes.title(text=heading)
        cell = nodes.container(classes=["cell", tag], cell_metadata=metadata)
        cell += nodes.container(classes=["cell_output"])
        cell[0] += nodes.image(uri="x.svg", alt=alt)
        section += cell
        document += section
    return document


def test_captions_are_numbered_and_begin_with_the_finding(fixes, tmp_path):
    written = tmp_path / "book" / "_generated"
    written.mkdir(parents=True)
    (written / "provenance.json").write_text(json.dumps({"a/b": "0123456789"}))
    (written / "captions.json").write_text(json.dumps({"a/b": {"": "Confirmed: It <holds>.", "other": "Differs: No."}}))
    document = page(
        ("Answer", "thumbnail", {}, "tag_answer"),
        ("Figure", "Rates of nets.", {}, ""),
        (None, "Rates of others", {}, ""),
        (None, "Lengths", {"claim": "other"}, ""),
        ("The quick run", "Rates, quick run on small digits", {}, ""),
    )
    fixes.name_sources(SimpleNamespace(srcdir=tmp_path), document, "notebooks/a/b")
    assert all(len(box) == 1 for box in document.findall(nodes.container) if "cell_output" in box["classes"]), (
        "a caption stands below the box that scrolls, not in it"
    )
    found = re.findall(r'<p class="uapkit-caption">(.*?)</p>(?=<p class="uapkit-source">)', document.pformat())
    assert found == [
        "<strong>Figure 1 on this page. Confirmed: It &lt;holds&gt;.</strong> Rates of nets.",
        "<strong>Figure 2 on this page.</strong> Rates of others.",
        "<strong>Figure 3 on this page. Differs: No.</strong> Lengths.",
        "<strong>Figure 4 on this page. A quick run, a smoke test on small data.</strong> Rates.",
    ]


def test_the_finding_is_the_verdict_on_the_leading_claim():
    claims = [("a", "check", "c", "", "confirmed"), ("b", "order", "nothing.", "", "not judged")]
    claims += [("c", "order", "vectors fool", "1 of 2", "differs")]
    found = captions.sentences(pd.DataFrame(claims, columns=COLUMNS), lambda: pytest.fail("the run is not needed"))
    assert found == {
        "": "Differs: Vectors fool.",
        "b": "Not judged: Nothing.",
        "c": "Differs: Vectors fool.",
    }


def test_without_a_claim_the_measured_rates_are_the_finding():
    nothing = pd.DataFrame([], columns=COLUMNS)
    rates = Run.of(pd.DataFrame({"model": ["a", "a"], "fooling_rate": [0.5, 0.25], "is_null": [False, True]}))
    assert captions.sentences(nothing, lambda: rates)[""] == "Measured fooling rates: 0.50; their nulls: 0.25."
    assert captions.sentences(nothing, lambda: Run.of(pd.DataFrame({"model": ["a"]})))[""] == ""
    assert captions.sentences(nothing, lambda: None)[""] == ""


def test_a_cell_names_only_claims_that_its_item_has():
    named = 0
    for path in sorted((ROOT / "notebooks").glob("*/*.ipynb")):
        item = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if "claim" in cell["metadata"]:
                named += 1
                assert cell["metadata"]["claim"] in set(runner.reported(runner.item(item))["metric"]), item
    assert named > 3
