"""The laboratory's benches in a real browser: their numbers against the package's, and how they are worked."""

import base64
import json

import numpy as np
import pytest
import torch

from uapkit import data
from uapkit.attacks import Perturbation
from uapkit.book import laboratory
from uapkit.book.laboratory_answers import answers

WAIT = 240_000  # milliseconds; a busy machine is no fault of the page
RUN = """async ([bench, settings]) => {
    const { lab } = uapkitLaboratoryApp, frames = [], number = (x) => (x === "inf" ? Infinity : x);
    for (const name of ["p", "q", "norm"]) if (name in settings) settings[name] = number(settings[name]);
    await lab.network(settings.network);
    await new Promise((resolve, reject) => lab.start(bench, `test ${Math.random()}`, settings, "go", (m) => {
        if (m.type === "frame") frames.push(m.frame);
        else if (m.type === "failed") reject(new Error(m.message));
        else resolve();
    }));
    const plain = (x) => ArrayBuffer.isView(x) ? [...x]
        : Array.isArray(x) ? x.map(plain)
        : x && typeof x === "object" ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]))
        : x;
    return frames.map(plain);
}"""


@pytest.fixture(scope="module")
def bench(watched):
    one = watched()
    one.open("book/laboratory")
    one.page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    assert one.page.get_attribute("#lab-app", "data-device") == "WebAssembly"
    return one


@pytest.fixture(scope="module")
def stored(bench):
    """The answers that the page was built with; the package must still give them."""
    return bench.page.evaluate("() => window.uapkitLaboratory.answers")


def array(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


def run(page, letter, network, settings, strength=0.25):
    """All frames of one run."""
    return page.evaluate(RUN, [letter, {"network": network, "strength": strength, **settings}])


def finish(page, letter, width=None):
    """Press Start on a bench and wait for its end."""
    page.click(f"#tab-{letter}")
    done = page.get_attribute(f"#lab-{letter}", "data-done") or "0"
    page.click(f"#lab-{letter} button.main")
    page.wait_for_selector(f'#lab-{letter}[data-done="{int(done) + 1}"]', timeout=WAIT)


def choose(page, letter, **values):
    page.click(f"#tab-{letter}")
    for name, value in values.items():
        page.select_option(f'[name="{letter}-{name}"]', value)


def test_stored_answers_are_the_packages(stored):
    made = json.loads(json.dumps(answers(laboratory.network("vgg_digits"))))
    assert made["K"][0]["history"] == pytest.approx(stored["K"][0]["history"], rel=1e-5)


@pytest.mark.parametrize("k", range(3))
def test_power_method_equals_python(bench, stored, k):
    wanted = stored["K"][k]
    frames = run(bench.page, "K", stored["network"], wanted["settings"])
    steps = [f for f in frames if f["kind"] == "iteration"]
    values = [f["value"] for f in steps[1:]]
    assert steps[0]["value"] == pytest.approx(wanted["start"], rel=1e-3), "the same random start"
    assert values == pytest.approx(wanted["history"][: len(values)], rel=1e-3)
    assert values[-1] == pytest.approx(wanted["history"][-1], rel=1e-3)
    assert all(b >= a for a, b in zip(values, values[1:], strict=False)), "the curve never falls"
    v, w = np.array(steps[-1]["v"]), array(wanted["v"])
    assert (np.sign(v) == np.sign(w)).mean() > 0.99


def test_rates_of_the_power_method_are_the_packages(bench, stored):
    from uapkit.evaluate import fooling_rate, random_perturbation

    frames = run(bench.page, "K", stored["network"], stored["K"][0]["settings"], strength=0.3)
    model, test = laboratory.network(stored["network"]), data.load("digits", n=200, seed=0)
    last = frames[-1]
    v = torch.tensor(last["v"]).view(1, 28, 28)
    for rate, w in ((last["rate"], v), (last["turned"], -v)):
        wanted = fooling_rate(model, test, 0.3 * w)
        assert [rate["hits"], rate["low"], rate["high"]] == pytest.approx(
            [wanted.hits, wanted.low, wanted.high], abs=1e-9
        )
    hits = [fooling_rate(model, test, random_perturbation((1, 28, 28), eps=0.3, seed=s)).hits for s in range(5)]
    assert last["nothing"]["hits"] == sum(hits)


def test_power_bench_by_hand(bench, tmp_path):
    page = bench.page
    choose(page, "K", layer="block1_conv2", n="4", iterations="5")
    finish(page, "K")
    told = page.locator("#lab-K .sentence").inner_text()
    assert "singular vector of block1_conv2" in told
    assert "Random signs of the same norm" in told
    row = page.locator('[data-part="made"] tr').last
    held = page.evaluate("() => [...uapkitLaboratoryApp.vectors.at(-1).v].map((e) => 0.25 * e)")
    for name, read in ((".npy", Perturbation.from_array), (".safetensors", Perturbation.load)):
        with page.expect_download() as download:
            row.get_by_role("button", name=name).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        made = read(path)
        assert np.allclose(made.v.flatten().numpy(), held, atol=1e-7)
        assert made.eps == pytest.approx(0.25, rel=1e-5)
    assert made.made_by["layer"] == "block1_conv2"
    assert len(made.history) == made.made_by["n_iter"]
    row.get_by_role("button", name="Try it on a digit").click()
    assert page.locator("#lab-draw").is_visible()
    assert "made here" in page.locator('[data-part="perturbation"] option:checked').inner_text()


def test_power_bench_steps_stops_and_resets_by_keyboard(bench):
    page = bench.page
    choose(page, "K", layer="block2_pool", n="16", iterations="50")
    status = page.locator("#lab-K .status")
    step = page.locator("#lab-K .buttons button", has_text="Step")
    step.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => /iteration 0/.test(document.querySelector('#lab-K .status').textContent)")
    assert page.locator("#lab-K button.main").inner_text() == "Go on"
    page.locator("#lab-K button.main").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => /iteration [2-9]/.test(document.querySelector('#lab-K .status').textContent)")
    page.keyboard.press("Enter")
    page.wait_for_function("() => / Stopped/.test(document.querySelector('#lab-K .status').textContent)")
    before = status.inner_text()
    page.wait_for_timeout(600)
    assert status.inner_text() == before, "it stands still"
    page.locator("#lab-K .buttons button", has_text="Reset").focus()
    page.keyboard.press("Enter")
    assert status.inner_text() == "Ready. Press Start."
    page.locator("#tab-K").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#lab-draw").is_visible()


def test_link_reproduces_the_state(bench, watched):
    page = bench.page
    choose(page, "K", layer="block1_pool", n="1", iterations="5", q="2")
    finish(page, "K")
    page.locator("#lab-K .buttons button", has_text="Link to this").click()
    address, told = page.evaluate("() => location.href"), page.locator("#lab-K .sentence").inner_text()
    other = watched()
    other.home = bench.home
    other.page.goto(address)
    other.page.wait_for_selector('#lab-K[data-done="1"]', timeout=WAIT)
    assert other.page.locator("#lab-K .sentence").inner_text() == told
    assert other.complaints() == []
    other.context.close()


def test_benches_ask_for_nothing(bench):
    assert bench.complaints() == []
