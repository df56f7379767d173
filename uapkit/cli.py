"""Command line: ``uapkit`` or ``python -m uapkit``. Exit status 0 only where everything asked for was done."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import Any

LONG, NARROW = 24, 8  # columns wider than this come last; none is cut to less than that
WHOLE = "the whole table, for machines"


def _print_table(table: Any, as_json: bool = False) -> None:
    """A table as wide as the terminal, where names allow it: short columns first, long text cut. as_json: whole, for machines.

    table: a list of mappings, which needs no pandas, or a data frame.
    """
    frame = hasattr(table, "to_json")
    if as_json:
        print(table.to_json(orient="records", indent=1) if frame else json.dumps(table, indent=1))
        return
    if not len(table):
        print("none")
        return
    rows = table.to_dict("records") if frame else table
    columns = {str(c): [str(c), *(_short(row[c]) for row in rows)] for c in rows[0]}
    widths = {c: max(map(len, cells)) for c, cells in columns.items()}
    first, *others = columns
    order = [first, *sorted(others, key=lambda c: widths[c] > LONG)]  # the first names the row and is never cut
    room = shutil.get_terminal_size().columns - 2 * (len(order) - 1)
    while sum(widths.values()) > room and max((widths[c] for c in others), default=0) > NARROW:
        widest = max(others, key=widths.__getitem__)
        widths[widest] -= 1
    for row in zip(*(columns[c] for c in order), strict=True):
        cells = (t if len(t) <= widths[c] else t[: widths[c] - 1] + "…" for c, t in zip(order, row, strict=True))
        print("  ".join(t.ljust(widths[c]) for c, t in zip(order, cells, strict=True)).rstrip())


def _short(value: Any) -> str:
    """A cell as text, "" where nothing is known: None, NaN, pandas' NA."""
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _where(args: argparse.Namespace) -> int:
    from uapkit.runner import locate

    for row in map(locate.places, locate.found(args.pattern)):
        width = max(len(str(key)) for key in row)
        print("\n".join(f"{key:<{width}}  {value}" for key, value in row.items()), end="\n\n")
    return 0


def _list(args: argparse.Namespace) -> int:
    from uapkit import runner

    if args.item:
        for name, default in runner.item(args.item).parameters.items():
            print(f"{name} = {default!r}")
        return 0
    runner.project_root()  # outside a clone nothing is known of verdicts
    verdicts = runner.item_verdicts()
    rows = [
        {"item": about.name, "ids": ", ".join(about.ids) or "-", "verdicts": verdicts[about.name], "title": about.title}
        for about in runner.items().values()
    ]
    _print_table(rows, args.json)
    return 0


def _run(args: argparse.Namespace) -> int:
    from uapkit import runner
    from uapkit.runner import company, given

    about = runner.item(args.item)
    if args.check:
        if args.parameter or args.full:
            raise ValueError("--check chooses the settings itself; leave -p and --full out")
        return _verify([about.name], args.save)
    params = (runner.full_parameters(about) if args.full else {}) | given.parameters(args.parameter)
    if not isinstance(save := params.pop("save", False), bool):
        raise ValueError(f"parameter save must be true or false, got {save!r}")
    save |= args.save
    with company.of(args.item, args.jobs, full=args.full, parameters=args.parameter) as others:
        table = runner.run(about.name, save=save, in_company=args.together or others, **params)
    _print_table(table)
    record = table.attrs["provenance"]
    print(f"\n{record['rows']} rows in {record['seconds']} s, {record['kept']['reused']} kept answers reused", end="")
    print(f"; stored as results/{about.name}.csv and .json" if save else "; not stored (--save stores it)")
    return 0


def _check(args: argparse.Namespace) -> int:
    from uapkit.runner import items, verified

    stored = [name for name, about in items().items() if about.path("json").is_file()]
    names = args.item or (stored if args.due is None else verified.due(args.due))
    return _verify(names, args.save, args.how_far, args.limit)


def _verify(names: list[str], save: bool, how_far: str | None = None, limit: float | None = None) -> int:
    from uapkit.runner import verified

    rows = list(verified.again(names, save=save, how_far=how_far, limit=limit))
    _print_table(rows)
    return int(any(row["result"] in ("differs", "failed") for row in rows))


def _report(args: argparse.Namespace) -> int:
    from uapkit.runner import report

    print(report.text())
    return 0


def _page(args: argparse.Namespace) -> int:
    from uapkit.book import template
    from uapkit.runner import project_root

    for path in template.write(args.item):
        print(f"written: {path.relative_to(project_root())}")
    print(f"now add `- file: notebooks/{args.item}` to _toc.yml, under its paper, and write the prose")
    return 0


def _book(args: argparse.Namespace) -> int:
    from uapkit.book import build as book
    from uapkit.book import whole

    if args.pdf:
        whole.chromium()  # better missed now than after the build
    done = book.make(cores=args.cores, executor=args.executor, profile=args.profile, quiet=args.quiet)
    if args.pdf:
        print(f"the whole book: {whole.make(book.built(), book.pages())}")
    return done


def _stage(args: argparse.Namespace) -> int:
    from uapkit.book import build as book

    return book.stage_item(args.item)


def _html(args: argparse.Namespace) -> int:
    from uapkit.book import build as book

    return book.build_html()


