"""Every check by its name, in the order in which an on-call thinks: can I get in, is progress right, what is wrong."""

from handlers.diagnosis import plans, progress, rights, sessions, storage
from handlers.diagnosis.model import Check

CHECKS: dict[str, Check] = {
    "connection": Check(look=sessions.connection, why="Nobody gets in, neither the scanner nor the status API."),
    "proxy": Check(look=sessions.proxy, why="The scanner and the functions come through RDS Proxy."),
    "connections": Check(look=sessions.connections, why="When none is left, nobody gets in."),
    "progress-age": Check(look=progress.age, why="Callers of the status API see old progress."),
    "progress-coverage": Check(look=progress.coverage, why="Lists and statistics leave these jobs out."),
    "progress-backlog": Check(look=progress.backlog, why="Exact reads and refreshes sum up all of these rows."),
    "progress-drift": Check(look=progress.drift, why="Callers are told wrong numbers, also in real time."),
    "refresh-runs": Check(look=progress.refresh_runs, why="Without refreshes cached progress grows old."),
    "triggers": Check(
        look=progress.triggers, why="What is written meanwhile is not counted: rebuild when all triggers fire again."
    ),
    "indexes": Check(look=plans.indexes, why="Status reads and refreshes rely on them."),
    "status-plan": Check(look=plans.status_plan, why="Each status read scans a whole table."),
    "slow-statements": Check(look=plans.slow_statements, why="A slow statement takes time and disk from all others."),
    "lock-waits": Check(
        look=sessions.lock_waits, why="Whoever waits does nothing; ending the first frees all behind it."
    ),
    "long-transactions": Check(
        look=sessions.long_transactions, why="Vacuum cannot clean up behind it; reads get slower by the hour."
    ),
    "idle-in-transaction": Check(
        look=sessions.idle_in_transaction, why="It keeps its locks and old row versions and does nothing with them."
    ),
    "vacuum": Check(look=storage.vacuum, why="Reads pass every dead row; dead rows take space."),
    "transaction-ids": Check(look=storage.transaction_ids, why="At two billion the database refuses every write."),
    "grants": Check(look=rights.grants, why="What a role may not do fails."),
    "migrations": Check(look=rights.migrations, why="Code and schema belong together."),
    "storage": Check(look=storage.storage, why="When the disk is full, the database stops."),
}
