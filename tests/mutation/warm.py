"""Tests a mutant in a fork of a process that has imported and collected everything.

A first run notes how long each test takes and which lines of the module it runs. A mutant then meets only the tests
that run its statement, the quickest first, until one fails. It is put into the functions that live in the process; what runs
at import (a constant, a decorator) needs a new import, and gets one from the changed file.
"""

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback

from tests.mutation.mutants import difference, living, statement, taken_on

PLAIN = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--assert=plain", "--tb=no"]


def quiet():
    """Nothing that tests print is seen."""
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)


def no_shrinking():
    """Hypothesis stops at the first counterexample: here it needs no small one."""
    from hypothesis import Phase, settings

    settings.register_profile(
        "mutants",
        settings.get_profile("uapkit"),
        phases=(Phase.explicit, Phase.generate),
        database=None,
        report_multiple_bugs=False,
    )
    settings.load_profile("mutants")


def in_fork(task, seconds, wall):
    """("survived", "killed" or "ran too long", CPU seconds) of a task that returns its exit status."""
    pid = os.fork()
    if not pid:
        status = 3
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 3))
            status = int(task())
        except BaseException:  # the fork ends here, whatever it was
            traceback.print_exc()
        finally:
            os._exit(status)
    until, outcome = time.monotonic() + wall, None
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until and outcome is None:
            outcome = "ran too long"
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        outcome = "ran too long"
    outcome = outcome or ("survived" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed")
    return outcome, used.ru_utime + used.ru_stime


class Noting:
    """Notes for each test its CPU seconds and the lines of the module that it runs."""

    def __init__(self, path):
        self.path, self.tests = str(path), {}

    def pytest_sessionstart(self, session):
        no_shrinking()

    def pytest_runtest_protocol(self, item, nextitem):
        from _pytest.runner import runtestprotocol

        lines = set()

        def line(frame, event, arg):
            lines.add(frame.f_lineno)
            return line

        def call(frame, event, arg):
            if frame.f_code.co_filename != self.path:
                return None
            lines.add(frame.f_lineno)
            return line

        began = time.process_time()
        threading.settrace(call)
        sys.settrace(call)
        try:
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            runtestprotocol(item, nextitem=nextitem)
        finally:
            sys.settrace(None)
            threading.settrace(None)
        self.tests[item.nodeid] = [round(time.process_time() - began, 3), sorted(lines)]
        return True


def first_run(path, tests, keep):
    """{test: [CPU seconds, lines of the module]}, kept in a file; SystemExit where a test fails without any mutant."""
    import pytest

    if not keep.is_file():

        def run():
            quiet()
            noting = Noting(path)
            status = pytest.main([*PLAIN, "-x", *tests], plugins=[noting])
            keep.write_text(json.dumps(noting.tests)) if status == 0 else None
            return status

        if in_fork(run, 1800, 7200)[0] != "survived":
            raise SystemExit(f"the tests of {path} fail without any mutant")
    return json.loads(keep.read_text())


def chosen(plan, span, slow):
    """The tests that run a statement, the quickest first; slow ones only where no other test does."""
    able = [t for t, (_, lines) in plan.items() if any(span[0] <= k <= span[1] for k in lines)]
    quick = [t for t in able if plan[t][0] <= slow]
    return sorted(quick or able, key=lambda t: plan[t][0])


def at_imports(plan, slow):
    """For what runs at import, a signature say: those that run the module, the quickest first, then those that it turns away."""
    return sorted((t for t in plan if plan[t][0] <= slow), key=lambda t: (not plan[t][1], plan[t][0])) or list(plan)


class Only:
    """Runs the chosen tests in their order."""

    def __init__(self, tests):
        self.tests = {t: k for k, t in enumerate(tests)}

    def pytest_sessionstart(self, session):
        no_shrinking()

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((i for i in items if i.nodeid in self.tests), key=lambda i: self.tests[i.nodeid])


def anew(path, text, changed, tests, limits):
    """The outcome of a mutant that needs a new import: its file is written, and what was written goes again."""
    import pytest

    when = path.stat().st_mtime_ns

    def run():
        quiet()
        files = list(dict.fromkeys(t.partition("::")[0] for t in tests))
        return pytest.main([*PLAIN, "-x", *files], plugins=[Only(tests)])

    def put(what):
        for old in path.parent.glob(f"__pycache__/{path.stem}.*"):
            old.unlink()
        path.write_text(what, encoding="utf-8")
        os.utime(path, ns=(when, when))

    sys.dont_write_bytecode = True
    try:
        put(changed)
        return in_fork(run, *limits)
    finally:
        put(text)
        sys.dont_write_bytecode = False


class Serving:
    """Once the tests are collected, tests mutant after mutant in forks."""

    def __init__(self, path, text, todo, plan, slow, report):
        self.path, self.text, self.todo, self.plan, self.slow, self.report = path, text, todo, plan, slow, report
        self.later = []

    def pytest_sessionstart(self, session):
        no_shrinking()

    def pytest_runtestloop(self, session):
        items = {i.nodeid: i for i in session.items}
        functions = living(self.path)
        for place, changed in self.todo:
            line, *_ = difference(self.text, changed)
            first, last, at_import = statement(self.text, line)
            tests = at_imports(self.plan, self.slow)
            if not at_import:
                tests = chosen(self.plan, (first, last), self.slow)
            if not tests:
                self.report(place, changed, "not reached", 0.0)
                continue
            usual = sum(self.plan[t][0] for t in tests)
            limits = 5 + 3 * usual, 120 + 60 * usual

            def run(changed=changed, tests=tests):
                if not taken_on(self.path, self.text, changed, functions):
                    return 77
                for item, following in zip(tests, [*tests[1:], None], strict=True):
                    one, after = items[item], items.get(following)
                    one.config.hook.pytest_runtest_protocol(item=one, nextitem=after)
                    if session.testsfailed:
                        return 1
                return 0

            outcome, seconds, again = self.forked(run, limits)
            if again:
                self.later.append((place, changed, tests, limits))
            else:
                self.report(place, changed, outcome, seconds)
        return True

    @staticmethod
    def forked(run, limits):
        """The outcome, its seconds, and whether the mutant needs a new import."""
        told, tell = os.pipe()

        def task():
            status = run()
            if status == 77:
                os.write(tell, b"again")
            return status

        outcome, seconds = in_fork(task, *limits)
        os.close(tell)
        again = os.read(told, 5) == b"again"
        os.close(told)
        return outcome, seconds, again
