"""Figure 4 on a linear network, whose attacks all lie in the span of nine known directions."""

import pytest

from uapkit.lab import Run
from uapkit.lab.claims import evidence_table
from uapkit.papers.jetley2018 import fig4_deepfool_svd as item
from uapkit.papers.jetley2018 import spans

NINE = 9 / 784  # ten classes: differences of their weights span nine dimensions
LINEAR = {"models": ("linear_digits",), "n_fit": 60, "n_eval": 80, "seed": 3, "n_random": 1, "d_lows": ()}


@pytest.fixture(scope="module")
def run():
    return Run.of(item.run(**LINEAR, shares=(NINE, 775 / 784)))


def test_fig4_deepfool_svd(run):
    at = run.table.set_index(["kind", "d"])
    whole = at.loc[("images", 784), "accuracy"]
    assert at.loc[("S_hi", 9), "accuracy"] == whole, "nine directions are all that a linear network looks at"
    assert at.loc[("S_lo", 775), "accuracy"] < 0.3, "the other 775 tell it nothing"
    assert at.loc[("random", 9), "accuracy"] < whole / 2
    assert at.loc[("principal components", 775), "accuracy"] == whole
    s = run.arrays["s/linear_digits"]
    assert (s[9:] < 1e-3 * s[0]).all(), "rank nine"


def test_spans_hold_complementary_parts_of_the_images(run):
    at = run.table.set_index(["kind", "d"])["image_norm"]
    assert at[("S_hi", 9)] < at[("principal components", 9)]
    assert at[("S_hi", 9)] < 1
    assert at[("S_lo", 775)] < 1


def test_claims_judge_a_tenth_of_the_directions():
    run = Run.of(item.run(**LINEAR, shares=(0.01, 0.1)))
    evidence = evidence_table(list(item.claims(run)))
    claims = ["replicates_with_first_order", "last_directions_useless", "beyond_principal_components"]
    assert evidence["claim"].tolist() == claims, "two opposite tests are two claims"
    right = {k: run.arrays[f"right/linear_digits/{k}/0.1"].mean() for k in ("S_hi", "principal components")}
    assert evidence["estimate"].iloc[2] == pytest.approx(right["S_hi"] - right["principal components"])
    mine = run.where(kind="S_hi", d=78)["accuracy"].item()
    assert evidence["estimate"].iloc[0] == mine
    assert evidence["bound"].iloc[0] == run.where(kind="images")["accuracy"].item() / 2
    assert evidence["null_high"].iloc[0] < evidence["low"].iloc[0]


def test_the_curve_of_small_images_saturates_where_random_spans_do_not():
    """A linear network looks at nine directions of any size, so half of 144 are more than enough."""
    run = Run.of(item.run(**{**LINEAR, "d_lows": (100,)}, shares=(0.1, 0.5)))
    evidence = evidence_table(list(item.claims(run))).set_index("claim")
    told = evidence.loc["saturates_at_small_images"]
    of = {row["kind"]: row["accuracy"] for row in run.where(share=[0.5, 1.0], d_low=100).to_dict("records")}
    assert told["network"] == "linear_digits, d_low = 100"
    assert told["estimate"] == pytest.approx(of["S_hi, sampled down"] - of["images, sampled down"])
    assert told["null"] == pytest.approx(of["random, sampled down"] - of["images, sampled down"])
    assert told["low"] > -0.05 > told["null_low"]
    assert (run.where(kind="images")["d_low"].isna()).all(), "the whole images have rows of their own"
    names = [ax.get_title() for ax in item.saturation(run).axes]
    assert [name.split(", ")[1] for name in names if name] == ["100"]


def test_images_too_large_for_a_full_basis_are_refused(monkeypatch):
    monkeypatch.setattr(spans, "LARGEST", 100)
    with pytest.raises(ValueError, match="full basis of 784 dimensions"):
        item.run(**LINEAR, shares=(0.1,))


def test_the_figure_has_a_line_a_span(run):
    labels = {text.get_text() for text in item.figure(run).legends[0].get_texts()}
    assert labels == {"S_hi", "S_lo", "random", "principal components", "images themselves"}
