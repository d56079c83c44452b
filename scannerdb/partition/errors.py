"""Why a table is not partitioned now: each message says the thing, the value seen and the next step."""

from handlers.errors import ScannerDatabaseError


class PartitionError(ScannerDatabaseError):
    """The base of what stops `scannerdb partition`. Nothing is half done: the command goes on, `--revert` undoes."""


class WrongModulusError(PartitionError):
    """The number of partitions is out of its bounds, or not the one of the copy that is under way."""


class AlreadyPartitionedError(PartitionError):
    """The table is partitioned, or swapped already and waits for `--finish` or `--revert`."""


class WrongPhaseError(PartitionError):
    """There is nothing to take back or to finish, or it is too late, or too early."""


class CannotCarryError(PartitionError):
    """Something hangs on the table that the partitioned one could not have, or that would be lost."""


class ChangedTableError(PartitionError):
    """The table was changed since the copy was made, as by a migration."""


class NotEnoughDiskError(PartitionError):
    """The copy would not fit."""


class ConfirmationNeededError(PartitionError):
    """Nobody is there to be asked, and `--yes` was not given."""


class MissingPrivilegeError(PartitionError):
    """Whoever runs this lacks a right that it needs."""


class LongTransactionError(PartitionError):
    """A transaction is open for so long that a lock, or the end of its snapshot, would be waited for in vain."""


class MigrationInProgressError(PartitionError):
    """A deployer or another `partition` works on the database, or a migration is applied in part."""


class BusyTableError(PartitionError):
    """A lock could not be had in time; whoever holds it is named where that can be seen."""


class CopyDiffersError(PartitionError):
    """The two tables are not the same, or may not be; they were not exchanged."""
