"""The errors of this package: each message names the object, the value found and the next step."""


class ScannerDatabaseError(Exception):
    """The base of all errors that this package raises itself."""


class DatabaseUnavailableError(ScannerDatabaseError):
    """The database cannot be reached, or ended the connection twice in a row."""


class InvalidRequestError(ScannerDatabaseError):
    """A parameter of a request is unknown or out of bounds.

    Args:
        code: for programs, as `invalid_job_id`.
        message: for people.

    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class MalformedEventError(InvalidRequestError):
    """An event is not one that API Gateway sends."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_event", message)


class JobNotFoundError(ScannerDatabaseError):
    """No job has this id."""


class UnsupportedVersionError(ScannerDatabaseError):
    """The server's major version is none of those that this is tested with."""


class UnfitDatabaseError(ScannerDatabaseError):
    """The database has what would break a writer, or what a migration cannot finish; nothing was changed."""


class PoolerError(ScannerDatabaseError):
    """The connection leads to a pooler, where a session's locks and settings outlive it."""


class SessionSettingError(ScannerDatabaseError):
    """The database or the role has a default that the runner must change and may not."""


class ReleaseError(ScannerDatabaseError):
    """The migrations release is missing, damaged, or not the requested one."""


class DriftError(ScannerDatabaseError):
    """The release and the ledger contradict each other."""


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


class SecondLedgerError(DriftError):
    """Another schema has a ledger too."""


class NoRollbackError(DriftError):
    """Nothing is applied, or the newest migration has no `.down.sql`."""


class DeployInProgressError(ScannerDatabaseError):
    """Another deployer held the migration lock until the deadline."""


class MigrationFailedError(ScannerDatabaseError):
    """PostgreSQL refused a statement of a migration."""


class StillRunningError(ScannerDatabaseError):
    """The deadline came while the server still runs a statement; the next run waits for it and continues."""
