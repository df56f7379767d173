"""In the dark: text of our tables stays readable, figures stand on a light ground."""

import pytest

PAGES = ("book/scoreboard", "book/papers/khrulkov2018", "notebooks/khrulkov2018/tab1_layers")
CONTRAST = """all => all.slice(0, 60).map(e => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  let ground = e;
  while (ground && (rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
  const [a, b] = [getComputedStyle(e).color, ground ? getComputedStyle(ground).backgroundColor : 'rgb(255,255,255)']
    .map(text => light(rgb(text)) + 0.05);
  return [Math.max(a, b) / Math.min(a, b), e.className, e.textContent.slice(0, 40)];
})"""


@pytest.fixture(scope="module", params=PAGES)
def dark(request, watched):
    one = watched()
    one.context.set_default_navigation_timeout(120_000)
    one.context.add_init_script("localStorage.setItem('mode', 'dark'); localStorage.setItem('theme', 'dark')")
    page = one.open(request.param)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    return page


def test_words_can_be_read(dark):
    ours = ("table td", "table caption", "verdict", "theirs", "ours", "source a")
    selector = ", ".join(["figcaption p", *(f".uapkit-{name}" for name in ours)])
    found = dark.locator(selector).evaluate_all(CONTRAST)
    assert found
    faint = [one for one in found if one[0] < 4.5]
    assert faint == []


def test_figures_stand_on_a_light_ground(dark):
    grounds = dark.locator("article.bd-article img[src*='_images/']").evaluate_all(
        "all => all.map(e => getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number))"
    )
    assert all(min(ground[:3]) > 200 for ground in grounds), grounds
