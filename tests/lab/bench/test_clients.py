"""Client processes carry out orders until their pipes are closed; an error of one is raised where it was asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.bench.clients import ask, client_processes, serve_orders

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


def divide(pipe: Connection, dividend: int) -> None:
    serve_orders(pipe, lambda: lambda divisor: (os.getpid(), dividend / divisor))


def test_each_process_answers_every_order_and_goes_on_after_an_error() -> None:
    with client_processes(divide, [(6,), (8,)]) as pipes:
        (one, three), (other, four) = ask(pipes, (2,))
        assert (three, four) == (3, 4)
        assert len({one, other, os.getpid()}) == 3
        with pytest.raises(ZeroDivisionError):
            ask(pipes, (0,))
        assert [result for _, result in ask(pipes, (1,))] == [6, 8]