def _check_book(args: argparse.Namespace) -> int:
    from uapkit.book import build as book
    from uapkit.book import links as linkcheck

    found = book.problems()
    print("\n".join(found) if found else f"all {len(book.pages())} pages are there and no item failed")
    report = linkcheck.check(book.built())
    print(linkcheck.words(report, links=args.links))
    return 1 if found or report.problems else 0


def _scoreboard(args: argparse.Namespace) -> int:
    from uapkit.book import scoreboard

    if args.format == "json" or args.json:
        print(scoreboard.as_json(), end="")
    elif args.format == "csv":
        print(scoreboard.table().to_csv(index=False), end="")
    else:  # what a terminal has room for; `uapkit where ITEM` has the rest
        wanted = ("item", "verdict", "n", "seconds", "title")
        _print_table([{name: record[name] for name in wanted} for record in scoreboard.records()])
    return 0


def _data(args: argparse.Namespace) -> int:
    from uapkit import data

    _print_table(data.status(), args.json)
    return 0


def _models(args: argparse.Namespace) -> int:
    from uapkit import models

    digits = [name for name in models.list() if name.endswith("_digits")] if args.train_digits else []
    for name in digits:
        print(f"{name} {models.load(name).card.sha256}", flush=True)
    if not digits:
        _print_table(models.status(), args.json)
    return 0


def _bench(args: argparse.Namespace) -> int:
    from uapkit.book.benchmarks import run
    from uapkit.runner import given

    return run(args.name, args.save, given.parameters(args.parameter))


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="uapkit", description="Rerun four papers on universal adversarial perturbations."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: Any, text: str | None) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text) if text else commands.add_parser(name)
        one.set_defaults(does=does)
        return one

    command("where", _where, "everything that carries an item's name").add_argument(
        "pattern", help="part of a name, or an id such as K4"
    )
    one = command("list", _list, "all items with their verdicts, or one item's parameters")
    one.add_argument("item", nargs="?")
    one.add_argument("--json", action="store_true", help=WHOLE)
    one = command("run", _run, "run an item")
    one.add_argument("item", help="e.g. khrulkov2018/tab1_layers")
    one.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter; YAML values"
    )
    one.add_argument("--full", action="store_true", help="start from the item's full.yml instead of its quick defaults")
    one.add_argument("--save", action="store_true", help="store table and provenance under results/")
    one.add_argument("--jobs", type=int, default=1, metavar="N", help="N processes on this machine divide the work")
    one.add_argument(
        "--together",
        action="store_true",
        help="divide the work with other such runs that share the cache, on any machine",
    )
    one.add_argument("--check", action="store_true", help="rerun a part of the stored full run and compare")
    one = command("check", _check, "rerun a part of stored runs, about two minutes each, and compare: a table")
    one.add_argument("item", nargs="*", help="all stored items without")
    one.add_argument("--all", action="store_true", help="all stored items, as without any")
    one.add_argument("--due", type=int, metavar="N", help="the N items that were rerun longest ago")
    one.add_argument("--limit", type=float, metavar="SECONDS", help="give an item up after so long")
    one.add_argument(
        "--how-far", choices=("whole", "subset", "quick run"), help="instead of what fits into two minutes"
    )
    one.add_argument("--save", action="store_true", help="note it in results/verified/; what differs also in stale.yml")
    command("report", _report, "what a bug report needs: versions, machine, data and weights; no private paths")
    command("page", _page, "write a new item's notebook and full.yml from its module").add_argument("item")
    one = command("book", _book, "run every item's quick run and build the book")
    one.add_argument("--cores", type=int, default=None, help="parallel jobs (default: all cores)")
    one.add_argument("--executor", default=None, help="a Snakemake executor, e.g. slurm (extra `slurm`)")
    one.add_argument("--profile", action="store_true", help="say what each stage took; also in build/profile.json")
    one.add_argument("--quiet", action="store_true", help="no progress")
    one.add_argument("--pdf", action="store_true", help="print the whole book into one PDF, too; needs a Chromium")
    command("check-book", _check_book, "is the built book whole: pages, items, links, sizes?").add_argument(
        "--links", action="store_true", help="list the external links (they are never fetched)"
    )
    one = command("scoreboard", _scoreboard, "every experiment of the four papers: theirs, ours, verdict")
    one.add_argument("--format", choices=("text", "csv", "json"), default="text")
    one.add_argument("--json", action="store_true", help=WHOLE)
    one = command("data", _data, "data sets: what is here, what is missing, what to do")
    one.add_argument("--json", action="store_true", help=WHOLE)
    one = command("models", _models, "networks: what is here, what is missing, what to do")
    one.add_argument("--json", action="store_true", help=WHOLE)
    one.add_argument(
        "--train-digits", action="store_true", help="train the small networks on the embedded digits, once"
    )
    one = command("bench", _bench, "speed as ratios within one run")
    one.add_argument("name", nargs="?", help="one benchmark; all without")
    one.add_argument("--save", action="store_true", help="store the tables that the page of benchmarks shows")
    one.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of this benchmark"
    )
    command("stage", _stage, None).add_argument("item")  # used by the workflow
    command("html", _html, None)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line; errors that a user can mend are one sentence, not a traceback."""
    args = parser().parse_args(argv)
    try:
        status = args.does(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read this has seen enough; Python must not complain at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, the same command resumes", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError) as error:
        print(f"uapkit: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:  # torch's: a device that is not there, memory that does not suffice
        print(f"uapkit: {(str(error).splitlines() or [type(error).__name__])[0]}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
