"""Signals that are held back are noted, act where the code says so, and are never forgotten."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from pipeline.compute.driver import interrupts_held, interrupts_let_through, raise_held_interrupt


class Interrupted(BaseException):
    """What the handler under test raises."""


@pytest.fixture(autouse=True)
def raising_handlers() -> Iterator[None]:
    def handler(number: int, frame: object) -> None:
        raise Interrupted(signal.Signals(number).name)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, found in before.items():
        signal.signal(number, found)


def send(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def held(*steps: Callable[[], object]) -> None:
    with interrupts_held():
        for step in steps:
            step()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_acts_where_the_code_asks(number: signal.Signals) -> None:
    done: list[str] = []
    steps = [
        raise_held_interrupt,
        lambda: send(number),
        lambda: done.append("work"),
        raise_held_interrupt,
        lambda: done.append("more"),
    ]
    with pytest.raises(Interrupted, match=number.name):
        held(*steps)
    assert done == ["work"]


def test_a_signal_that_nobody_asked_about_acts_at_the_end() -> None:
    done: list[str] = []
    with pytest.raises(Interrupted):
        held(lambda: held(send), lambda: done.append("after the inner context"))
    assert done == ["after the inner context"]


def test_a_second_signal_does_not_disturb_what_the_first_brought_about() -> None:
    done: list[str] = []

    def tidy_up() -> None:
        try:
            raise_held_interrupt()
        finally:
            send()
            done.append("tidied up")

    with pytest.raises(Interrupted):
        held(send, tidy_up)
    assert done == ["tidied up"]


def test_an_error_is_not_replaced_by_a_signal() -> None:
    def fail() -> None:
        raise ValueError("the error")

    with pytest.raises(ValueError, match="the error"):
        held(send, fail)


def test_afterwards_signals_act_at_once_and_none_is_left_over() -> None:
    with pytest.raises(Interrupted):
        held(send)
    held(raise_held_interrupt)
    with pytest.raises(Interrupted):
        send()


def let_through(*steps: Callable[[], object]) -> None:
    with interrupts_let_through():
        for step in steps:
            step()


def test_a_signal_that_is_let_through_acts_at_once_and_the_next_one_is_held_again() -> None:
    done: list[str] = []

    def work() -> None:
        try:
            let_through(send, lambda: done.append("went on"))
        finally:
            send()
            done.append("tidied up")

    with pytest.raises(Interrupted):
        held(work)
    assert done == ["tidied up"]


def test_a_signal_that_came_before_acts_where_signals_are_let_through() -> None:
    done: list[str] = []
    with pytest.raises(Interrupted):
        held(send, lambda: done.append("held"), lambda: let_through(lambda: done.append("let through")))
    assert done == ["held"]


def test_letting_through_what_nobody_holds_changes_nothing() -> None:
    handler = signal.getsignal(signal.SIGINT)
    let_through(lambda: None)
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(Interrupted):
        let_through(send)


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held(send, raise_held_interrupt)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_another_thread_holds_nothing() -> None:
    holding, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=held, args=(holding.set, lambda: over.wait(10)))
    thread.start()
    holding.wait(10)
    with pytest.raises(Interrupted):
        send()
    over.set()
    thread.join()
