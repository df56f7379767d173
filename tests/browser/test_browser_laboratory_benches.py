"""The laboratory's benches in a real browser: their numbers against the package's, and how they are worked."""

import base64
import itertools
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
    assert all(b >= a for a, b in itertools.pairwise(values)), "the curve never falls"
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


def test_deepfool_equals_python(bench, stored):
    for wanted in stored["M"]:
        s = wanted["settings"]
        ask = "([network, n, seed]) => uapkitLaboratoryApp.lab.ask('deepfool', { network, n, seed })"
        found = bench.page.evaluate(ask, [stored["network"], s["n"], s["seed"]])
        assert [f[0] for f in found] == pytest.approx(wanted["deepfool"], rel=1e-3)
        assert [f[1] for f in found] == wanted["adversarial"]


@pytest.mark.parametrize("k", range(2))
def test_algorithm_1_equals_python(bench, stored, k):
    wanted = stored["M"][k]
    s = dict(wanted["settings"])
    eps = s.pop("eps")
    strength = eps if s["norm"] == "inf" else eps / 28
    frames = run(bench.page, "M", stored["network"], {**s, "target": 0.8}, strength=strength)
    assert [f["fit"] for f in frames if "fit" in f] == pytest.approx(wanted["rates"], abs=1e-6)
    pushed = [f for f in frames if f["kind"] == "visit" and f["success"] and f["steps"] > 0]
    assert len(pushed) == wanted["steps"]
    v, w = np.array(frames[-1]["v"]), array(wanted["v"])
    assert np.linalg.norm(v) == pytest.approx(np.linalg.norm(w), rel=1e-3)
    assert (np.sign(v) == np.sign(w)).mean() > 0.99
    assert max(f["about"]["norm"] for f in frames if "about" in f) <= eps * (1 + 1e-5)


@pytest.mark.parametrize("k", range(2))
def test_stacked_gradients_equal_python(bench, stored, k):
    wanted = stored["E"][k]
    last = run(bench.page, "E", stored["network"], wanted["settings"])[-1]
    # a perturbation of the matrix moves every singular value by at most its norm (Weyl), so the largest is the yardstick
    assert last["values"] == pytest.approx(wanted["values"], abs=1e-3 * wanted["values"][0])
    assert last["random"] == pytest.approx(wanted["random"], abs=1e-3 * wanted["random"][0])
    v, w = np.array(last["first"]), array(wanted["v"])
    assert v @ w > 0.999
    assert (last["back"] is None) == (wanted["settings"]["degrees"] == 0)


@pytest.mark.parametrize("k", range(3))
def test_curvatures_equal_python(bench, stored, k):
    wanted = stored["J"][k]
    frames = run(bench.page, "J", stored["network"], wanted["settings"])
    last = [f for f in frames if f["kind"] == "lanczos"][-1]
    assert last["points"] == wanted["points"]
    assert [last["top"]["value"], last["bottom"]["value"]] == pytest.approx(wanted["values"], rel=1e-3)
    for end, v in zip(("top", "bottom"), wanted["v"], strict=True):
        assert abs(np.array(last[end]["v"]) @ array(v)) > 0.999


def test_the_first_number_comes_soon_and_an_iteration_is_short(watched, built, capsys):
    """In proportion to this machine, for it may be busy: an iteration to the forward passes of its digits, the rest to it."""
    one = watched()
    one.page.goto(f"{built.as_uri()}/book/laboratory.html", wait_until="commit")
    seen = "() => /Without: /.test(document.querySelector('[data-part=answer]')?.textContent) && performance.now()"
    first = one.page.wait_for_function(seen, timeout=WAIT).json_value()
    one.page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    settings = {"layer": "block2_pool", "p": "inf", "q": 10, "n": 16, "seed": 0, "iterations": 10}
    frames = run(one.page, "K", "vgg_digits", settings)
    iteration = float(np.median([f["ms"] for f in frames if f["kind"] == "iteration" and f["k"] > 0]))
    forward = one.page.evaluate(
        """async () => {
            const { lab } = uapkitLaboratoryApp, pixels = new Float32Array(16 * 784).fill(0.5), taken = [];
            for (let k = 0; k < 10; k++) {
                const begun = performance.now();
                await lab.ask("logits", { network: "vgg_digits", pixels, v: null });
                taken.push(performance.now() - begun);
            }
            return taken.sort((a, b) => a - b)[5];
        }"""
    )
    with capsys.disabled():
        print(
            f"\nlaboratory: first number after {first:.0f} ms; an iteration of K's bench {iteration:.1f} ms, "
            f"{iteration / forward:.2f} of the forward passes of its 16 digits ({forward:.1f} ms)"
        )
    assert iteration < 4 * forward, "a push and a pull cost about a forward pass each"
    assert first < 2000 * max(1, iteration / 20), "two seconds where an iteration takes 20 ms"
    one.context.close()


