"""Networks trained here with narrower rotations: the claims' terms, and what is drawn."""

import math

import pandas as pd
import pytest

from uapkit.intervals import Rate
from uapkit.lab import Run
from uapkit.papers.equivariant2019 import ext_rotation_range


def test_ext_rotation_range(evidence):
    table = ext_rotation_range.run(ranges=(0.0, 180.0), epochs={"stdcnn": 1}, n_fit=40, n_eval=60, n_random=2)
    assert (table["epochs"] == 1).all()
    assert ((table["share_low"] <= table["top_share"]) & (table["top_share"] <= table["share_high"])).all()
    assert table["trained_range"].unique().tolist() == [0.0, 180.0]
    assert table[["accuracy", "turned_accuracy", "invariance", "top_share"]].stack().between(0, 1).all()
    wide = table[table["trained_range"] == 180.0]
    assert wide["turned_accuracy"].equals(wide["accuracy"]), "the same images"
    stronger, concentrated, needed = (row for _, row in evidence(ext_rotation_range, table).iterrows())
    turned = table.groupby("trained_range")["turned_accuracy"].first()
    assert needed["estimate"] == pytest.approx(turned[180.0] - turned[0.0])
    ends = [Rate.of(round(turned[r] * 60), 60) for r in (180.0, 0.0)]
    half = math.hypot(*((end.high - end.low) / 2 for end in ends))
    assert needed["low"] == pytest.approx(needed["estimate"] - half), "of one training seed, over the images"
    beyond = {}
    for kind in ("random direction", "random direction in the data's subspace"):
        random = table[table["kind"] == kind]
        assert (set(random["relative_norm"]), len(random)) == ({0.5}, 4)
        by_draw = random.pivot(index="draw", columns="trained_range", values="error_rate")
        beyond[kind] = (by_draw[180.0] - by_draw[0.0]).quantile(0.975)
    assert stronger["bound"] == max(0.0, *beyond.values()), "beyond random directions, of the images' subspace, too"
    for kind in beyond:
        strong = table.assign(
            error_rate=table["error_rate"].mask((table["kind"] == kind) & (table["trained_range"] > 0), 5.0)
        )
        assert evidence(ext_rotation_range, strong).iloc[0]["bound"] > 4, kind
    shares = table.groupby("trained_range")["top_share"].first()
    assert concentrated["estimate"] == pytest.approx(shares[180.0] - shares[0.0])
    chosen = table[(table["kind"] == "singular vector") & (table["chosen"] == True) & (table["relative_norm"] == 0.5)]  # noqa: E712
    first, last = chosen["error_rate"]
    assert stronger["estimate"] == pytest.approx(last - first)


def test_differences_are_over_training_seeds():
    rows = pd.DataFrame(
        [
            {"trained_range": r, "training_seed": s, "x": v, "n": 50}
            for r, values in ((180.0, (0.5, 0.7, 0.6)), (90.0, (9, 9, 9)), (0.0, (0.1, 0.2, 0.3)))
            for s, v in zip((2, 0, 1), values, strict=True)
        ]
    )
    found = ext_rotation_range._difference(rows, "x")
    assert found.value == pytest.approx((0.4 + 0.5 + 0.3) / 3)
    assert found.high - found.value == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-3), (
        "Student's with two degrees of freedom"
    )
    assert found.n == 50


def test_epochs_by_net_must_name_each_net():
    with pytest.raises(ValueError, match="epochs by network needs a value for 'stdcnn'"):
        ext_rotation_range.run(epochs={"gcnn": 1}, n_fit=40, n_eval=60)


def test_ranges_follow_the_chosen_sign():
    rates = {"fooling_rate": 0.2, "low": 0.1, "high": 0.3, "error_low": 0.0, "error_high": 1.0}
    about = {"status": "run", "model": "n", "relative_norm": 0.5, "accuracy": 0.9, "top_share": 0.1, "training_seed": 0}
    rows = [
        {**about, **rates, "kind": kind, "trained_range": r, "chosen": c, "turned_accuracy": r / 180, "error_rate": e}
        for r in (180.0, 0.0)
        for kind, c, e in (
            ("singular vector", True, 0.6),
            ("singular vector", False, 0.2),
            ("random direction", True, 0.1),
            ("random direction in the data's subspace", True, 0.3),
        )
    ]
    by_label = {ax.get_ylabel(): ax for ax in ext_rotation_range.figure(Run.of(pd.DataFrame(rows))).axes}

    def drawn(what, label):
        line = next(one for one in by_label[what].lines if one.get_label() == label)
        return list(line.get_xdata()), list(line.get_ydata())

    assert drawn("turned accuracy", "n") == ([0.0, 180.0], [0.0, 1.0])
    assert drawn("error rate", "n") == ([0.0, 180.0], [0.6, 0.6])
    assert drawn("error rate", "n, random direction") == ([0.0, 180.0], [0.1, 0.1])
    assert drawn("error rate", "n, random direction in the data's subspace") == ([0.0, 180.0], [0.3, 0.3])
