"""Store quick runs, to be compared with on machines without data and weights: ``python -m uapkit.runner.quick [ITEM ...]``.

Beside each table stand its inputs, so that a machine on which a small network comes out otherwise compares nothing. Without
names those are stored that are missing or of other code.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from uapkit.runner import results, verify
from uapkit.runner.catalogue import item, items
from uapkit.runner.records import mapping


def store(name: str) -> Path:
    """Run the item's quick run anew and store its table and what it was made from and with."""
    about = item(name)
    path, table = verify.quick_path(about), verify.run(about, verify.quick(about))
    made = table.attrs["provenance"]
    record = {key: made[key] for key in ("inputs", "commit", "dirty", "code_sha256", "versions", "seconds")}
    record |= {"on": verify.machine(), "date": datetime.now(UTC).date().isoformat()}
    results.write_whole(path.with_suffix(".json"), (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    results.write_whole(path, results.table_bytes(table))
    return path


def current(name: str) -> bool:
    """Is a quick run of the item stored, and of the code as it is now?"""
    about = item(name)
    path = verify.quick_path(about).with_suffix(".json")
    return path.is_file() and mapping(path)["code_sha256"] == verify.code_now(about)


def main(argv: list[str] | None = None) -> int:
    """Store the quick runs named, else those that are missing or of other code, of all items that have a stored full run."""
    parser = argparse.ArgumentParser(
        prog="python -m uapkit.runner.quick", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("item", nargs="*")
    stored = [name for name, about in items().items() if about.path("json").is_file()]
    for name in parser.parse_args(argv).item or [name for name in stored if not current(name)]:
        print(store(name), file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
