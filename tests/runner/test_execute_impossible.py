"""Settings that no run can have: every item refuses them in one sentence, before it loads or makes a network."""

import math

import pytest

from uapkit import models, runner
from uapkit.runner.execute import BESIDES

RUNNABLE = {name: about.parameters for name, about in runner.items().items() if about.function is not None}


def cases():
    """(item, parameter, value) of every radius, count and list in the signatures."""
    for name, parameters in RUNNABLE.items():
        for parameter, default in parameters.items():
            if parameter == "eps" or parameter.endswith("_eps"):
                yield from ((name, parameter, value) for value in (-0.1, math.inf, math.nan, {"other": -0.1}))
            elif parameter.startswith("n_") and isinstance(default, int):
                yield from ((name, parameter, value) for value in (-1, 2.5, math.inf))
            elif isinstance(default, list | tuple) and default and parameter not in BESIDES:
                yield name, parameter, []


@pytest.fixture
def networks(monkeypatch, project_cache):
    """How often a network was asked for; whoever asks gets none."""
    asked = []

    def refuse(*args, **kwargs):
        asked.append(args)
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(models, "load", refuse)
    monkeypatch.setattr(models, "wrap", refuse)  # from which the toy networks of the schematics come
    return asked


@pytest.fixture
def project_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UAPKIT_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", RUNNABLE)
def test_radii_counts_and_lists_that_cannot_be(name, networks):
    mine = [(parameter, value) for item, parameter, value in cases() if item == name]
    assert mine or not set(RUNNABLE[name]) & {"eps", "n_fit", "models"}
    for parameter, value in mine:
        with pytest.raises(ValueError, match=rf"^parameter {parameter} of {name} must be ") as refusal:
            runner.run(name, **{parameter: value})
        assert "\n" not in str(refusal.value)
        assert repr(value) in str(refusal.value)
    assert networks == []


@pytest.mark.parametrize("name", ["khrulkov2018/tab1_layers", "moosavi2017/fig2_aggregation"])
def test_the_counter_sees_a_network_that_is_asked_for(name, networks):
    with pytest.raises((AssertionError, ValueError), match="a network was asked for"):
        runner.run(name)
    assert len(networks) == 1


def test_all_kinds_of_settings_are_among_the_cases():
    found = {parameter for _, parameter, _ in cases()}
    assert found >= {"eps", "uap_eps", "n_fit", "n_eval", "models", "attacks", "norms", "samples"}
