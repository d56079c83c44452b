"""Finds resources whose replacement or destruction must be agreed to, and what is lost with each."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from scannerdb.review.allowed import Allowed, AllowedChange
from scannerdb.review.changes import Action, Change
from scannerdb.review.databases import DATABASES, makes_empty_database

# Types of resources that hold data, or whose name or address is used outside the stack.
LOST_WITH = {
    "aws_db_instance": "the database with all its rows",
    "aws_rds_cluster": "the database with all its rows",
    "aws_rds_cluster_instance": "a server of the database, and the connections to it",
    "aws_db_proxy": "the address that the scanner connects to, and its connections",
    "aws_kms_key": "the key: what it encrypted, including backups, can never be read again",
    "aws_s3_bucket": "the bucket's objects: the release and the package that the functions run",
    "aws_vpc": "the network, with everything in it",
    "aws_subnet": "a subnet, with everything in it",
    "aws_db_subnet_group": "the database's place in the network",
    "aws_cloudwatch_log_group": "its log",
    "aws_apigatewayv2_api": "the URL that callers of the status API use",
    "aws_sns_topic": "its subscriptions: each address must confirm again before an alarm reaches it",
}

# Where one kind of database server goes and the other comes.
_MOVE_THE_ROWS = "{address} begins empty, because database.engine changes: move the rows first, as in {page}"
_PAGE = "docs/operations/cluster.md"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A protected resource that would be replaced or destroyed, or a database that is left for an empty one.

    Attributes:
        lost: what is lost with it.
        instead: what comes in its place, where that is a database of another engine; else empty.
        allowed: the entry of the allow list that agrees to it.
        expired: whether that entry has expired.

    """

    change: Change
    lost: str
    instead: str
    allowed: AllowedChange | None
    expired: bool

    @property
    def done(self) -> str:
        """What the deployment would do to it."""
        if self.change.action is Action.FORGET:
            return "left for a new and empty database (set database.restore_from)"
        return "replaced" if self.change.action is Action.REPLACE else "destroyed"

    @property
    def agreed(self) -> bool:
        """Whether the deployment may go on."""
        return self.allowed is not None and not self.expired


def losses(changes: Sequence[Change], allowed: Allowed, *, today: dt.date) -> list[Loss]:
    """Return what would be lost, each with its entry of the allow list."""
    # A valid entry wins over an expired one that was not removed.
    entries = sorted(allowed.change, key=lambda entry: entry.expires, reverse=True)
    found: list[Loss] = []
    is_left = makes_empty_database(changes)
    for change in changes:
        protected = {Action.REPLACE, Action.DESTROY, *([Action.FORGET] if is_left and change.type in DATABASES else [])}
        if change.type in LOST_WITH and change.action in protected:
            entry = next((entry for entry in entries if entry.matches(change.address, change.action)), None)
            expired = entry is not None and entry.expires < today
            lost, instead = LOST_WITH[change.type], _instead(change, changes)
            found.append(Loss(change=change, lost=lost, instead=instead, allowed=entry, expired=expired))
    return found


def _instead(lost: Change, changes: Sequence[Change]) -> str:
    """Return what comes in the place of a database server of one kind, where that is one of the other."""
    others = DATABASES - {lost.type} if lost.type in DATABASES else frozenset()
    created = [each.address for each in changes if each.type in others and each.action is Action.CREATE]
    return _MOVE_THE_ROWS.format(address=created[0], page=_PAGE) if created else ""
