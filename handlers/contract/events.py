"""The events that invoke the functions: their keys, and the actions that they name."""

from enum import StrEnum
from typing import NotRequired, TypedDict


class MigrateAction(StrEnum):
    """What `migrate` does with a release: run it, return what it would run, or take its newest migration back.

    These need no release: `ledger` returns what is applied, `end` ends sessions. `repair` runs a statement that one of
    the doctor's checks names.
    """

    MIGRATE = "migrate"
    PLAN = "plan"
    ROLLBACK = "rollback"
    LEDGER = "ledger"
    END = "end"
    REPAIR = "repair"


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
    """The event of `migrate`; without an action it migrates.

    `dry_run` returns what `end` or `repair` would act on. `pid` and `began`, in ISO 8601, name one session; `idle` all
    idle ones of `user` and `application`, or of those who have most. `check` and `sql` are of a finding of the doctor.
    """

    action: NotRequired[str]
    dry_run: NotRequired[bool]
    pid: NotRequired[int]
    began: NotRequired[str]
    cancel: NotRequired[bool]
    idle: NotRequired[bool]
    user: NotRequired[str]
    application: NotRequired[str]
    check: NotRequired[str]
    sql: NotRequired[str]


class RefreshEvent(TypedDict):
    """The event of `refresh`; without an action it refreshes. `source` says who sent it, for people."""

    source: NotRequired[str]
    action: NotRequired[str]
    older_than_days: NotRequired[int]


class DoctorEvent(TypedDict):
    """The event of `doctor`; without an alarm it checks everything."""

    alarm: NotRequired[str]
