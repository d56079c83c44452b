"""What a statement does, as the grammar tells it: its kind, its lock, whether it may run in a transaction."""

from dataclasses import dataclass

from handlers.contract.release import Index

# Lock levels that make a writer (ROW EXCLUSIVE) wait.
BLOCKS_WRITERS = frozenset({"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"})


class UnsupportedStatementError(ValueError):
    """A statement that a migration may not contain, or that this module does not know."""


@dataclass(frozen=True)
class Effect:
    """What a node of the grammar does; the fields are those of `SqlStatement`.

    `name` is that of the relations where it is not given.
    """

    kind: str
    lock: str | None = None
    relations: tuple[str, ...] = ()
    in_transaction: bool = True
    index: Index | None = None
    name: str | None = None
    every_row: bool = False
