"""The laboratory's first panel in a real browser: it equals PyTorch, follows mouse and keyboard, needs nothing from outside."""

import numpy as np
import pytest
import torch

from uapkit import data
from uapkit.book import laboratory
from uapkit.models.card import state_sha256

WAIT = 120_000  # milliseconds; a busy machine is no fault of the page
STROKES = {  # in shares of the drawing area
    0: [[(0.5, 0.15), (0.3, 0.3), (0.28, 0.6), (0.5, 0.85), (0.7, 0.6), (0.7, 0.3), (0.5, 0.15)]],
    3: [[(0.3, 0.2), (0.6, 0.15), (0.68, 0.32), (0.45, 0.47), (0.7, 0.65), (0.6, 0.85), (0.3, 0.8)]],
    6: [[(0.6, 0.15), (0.38, 0.5), (0.4, 0.8), (0.6, 0.8), (0.62, 0.6), (0.4, 0.6)]],
}


@pytest.fixture(scope="module")
def play(watched):
    """The page from the disk, its network started."""
    one = watched()
    one.open("book/laboratory")
    one.page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    return one


@pytest.fixture(scope="module")
def network(play):
    model = laboratory.network()
    in_page = play.page.evaluate("() => window.uapkitLaboratory.network_sha256")
    assert in_page == state_sha256(model.net.state_dict()), "built from other code; build the book again"
    return model


def logits(page, x, name=laboratory.OWN):
    """The page's logits (n, 10) of images (n, 1, 28, 28)."""
    given = [float(v) for v in x.flatten()]
    ask = """async ([x, network]) => {
        const { lab } = uapkitLaboratoryApp;
        await lab.network(network);
        return [...await lab.ask("logits", { network, pixels: new Float32Array(x), v: null })];
    }"""
    return torch.tensor(page.evaluate(ask, [given, name])).view(-1, 10)


def settle(page, action):
    """Do something and wait until the page has answered it."""
    action()
    page.evaluate("() => uapkitLaboratoryApp.draw.latest")


def choose(page, perturbation, strength):
    settle(page, lambda: page.select_option('[data-part="perturbation"]', label=perturbation))
    place = laboratory.STRENGTHS.index(strength)
    settle(page, lambda: page.locator('[data-part="strength"]').fill(str(place)))


def test_opens_with_a_digit_whose_answer_changes(play):
    root, page = play.page.locator("#playground-app"), play.page
    assert root.get_attribute("data-clean") != root.get_attribute("data-perturbed")
    assert "The answer has changed." in page.locator('[data-part="answer"]').inner_text()
    k = int(page.locator('[name="digit"]:checked').input_value())
    same = "k => uapkitLaboratoryApp.draw.digits[k] === uapkitLaboratoryApp.draw.x"
    assert page.evaluate(same, k), "the marked digit is the shown one"


def test_answers_equal_pytorch(play, network):
    x = data.load("digits", n=12).x
    vectors = play.page.evaluate("() => uapkitLaboratoryApp.draw.vectors.slice(0, 4).map(p => [...p.v])")
    for v in [torch.zeros(1, 28, 28), *(torch.tensor(list(v)).view(1, 28, 28) for v in vectors)]:
        moved = x + 0.2 * v
        assert (logits(play.page, moved) - network(moved)).abs().max() < 1e-4


@pytest.mark.parametrize("name", laboratory.NETWORKS)
def test_each_network_is_the_packages_own(play, name):
    x = data.load("digits", n=4).x
    assert (logits(play.page, x, name) - laboratory.network(name)(x)).abs().max() < 1e-4


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_and_draws_are_the_packages_own(play, split):
    wanted = data.load("digits", split=split, n=6, seed=5)
    made = play.page.evaluate(
        """async (split) => {
            const { lab } = uapkitLaboratoryApp, drawn = await lab.ask("draw", { split, n: 6, seed: 5 });
            return Promise.all(drawn.map(async (index) => [...await lab.ask("image", { split, index })]));
        }""",
        split,
    )
    assert (torch.tensor(made).view(6, 1, 28, 28) - wanted.x).abs().max() < 1e-5


def test_digits_of_the_page_are_test_digits(play):
    test = data.load("digits")
    shown = torch.tensor(play.page.evaluate("() => uapkitLaboratoryApp.draw.digits.map(d => [...d])")).view(
        -1, 1, 28, 28
    )
    places = [int((test.x - one).abs().flatten(1).amax(1).argmin()) for one in shown]
    assert max(float((test.x[i] - one).abs().max()) for i, one in zip(places, shown, strict=True)) < 1e-5
    assert [int(test.y[i]) for i in places] == [d for d in range(10) for _ in range(2)]


