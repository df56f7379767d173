"""Theorems and algorithms of a chapter carry the number that their paper prints; what is ours carries a letter.

Without this, Sphinx counts through the whole book, and the first theorem of a paper is its chapter's sixth.
"""

from sphinx_proof.nodes import NODE_TYPES

CHAPTERS = "book/papers/"
PRINTED = {  # label: the number in the paper
    "moosavi2017/alg1": "1",
    "khrulkov2018/alg1": "1",
    "equivariant2019/thm1": "1",
    "equivariant2019/thm2": "2",
    "jetley2018/alg1": "1",
}


def numbers(labels):
    """{label: number} of a chapter's statements in their order: printed ones as printed, ours A, B, C."""
    ours = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return {label: PRINTED[label] if label in PRINTED else next(ours) for label in labels}


def assign(app, env):
    """Replace the counted numbers of every chapter; the changed pages are written again."""
    changed = []
    for docname, counted in env.toc_fignumbers.items():
        if not docname.startswith(CHAPTERS):
            continue
        nodes = env.get_doctree(docname).findall(lambda node: isinstance(node, tuple(NODE_TYPES.values())))
        found = [(node["countertype"], node["ids"][0]) for node in nodes]
        for (kind, label), number in zip(found, numbers([label for _, label in found]).values(), strict=True):
            if counted.get(kind, {}).get(label) != (number,):
                counted[kind][label] = (number,)
                changed.append(docname)
    return sorted(set(changed))


def setup(app):
    app.connect("env-get-updated", assign, priority=900)  # behind Sphinx's own counting
    return {"parallel_read_safe": True, "parallel_write_safe": True}