def test_the_page_is_light(built):
    page, folder = built / "book" / "laboratory.html", built / "_static" / "vendor" / "laboratory"
    scripts = [folder / name for name in ("data.js", "laboratory.js", "playground.js")]
    weight = sum(path.stat().st_size for path in (page, built / "_static" / "laboratory.css", *scripts))
    assert weight < 2_000_000, "of its own, without pictures and what all pages of the book share"


def test_settings_show_at_once_and_runs_do_not_mix(bench):
    """Another layer to compare with is seen before Start; a slot given up and a run reset send nothing into the next."""
    page = bench.page
    page.select_option('[data-part="network"]', "vgg_digits")
    choose(page, "K", layer="block1_conv2", n="16", iterations="50", compare="block2_pool")
    assert page.locator("#lab-K .lab-picture").count() == 4
    page.click("#lab-K button.main")
    page.wait_for_function("() => uapkitLaboratoryApp.panels.K.slot['K-b']?.values.length > 1")
    choose(page, "K", compare="", iterations="5", n="1", layer="block1_pool")
    page.click("#lab-K button.main")
    page.click("#lab-K .buttons button:has-text('Redraw')")
    page.wait_for_function("() => uapkitLaboratoryApp.panels.K.finished", timeout=WAIT)
    slots = page.evaluate(
        "() => Object.entries(uapkitLaboratoryApp.panels.K.slot).map(([k, s]) => [k, s.values.map(v => v[0])])"
    )
    assert slots == [["K", list(range(len(slots[0][1])))]], "one run, each iteration once"
    page.locator('[data-part="seed"]').fill("0")
    page.locator('[data-part="seed"]').dispatch_event("change")
    assert bench.complaints() == []


def test_each_bench_tells_what_was_seen_and_offers_its_vector(bench):
    page = bench.page
    page.select_option('[data-part="network"]', "vgg_digits")
    choose(page, "M", n="8", passes="1")
    choose(page, "E", n="16", degrees="90")
    choose(page, "J", n="10", most="10")
    for letter, words in (
        ("M", "Random signs of this strength"),
        ("E", "share one direction"),
        ("J", "Near its boundary"),
    ):
        before = page.locator('[data-part="made"] tr').count()
        finish(page, letter)
        assert words in page.locator(f"#lab-{letter} .sentence").inner_text()
        page.wait_for_function("n => document.querySelectorAll('[data-part=made] tr').length > n", arg=before)
        assert page.locator(f"#lab-{letter} svg").count() >= 2


def test_curvature_bench_moves_digits(bench):
    page = bench.page
    page.click("#tab-J")
    if page.locator("#lab-J input[type=range]").is_disabled():
        finish(page, "J")
    slider, sentence = page.locator("#lab-J input[type=range]"), page.locator("#lab-J .sentence")
    slider.fill("16")
    assert "Moved through the network itself by 0.0" in sentence.inner_text()
    assert "0.0 % of 40 test digits change their label" in sentence.inner_text()
    slider.focus()
    page.keyboard.press("End")
    assert "Moved through the network itself by 14.0" in sentence.inner_text()


def test_a_task_is_marked_when_it_is_done(bench):
    page = bench.page
    page.select_option('[data-part="network"]', "vgg_digits")
    choose(page, "K", layer="block1_conv2", n="4", iterations="5")
    finish(page, "K")
    rate = page.evaluate("() => uapkitLaboratoryApp.panels.K.history.at(-1)")
    marked = "done" in page.locator("#lab-K .tasks li").first.inner_text()
    assert marked == (rate["best"] >= 2 * rate["nothing"])


@pytest.mark.parametrize("letter", ["K", "M", "E", "J"])
def test_benches_fit_a_phone(watched, letter):
    one = watched(width=390)
    one.open("book/laboratory")
    one.page.wait_for_selector('#lab-app[data-ready="yes"]', timeout=WAIT)
    one.page.click(f"#tab-{letter}")
    assert one.page.locator(f"#lab-{letter} button.main").is_visible()
    assert one.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert one.complaints() == []
    one.context.close()
