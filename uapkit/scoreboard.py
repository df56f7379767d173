"""The scoreboard: every experiment of the four papers, theirs, ours, verdict. Computed, never typed."""

from __future__ import annotations

import html
import json

import pandas as pd

from uapkit.runner.catalogue import items, papers
from uapkit.runner.results import stored
from uapkit.runner.verdicts import compare, item_verdict, reported


def table() -> pd.DataFrame:
    """One row an item: ids, title, numbers of published rows and claims, verdicts, networks, n, seconds, page."""
    rows = []
    for about in items().values():
        ours, theirs = stored(about.name), reported(about)
        record = ours.attrs["provenance"] if ours is not None else {}
        run = ours[ours["status"] == "run"] if ours is not None and "status" in ours else ours
        claims = compare(about.name) if about.function else pd.DataFrame({"verdict": []})
        sizes = list(pd.to_numeric(run["n"], errors="coerce").dropna()) if run is not None and "n" in run else []
        rows.append(
            {
                "paper": papers()[about.paper]["short"],
                "experiments": " ".join(about.ids),
                "item": about.name,
                "title": about.title,
                "published": len(theirs),
                "claims": len(claims),
                "verdict": item_verdict(about.name),
                "networks": ", ".join(dict.fromkeys(map(str, run["model"])))
                if run is not None and "model" in run
                else "",
                "n": int(max(sizes)) if len(sizes) else None,
                "seconds": record.get("seconds"),
                "commit": str(record.get("commit", ""))[:10],
                "page": f"notebooks/{about.name}.html" if about.path("notebook").is_file() else "",
            }
        )
    return pd.DataFrame(rows).astype({"n": "Int64"})


def as_json(scores: pd.DataFrame) -> str:
    """The machine-readable copy that is published beside the page."""
    return json.dumps(json.loads(scores.to_json(orient="records")), indent=1) + "\n"


def _cell(value: object) -> str:
    return "–" if value is None or value is pd.NA or value != value or value == "" else html.escape(str(value))


def _rows(scores: pd.DataFrame, up: str) -> str:
    """HTML table of some items, one row each, with links relative to a page that lies ``up`` from the book's root."""
    head = ("Experiment", "Item", "Verdict", "Networks of the stored run", "n", "Seconds")
    lines = []
    for row in scores.to_dict("records"):
        title = _cell(row["title"])
        name = f'<a href="{up}{row["page"]}">{title}</a>' if row["page"] else title
        plain = [_cell(row[k]) for k in ("verdict", "networks", "n", "seconds")]
        cells = [_cell(row["experiments"] or "ours"), f"{name}<br><code>{row['item']}</code>", *plain]
        lines.append("<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    header = "".join(f'<th scope="col">{h}</th>' for h in head)
    return (
        '<div class="uapkit-scroll" tabindex="0" role="region" aria-label="items">\n'
        f'<table class="uapkit-table uapkit-scoreboard"><thead><tr>{header}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def fragments() -> dict[str, str]:
    """Files that the book's pages include: a table of items for each paper, and the whole scoreboard."""
    scores = table()
    found = {}
    whole = []
    for key, about in papers().items():
        part = scores[scores["item"].str.startswith(f"{key}/")]
        found[f"items_{key}.md"] = f"```{{raw}} html\n{_rows(part, '../../')}\n```\n"
        whole.append(f"## {about['short']}: {about['paper']}\n\n```{{raw}} html\n{_rows(part, '../')}\n```\n")
    counts = scores["verdict"].map(
        lambda v: "planned" if v == "planned" else "not run here" if v == "not run here" else "run"
    )
    done = {word: int((counts == word).sum()) for word in ("run", "not run here", "planned")}
    summary = (
        f"Of {len(scores)} items, {done['run']} have a stored full run, {done['not run here']} have code but no stored run, "
        f"and {done['planned']} are planned.\n"
    )
    found["scoreboard.md"] = summary + "\n" + "\n".join(whole)
    return found
