"""What the doctor holds a database against. `stacks/` sets it, `handlers/diagnosis/` reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The thresholds of the alarms that name one here (`AlarmRecord.sets`), then facts of the deployment.

    Attributes:
        lag_s: how old cached progress may be.
        backlog_rows: how many changes may wait to be folded.
        lock_wait_s: how long a session may wait for a lock, and how long it may idle in a transaction.
        transaction_s: how long a transaction may be open.
        connections_percent: how much of `max_connections` may be in use.
        transaction_ids: the age that the oldest transaction id may have.
        storage_hours: a disk that is full sooner than this is a warning.
        refresh_interval_s: from one refresh to the next.
        slow_statement_ms: a statement that takes this long is slow.
        storage_gib: how large the disk, or the volume of a cluster, may grow.

    """

    lag_s: float
    backlog_rows: float
    lock_wait_s: float
    transaction_s: float
    connections_percent: float
    transaction_ids: float
    storage_hours: float
    refresh_interval_s: float
    slow_statement_ms: float
    storage_gib: float
