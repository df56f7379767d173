"""The students' notebooks and archive that the task sheets link, made before the pages are read."""

from pathlib import Path

from sphinx.application import Sphinx


def _make(app: Sphinx) -> None:
    place = Path(app.srcdir) / "book" / "_generated" / "classroom"
    if (Path(app.srcdir) / "book" / "classroom" / "guide.md").is_file() and not (place / "students.zip").is_file():
        from uapkit.classroom import build

        build.site(place)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", _make)
    return {"parallel_read_safe": True}
