"""The mutants of a module, made by cosmic-ray, and how a running process takes one on."""

import ast
import difflib
import gc
import types
from pathlib import Path

NESTED = ast.FunctionDef | ast.AsyncFunctionDef


def meaning(text, bodies=True):
    """The code without annotations and docstrings, which change nothing; without bodies: what runs at import only."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, NESTED):
            node.returns = None
            if not bodies:
                node.body, node.args.defaults, node.args.kw_defaults = [ast.Pass()], [], []
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return ast.dump(tree)


def places(text):
    """[(operator, occurrence)] of every mutant that is not in an annotation or a docstring, which change nothing."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast

    idle, nodes, found = _idle(text), list(ast_nodes(get_ast(text))), []
    for name in sorted(plugins.operator_names()):
        operator = plugins.get_operator(name)
        if not operator.arguments():
            where = [place for node in nodes for place in operator().mutation_positions(node)]
            found += [
                (name, k)
                for k, (start, end) in enumerate(where)
                if not any(first <= start and end <= last for first, last in idle)
            ]
    return found


def made(text, name, occurrence):
    """The text with one mutant in it; None where it means the same, or nothing."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    try:
        changed = mutate_code(text, plugins.get_operator(name)(), occurrence)
    except AttributeError:  # cosmic-ray replaces no exception whose name has a dot
        return None
    try:
        return changed if meaning(changed) != meaning(text) else None
    except SyntaxError:
        return None


def _idle(text):
    """Spans ((line, column), (line, column)) of annotations and docstrings."""
    found = []
    for node in ast.walk(ast.parse(text)):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node.value)
        found += [((p.lineno, p.col_offset), (p.end_lineno, p.end_col_offset)) for p in parts if p is not None]
    return found


def difference(before, after):
    """(line, what stood there, what stands there now)."""
    matcher = difflib.SequenceMatcher(None, a := before.splitlines(), b := after.splitlines(), autojunk=False)
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind != "equal":
            return a0 + 1, " ".join(" ".join(a[a0:a1]).split()), " ".join(" ".join(b[b0:b1]).split())
    return 0, "", ""


def statement(text, line):
    """(first, last line, runs at import?) of the smallest statement in which a line lies; of a compound one its head."""
    found, inside = (line, line), None
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt):
            continue
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        if isinstance(node, NESTED) and node.body[0].lineno <= line <= node.end_lineno:
            inside = node
        parts = [b.lineno for name in ("body", "orelse", "finalbody") for b in getattr(node, name, [])[:1]]
        parts += [h.lineno for h in getattr(node, "handlers", [])]
        last = max(min(parts) - 1, node.lineno) if parts else node.end_lineno
        if first <= line <= last:
            found = first, last
    return *found, inside is None


def _codes(code):
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)


def _key(code):
    return code.co_qualname, code.co_firstlineno


def living(path):
    """{key of its code: functions} of a module's functions in this process, wrapped and bound ones, too."""
    found = {}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename == str(path):
            found.setdefault(_key(thing.__code__), []).append(thing)
    return found


def taken_on(path, text, changed, functions):
    """Give the process's functions the mutant's code and defaults; False where only a new import does it."""
    if meaning(text, bodies=False) != meaning(changed, bodies=False):
        return False
    old, new = ({_key(c): c for c in _codes(compile(t, str(path), "exec"))} for t in (text, changed))
    if old.keys() != new.keys():
        return False
    touched = 0
    for key, code in new.items():
        for function in functions.get(key, []) if code != old[key] else []:
            if function.__code__.co_freevars != code.co_freevars:
                return False
            function.__code__ = code
            touched += 1
    for a, b in zip(_functions(text), _functions(changed), strict=True):
        if ast.dump(a.args) == ast.dump(b.args):
            continue
        for function in functions.get((b.qualname, b.first), []):
            values = [None if d is None else eval(ast.unparse(d), function.__globals__) for d in _defaults(b)]
            plain = len(b.args.defaults)
            function.__defaults__ = tuple(values[:plain]) or None
            pairs = zip(b.args.kwonlyargs, b.args.kw_defaults, values[plain:], strict=True)
            function.__kwdefaults__ = {k.arg: v for k, d, v in pairs if d is not None} or None
            touched += 1
    return touched > 0


def _defaults(node):
    return [*node.args.defaults, *node.args.kw_defaults]


def _functions(text):
    """Every def with its qualified name and first line as its code has them."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, NESTED):
                child.qualname = prefix + child.name
                child.first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
                yield child
                yield from walk(child, f"{child.qualname}.<locals>.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    yield from walk(ast.parse(text), "")


def text_of(path):
    """A module's text."""
    return Path(path).read_text(encoding="utf-8")
