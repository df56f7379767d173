"""Nulls of another run: taken only where the runs agree, paired over images that both scored, the strongest chosen unseen."""

import numpy as np
import pandas as pd
import pytest

from uapkit import runner
from uapkit.intervals import Interval
from uapkit.lab import Run, beside

WHOLE = "imagenet-sample/test (size=224, resize=squash)"


def run_of(rows, arrays=None, **changes):
    """A stored run of one network, "net[tag]", its set and weights as they are recorded."""
    table = pd.DataFrame(rows).assign(model="net[tag]", weights="tag", status="run")
    params = {"data": "imagenet-sample", "eps": 0.04, "seed": 0} | changes.get("params", {})
    inputs = changes.get("inputs", {WHOLE: "aa", "net[tag]": "bb", "other[tag]": "cc"})
    return Run(table, arrays or {}, {"params": params, "inputs": inputs})


def bits(text):
    return np.array([letter == "1" for letter in text])


OWN = [{"kind": "singular vector", "fooling_rate": 0.5, "n": 6}]
PATTERNS = [
    {"kind": "stripes", "setting": "period 4", "held_in_rate": 0.9, "fooling_rate": 0.25, "n": 4},
    {"kind": "checks", "setting": "period 8", "held_in_rate": 0.4, "fooling_rate": 1.0, "n": 4},
    {"kind": "random signs", "setting": "", "held_in_rate": 1.0, "fooling_rate": 1.0, "n": 4},
]
FLAGS = {"fooled/net[tag]//stripes/0": bits("1000"), "fooled/net[tag]//checks/0": bits("1111")}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "same images"),
        ({"inputs": {WHOLE: "aa", "net[tag]": "other file"}}, ""),
        ({"inputs": {WHOLE: "aa"}}, ""),
        ({"inputs": {"net[tag]": "bb"}}, ""),
        ({"inputs": {WHOLE: "other pictures", "net[tag]": "bb"}}, "same set"),
        ({"inputs": {WHOLE.replace("squash", "squash256"): "dd", "net[tag]": "bb"}}, "same set"),
        ({"params": {"eps": 0.05}}, ""),
        ({"params": {"seed": 1}}, ""),
        ({"params": {"data": "caltech101"}}, ""),
        ({"params": {"eps": {"net": 0.04, "default": 9}}}, "same images"),
    ],
)
def test_runs_agree_where_network_images_radius_and_seed_do(changes, found):
    assert beside.shared(run_of(OWN), run_of(PATTERNS, **changes), "net[tag]") == found


def test_a_run_without_provenance_agrees_with_none():
    assert beside.shared(Run.of(run_of(OWN).table), run_of(PATTERNS), "net[tag]") == ""
    assert beside.shared(run_of(OWN), run_of(PATTERNS), "another") == ""


def test_the_strongest_pattern_is_the_best_on_held_in_images_and_not_on_the_scored_ones():
    null = beside.strongest_pattern(run_of(OWN), run_of(PATTERNS, FLAGS), "net[tag]")
    assert (null.kind, null.what, null.paired) == ("best pattern", "stripes, period 4", True)
    assert null.rate.value == 0.25
    assert null.rate.low < 0.25 < null.rate.high
    assert beside.strongest_patterns(run_of(OWN), None) == {}
    assert beside.strongest_pattern(run_of(OWN), run_of(PATTERNS[2:]), "net[tag]") is None


def test_the_last_images_are_those_that_both_scored():
    null = beside.strongest_pattern(run_of(OWN), run_of(PATTERNS, FLAGS), "net[tag]")
    gain = null.exceeded_by(bits("110110"))  # the last four: 0110 beside 1000
    assert gain.value == pytest.approx(0.25)
    assert gain.n == 4
    fewer = beside.strongest_pattern(run_of([OWN[0] | {"n": 2}]), run_of(PATTERNS, FLAGS), "net[tag]")
    assert fewer.rate.n == 2
    assert fewer.rate.value == 0.0


def test_other_images_of_the_set_are_shown_and_never_paired():
    elsewhere = run_of(PATTERNS, FLAGS, inputs={WHOLE: "other", "net[tag]": "bb"})
    null = beside.strongest_pattern(run_of(OWN), elsewhere, "net[tag]")
    assert null.rate.n == 4
    with pytest.raises(ValueError, match="other images of the set"):
        null.exceeded_by(bits("110110"))
    assert beside.compared([({"model": "net[tag]"}, bits("110110"), null)]).empty


