"""What a stored point depends on: the paper's own modules and the shared ones, not other papers' and not drawing."""

import pytest

from uapkit.runner import results


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name in (
        "singular",
        "plots",
        "plots_curves",
        "scoreboard",
        "prose",
        "experiments/common",
        "experiments/khrulkov2018",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("one")
    for name in ("khrulkov2018_sweeps", "moosavi2017", "moosavi2017_tables"):
        (tmp_path / "experiments" / f"{name}.py").write_text("one")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "catalogue.yml").write_text("one")
    monkeypatch.setattr(results, "PACKAGE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("singular", True),
        ("experiments/common", True),
        ("experiments/khrulkov2018", True),
        ("experiments/khrulkov2018_sweeps", True),
        ("experiments/moosavi2017", False),
        ("experiments/moosavi2017_tables", False),
        ("plots", False),
        ("plots_curves", False),
        ("scoreboard", False),
        ("prose", False),
    ],
)
def test_code_hash_counts_what_an_item_may_use(package, name, counts):
    before = results.code_hash("khrulkov2018")
    (package / f"{name}.py").write_text("two")
    assert (results.code_hash("khrulkov2018") != before) is counts


def test_code_hash_counts_the_weights_cards(package):
    """Networks trained anew under the same code must not meet the old network's finished points."""
    before = results.code_hash("khrulkov2018")
    (package / "models" / "catalogue.yml").write_text("two")
    assert results.code_hash("khrulkov2018") != before
