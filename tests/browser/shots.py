"""Pictures of the built book to look at: home, What holds, scoreboard, one item of each paper; two widths, light and dark.

``python tests/browser/shots.py BUILT FOLDER`` takes them all and writes ``<page>_<width>_<theme>.png`` into FOLDER, which is no
part of the project. ``--pages`` names other pages, ``--screens`` says how far down to look, 0 for the whole page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from measure import READY, SIZES, opened, serving

PAGES = (
    "book/index",
    "book/what_holds",
    "book/scoreboard",
    "notebooks/moosavi2017/tab1_fooling_rates",
    "notebooks/khrulkov2018/tab1_layers",
    "notebooks/equivariant2019/fig1_energy",
    "notebooks/jetley2018/fig3_accuracy",
)
THEMES = ("light", "dark")


def shots(built: Path, folder: Path, pages: tuple[str, ...], screens: int) -> Iterator[Path]:
    """Take the pictures one by one. screens: heights of the window from the top, 0 for all of a page."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving(built) as home, opened() as browser:
        for width, (across, down) in SIZES.items():
            for theme in THEMES:
                context = browser.new_context(viewport={"width": across, "height": down}, color_scheme=theme)
                context.add_init_script(
                    f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
                )
                page = context.new_page()
                page.set_default_timeout(120_000)
                for name in pages:
                    page.goto(f"{home}/{name}.html", wait_until="load")
                    page.evaluate(READY)
                    tall = page.evaluate("document.documentElement.scrollHeight")
                    clip = {"x": 0, "y": 0, "width": across, "height": min(tall, screens * down) if screens else tall}
                    path = folder / f"{name.replace('/', '_')}_{width}_{theme}.png"
                    page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")
                    yield path
                context.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("built", type=Path, help="folder of the built book")
    arguments.add_argument("folder", type=Path, help="where the pictures go; made if it is not there")
    arguments.add_argument("--pages", nargs="+", default=PAGES, help="names of pages without suffix")
    arguments.add_argument("--screens", type=int, default=0, help="screens from the top, 0 for the whole page")
    given = arguments.parse_args()
    for path in shots(given.built, given.folder, tuple(given.pages), given.screens):
        print(path, flush=True)


if __name__ == "__main__":
    main()
