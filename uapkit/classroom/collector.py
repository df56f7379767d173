"""The collector of ``nbgrader zip_collect`` in a course folder; ``nbgrader_config.py`` names it."""

from __future__ import annotations

import os
from pathlib import Path

from nbgrader.plugins import FileNameCollectorPlugin

from uapkit.classroom import layouts


def plan_of(extracted: Path, archive: Path, assignment: str) -> layouts.Plan:
    """The plan for what has been unpacked to ``extracted`` from the files in ``archive``."""
    paths = [path.relative_to(extracted).as_posix() for path in extracted.rglob("*") if path.is_file()]
    stems = [path.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".zip") for path in archive.glob("*")]
    return layouts.plan(paths, assignment, stems)


class Collector(FileNameCollectorPlugin):
    """Asks :mod:`uapkit.classroom.layouts` whose a file is; all files are looked at together, once."""

    def collect(self, submitted_file: str) -> dict[str, str] | None:
        """Student and file name of one file of ``extracted/``, None to skip it."""
        app = self.parent
        if not hasattr(self, "_plan"):
            self._root = Path(app._format_collect_path(app.extracted_directory))
            archive = Path(app._format_collect_path(app.archive_directory))
            self._plan = plan_of(self._root, archive, app.coursedir.assignment_id)
            self._student = {one.path: one.student for one in self._plan.files}
        path = Path(os.path.relpath(submitted_file, self._root)).as_posix()
        if path not in self._plan.target:
            return None
        return {"student_id": self._student[path], "file_id": self._plan.target[path]}
