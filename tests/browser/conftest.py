"""One Chromium for all browser tests, the built book over file:// and http. Skipped where either is missing."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = Path(os.environ.get("UAPKIT_BUILT_BOOK") or ROOT / "build" / "staging" / "_build" / "html")
CHROMIUM = os.environ.get("UAPKIT_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def pytest_collection_modifyitems(items):
    reason = (
        "no Chromium: install the package `chromium` or set UAPKIT_CHROMIUM to a browser's path"
        if CHROMIUM is None
        else "no built book; `make book` makes it"
        if not (BUILT / "index.html").is_file()
        else None
    )
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def built():
    """Folder of the built book."""
    return BUILT


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra `test`")
    with playwright.sync_playwright() as tools:
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the book without a line for each request."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def served():
    """Address of the book over http."""
    handler = functools.partial(Quiet, directory=str(BUILT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Watched:
    """A page that keeps what it complained of and what it asked for beyond the book."""

    def __init__(self, browser, *, width=1280, javascript=True):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=javascript)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # a busy machine is no fault of the page
        self.errors, self.elsewhere = [], []
        self.home = BUILT.as_uri()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message):
        # the theme says once, on a first visit, that no theme was chosen yet
        if message.type == "error" and "Got invalid theme mode" not in message.text:
            self.errors.append(message.text)

    def _request(self, request):
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def complaints(self):
        """What was wrong since the last call; empty if nothing was."""
        found = [*self.errors, *(f"asked for {url}" for url in self.elsewhere)]
        self.errors.clear()
        self.elsewhere.clear()
        return found

    def open(self, name, home=None):
        """Open a page of the book by its name without suffix, from the disk or from the address ``home``."""
        self.home = home or BUILT.as_uri()
        self.page.goto(f"{self.home}/{name}.html", wait_until="load")
        return self.page


@pytest.fixture(scope="session")
def watched(browser):
    """Make watched pages; they are closed at the end."""
    made = []

    def make(**settings):
        made.append(Watched(browser, **settings))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
