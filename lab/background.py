"""Threads beside a `with` block."""

import threading
from collections.abc import Callable
from typing import Self


class Background:
    """Threads that run until the end of a `with` block; `check` raises the first error of a thread."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, work: Callable[[], None]) -> None:
        """Run work in a thread."""

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - `check` raises it in the main thread
                self._errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def check(self) -> None:
        """Raise the first error that ended a thread, if any."""
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join(timeout=40)
