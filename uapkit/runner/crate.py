"""Provenance in a standard form: stored results as an RO-Crate 1.1 with the profile Process Run Crate.

``python -m uapkit.runner.crate FOLDER`` copies every stored table with its arrays and provenance to a folder and describes
them in ``ro-crate-metadata.json`` (JSON-LD): each full run is an action, its inputs are data sets and weights by their sha256,
its instrument is this software at a commit, its results are the files. Tools that read crates, such as the package
``rocrate`` or WorkflowHub, know it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from uapkit.files import sha256, write_whole
from uapkit.runner.catalogue import Item, items, papers, project_root

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TYPES = {"csv": "text/csv", "json": "application/json", "npz": "application/zip"}


def crate(names: list[str] | None = None) -> dict[str, Any]:
    """The metadata of the stored runs called ``names``, all without; files are named as below the project's folder.

    Raises ValueError where none of them is stored.
    """
    chosen = [about for name, about in items().items() if names is None or name in names]
    chosen = [about for about in chosen if about.path("json").is_file()]
    if not chosen:
        raise ValueError(f"no full run of {names or 'any item'} is stored")
    graph: dict[str, dict[str, Any]] = {}
    files, actions = [], []
    for about in chosen:
        record = json.loads(about.path("json").read_text(encoding="utf-8"))
        made = [_file(graph, about, kind) for kind in TYPES if about.path(kind).is_file()]
        files += made
        actions.append(_action(graph, about, record, made))
    citation = yaml.safe_load((project_root() / "CITATION.cff").read_text(encoding="utf-8"))
    licences = [{"@id": f"https://spdx.org/licenses/{name}"} for name in citation["license"]]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{citation['title']}: stored results",
        "description": "Tables of full runs, their arrays, and where each number comes from.",
        "datePublished": str(citation["date-released"]),
        "license": licences[-1],
        "author": [_add(graph, {"@id": f"#{a['name']}", "@type": "Organization", "name": a["name"]}) for a in citation["authors"]],
        "conformsTo": {"@id": PROFILE},
        "hasPart": files,
        "mentions": actions,
    }  # fmt: skip
    head = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    profile = {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    terms = [
        {**licence, "@type": "CreativeWork", "name": licence["@id"].rpartition("/")[2]} for licence in licences[-1:]
    ]
    return {"@context": CONTEXT, "@graph": [head, root, profile, *terms, *graph.values()]}


def write(folder: Path, names: list[str] | None = None) -> Path:
    """Copy the files of the stored runs to ``folder``, with the crate's metadata, which come last; the path of these."""
    about = crate(names)
    for entity in about["@graph"]:
        if entity["@type"] == "File":
            write_whole(folder / entity["@id"], (project_root() / entity["@id"]).read_bytes())
    path = folder / "ro-crate-metadata.json"
    write_whole(path, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def _add(graph: dict[str, dict[str, Any]], entity: dict[str, Any]) -> dict[str, str]:
    graph[entity["@id"]] = entity
    return {"@id": entity["@id"]}


def _file(graph: dict[str, dict[str, Any]], about: Item, kind: str) -> dict[str, str]:
    path = about.path(kind)
    words = {"csv": "table of the full run", "json": "provenance of the full run", "npz": "arrays of the full run"}
    return _add(
        graph,
        {
            "@id": path.relative_to(project_root()).as_posix(),
            "@type": "File",
            "name": f"{about.title}: {words[kind]}",
            "encodingFormat": TYPES[kind],
            "contentSize": str(path.stat().st_size),
            "sha256": sha256(path),
        },
    )


def _action(graph: dict[str, dict[str, Any]], about: Item, record: dict[str, Any], made: list[Any]) -> dict[str, str]:
    inputs = [
        _add(graph, {"@id": f"#sha256:{sha}", "@type": "CreativeWork", "name": name, "identifier": f"sha256:{sha}"})
        for name, sha in record["inputs"].items()
    ]
    settings = [
        _add(
            graph,
            {"@id": f"#{about.name}/{name}", "@type": "PropertyValue", "name": name, "value": json.dumps(value)},
        )
        for name, value in record["params"].items()
    ]
    software = {
        "@id": f"#uapkit@{record['commit']}",
        "@type": "SoftwareApplication",
        "name": "uapkit",
        "version": record["versions"].get("uapkit", ""),
        "softwareVersion": record["commit"],
        "softwareRequirements": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    paper = str(papers()[about.paper]["paper"])
    return _add(
        graph,
        {
            "@id": f"#run/{about.name}",
            "@type": "CreateAction",
            "name": f"Full run of {about.name}",
            "description": f"{about.title}. {paper}.",
            "instrument": _add(graph, software),
            "object": [*inputs, *settings],
            "result": made,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )


def main() -> int:
    """``python -m uapkit.runner.crate FOLDER [ITEM ...]``."""
    if len(sys.argv) < 2:
        print("python -m uapkit.runner.crate FOLDER [ITEM ...]", file=sys.stderr)
        return 2
    path = write(Path(sys.argv[1]), sys.argv[2:] or None)
    print(f"{path.name} and the files that it names are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
