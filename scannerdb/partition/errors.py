"""Reasons not to partition: each message names the thing, the value seen and the next step."""

from handlers.errors import ScannerDatabaseError


class PartitionError(ScannerDatabaseError):
    """The base of errors that stop `scannerdb partition`. The same command continues; `--revert` undoes."""


class WrongModulusError(PartitionError):
    """The number of partitions is out of bounds, or not that of the unfinished copy."""


class AlreadyPartitionedError(PartitionError):
    """The table is partitioned, or swapped already and waits for `--finish` or `--revert`."""


class WrongPhaseError(PartitionError):
    """There is nothing to revert or to finish in this phase."""


class CannotCarryError(PartitionError):
    """An object depends on the table that a partitioned one cannot have, or that would be lost."""


class ChangedTableError(PartitionError):
    """The table was changed since the copy was made, as by a migration."""


class NotEnoughDiskError(PartitionError):
    """The copy would not fit."""


class MissingPrivilegeError(PartitionError):
    """The login role lacks a privilege."""


class LongTransactionError(PartitionError):
    """A transaction is open for so long that waiting for its locks or its snapshot would not end in time."""


class MigrationInProgressError(PartitionError):
    """A deploy or another `partition` is running, or a migration is applied in part."""


class BusyTableError(PartitionError):
    """A lock could not be had in time; the message names its holders."""


class CopyDiffersError(PartitionError):
    """The two tables differ, or may differ; they were not swapped."""
