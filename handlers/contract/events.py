"""The events that invoke the functions: their keys, and the actions that they name."""

from enum import StrEnum
from typing import NotRequired, TypedDict


class MigrateAction(StrEnum):
    """What `migrate` does with a release: run it, return what it would run, or take its newest migration back.

    `ledger` needs no release: it returns what is applied.
    """

    MIGRATE = "migrate"
    PLAN = "plan"
    ROLLBACK = "rollback"
    LEDGER = "ledger"


class RefreshAction(StrEnum):
    """What `refresh` does.

    `after_deploy` waits for RDS Proxy, refreshes, and verifies where that is quick. `await_proxy` does the same, and
    returns what failed instead of raising it. `retire` deletes finished jobs whose last update is older than the
    event's `older_than_days`.
    """

    REFRESH = "refresh"
    VERIFY = "verify"
    REBUILD = "rebuild"
    AFTER_DEPLOY = "after_deploy"
    AWAIT_PROXY = "await_proxy"
    RETIRE = "retire"


class ReleaseEvent(TypedDict):
    """Where a release is: bucket and key of its zip, and the SHA-256 of the zip's bytes in hexadecimal."""

    release_bucket: str
    release_key: str
    release_sha256: str


class MigrateEvent(ReleaseEvent):
    """The event of `migrate`; without an action it migrates."""

    action: NotRequired[str]


class RefreshEvent(TypedDict):
    """The event of `refresh`; without an action it refreshes. `source` says who sent it, for people."""

    source: NotRequired[str]
    action: NotRequired[str]
    older_than_days: NotRequired[int]


class DoctorEvent(TypedDict):
    """The event of `doctor`; without an alarm it checks everything."""

    alarm: NotRequired[str]
