"""Client processes of a bench: each serves what it is told through a pipe."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any


@contextlib.contextmanager
def client_processes(serve: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> Iterator[list[Connection]]:
    """Start a process for each tuple of arguments and yield a pipe to each; they end with the block.

    Args:
        serve: runs in the process, with the other end of the pipe before the arguments; ends when the pipe is closed.
        arguments: those of each process.

    """
    # spawn, not fork: a fork would copy locks that threads of this process hold.
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    try:
        for each in arguments:
            pipe, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, *each), daemon=True)
            process.start()
            theirs.close()
            pipes.append(pipe)
            processes.append(process)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(timeout=10)
            process.kill()


def serve_orders(pipe: Connection, prepare: Callable[[], Callable[..., object]]) -> None:
    """Receive orders and send what comes of each, or the error, until the pipe is closed.

    Args:
        pipe: to the parent process.
        prepare: returns what carries out an order; its arguments are the order.

    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C and closes the pipe
    carry_out = prepare()
    with contextlib.suppress(EOFError):
        while True:
            order = pipe.recv()
            try:
                pipe.send(carry_out(*order))
            except Exception as error:  # noqa: BLE001 - the parent process raises it
                pipe.send(error)


def ask(pipes: Sequence[Connection], order: tuple[Any, ...]) -> list[Any]:
    """Send an order to every process at the same time and return the answers; raise the first error among them."""
    for pipe in pipes:
        pipe.send(order)
    return answers(pipes)


def answers(pipes: Sequence[Connection]) -> list[Any]:
    """Return what each process answers; raise the first error among them."""
    results = [pipe.recv() for pipe in pipes]
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results
