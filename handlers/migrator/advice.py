"""The next step after a statement failed: it follows from PostgreSQL's error code, not from the file alone.

Codes: https://www.postgresql.org/docs/17/errcodes-appendix.html
"""

from collections.abc import Mapping

import psycopg2

INSUFFICIENT_PRIVILEGE = "42501"
_LOST = "The connection was lost. When the database answers, {again}."
_LOCKED = (
    "Other sessions kept the lock for as long as a run waits. "
    "End those that `scannerdb doctor lock-waits` names, then {again}."
)
_EXISTS = "An object of this name exists and is another one. Rename it or drop it, or correct the file, then {again}."
# The beginning of a code, and the step that it asks for; the first that fits counts. In all of these the file is right.
_CAUSES = {
    "08": _LOST,
    "57P": _LOST,
    "57014": "Another session cancelled the statement. Find out which and why, then {again}.",
    "55P03": _LOCKED,
    "40P01": _LOCKED,
    "40001": "Another session changed the same rows at the same time. When it has ended, {again}.",
    "55006": "Another session uses the object that the message names. When it has ended, {again}.",
    "25006": (
        "The server may only be read. Connect to the writer: the instance's own endpoint, or the cluster endpoint of "
        "Aurora. Then {again}."
    ),
    "53100": "The server's disk is full. Add or free space (database.max_allocated_storage_gib), then {again}.",
    "53200": "The server is out of memory. Choose a larger database.instance_class or end other work, then {again}.",
    "53300": "The server is out of connections. End idle sessions, then {again}.",
    "53": "The server is out of a resource that the message names. When there is more of it, {again}.",
    "58": "The server could not read or write a file. Its log says more. When that works again, {again}.",
    "XX": "The server failed inside. Its log says more; ask who runs it, then {again}.",
    "22": "Rows contradict the statement. Correct the rows that the message names, or the file, then {again}.",
    "23": "Rows contradict the statement. Correct the rows that the message names, or the file, then {again}.",
    "2BP01": (
        "Other objects depend on what the statement drops. Save the definitions of those that the message names, "
        "drop them, then {again}."
    ),
    "42P06": _EXISTS,
    "42P07": _EXISTS,
    "42710": _EXISTS,
    "42723": _EXISTS,
    "P0001": "A function or an event trigger refused the statement. Do what its message asks for, then {again}.",
}
# libpq gives no code where the server refuses a connection.
_EXHAUSTED = ("remaining connection slots", "too many clients", "too many connections")


def is_exhausted(message: str) -> bool:
    """Whether a server refused a login because it has no connection left for it."""
    return any(sign in message for sign in _EXHAUSTED)


def connecting_step(error: Exception) -> str:
    """Return a sentence on what to do after a server refused a connection; empty where the error says it itself."""
    if is_exhausted(str(error)):
        return "A run takes two connections. End idle sessions, or raise the limit, and start it again."
    return ""


def next_step(error: Exception, *, again: str, user: str, owners: Mapping[str, str]) -> str:
    """Return a sentence on what to do; empty where the error says it itself.

    Args:
        error: what stopped the statement.
        again: how to start the run again, such as `migrate again`.
        user: who ran the statement.
        owners: the relations of the statement that the user does not own, and who does.

    """
    if not isinstance(error, psycopg2.Error) or (error.pgcode == "P0001" and error.diag.message_hint):
        return ""  # an error that a migration or the runner raised, with its own way out
    # Without a code libpq speaks, not the server.
    code = error.pgcode or "08"
    if code == INSUFFICIENT_PRIVILEGE:
        return f"{_missing_right(user, owners)}, then {again}."
    for beginning, cause in _CAUSES.items():
        if code.startswith(beginning):
            return cause.format(user=user, again=again)
    return f"Correct the file and {again}."


def _missing_right(user: str, owners: Mapping[str, str]) -> str:
    if not owners:
        return (
            f"{user} lacks a right. The owner of the object that the message names, or an administrator, can grant it "
            "(BYPASSRLS, where the message names row-level security)"
        )
    owned = ", ".join(f"{relation} belongs to {owner}" for relation, owner in owners.items())
    grants = "; ".join(f"GRANT {owner} TO {user}" for owner in dict.fromkeys(owners.values()))
    return f"{owned}. An administrator can run {grants}"
