"""Two mends of Jupyter Book 1: sphinx-thebe's scripts (a CDN, defined twice) leave, the commit stands on every page."""

import subprocess


def commit(app):
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], cwd=app.srcdir, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"
    return done.stdout.strip()


def add_commit(app, config):
    config.html_theme_options["extra_footer"] = (
        config.html_theme_options.get("extra_footer", "") + f" Built from <code>{commit(app)}</code>."
    )


def drop_thebe(app, pagename, templatename, context, doctree):
    def keep(script):
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        return "THEBE_JS_URL" not in body and "sphinx-thebe.js" not in str(getattr(script, "filename", script))

    context["script_files"] = [s for s in context.get("script_files", []) if keep(s)]


def setup(app):
    app.connect("config-inited", add_commit, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
