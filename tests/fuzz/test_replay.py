"""What the fuzzer begins with, each cut and changed a little, and every input that was once a find: a short replay without it."""

import random
from pathlib import Path

import pytest

from tests.fuzz import targets

FOUND = sorted(p for p in (Path(__file__).parent / "found").iterdir() if p.name[0] != ".")


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_and_their_neighbours(name):
    draw = random.Random(name)
    for seed in targets.seeds(name):
        targets.TARGETS[name](seed)
        for _ in range(12):
            changed = bytearray(seed)
            for _ in range(draw.randint(1, 6)):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            targets.TARGETS[name](bytes(changed[: draw.randint(1, len(changed))]))
            targets.TARGETS[name](bytes(changed))


@pytest.mark.parametrize("path", FOUND, ids=[p.name for p in FOUND])
def test_what_was_once_a_find_is_none_any_more(path):
    name = path.name.partition("-")[0].replace("_", " ")
    targets.TARGETS[name](path.read_bytes())


def test_a_find_is_seen():
    """A reader that breaks its promise is noticed."""
    with pytest.raises(AssertionError, match="several lines"):
        targets.refused(lambda: (_ for _ in ()).throw(ValueError("a\nb")), ValueError)
    with pytest.raises(KeyError):
        targets.refused(lambda: {}["x"], ValueError)
