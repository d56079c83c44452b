"""What the database or libpq complained of, in one sentence with the way out; the cause decides it."""

import re

import psycopg2

from handlers.contract.roles import READER, REFRESHER

_AGAIN = "run the same command again"
_TUNNEL = "from outside of its network, connect through `scannerdb tunnel -e ENV -- ...`"
_LOST = f"the connection was lost: {_AGAIN} when the server answers"
_FULL = "the server is out of connections: end idle sessions"

# libpq gives no code: the words of a complaint, and the way out; the first that fits counts.
_OF_LIBPQ = (
    (
        "closed the connection|connection (already|has been) closed|EOF detected|(send|receive) data|reset by peer",
        _LOST,
    ),
    ("could not translate host name", f"correct the host; a name inside of a VPC is known there only: {_TUNNEL}"),
    ("Connection refused", "no server listens there: start it, or correct host and port"),
    (
        "timeout expired|did not answer within|No route to host|Network is unreachable|timed out",
        f"the server or the way to it is down, or a firewall drops the packets: {_TUNNEL}",
    ),
    (
        "password authentication failed|no password supplied|PAM authentication failed",
        "give this user's password with PGPASSWORD or ~/.pgpass; an IAM token is valid for 15 minutes",
    ),
    (
        'role ".*" does not exist',
        f"correct the user; `scannerdb migrate` by the owner creates {READER} and {REFRESHER}",
    ),
    ('database ".*" does not exist', "correct dbname; `psql -l` lists those of the server"),
    ("permission denied for database", "`scannerdb migrate` as the owner grants CONNECT to the roles of this project"),
    ("not permitted to log in", "an administrator can run ALTER ROLE ... LOGIN"),
    ("no pg_hba.conf entry", "the server refuses this user from here or without TLS: add sslmode=verify-full"),
    ("certificate verify failed", "name the authority that signed the server's certificate with sslrootcert"),
    ("does not match host name", "connect by a name of the certificate; hostaddr names another address for it"),
    ("root certificate file", "correct sslrootcert"),
    ("server does not support SSL", "enable TLS in the server; sslmode=prefer sends everything in the clear"),
    ("SSL error", f"TLS failed: {_AGAIN}, and if it lasts compare the versions that both sides allow"),
    ("remaining connection slots|too many (clients|connections)", _FULL),
    ("database system is (starting|shutting|in recovery|not yet)", f"{_AGAIN} when the server is up"),
    ("definition of service", "add it to ~/.pg_service.conf, or correct the name"),
    ('invalid dsn|missing "="|invalid (connection option|URI|port)', "correct --dsn or SCANNERDB_DSN"),
)

# How SQLSTATE begins, and the way out: https://www.postgresql.org/docs/17/errcodes-appendix.html
_OF_THE_SERVER = {
    "08": _LOST,
    "57P": _LOST,
    "57014": f"the role's statement_timeout or another session ended the statement: {_AGAIN}, or log in as the owner",
    "55P03": f"another session holds the lock; `scannerdb doctor lock-waits` names it: {_AGAIN} when it has ended",
    "40": f"another transaction was in the way: {_AGAIN}",
    "25006": (
        "the session may only read: connect to the writer, or run ALTER ROLE ... RESET default_transaction_read_only, "
        "and the same for the database"
    ),
    "42501": "log in as the owner, or run `scannerdb migrate` as the owner: it grants the rights of our roles again",
    "53100": f"the server's disk is full: add or free space, then {_AGAIN}",
    "53200": f"the server is out of memory: end other work, then {_AGAIN}",
    "53300": _FULL,
    "53": f"the server is out of what the message names: when there is more, {_AGAIN}",
    **dict.fromkeys(
        ("42P01", "42883", "42703", "3F000"),
        "this database is not migrated, or not to this release: `scannerdb plan` shows what is missing, "
        "`scannerdb migrate` makes it",
    ),
    "55000": "job_progress is not what the release makes of it: run `scannerdb migrate`, then `scannerdb refresh`",
}
_ROW_SECURITY = re.compile(r'row-level security policy for table "(.+)"')


def sentence(error: psycopg2.Error) -> str:
    """Return one line: the complaint without its hints and positions, and the way out where there is one."""
    message = str(error).strip() or type(error).__name__
    if error.pgcode:
        complaint = error.diag.message_primary or message.splitlines()[0]
        way_out = _way_out(error.pgcode, complaint)
    else:
        complaint = message.splitlines()[0]
        way_out = next((way for words, way in _OF_LIBPQ if re.search(words, message)), "")
    complaint = complaint.strip().removesuffix(".")
    return f"{complaint}; {way_out}" if way_out else complaint


def _way_out(code: str, complaint: str) -> str:
    if code == "42501" and (hidden := _ROW_SECURITY.search(complaint)):
        # The functions of the migrations refuse to count where a policy hides rows from their owner.
        return (
            f"its policies hide rows from its owner too, so nothing was counted: run ALTER TABLE {hidden[1]} NO FORCE "
            "ROW LEVEL SECURITY, or let an administrator run ALTER ROLE ... BYPASSRLS for the owner"
        )
    return next((way for beginning, way in _OF_THE_SERVER.items() if code.startswith(beginning)), "")
