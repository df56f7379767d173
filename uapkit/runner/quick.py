"""Store quick runs, to be compared with on machines without data and weights: ``python -m uapkit.runner.quick [ITEM ...]``.

Beside each table stand its inputs, and under ``results/quick/weights`` the small networks that it was made with, as this
machine has trained them. Then each is run again as on older processors, and the columns that move are noted, so that another
machine leaves them out. Without names those are stored that are missing or of other code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uapkit.runner import arithmetic, networks, results, verify
from uapkit.runner.catalogue import item, items
from uapkit.runner.deviation import restless
from uapkit.runner.records import mapping


def store(name: str) -> Path:
    """Run the item's quick run anew and store its table and what it was made from and with."""
    about = item(name)
    path, wanted = verify.quick_path(about), replace(verify.quick(about), inputs={})  # this machine's own networks
    table = verify.run(about, wanted)
    made = table.attrs["provenance"]
    record = {key: made[key] for key in ("inputs", "commit", "dirty", "code_sha256", "versions", "seconds")}
    record |= {
        "on": verify.machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "arithmetic": arithmetic.checksum(),
    }
    networks.keep(made["inputs"])
    _write(path, record)
    results.write_whole(path, results.table_bytes(table))
    return path


def measure(name: str) -> list[str]:
    """Note which columns of the stored quick run move where a processor rounds otherwise: it is run as on older ones."""
    about = item(name)
    wanted, path = verify.quick(about), verify.quick_path(about)
    assert wanted.rows is not None
    moved: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="uapkit") as folder:
        into = Path(folder, "table.csv")
        command = [sys.executable, "-m", __spec__.name, name, "--into", str(into)]
        for environment in arithmetic.elsewhere():
            subprocess.run(command, env=environment, check=True)
            moved |= set(restless(wanted.rows, results.read_table(into.read_bytes())))
    found = sorted(moved)
    _write(path, mapping(path.with_suffix(".json")) | {"restless": found})
    return found


def _write(path: Path, record: dict[str, Any]) -> None:
    results.write_whole(path.with_suffix(".json"), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())


def current(name: str) -> bool:
    """Is a quick run of the item stored, of the code as it is now, and is it known what moves on another processor?"""
    about = item(name)
    path = verify.quick_path(about).with_suffix(".json")
    if not path.is_file():
        return False
    record = mapping(path)
    return record["code_sha256"] == verify.code_now(about) and {"arithmetic", "restless"} <= set(record)


def main(argv: list[str] | None = None) -> int:
    """Store the quick runs named, else those that are missing or of other code, of all items that have a stored full run."""
    parser = argparse.ArgumentParser(
        prog="python -m uapkit.runner.quick", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("item", nargs="*")
    parser.add_argument(
        "--elsewhere", action="store_true", help="only note anew which columns move on another processor"
    )
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # the table of one item, for :func:`measure`
    given = parser.parse_args(argv)
    if given.into:
        about = item(given.item[0])
        results.write_whole(given.into, results.table_bytes(verify.run(about, verify.quick(about))))
        return 0
    stored = [name for name, about in items().items() if about.path("json").is_file()]
    for name in given.item or [name for name in stored if current(name) == given.elsewhere]:
        done = verify.quick_path(item(name)) if given.elsewhere else store(name)
        print(f"{done}; on another processor move: {', '.join(measure(name)) or 'none'}", file=sys.stderr, flush=True)
    networks.forget_others()
    return 0


if __name__ == "__main__":
    sys.exit(main())
