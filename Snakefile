# The book on a cluster: `uapkit book --executor slurm` (or any other of Snakemake's executors) runs this graph of reruns,
# data and weights -> item runs -> pages. On one machine `uapkit book` runs the same steps itself (uapkit/book/work.py).
# What a page depends on is said once for both, in uapkit/book/depends.py. An item that fails still makes a page.
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
from uapkit.book import depends  # reads text alone: neither torch nor the experiments are imported

UAPKIT = f"{sys.executable} -m uapkit"


rule all:
    input:
        "build/staging/_build/html/index.html",


rule weights:  # networks trained on the embedded digits: once, before the items that use them run side by side
    input:
        depends.of_weights(),
    output:
        depends.WEIGHTS,
    shell:
        "{UAPKIT} models --train-digits > {output}"


rule item:
    input:
        depends.WEIGHTS,
        lambda wildcards: depends.of_item(wildcards.item),
    output:
        "build/staging/notebooks/{item}.ipynb",
        "build/status/{item}.json",
    wildcard_constraints:
        item="[a-z0-9]+/[a-z0-9_]+",
    shell:
        "{UAPKIT} stage {wildcards.item}"


rule html:
    input:
        expand("build/staging/notebooks/{item}.ipynb", item=depends.names()),
        depends.of_html(),
    output:
        "build/staging/_build/html/index.html",
    log:
        "build/logs/book.log",
    shell:
        "{UAPKIT} html > {log} 2>&1 || (tail -n 40 {log} >&2; exit 1)"
