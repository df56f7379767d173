"""The one memo: the same answer with and without it, never another's, each answer's seconds once, nothing wrong ever served."""

import contextlib
import dataclasses
import functools
import json
import math
import multiprocessing
import platform
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from uapkit import attacks, curvature, data, evaluate, models, provenance, spectra
from uapkit.attacks import Perturbation
from uapkit.lab import keep, keeping, stored
from uapkit.lab.memo import Memo, _same, _versions
from uapkit.lab.stored import Unreadable
from uapkit.models.nets.digits import Linear
from uapkit.operators import LayerJacobians

IMAGES = data.load("digits", n=40, seed=3)
CALLS = []


def counted(x, factor=2.0):
    """A function that tells how often it runs."""
    CALLS.append(factor)
    return {"x": x * factor}


def slow(seconds):
    time.sleep(seconds)
    return seconds


def outer(seconds):
    return [keep(slow, seconds), keep(slow, seconds)]


def resumable(n, checkpoint=None):
    """Counts to n, two a run, and keeps the count in its file."""
    done = int(checkpoint.read_text()) if checkpoint is not None and checkpoint.is_file() else 0
    for k in range(done, n):
        if checkpoint is not None:
            checkpoint.write_text(str(k + 1))
        if k + 1 == done + 2 and k + 1 < n:
            raise KeyboardInterrupt
    return n - done


def noting(x):
    provenance.note_input("a set", "0" * 64)
    return x


class Times:
    def __init__(self, factor):
        self.factor = factor

    def of(self, x):
        return x * self.factor


def unstorable():
    CALLS.append("unstorable")
    return object()


@pytest.fixture(autouse=True)
def _no_calls():
    CALLS.clear()


@pytest.fixture
def net():
    torch.manual_seed(0)
    return models.wrap(Linear(), input_size=(1, 28, 28), name="own")


@contextlib.contextmanager
def said(sentence):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    assert any(sentence in str(one.message) for one in found), [str(one.message) for one in found]


def entries(folder):
    return sorted(folder.rglob("*.npz"))


def test_without_a_memo_it_is_the_plain_call(tmp_path):
    assert keep(counted, 1.0)["x"] == keep(counted, 1.0)["x"] == 2.0
    assert len(CALLS) == 2
    assert not list(tmp_path.iterdir())


def test_computed_once_for_the_same_values_however_they_are_passed(tmp_path):
    for _ in range(2):
        with keeping(tmp_path) as memo:
            found = [keep(counted, 1.0), keep(counted, x=1.0), keep(counted, 1.0, factor=2.0), keep(counted, 1.0, 3.0)]
    assert [f["x"] for f in found] == [2.0, 2.0, 2.0, 3.0]
    assert CALLS == [2.0, 3.0]
    assert (memo.reused, memo.computed) == (4, 0)


