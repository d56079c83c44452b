"""Every check by its name, in the order in which an on-call thinks: can I get in, is progress right, what is wrong."""

from handlers.diagnosis import job_progress, parameters, plans, rights, sessions, storage, tables, triggers
from handlers.diagnosis.model import Check

CHECKS: dict[str, Check] = {
    "connection": Check(
        check=sessions.connection,
        needs_schema=False,
        why="No client can connect: neither the scanner nor the status API works.",
    ),
    "proxy": Check(
        check=sessions.proxy, needs_schema=False, why="The scanner, status and refresh connect through RDS Proxy."
    ),
    "connections": Check(
        check=sessions.connections, needs_schema=False, why="Once all are in use, new clients are refused."
    ),
    "progress-age": Check(check=job_progress.age, why="Callers of the status API see old progress."),
    "progress-coverage": Check(check=job_progress.coverage, why="Lists and statistics leave these jobs out."),
    "progress-backlog": Check(check=job_progress.backlog, why="Exact reads and refreshes sum all of these rows."),
    "progress-drift": Check(
        check=job_progress.drift, why="The status API answers with wrong numbers, also with real_time=true."
    ),
    "refresh-runs": Check(check=job_progress.refresh_runs, why="Without refreshes cached progress grows old."),
    "triggers": Check(
        check=triggers.triggers, why="Changes are not counted until all triggers fire again. Then rebuild."
    ),
    "row-security": Check(
        check=tables.row_security, why="Refreshes, verify and rebuild refuse to count rows that a policy hides."
    ),
    "views": Check(check=tables.views, why="Callers of the status API see an error or wrong numbers."),
    "replication": Check(check=tables.replication, why="Refreshes fail, and one write in 2,000: they delete deltas."),
    "indexes": Check(check=plans.indexes, why="Status reads and refreshes need them."),
    "status-plan": Check(check=plans.status_plan, why="Each status read scans a whole table."),
    "slow-statements": Check(
        check=plans.slow_statements,
        needs_schema=False,
        why="A slow statement takes CPU and disk from all other statements.",
    ),
    "lock-waits": Check(
        check=sessions.lock_waits, needs_schema=False, why="A session does nothing while it waits for a lock."
    ),
    "long-transactions": Check(
        check=sessions.long_transactions,
        needs_schema=False,
        why="Vacuum keeps every row that died since it began; reads get slower by the hour.",
    ),
    "idle-in-transaction": Check(
        check=sessions.idle_in_transaction,
        needs_schema=False,
        why="It does nothing, but keeps its locks and old row versions.",
    ),
    "vacuum": Check(check=storage.vacuum, why="Reads scan dead rows too, and dead rows take space."),
    "transaction-ids": Check(
        check=storage.transaction_ids, needs_schema=False, why="At two billion the database refuses every write."
    ),
    "grants": Check(check=rights.grants, why="Every statement that needs the right fails."),
    "migrations": Check(check=rights.migrations, why="The deployed code needs the schema of its own release."),
    "parameters": Check(
        check=parameters.parameters,
        needs_schema=False,
        why="The owner of the instance sets them; alarms, the log and reads rely on these values.",
    ),
    "storage": Check(check=storage.storage, needs_schema=False, why="When the disk is full, the database stops."),
}
