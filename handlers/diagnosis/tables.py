"""Checks of what others may have changed on our tables and views: row security, publications, subscriptions, views."""

from collections.abc import Iterable
from pathlib import Path

from handlers.diagnosis.model import Context, Finding, critical, ok, warning
from handlers.diagnosis.plans import TABLES
from handlers.diagnosis.written import find_statement
from handlers.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("tables.sql"))
_OURS = [*TABLES, "job_progress_recounts", "schema_migrations"]
# migrations/restore.sql builds them again in each run.
_RESTORED = {"job_progress", "active_jobs_progress", "job_statistics"}
# A subscription that writes one of these writes what a refresh of this database writes, too.
_DERIVED = {*_OURS} - {"jobs", "job_objects", "findings", "schema_migrations"}


def row_security(context: Context) -> Iterable[Finding]:
    """Find the tables of which policies hide rows from those who count them."""
    rows = context.fetch(QUERIES["hidden_rows"], {})
    for row in rows:
        if row["is_owner"] and row["is_forced"]:
            yield critical(
                f"row-level security is forced on {row['table_name']}: it hides rows from its owner, {row['reader']}",
                sql=f"ALTER TABLE {row['table_name']} NO FORCE ROW LEVEL SECURITY",
                why="Refreshes, verify and rebuild refuse to count. Where the policy must stay forced, an "
                f"administrator can run ALTER ROLE {row['reader']} BYPASSRLS instead.",
            )
        else:
            found = critical if row["is_owner"] else warning
            yield found(
                f"row-level security of {row['table_name']} hides rows from {row['reader']}",
                why=f"It cannot count these rows. An administrator can run ALTER ROLE {row['reader']} BYPASSRLS."
                + ("" if row["is_owner"] else " As the owner of the tables, the doctor sees every row."),
            )
    if not rows:
        yield ok("no policy hides rows from those who count them")


def replication(context: Context) -> Iterable[Finding]:
    """Find published tables whose rows cannot be deleted, and subscriptions that write our tables."""
    published = context.fetch(QUERIES["published"], {"tables": _OURS})
    for row in published:
        table = row["table_name"]
        if row["is_cut"]:
            yield critical(
                f"{row['publications']} publishes only some columns of {table}, without all that identify a row",
                sql=f"ALTER PUBLICATION {row['publications']} DROP TABLE {table}",
                why="PostgreSQL refuses UPDATE and DELETE there. Add the table again with these columns.",
            )
        else:
            yield critical(
                f"{row['publications']} publishes {table}, which has no replica identity: each DELETE is refused",
                sql=f"ALTER TABLE {table} REPLICA IDENTITY FULL",
            )
    subscribed = context.fetch(QUERIES["subscribed"], {"tables": _OURS})
    for row in subscribed:
        tables = ", ".join(row["tables"])
        if _DERIVED & set(row["tables"]):
            yield critical(
                f"the subscription {row['name']} writes {tables}: a refresh here collides with it and stops it",
                why="Never refresh or rebuild on a subscriber. Publish jobs, job_objects and findings only: "
                "docs/operations/replication.md.",
            )
        else:
            yield warning(
                f"the subscription {row['name']} writes {tables}, and no trigger fires for what it writes",
                next=context.commands.rebuild(),
                why="Progress here is as old as the last rebuild: docs/operations/replication.md.",
            )
    if not published and not subscribed:
        yield ok("no publication refuses a write, and no subscription writes our tables")


def views(context: Context) -> Iterable[Finding]:
    """Find views that are missing, or that another script made anew so that they read something else."""
    rows = context.fetch(QUERIES["views"], {})
    for row in rows:
        fault = "does not exist" if row["is_missing"] else f"does not read {row['sources']}: it was replaced"
        if row["name"] in _RESTORED:
            yield critical(f"{row['name']} {fault}", next=context.commands.migrate())
        else:
            found = find_statement(context, rf"VIEW (?:public\.)?{row['name']} AS\s")
            yield critical(
                f"{row['name']} {fault}",
                sql=found[1].sql if found else "",
                why="The statement of the migration that makes it runs again. Then rebuild.",
            )
    named = {row["name"] for row in rows}
    others = [
        row
        for row in (context.fetch(QUERIES["to_restore"], {}) if context.fetch(QUERIES["is_restorable"], {}) else [])
        if row["name"] not in named
    ]
    for row in others:
        fault = "does not exist" if row["is_missing"] else "was replaced by that of an older deployment"
        yield critical(f"{row['name']} {fault}", next=context.commands.migrate())
    if not rows and not others:
        yield ok("all read what the migrations made them read")
