"""The benchmark of the attacks: what is timed is what is claimed, and peers that are not here are left out in words."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from uapkit import data, models
from uapkit.runner.catalogue import project_root

sys.path.insert(0, str(project_root()))
attacks = importlib.import_module("benchmarks.attacks")


def test_uap_rows_without_art(monkeypatch):
    """Ours over all passes is on the clock; without the peer there is no ratio and no verdict."""
    monkeypatch.setattr(attacks, "_art_uap", lambda *_: None)
    digits = data.load("digits")
    rows = pd.DataFrame(attacks._uap(models.load("linear_digits"), digits.x[:20], digits.x[20:60], 0.1, 2, 2))
    assert rows["method"].tolist() == ["uapkit, sequential", "uapkit, block=50", "uapkit, block=20"]
    assert (rows["passes"] <= 2).all()
    assert "ratio" not in rows
    assert (rows["repeats"] == 2).all()
    assert (rows["least_s"] <= rows["cpu_seconds"]).all()
    assert (rows["cpu_seconds"] <= rows["most_s"]).all()


def test_uap_rows_beside_a_slow_peer_that_fools_nothing(monkeypatch):
    monkeypatch.setattr(attacks, "_art_uap", lambda *_: (1e6, 0.0))
    digits = data.load("digits")
    rows = pd.DataFrame(attacks._uap(models.load("linear_digits"), digits.x[:20], digits.x[20:60], 0.1, 2, 2))
    assert set(rows.loc[rows["method"] != "ART", "verdict"]) == {"ok"}
    assert (rows.loc[rows["benchmark"] == "UAP, until ART's rate", "passes"] == 1).all()


def test_steps_are_compared_with_the_passes_that_they_need():
    row = attacks._steps(models.load("mlp_digits"), data.load("digits").x[:4], 1)[0]
    assert row["ratio"] > 0
    assert row["verdict"] == ("ok" if row["ratio"] <= 1.1 else "MISS")
    assert ("why" in row) == (row["verdict"] == "MISS")


def test_deepfool_is_judged_against_the_fastest_peer():
    x, net = data.load("digits").x[:4], models.load("linear_digits")
    far = {"slow": lambda z: 1 - z, "slower": lambda z: [torch.linalg.svd(torch.rand(300, 300)), 1 - z][1]}
    rows = pd.DataFrame(attacks._deepfool("toy", net, x, far, 0.0, 1)).set_index("method")
    assert rows.loc["uapkit", "mean_norm"] < rows.loc["slow", "mean_norm"]
    assert rows.loc["uapkit", "verdict"] == "ok"
    assert rows.loc["uapkit", "gradients_each"] >= 9, "a step has nine other candidates"
    assert rows.loc[["slow", "slower"], "ratio"].isna().all()
    beside = rows.loc["uapkit, SuperDeepFool without a box"]
    assert beside["success"] == 1
    assert beside["gradients_each"] == 10, "nine of DeepFool's one step and the boundary's normal; planes need no more"


def test_a_miss_says_why():
    x, net = data.load("digits").x[:4], models.load("linear_digits")
    rows = pd.DataFrame(attacks._deepfool("toy", net, x, {"instant": lambda z: 1 - z}, 1e9, 5)).set_index("method")
    assert rows.loc["uapkit", "verdict"] == "MISS"
    assert "times faster, mean norm -" in rows.loc["uapkit", "why"]
    assert rows.loc["uapkit", ["least_s", "cpu_seconds", "most_s"]].is_monotonic_increasing
    assert rows.loc["uapkit", "repeats"] == 5


def test_torchattacks_is_skipped_in_words_where_uv_is_missing(tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    script = folder / "torchattacks.sh"
    script.write_bytes((project_root() / "benchmarks" / "torchattacks.sh").read_bytes())
    done = subprocess.run(
        ["bash", str(script)], capture_output=True, text=True, env={**os.environ, "PATH": _without_uv()}, check=False
    )
    assert done.returncode == 1
    assert "torchattacks is skipped: uv is not here" in done.stderr
    assert not done.stdout


def _without_uv() -> str:
    return os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "uv").exists())
