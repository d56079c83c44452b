"""Checks before the first change."""

from typing import Any

from scannerdb.partition.errors import (
    AlreadyPartitionedError,
    CannotCarryError,
    LongTransactionError,
    MigrationInProgressError,
    MissingPrivilegeError,
    NotEnoughDiskError,
    PartitionError,
    WrongModulusError,
)
from scannerdb.partition.names import KEPT, ORIGINAL, PARTITION_KEY, QUERIES, partition_names

FEWEST_PARTITIONS, MOST_PARTITIONS = 2, 256
LONG_TRANSACTION_S = 60.0
# The WAL of the copy, as a share of the copy, until it is removed.
_LOG_SHARE = 0.25
_GIBIBYTE = 1024**3


def check_modulus(modulus: int, under_way: int | None) -> None:
    """Check the number of partitions.

    Raises:
        WrongModulusError: it is out of bounds, or not that of the unfinished copy.

    """
    if not FEWEST_PARTITIONS <= modulus <= MOST_PARTITIONS:
        raise WrongModulusError(f"--modulus {modulus} is not between {FEWEST_PARTITIONS} and {MOST_PARTITIONS}")
    if under_way is not None and modulus != under_way:
        raise WrongModulusError(
            f"--modulus {modulus}, but a copy with {under_way} partitions exists; go on with --modulus {under_way}, or "
            "undo it with --revert first"
        )


def check_table(cursor: Any, modulus: int) -> None:
    """Check that the table exists, and that no object that depends on it would be lost.

    Raises:
        AlreadyPartitionedError, CannotCarryError, MissingPrivilegeError.
        PartitionError: there is no table, or a name is taken.

    """
    cursor.execute(QUERIES["relation_kind"], {"table": ORIGINAL})
    row = cursor.fetchone()
    if row is None:
        raise PartitionError(f"there is no table {ORIGINAL}; run scannerdb migrate first")
    if row[0] == "p":
        raise AlreadyPartitionedError(f"{ORIGINAL} is partitioned already")
    check_obstacles(cursor)
    cursor.execute(QUERIES["names_taken"], {"names": [KEPT, *partition_names(modulus)]})
    if taken := [name for (name,) in cursor.fetchall()]:
        raise PartitionError(f"{', '.join(taken)} exists already; rename or drop it")
    check_privileges(cursor)


def check_obstacles(cursor: Any) -> None:
    """Check that no object that depends on the table would be lost.

    Raises:
        CannotCarryError: some would; the message lists all of them.

    """
    cursor.execute(QUERIES["obstacles"], {"table": ORIGINAL, "partition_key": PARTITION_KEY})
    if obstacles := [text for (text,) in cursor.fetchall()]:
        raise CannotCarryError(f"{ORIGINAL} cannot be partitioned as it is: {'; '.join(obstacles)}")


def check_privileges(cursor: Any) -> None:
    """Check the privileges of the login role.

    Raises:
        MissingPrivilegeError: one is missing.

    """
    cursor.execute(QUERIES["missing_privileges"], {"table": ORIGINAL})
    if missing := [text for (text,) in cursor.fetchall()]:
        cursor.execute("SELECT current_user")
        user = cursor.fetchone()[0]
        raise MissingPrivilegeError(f"{user} lacks {'; '.join(missing)}; grant it, or log in as a role that has it")


def check_migrations(cursor: Any) -> None:
    """Check that no migration is applied in part.

    Raises:
        MigrationInProgressError: one is; its remaining statements may change the table.

    """
    cursor.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return
    cursor.execute(QUERIES["unfinished_migration"])
    if unfinished := [name for (name,) in cursor.fetchall()]:
        raise MigrationInProgressError(f"{', '.join(unfinished)} is applied in part; run scannerdb migrate first")


def check_transactions(cursor: Any) -> None:
    """Check that no transaction is open for longer than `LONG_TRANSACTION_S`.

    Raises:
        LongTransactionError: one is.

    """
    cursor.execute(QUERIES["long_transactions"], {"seconds": LONG_TRANSACTION_S, "before": None})
    if sessions := [text for (text,) in cursor.fetchall()]:
        raise LongTransactionError(
            f"a transaction is open for more than {LONG_TRANSACTION_S:.0f} s, and its locks would be waited for: "
            f"{', '.join(sessions)}; wait for it, or end it with pg_terminate_backend(pid), and run this again"
        )


def needed_bytes(cursor: Any) -> tuple[int, int]:
    """Return an estimate of the bytes of the copy with its WAL, and of its rows."""
    cursor.execute(QUERIES["size"], {"table": ORIGINAL})
    size, rows = cursor.fetchone()
    return int(size * (1 + _LOG_SHARE)), rows


def check_disk(needed: int, free_gib: float | None) -> None:
    """Check that the copy fits, when the free storage was given.

    Raises:
        NotEnoughDiskError: it does not.

    """
    if free_gib is not None and needed > free_gib * _GIBIBYTE:
        raise NotEnoughDiskError(
            f"the copy of {ORIGINAL} takes about {gibibytes(needed)} and {free_gib:g} GiB are free; "
            "enlarge the storage first"
        )


def gibibytes(size: int) -> str:
    """Return bytes as GiB."""
    return f"{size / _GIBIBYTE:.2f} GiB"
