"""Single links of a replay: what goes in and out, what is promised about memory, and how one is cut to its first images."""

import torch
from reference import pixels

from uapkit.operators.replay.graphs import Among, Linear, Retained


def two(seed=0, n=3):
    return pixels(seed, n, 2, 2), pixels(seed + 1, n, 2, 2)


def test_an_input_that_nothing_depends_on_gets_and_gives_zero():
    """Of the two inputs the second enters with a slope of zero everywhere."""
    (x, unused), (v, u), w = two(), two(2), pixels(4, 3, 2, 2)
    for step in (torch.Tensor.detach, torch.sign):  # one stops the gradient, the other has a gradient of zero
        link = Retained(lambda a, b, step=step: a * a + step(b), [x, unused])
        torch.testing.assert_close(link.push([v, u], False), 2 * x * v)
        first, second = link.pull(w, False)
        torch.testing.assert_close(first, 2 * x * w)
        assert not second.any()


def test_recorded_bytes_are_those_of_whole_tensors():
    x, y = two()
    for t in (x, x.float()):
        whole = t.numel() * t.element_size()
        kept = Retained(torch.exp, [t]).nbytes
        assert kept >= whole, "the result at least"
        assert kept % whole == 0
    assert Retained(lambda a, b: a * b, [x, y]).nbytes >= 2 * x.numel() * x.element_size()


def test_links_that_hand_on_what_came_in_do_not_say_that_they_own_it():
    x, t = two()
    for link in (Linear(lambda a: a.flatten(1), [x]), Retained(lambda a: a.flatten(1), [x])):
        for link in (link, Among(link, len(x), [x.shape], torch.Size((3, 8)))):  # noqa: B020
            out, (back,) = link.push([t], False), link.pull(w := t.flatten(1), False)
            assert torch.equal(out, t.flatten(1))
            assert torch.equal(back, t)
            assert not link.push_owns or out.untyped_storage().data_ptr() != t.untyped_storage().data_ptr()
            assert not link.pull_owns or back.untyped_storage().data_ptr() != w.untyped_storage().data_ptr()


def test_a_link_is_cut_only_where_images_can_be_told_apart():
    """One whose shape holds the number of images goes on with all of them, the others' tangents being zero."""
    x = pixels(0, 4, 2, 3)
    t, w = pixels(1, 2, 2, 3), pixels(2, 2, 3, 6, 1)[..., 0]
    apart = Linear(lambda a: a.flatten(1), [x]).first(2)
    assert isinstance(apart, Linear)
    assert torch.equal(apart.push([t], False), t.flatten(1))
    for mixed in (lambda a: a.reshape(2, -1), lambda a: a.reshape(4, 3, 6)):
        whole = Linear(mixed, [x])
        cut = whole.first(2)
        assert isinstance(cut, Among)
        assert torch.equal(cut.push([t], False), whole.push([torch.cat([t, 0 * t])], False)[:2])
    assert torch.equal(cut.pull(w, False)[0], whole.pull(torch.cat([w, 0 * w]), False)[0][:2])
