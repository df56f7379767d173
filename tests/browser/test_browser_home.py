"""The home page's picture: a slider for the strength, stored labels for vector and noise, and pictures without scripts."""


def test_slider_shows_stored_labels_at_stored_strengths(watched):
    one = watched()
    page = one.open("book/index")
    page.wait_for_selector("#uapkit-home .controls input")
    captions = {
        name: page.locator(f"#uapkit-home figure[data-shows=with_{name}] figcaption") for name in ("vector", "signs")
    }
    given = page.evaluate("() => window.uapkitHome.pictures[0]")
    for name, caption in captions.items():
        assert given[name][0] in caption.inner_text()
    brush = "document.querySelector('#uapkit-home figure[data-shows=with_vector] canvas').getContext('2d')"
    page.wait_for_function(f"() => {brush}.getImageData(100, 100, 1, 1).data[3] === 255")
    pixels = f"() => [...{brush}.getImageData(0, 0, 224, 224).data]"
    with_it = page.evaluate(pixels)
    page.locator("#uapkit-home input").focus()
    page.keyboard.press("Home")
    for caption in captions.values():
        assert given["before"][0] in caption.inner_text()
    without = page.evaluate(pixels)
    moved = [abs(a - b) for a, b in zip(with_it, without, strict=True)]
    assert max(moved) == 10
    page.keyboard.press("ArrowRight")
    for caption in captions.values():
        assert "labels are stored for 0 and 10" in caption.inner_text()
    assert one.complaints() == []
    one.context.close()


def test_home_shows_its_pictures_without_scripts(watched):
    one = watched(javascript=False)
    page = one.open("book/index")
    assert page.locator("#uapkit-home img").count() == 6
    assert page.locator("#uapkit-home figcaption b").count() == 3
    assert not page.locator("#uapkit-home .controls").is_visible()
    one.context.close()