def test_several_draws_give_their_mean_and_the_hull_of_their_intervals():
    null = beside.null_of(
        run_of(OWN), run_of(PATTERNS), "net[tag]", "random phase", "noise", [bits("1100"), bits("1000")]
    )
    assert null.rate.value == pytest.approx(0.375)
    one = beside.Null("random phase", "noise", bits("1000")[None], True)
    assert null.rate.low == one.rate.low
    assert null.rate.high > one.rate.high


def test_a_difference_from_several_draws_is_over_the_draws_too():
    """The draws fool all images or none: whether an attack fools more is open, whatever the images say."""
    draws, fooled = np.stack([np.ones(200, dtype=bool), np.zeros(200, dtype=bool)]), np.tile(bits("1110"), 50)
    drawn, mean = (
        beside.Null("random phase", "noise", flags, True) for flags in (draws, np.tile(bits("10"), 100)[None])
    )
    found, images = drawn.exceeded_by(fooled), mean.exceeded_by(fooled)
    assert found.value == images.value == 0.25
    assert images.low > 0 > found.low
    assert beside.compared([({}, fooled, drawn)])["stands"].item() == "open"
    assert drawn.exceeded_by(np.stack([fooled, fooled])) == found


def test_a_row_stands_above_below_or_open_by_its_whole_interval():
    null = beside.Null("best pattern", "checks", np.tile(bits("10"), 100)[None], True)
    flags = {"above": np.ones(200), "below": np.zeros(200), "open": np.tile(bits("01"), 100)}
    found = beside.compared([({"model": name}, fooled, null) for name, fooled in flags.items()])
    assert dict(zip(found["model"], found["stands"], strict=True)) == {name: name for name in flags}
    assert found["difference"].tolist() == pytest.approx([0.5, -0.5, 0.0])
    assert (found["null_rate"] == 0.5).all()


def test_runs_that_fit_on_other_numbers_of_images_score_the_same_last_ones():
    """Random signs of one seed are one vector in all items of a paper: what they fool must be the same photographs."""
    more, fewer = (runner.stored_run(f"khrulkov2018/{name}") for name in ("fig_q_sweep", "fig_batch_size"))
    for network in ("bvlc_googlenet", "squeezenet1_1[gluon]", "tiny_darknet"):
        assert beside.shared(more, fewer, network) == "same images"
        for k in range(2):
            ours, theirs = (run.flags("fooled", network, "random signs", k) for run in (more, fewer))
            assert len(theirs) < len(ours)
            assert np.array_equal(ours[-len(theirs) :], theirs)


def test_stored_runs_of_one_paper_share_photographs_and_those_of_the_other_only_the_set():
    patterns, k, m = map(
        runner.stored_run, ("khrulkov2018/ext_patterns", "khrulkov2018/tab1_layers", "moosavi2017/tab2_transfer")
    )
    assert beside.shared(k, patterns, "squeezenet1_1[gluon]") == "same images"
    assert beside.shared(m, patterns, "squeezenet1_1[gluon]") == "same set"
    assert beside.shared(m, patterns, "cifar10_resnet20") == ""


def test_the_strongest_of_several_nulls_keeps_its_interval_and_its_name():
    weak, strong = ("random signs", Interval(0.2, 9, 0.1, 0.9)), ("best pattern (checks)", Interval(0.3, 7, 0.25, 0.35))
    found = beside.strongest(weak, None, strong)
    assert (found.value, found.n, found.low, found.high, found.name) == (0.3, 7, 0.25, 0.35, "best pattern (checks)")
    assert beside.strongest(weak, None).name == "random signs"


def test_what_the_null_has_over_an_attack_is_what_the_attack_lacks():
    null = beside.Null("best pattern", "checks", bits("1100")[None], True)
    fooled = bits("1000")
    more, less = null.over(fooled), null.exceeded_by(fooled)
    assert (more.value, more.low, more.high) == (-less.value, -less.high, -less.low)
    assert more.value == 0.25
    assert null.name == "best pattern (checks)"
    assert beside.lead(null, fooled) == ("best pattern (checks)", more)


def test_a_null_of_other_images_leads_nothing():
    elsewhere = beside.Null("best pattern", "checks", bits("1100")[None], False)
    assert beside.lead(elsewhere, bits("1000")) is None
    assert beside.lead(None, bits("1000")) is None
