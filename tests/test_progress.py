"""One bar at a time, on a terminal only, and silent when asked to be."""

import io

import pytest

from uapkit.progress import Bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def two_deep(file):
    for _ in Bar(range(2), desc="outer", file=file, mininterval=0):
        for _ in Bar(range(3), desc="inner", file=file, mininterval=0):
            pass
    return file.getvalue()


def test_the_outer_bar_is_seen_with_rate_and_time_left():
    said = two_deep(Terminal())
    assert "outer" in said
    assert "it/s" in said
    assert "inner" not in said


def test_the_next_bar_is_seen_again_even_after_an_error():
    with pytest.raises(ZeroDivisionError), Bar(total=2, desc="breaks", file=Terminal()):
        1 / 0  # noqa: B018
    assert "outer" in two_deep(Terminal())


def test_it_is_silent_in_a_log_and_when_asked_to_be(monkeypatch):
    assert two_deep(io.StringIO()) == ""
    monkeypatch.setenv("UAPKIT_QUIET", "1")
    assert two_deep(Terminal()) == ""
