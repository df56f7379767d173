"""Seeds are named and never change: every stored number was drawn from them."""

import pytest
import torch

from uapkit.seeds import child_seed, generator, threads

KNOWN = {  # sha256 of "seed/name", its first 63 bits
    (0, "start_vector"): 4295341445841944721,
    (7, "basis"): 2438488442783928371,
    (123456789, "random_perturbation"): 2430763953543256401,
}


@pytest.mark.parametrize(("seed", "name"), KNOWN)
def test_a_child_seed_is_what_it_was(seed, name):
    assert child_seed(seed, name) == KNOWN[seed, name]
    expected = torch.Generator().manual_seed(KNOWN[seed, name])
    assert torch.equal(torch.rand(5, generator=generator(seed, name)), torch.rand(5, generator=expected))


def test_a_part_of_a_seed_is_not_lost():
    with pytest.raises(ValueError, match=r"seed must be a whole number, got 0\.9"):
        child_seed(0.9, "draw")
    assert child_seed(2.0, "draw") == child_seed(2, "draw")


def test_seeds_fit_into_a_generator_and_are_as_many_as_there_are_names():
    found = [child_seed(seed, name) for seed in range(60) for name in ("a", "b", "a/b")]
    assert len(set(found)) == len(found)
    assert all(0 <= one < 2**63 for one in found)
    assert max(found) > 2**62
    assert len({one % 2 for one in found}) == 2


def test_threads_are_set_in_the_block_and_put_back():
    before = torch.get_num_threads()
    with threads(before + 2):
        assert torch.get_num_threads() == before + 2
        with threads(None):
            assert torch.get_num_threads() == before + 2, "as many as before"
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before
