# The graph of reruns: data and weights -> item runs -> pages. Run by `uapkit book`; local cores by default, a cluster by
# Snakemake's own executors (`uapkit book --executor slurm`). An item that fails still makes a page, with a failure box.
# Which code a page depends on is read from the imports (uapkit.sources), and listed nowhere.
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
from uapkit import sources  # reads text alone: neither torch nor the experiments are imported

UAPKIT = f"{sys.executable} -m uapkit"

ITEMS = sorted(str(p.relative_to("notebooks").with_suffix("")) for p in Path("notebooks").glob("*/*.ipynb"))
# networks trained on the embedded digits: once, before the items that use them run side by side
WEIGHTS = "build/weights.txt"


def code(*modules):
    """Files of the modules and of everything that they import, relative to the project."""
    return sorted({str(p.relative_to(Path.cwd())) for module in modules for p in sources.files(module)})


def item_code(wildcards):
    own = f"uapkit/papers/{wildcards.item}.py"
    return code("uapkit.book.page", *([own[:-3].replace("/", ".")] if Path(own).is_file() else []))


def tables(wildcards):
    """What the paper prints; the parameters of the item's full run and its stored tables, as far as they exist."""
    stale = Path("results/stale.yml")
    places = [stale] if stale.is_file() and wildcards.item in stale.read_text(encoding="utf-8") else []
    places += [Path("notebooks") / f"{wildcards.item}.full.yml"]
    places += [Path("results") / f"{wildcards.item}{end}" for end in (".csv", ".json", ".npz")]
    return [f"reported/{wildcards.item.split('/')[0]}.csv", *(str(p) for p in places if p.is_file())]


def all_of(folder):
    skip = {"vendor", "__pycache__"}
    return sorted(str(p) for p in Path(folder).rglob("*") if p.is_file() and not skip & set(p.parts))


rule all:
    input:
        "build/staging/_build/html/index.html",


rule weights:
    input:
        code("uapkit.models"),
    output:
        WEIGHTS,
    shell:
        "{UAPKIT} models --train-digits > {output}"


rule item:
    input:
        WEIGHTS,
        item_code,
        tables,
        notebook="notebooks/{item}.ipynb",
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
        code("uapkit.book.build", *(f"uapkit.papers.{p.parent.name}.idea" for p in Path("uapkit/papers").glob("*/idea.py"))),
        [path for folder in ("book", "reported", "results") for path in all_of(folder)],
        [str(p) for p in Path("uapkit").rglob("*.yml")],
        "_config.yml", "_toc.yml", "CITATION.cff", "package-lock.json",
    output:
        "build/staging/_build/html/index.html",
    log:
        "build/logs/book.log",
    shell:
        "{UAPKIT} html > {log} 2>&1 || (tail -n 40 {log} >&2; exit 1)"
