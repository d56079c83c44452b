"""What can go wrong, named: each message says the thing, the value seen and the next step."""


class ScannerDatabaseError(Exception):
    """The base of every error that this package raises on purpose."""


class DatabaseUnavailableError(ScannerDatabaseError):
    """The database cannot be reached, or ended the connection twice in a row."""


class InvalidRequestError(ScannerDatabaseError):
    """A caller asked for something that cannot be meant.

    Args:
        code: for programs, as `invalid_job_id`.
        message: for people.

    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JobNotFoundError(ScannerDatabaseError):
    """No job has this id."""


class UnsupportedVersionError(ScannerDatabaseError):
    """The server's major version is none of those that this is tested with."""


class ReleaseError(ScannerDatabaseError):
    """The migrations release is missing, damaged, or not the one that was asked for."""


class DriftError(ScannerDatabaseError):
    """The release and the ledger tell different histories."""


class ChangedMigrationError(DriftError):
    """A migration was changed after it was applied."""


class VanishedMigrationError(DriftError):
    """A migration that was applied is missing from the release."""


class LateMigrationError(DriftError):
    """A migration has a lower number than one that was applied."""


class NewerDatabaseError(DriftError):
    """The database is ahead of the release, as after the deploy of an older version."""


class ForeignLedgerError(DriftError):
    """The table `schema_migrations` belongs to another tool."""


class NoRollbackError(DriftError):
    """There is nothing to roll back, or no file that says how."""


class DeployInProgressError(ScannerDatabaseError):
    """Another deployer held the migration lock until time ran out."""


class MigrationFailedError(ScannerDatabaseError):
    """PostgreSQL refused a statement of a migration."""


class StillRunningError(ScannerDatabaseError):
    """Time ran out while the server works on; the next run waits for it and goes on."""