def same(a, b):
    """Equal to the bit, whatever it is."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
        return True
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


ANSWERS = {
    "singular_uap": lambda net: (
        attacks.singular_uap,
        (net, IMAGES[:8]),
        {"layer": "logits", "eps": 0.2, "max_iter": 2},
    ),
    "svd_uap": lambda net: (attacks.svd_uap, (net, IMAGES[:20]), {"eps": 1.0}),
    "uap": lambda net: (attacks.uap, (net, IMAGES[:10]), {"eps": 0.2, "max_passes": 1}),
    "deepfool": lambda net: (attacks.deepfool, (net, IMAGES[:6]), {}),
    "loss_gradient": lambda net: (attacks.loss_gradient, (net, IMAGES[:6].x, IMAGES[:6].y), {}),
    "labels": lambda net: (evaluate.labels, (net, IMAGES), {}),
    "fooled": lambda net: (evaluate.fooled, (net, IMAGES, torch.full((1, 28, 28), 0.3)), {}),
    "fooling_rate": lambda net: (evaluate.fooling_rate, (net, IMAGES, torch.full((1, 28, 28), 0.3)), {}),
    "transfer": lambda net: (evaluate.transfer, ({"own": net}, IMAGES, {"v": torch.full((1, 28, 28), 0.3)}), {}),
    "curvatures": lambda net: (curvature.principal_curvatures, (net, IMAGES, 3), {"k": 2, "step": 0.5}),
    "top_singular": lambda net: (spectra.top_singular, (IMAGES.x.flatten(1), 3), {}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_public_answers_come_back_to_the_bit(name, net, tmp_path):
    function, args, settings = ANSWERS[name](net)
    plain = function(*args, **settings)
    for computed in (1, 0):
        with keeping(tmp_path) as memo:
            assert same(keep(function, *args, **settings), plain)
        assert (memo.computed, memo.reused) == (computed, 1 - computed)


def test_another_normalisation_is_another_network(net, tmp_path):
    """The fault of 2026: mean and std are no part of a state dict."""
    other = models.wrap(net.net, mean=0.5, std=0.25, input_size=(1, 28, 28), name="own")
    assert net.state_dict().keys() == other.state_dict().keys()
    rates = []
    for model in (net, other, net):
        with keeping(tmp_path) as memo:
            rates.append(keep(evaluate.labels, model, IMAGES))
    assert memo.reused == 1
    assert torch.equal(rates[0], rates[2])
    assert torch.equal(rates[1], evaluate.labels(other, IMAGES))
    assert not torch.equal(rates[0], rates[1])


class Seen(nn.Module):
    """A wrapper that looks at a part of the image; its setting is a plain attribute."""

    def __init__(self, net, rows):
        super().__init__()
        self.net, self.rows = net, rows

    def forward(self, x):
        return self.net(x * (torch.arange(28) < self.rows)[:, None])


def test_another_setting_of_a_wrapper_is_another_network(net, tmp_path):
    """The other fault: how far images were sampled down, or which directions taken out, was in no key."""
    with keeping(tmp_path):
        kept = [keep(attacks.deepfool, Seen(net, rows).eval(), IMAGES[:6]).r.norm() for rows in (28, 20, 14, 28)]
    plain = [attacks.deepfool(Seen(net, rows).eval(), IMAGES[:6]).r.norm() for rows in (28, 20, 14)]
    assert kept == [*plain, plain[0]]
    assert len(set(map(float, plain))) == 3


def test_other_images_other_types_and_other_code_are_computed_anew(net, tmp_path, monkeypatch):
    v = torch.full((1, 28, 28), 0.3)
    with keeping(tmp_path) as memo:
        keep(evaluate.fooled, net, IMAGES[:20], v)
        keep(evaluate.fooled, net, IMAGES[20:], v)
        keep(evaluate.fooled, net, IMAGES[:20], v.double())
        assert memo.computed == 3
        torch.set_default_dtype(torch.float64)
        try:
            keep(evaluate.fooled, net, IMAGES[:20], v)
        finally:
            torch.set_default_dtype(torch.float32)
        assert memo.computed == 4
        monkeypatch.setattr("uapkit.lab.memo.sources.code", lambda function: "another code")
        keep(evaluate.fooled, net, IMAGES[:20], v)
        assert (memo.computed, memo.reused) == (5, 0)


def test_another_version_of_a_library_is_computed_anew(tmp_path, monkeypatch):
    with keeping(tmp_path) as memo:
        keep(counted, 1.0)
        monkeypatch.setattr("uapkit.lab.memo.version", lambda name: "9.9")
        _versions.cache_clear()  # looked up once a process: a library does not change under it
        keep(counted, 1.0)
    _versions.cache_clear()
    assert memo.computed == 2


def test_another_python_counts_from_its_second_number(monkeypatch):
    """3.12.1 gives what 3.12.0 gave; 3.13 may give something else."""
    known = []
    for told in (("3", "12", "0"), ("3", "12", "1"), ("3", "13", "0")):
        monkeypatch.setattr(platform, "python_version_tuple", lambda told=told: told)
        _versions.cache_clear()
        known.append(_versions()["python"])
    _versions.cache_clear()
    assert known[0] == known[1] != known[2]


def test_methods_and_functions_with_given_arguments_take_no_other_ones_answer(tmp_path):
    """Their name in the module is not all that they are."""
    with keeping(tmp_path) as memo:
        assert [keep(Times(factor).of, 3.0) for factor in (2.0, 5.0)] == [6.0, 15.0]
        assert [keep(functools.partial(counted, factor=f), 3.0)["x"] for f in (2.0, 5.0)] == [6.0, 15.0]
    assert (memo.computed, memo.reused) == (0, 0)


def test_what_cannot_be_identified_is_computed_anew_each_time(tmp_path):
    bound = 2.0
    typed = type("Typed", (nn.Module,), {"__module__": "typed_here", "forward": lambda self, x: x.flatten(1)[:, :10]})
    with keeping(tmp_path) as memo:
        for _ in range(2):
            assert keep(lambda x: x * bound, 3.0) == 6.0
            keep(evaluate.labels, typed().eval(), IMAGES)
            keep(unstorable)
    assert memo.reused == 0
    assert len(CALLS) == 2
    assert not entries(tmp_path)


def test_recorded_jacobians_change_no_answer_and_are_shared(tmp_path):
    net = models.load("lenet_digits")
    settings = {"layer": "pool1", "eps": 0.2, "max_iter": 2}
    recorded = [LayerJacobians(net, layers, IMAGES[:8].x) for layers in (["pool1", "pool2"], ["pool1", "logits"])]
    with keeping(tmp_path) as memo:
        vectors = [keep(attacks.singular_uap, net, IMAGES[:8].x, **settings, recorded=r).v for r in recorded]
    assert memo.reused == 1
    assert all(torch.equal(v, attacks.singular_uap(net, IMAGES[:8].x, **settings).v) for v in vectors)


def test_a_damaged_entry_and_one_of_another_version_are_passed_over(tmp_path, monkeypatch):
    with keeping(tmp_path):
        keep(counted, torch.arange(1000.0))
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    for broken in (whole[:50], whole[:-400], b"", b"not a zip", whole.replace(b"a0", b"a1")):
        path.write_bytes(broken)
        with said("damaged, or of another version"), keeping(tmp_path):
            assert torch.equal(keep(counted, torch.arange(1000.0))["x"], 2 * torch.arange(1000.0))
    bits = bytearray(whole)
    bits[len(whole) // 3] ^= 1  # a flipped bit in the numbers
    path.write_bytes(bytes(bits))
    with said("damaged"), keeping(tmp_path):
        assert torch.equal(keep(counted, torch.arange(1000.0))["x"], 2 * torch.arange(1000.0))
    assert len(CALLS) == 7
    monkeypatch.setattr(stored, "FORMAT", 99)
    with pytest.raises(Unreadable, match="format 1"):
        stored.read(path)


def test_an_entry_whose_network_answers_otherwise_is_refused(net, tmp_path, monkeypatch):
    """The second lock: whatever an identity might have missed, the network is asked itself."""
    monkeypatch.setattr("uapkit.lab.memo.identity", lambda value: "all alike")
    other = models.wrap(net.net, mean=0.5, std=0.25, input_size=(1, 28, 28), name="own")
    with keeping(tmp_path) as memo:
        keep(evaluate.labels, net, IMAGES)
        keep(evaluate.labels, net, IMAGES)
        assert memo.reused == 1
        with said("answers otherwise than recorded"):
            assert torch.equal(keep(evaluate.labels, other, IMAGES), evaluate.labels(other, IMAGES))


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ([], [], True),
        ([[1.0]], [], False),
        ([None], [None], True),
        ([None], [[1.0]], False),
        ([[1.0]], [None], False),
        ([None, [1.0]], [None, [2.0]], False),
        ([[1.0, 2.0]], [[1.0]], False),
        ([[100.0, 1.0]], [[100.05, 1.05]], True),
        ([[100.0, 1.0]], [[100.0, 1.2]], False),
        ([[0.0]], [[1e-9]], False),
        ([[math.nan, 1.0]], [[math.nan, 1.0]], True),
        ([[math.inf, 1.0]], [[math.inf, 1.0]], True),
        ([[math.inf, 1.0]], [[math.inf, 99.0]], False),
        ([[math.inf]], [[-math.inf]], False),
    ],
)
def test_answers_are_the_same_up_to_a_thousandth_of_the_largest(before, now, same):
    assert _same(before, now) is same


def test_a_full_disk_loses_no_answer(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("uapkit.files.os.replace", full)
    with said("a result could not be kept"), keeping(tmp_path):
        assert keep(counted, 1.0) == {"x": 2.0}
    assert not entries(tmp_path)


def test_a_place_that_cannot_be_written_loses_no_answer(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with said("nothing can be kept"), keeping(blocker / "kept"):
        assert keep(counted, 1.0) == {"x": 2.0}
        assert keep(resumable, 1) == 1


def test_seconds_count_once_however_often_an_answer_is_used(tmp_path):
    for first in (True, False):
        with keeping(tmp_path) as memo:
            for _ in range(5):
                keep(slow, 0.2)
        assert 0.2 <= sum(memo.seconds.values()) < 0.4, "first run" if first else "from the memo"
        assert (memo.elsewhere >= 0.2) is first, "a run that reads answers does not spend their seconds"
        assert 0 < memo.elsewhere < 0.4


def test_seconds_of_answers_inside_answers_count_once(tmp_path):
    for first in (True, False):
        with keeping(tmp_path) as memo:
            keep(outer, 0.2)
            keep(slow, 0.2)
        assert 0.2 <= sum(memo.seconds.values()) < 0.4, "first run" if first else "from the memo"
    assert len(memo.seconds) == 2


def test_an_interrupted_function_resumes_from_its_file(tmp_path):
    for _ in range(2):
        with keeping(tmp_path), pytest.raises(KeyboardInterrupt):
            keep(resumable, 5)
    with keeping(tmp_path) as memo:
        assert keep(resumable, 5) == 1, "four of five steps were done before"
        assert keep(resumable, 5) == 1
    assert (memo.computed, memo.reused) == (1, 1)
    assert not list(tmp_path.rglob("*.state"))


def test_inputs_noted_inside_are_noted_again(tmp_path):
    for _ in range(2):
        with keeping(tmp_path), provenance.recording() as inputs:
            keep(noting, 1.0)
        assert inputs == {"a set": "0" * 64}


def _one_process(folder, queue):
    with keeping(folder) as memo:
        answer = keep(slow, 1.5)
    queue.put((answer, memo.computed, memo.reused))


def test_two_processes_at_the_same_entry_compute_it_once(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    both = [context.Process(target=_one_process, args=(tmp_path, queue)) for _ in range(2)]
    for process in both:
        process.start()
    found = sorted(queue.get(timeout=60) for _ in both)
    for process in both:
        process.join()
    assert found == [(1.5, 0, 1), (1.5, 1, 0)]


def test_an_entry_holds_no_pickle_and_no_class_of_others(tmp_path):
    path = tmp_path / "a.npz"
    v = Perturbation(torch.zeros(1, 2, 2), 1.0)
    stored.write(path, v, {})
    with np.load(path, allow_pickle=False) as file:
        head = json.loads(str(file["head"]))
        arrays = {name: file[name] for name in file.files if name != "head"}
    head["result"]["dataclass"] = "subprocess:Popen"
    np.savez(path, head=np.array(json.dumps(head)), **arrays)
    with pytest.raises(Unreadable):
        stored.read(path)


def test_the_old_caches_are_never_read(tmp_path):
    """They lie in other folders, and nothing in them has the name of an entry."""
    memo = Memo(tmp_path)
    (tmp_path / "shared").mkdir()
    np.savez(tmp_path / "shared" / "0123456789abcdef0123.npz", head=np.array(json.dumps({"rows": [], "inputs": {}})))
    assert memo.call(counted, (1.0,), {}) == {"x": 2.0}
