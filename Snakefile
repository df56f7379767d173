# The graph of reruns: data and weights -> item runs -> pages. Run by `uapkit book`; local cores by default, a cluster by
# Snakemake's own executors (`uapkit book --executor slurm`). An item that fails still makes a page, with a failure box.
import sys
from pathlib import Path

UAPKIT = f"{sys.executable} -m uapkit"

ITEMS = sorted(str(p.relative_to("notebooks").with_suffix("")) for p in Path("notebooks").glob("*/*.ipynb"))
# drawing, command line and book may change a page, so they count too; other papers' experiments do not
SHARED = sorted(
    str(p) for p in Path("uapkit").rglob("*")
    if p.suffix in {".py", ".yml", ".safetensors"} and p.parts[1] != "experiments" and p.name not in {"bench.py", "cli.py"}
    and not p.name.startswith(("scoreboard", "prose", "chapters", "linkcheck", "plots_idea", "playground"))
)
SHARED += ["uapkit/experiments/__init__.py", "uapkit/experiments/common.py"]
# networks trained on the embedded digits: once, before the items that use them run side by side
WEIGHTS = "build/weights.txt"


def stored(wildcards):
    """Stored tables of an item, as far as they exist."""
    places = [Path("results") / f"{wildcards.item}{end}" for end in (".csv", ".json", ".npz")]
    return [str(p) for p in places if p.is_file()]


rule all:
    input:
        "build/staging/_build/html/index.html",


rule weights:
    input:
        sorted(str(p) for d in ("models", "data") for p in Path("uapkit", d).rglob("*.py")),
    output:
        WEIGHTS,
    shell:
        "{UAPKIT} models --train-digits > {output}"


rule item:
    input:
        WEIGHTS,
        SHARED,
        stored,
        notebook="notebooks/{item}.ipynb",
        experiments=lambda w: sorted(map(str, Path("uapkit/experiments").glob(f"{w.item.split('/')[0]}*.py"))),
        reported=lambda w: f"reported/{w.item.split('/')[0]}.csv",
    output:
        "build/staging/notebooks/{item}.ipynb",
        "build/status/{item}.json",
    wildcard_constraints:
        item="[a-z0-9]+/[a-z0-9_]+",
    shell:
        "{UAPKIT} stage {wildcards.item}"


rule html:
    input:
        expand("build/staging/notebooks/{item}.ipynb", item=ITEMS),
        [str(p) for p in Path("book").rglob("*") if p.is_file() and "vendor" not in p.parts and "__pycache__" not in p.parts],
        [str(p) for p in Path("reported").glob("*.csv")] + [str(p) for p in Path("results").rglob("*.*")],
        [str(p) for name in ("scoreboard*", "prose", "chapters", "linkcheck", "plots_idea*") for p in Path("uapkit").glob(f"{name}.py")],
        "_config.yml", "_toc.yml", "uapkit/book.py", "uapkit/items.yml", "package-lock.json",
    output:
        "build/staging/_build/html/index.html",
    log:
        "build/logs/book.log",
    shell:
        "{UAPKIT} html > {log} 2>&1 || (tail -n 40 {log} >&2; exit 1)"