def test_shown_labels_and_rates_are_those_of_pytorch(play, network):
    test, page = data.load("digits"), play.page
    for name, strength in (("SPM", 0.3), ("UAP", 0.3), ("SVD", 0.2), ("random signs", 0.3)):
        choose(page, name, strength)
        k = page.locator('[data-part="perturbation"]').input_value()
        v = torch.tensor(page.evaluate("k => [...uapkitLaboratoryApp.draw.vectors[k].v]", int(k))).view(1, 28, 28)
        x = torch.tensor(page.evaluate("() => [...uapkitLaboratoryApp.draw.x]")).view(1, 1, 28, 28)
        root = page.locator("#playground-app")
        assert int(root.get_attribute("data-clean")) == int(network(x).argmax())
        assert int(root.get_attribute("data-perturbed")) == int(network(x + strength * v).argmax())
        fooled = (network(test.x).argmax(1) != network(test.x + strength * v).argmax(1)).float().mean()
        assert f"answer for {100 * float(fooled):.1f} %" in page.locator('[data-part="rate"]').inner_text()


def test_slider_changes_some_labels_and_none_at_strength_zero(play):
    page, changed = play.page, {0.0: 0, 0.3: 0}
    for strength in changed:
        choose(page, "UAP", strength)
        for k in range(0, 20, 2):
            settle(page, lambda k=k: page.locator('[name="digit"]').nth(k).check())
            root = page.locator("#playground-app")
            changed[strength] += root.get_attribute("data-clean") != root.get_attribute("data-perturbed")
    assert changed[0.0] == 0
    assert changed[0.3] >= 3


@pytest.mark.parametrize("digit", STROKES)
def test_drawn_digits_are_read(play, digit):
    page = play.page
    page.click('[data-part="clear"]')
    pad = page.locator('[data-part="pad"]')
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()

    def draw():
        for stroke in STROKES[digit]:
            places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            page.mouse.move(*places[0])
            page.mouse.down()
            for place in places[1:]:
                page.mouse.move(*place, steps=5)
            page.mouse.up()

    settle(page, draw)
    assert int(page.get_attribute("#playground-app", "data-clean")) == digit


def test_drawing_goes_through_the_resize_of_the_data_set(play):
    """A drawn full square is all ink: 32 x 32 points of one, hence an image of ones."""
    page = play.page
    page.click('[data-part="clear"]')
    assert max(page.evaluate("() => [...uapkitLaboratoryApp.draw.x]")) == 0
    pad = page.locator('[data-part="pad"]').bounding_box()
    page.mouse.move(pad["x"] + 20, pad["y"] + 20)
    page.mouse.down()
    for row in range(20, 180, 8):
        page.mouse.move(pad["x"] + 20, pad["y"] + row)
        page.mouse.move(pad["x"] + 176, pad["y"] + row, steps=2)
    page.mouse.up()
    seen = np.array(page.evaluate("() => [...uapkitLaboratoryApp.draw.x]")).reshape(28, 28)
    assert seen[4:-4, 4:-4].min() > 0.99
    assert seen.max() <= 1


def test_keyboard_alone_is_enough(play):
    page = play.page
    page.locator('[name="digit"]').first.focus()
    settle(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.evaluate("() => document.querySelector('[name=digit]:checked').value") == "1"
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.dataset.part") == "perturbation"
    page.locator('[data-part="network"]').focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.dataset.part") == "strength"
    settle(page, lambda: page.keyboard.press("Home"))
    assert "The answer stays." in page.locator('[data-part="answer"]').inner_text()
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_laboratory_starts_over_http_and_on_a_phone(watched, served):
    one = watched(width=390)
    page = one.open("book/laboratory", served)
    page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    assert "Without: " in page.locator('[data-part="answer"]').inner_text()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert one.complaints() == []
    one.context.close()


def test_laboratory_from_the_disk_asks_for_nothing(play):
    assert play.complaints() == []


def test_page_without_webassembly_gives_the_same_answers(watched, served, network):
    one = watched()
    page = one.open("book/laboratory", served)
    page.goto(f"{served}/book/laboratory.html?engine=js")
    page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    assert page.get_attribute("#lab-app", "data-device") == "JavaScript"
    x = data.load("digits", n=3).x
    assert (logits(page, x) - network(x)).abs().max() < 1e-4
    one.context.close()


def test_the_old_address_leads_here(watched):
    one = watched()
    page = one.open("book/playground")
    page.wait_for_url("**/book/laboratory.html")
    assert page.locator("#lab-app").count() == 1
    one.context.close()
