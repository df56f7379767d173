"""Mends of Jupyter Book 1, and what stands on every page.

Sphinx-thebe's scripts (a CDN, defined twice) leave; the commit stands in every footer; under every figure of an item's page
stand a numbered caption, which begins with the finding, and which run drew it, with a link to its parameters; when that run was
last verified stands where its numbers come from; the quick run of such a page is folded away; the theme's controls get names
that screen readers can say; the size of the book stands where a page asks for it; networks and papers have their names for
people outside code; links to the repository stand there only where its address is real.
"""

import html
import json
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

from uapkit import names


def commit(app):
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], cwd=app.srcdir, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"
    return done.stdout.strip()


def add_commit(app, config):
    config.myst_substitutions = {**config.myst_substitutions, "book_size": SIZE}
    config.html_theme_options["extra_footer"] = (
        config.html_theme_options.get("extra_footer", "") + f" Built from <code>{commit(app)}</code>."
    )


BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def plain_address(url):
    """An address of a repository without its ending or way of access: github.com/owner/name."""
    return (
        re.sub(r"^(?:\w+://)?(?:[^@/]*@)?", "", url.strip()).replace(":", "/", 1).removesuffix("/").removesuffix(".git")
    )


def remotes(folder):
    """Where the checkout came from and pushes to; nothing outside a repository."""
    try:
        done = subprocess.run(["git", "remote", "-v"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return set()
    return {plain_address(line.split()[1]) for line in done.stdout.splitlines() if len(line.split()) > 1}


def links_to_repository(app, config):
    """Links to edit a page and to report an issue only where the configured address is that of the checkout."""
    theirs = config.html_theme_options.get("repository_url", "")
    if not theirs or plain_address(theirs) not in remotes(app.srcdir):
        config.html_theme_options |= dict.fromkeys(BUTTONS, False)


def drop_thebe(app, pagename, templatename, context, doctree):
    def keep(script):
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        return "THEBE_JS_URL" not in body and "sphinx-thebe.js" not in str(getattr(script, "filename", script))

    context["script_files"] = [s for s in context.get("script_files", []) if keep(s)]


def generated(app, name):
    """A mapping by item, as the build wrote it: the commits of the stored runs, the findings of the captions."""
    path = Path(app.srcdir, "book", "_generated", name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def name_sources(app, doctree, docname):
    """A caption and a line on the source under each figure that a cell of an item's page drew."""
    kind, _, item = docname.partition("/")
    if kind != "notebooks":
        return
    made_at, findings = generated(app, "provenance.json").get(item), generated(app, "captions.json").get(item, {})
    quick, figures = not made_at, []
    for node in doctree.findall(lambda n: isinstance(n, (nodes.title, nodes.image))):
        if isinstance(node, nodes.title):
            quick = quick or node.astext().startswith("The quick run")
        elif "cell_output" in node.parent.get("classes", []) and "tag_answer" not in node.parent.parent["classes"]:
            figures.append((node, quick))
    for number, (node, is_quick) in enumerate(figures, start=1):
        words, target = (
            ("drawn from the quick run: its parameters and code", "the-quick-run")
            if is_quick
            else (
                f"drawn from the stored run at commit {made_at}: its parameters, data and weights",
                "where-the-numbers-come-from",
            )
        )
        finding = (
            "A quick run, a smoke test on small data." if is_quick else findings.get(shown_claim(node, number), "")
        )
        line = caption(number, finding, node.get("alt", ""))
        line += f'<p class="uapkit-source"><a class="reference internal" href="#{target}">{words}</a></p>'
        above = node.parent if len(node.parent) == 1 else node  # beside a figure that scrolls its words do not
        above.parent.insert(above.parent.index(above) + 1, nodes.raw("", line, format="html"))


def say_verified(app, doctree, docname):
    """When an item's stored run was last verified, first where its numbers come from."""
    kind, _, item = docname.partition("/")
    words = generated(app, "verified.json").get(item) if kind == "notebooks" else None
    for section in doctree.findall(nodes.section) if words else ():
        if section[0].astext() == "Where the numbers come from":
            section.insert(1, nodes.raw("", f'<p class="uapkit-checked">{words}</p>', format="html"))


def shown_claim(node, number):
    """The claim that a figure shows: the one its cell names, the page's first for the page's first figure, else none."""
    cell = node.parent.parent.get("cell_metadata") or {}
    return cell.get("claim", "" if number == 1 else None)


def caption(number, finding, alt):
    """A figure's number on its page, what it shows to be so, and what is seen."""
    seen = alt.strip().removesuffix(", quick run on small digits").rstrip(".")
    first = f"<strong>Figure {number} on this page.{' ' + html.escape(finding) if finding else ''}</strong>"
    return f'<p class="uapkit-caption">{first}{f" {html.escape(seen)}." if seen else ""}</p>'


def fold_quick_run(app, doctree):
    """The quick run is a smoke test, not the finding: its parameters, figure and numbers open on a click, and on paper."""
    if not app.env.docname.startswith("notebooks/"):
        return
    for section in list(doctree.findall(nodes.section)):
        if section[0].astext() == "The quick run":
            summary = "<summary>Parameters, figure and numbers of the quick run, a smoke test on small data</summary>"
            section.insert(1, nodes.raw("", f'<details class="uapkit-quick">{summary}', format="html"))
            section.append(nodes.raw("", "</details>", format="html"))


CODE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.comment, addnodes.desc_signature)


def name_networks(app, doctree, docname):
    """Networks by their names for people wherever a page is read, drawn tables included; keys stay in code."""
    for node in list(doctree.findall(nodes.Text)):
        above = node.parent
        if isinstance(above, nodes.raw):
            shown = names.readable_html(str(node)) if "html" in above.get("format", "") else str(node)
        else:
            while above is not None and not isinstance(above, CODE):
                above = above.parent
            shown = names.readable(str(node)) if above is None else str(node)
        if shown != str(node):
            node.parent.replace(node, nodes.Text(shown))
    for image in doctree.findall(nodes.image):
        if image.get("alt"):
            image["alt"] = names.readable(image["alt"])


NAMES = [  # the theme's controls that a screen reader could not name, or named otherwise than they read
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Show or hide the pages below">'),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    (r'(search-button-field search-button__button[^>]*?) aria-label="Search"', r"\1"),
    (r'(data-mode="(?:light|dark|auto)")\s+title="[^"]*"', r"\1"),
    (r'(<div class="citation"[^>]*) role="doc-biblioentry"', r'\1 role="listitem"'),  # a list holds list items
]


SIZE = "the size that the build finds"  # stands where a page says {{ book_size }} until all files are there


def name_controls(app, exception):
    size = f"{sum(path.stat().st_size for path in Path(app.outdir).rglob('*') if path.is_file()) / 1e6:.0f} MB"
    for page in Path(app.outdir).rglob("*.html"):
        text = named = page.read_text(encoding="utf-8")
        for pattern, name in [*NAMES, (SIZE, size)]:
            named = re.sub(pattern, name, named)
        if named != text:
            page.write_text(named, encoding="utf-8")


def setup(app):
    app.connect("config-inited", add_commit, priority=900)
    app.connect("config-inited", links_to_repository, priority=901)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("doctree-read", fold_quick_run)
    app.connect("doctree-resolved", name_sources)
    app.connect("doctree-resolved", say_verified)
    app.connect("doctree-resolved", name_networks, priority=900)
    app.connect("build-finished", name_controls)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
