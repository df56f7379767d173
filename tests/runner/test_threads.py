"""Same seed, same machine: what the number of threads changes.

On the same number of threads a table comes out equal to the last digit. On another the order of sums inside LAPACK changes (svd,
qr, eigh), so that the last bits of eigenvectors do; the tolerance of ``uapkit check`` holds then. It does not where eigenvalues
are alike, as in the flat subspace of [jetley2018]: its vectors are any of many, and so is what is measured along them. Hence
``uapkit check`` reruns on as many threads as the stored run had.
"""

import math

import pytest
import torch

from uapkit import runner
from uapkit.runner import results, verify

ITEMS = {
    "khrulkov2018/tab1_layers": {
        "models": ["lenet_digits"],
        "layers": ["conv2"],
        "n_random": 1,
        "max_iter": 3,
        "n_eval": 99,
    },
    "moosavi2017/tab1_fooling_rates": {"models": ["mlp_digits"], "norms": [math.inf], "n_fit": 16, "blocked": []},
    "equivariant2019/sec_accuracy": {"models": ["stdcnn_digits"], "train": []},
    "jetley2018/fig5_confined": {"models": ["mlp_digits"], "shares": [0.1], "n_fit": 60, "n_eval": 20},
}


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


EQUAL = ("khrulkov2018/tab1_layers", "equivariant2019/sec_accuracy")  # no decomposition in them
FLAT = "S_lo"  # kind of rows along eigenvectors whose eigenvalues are alike


@pytest.mark.parametrize("name", ITEMS)
def test_what_the_number_of_threads_changes(name, threads, tmp_path):
    about, tables = runner.item(name), []
    for k, count in enumerate((3, 3, 1)):
        threads(count)
        made = verify.computed(about, verify.check_parameters(about, ITEMS[name]), tmp_path / f"{k}")
        assert made.attrs["provenance"]["threads"] == count
        tables.append(results.read_table(results.table_bytes(made)))
    assert verify.compare(*tables[:2]) == ([], 0.0, True)
    one, three = (table[table.get("kind", "") != FLAT] for table in tables[1:])
    found, _, equal = verify.compare(one, three)
    assert found == []
    if name in EQUAL:
        assert equal
