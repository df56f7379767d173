"""The API reference: signatures and docstrings of the public names, as pages include them from ``_generated/api``.

Docstrings are plain text with RST's ``code`` and roles; they become MyST here, and a paper's key becomes its citation.
"""

import importlib
import inspect
import re
from pathlib import Path

MODULES = {  # module -> its public names; None: what __all__ says
    "attacks": None,
    "evaluate": None,
    "models": None,
    "data": None,
    "operators": None,
    "singular": ("pq_singular", "SingularPair"),
    "curvature": ("principal_curvatures", "boundary_points", "paper_step", "Curvatures"),
    "spectra": (
        "direction_matrix",
        "top_singular",
        "singular_values",
        "energy",
        "sphere_dimension",
        "random_directions",
    ),
    "subspace": ("orthonormal", "project", "principal_angles", "random_subspace"),
    "norms": ("dual_exponent", "lp_norm", "psi", "project"),
}
CODE = re.compile(r"(``.+?``|:\w+:`[^`]+`)", re.DOTALL)
KEYS = ("khrulkov2018", "moosavi2017", "equivariant2019", "jetley2018")


def names():
    """(module, name) of everything that the reference holds."""
    for module, chosen in MODULES.items():
        yield from ((module, name) for name in chosen or importlib.import_module(f"uapkit.{module}").__all__)


def text(docstring):
    """MyST from a docstring."""
    made = []
    for k, part in enumerate(CODE.split(inspect.cleandoc(docstring))):
        if k % 2:
            inside = part.strip("`") if part.startswith("``") else part.split("`")[1].lstrip("~!")
            made.append(f"`{' '.join(inside.split())}`")
            continue
        part = re.sub(r"([\\*_<>|$#{}\[\]`~^])", r"\\\1", part)
        for key in KEYS:
            part = part.replace(rf"\[{key}\]", f"{{cite:t}}`{key}`")
        made.append(part)
    return "".join(made)


def signature(module, name, thing):
    """The call, a parameter a line where it is long; "" for what cannot be called."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return f"{module}.{name}"
    found = inspect.signature(thing)
    short = f"{module}.{name}{found}"
    if len(short) <= 100:
        return short
    star, lines = False, []
    for p in found.parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            lines.append("    *,")
        lines.append(f"    {p},")
    end = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return "\n".join([f"{module}.{name}(", *lines, f"){end}"])


def entry(module, name):
    """One public name: its signature, its docstring, and those of its own methods."""
    thing = getattr(importlib.import_module(f"uapkit.{module}"), name)
    parts = ["```text", signature(module, name, thing).replace("'", ""), "```", "", text(thing.__doc__)]
    for method, made in vars(thing).items() if isinstance(thing, type) else ():
        made = made.fget if isinstance(made, property) else getattr(made, "__func__", made)
        if not method.startswith("_") and callable(made) and made.__doc__:
            parts += ["", f"`.{method}`", f": {text(made.__doc__).replace(chr(10), chr(10) + '  ')}"]
    return "\n".join(parts) + "\n"


def write(app, config):
    if not Path(app.srcdir, "book", "_generated", "counts.md").is_file():
        raise SystemExit(  # an exception would end in a traceback of jupyter-book's
            "uapkit: pages hold numbers that the build writes first: run `make book` (or `uapkit book`) instead"
        )
    folder = Path(app.srcdir, "book", "_generated", "api")
    folder.mkdir(parents=True, exist_ok=True)
    for module, name in names():
        (folder / f"{module}.{name}.md").write_text(entry(module, name), encoding="utf-8")


def setup(app):
    app.connect("config-inited", write, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
