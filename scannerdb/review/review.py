"""Judges one plan: its problems, and all facts of the summary."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scannerdb.review.allowed import Allowed
from scannerdb.review.changes import Action, Change, read_changes
from scannerdb.review.ledger import ReadLedger
from scannerdb.review.policy import Finding, Policy
from scannerdb.review.protected import Loss, losses
from scannerdb.review.releases import Fetch, Migrations, migrations
from scannerdb.review.restarts import Restart, restarts
from scannerdb.review.statements import Risk, find_risks

ALARMS = frozenset({"aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"})


@dataclass(frozen=True, kw_only=True)
class Review:
    """The facts about a plan; it is red when `problems` is not empty."""

    environment: str
    against: str
    changes: tuple[Change, ...]
    outputs: tuple[str, ...]
    losses: tuple[Loss, ...]
    risks: tuple[Risk, ...]
    restarts: tuple[Restart, ...]
    migrations: Migrations | None
    policy: Policy
    policy_failures: tuple[Finding, ...]
    policy_reasons: Mapping[str, str]
    expect_empty: bool
    notes: tuple[str, ...]

    def having(self, *actions: Action) -> list[Change]:
        """Return the changes with one of these actions."""
        return [change for change in self.changes if change.action in actions]

    @property
    def alarms(self) -> list[Change]:
        """The alarms that change."""
        return [change for change in self.changes if change.type in ALARMS and change.action is not Action.NOTHING]

    @property
    def is_empty(self) -> bool:
        """Whether an apply would change nothing, including outputs and the state's addresses."""
        moved = any(change.moved_from or change.imported for change in self.changes)
        return not (moved or self.outputs or len(self.having(Action.NOTHING, Action.READ)) < len(self.changes))

    @property
    def problems(self) -> list[str]:
        """Each reason not to apply this plan."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for loss in self.losses:
            if not loss.agreed:
                until = f"; the entry that allowed it expired on {loss.allowed.expires}" if loss.allowed else ""
                forced = f" because of {', '.join(loss.change.forcing)}" if loss.change.forcing else ""
                instead = f"; {loss.instead}" if loss.instead else ""
                yield f"{loss.change.title} would be {loss.done}{forced}: {loss.lost} would be lost{instead}{until}"
        for risk in self.risks:
            if not risk.agreed:
                until = f"; the entry that allowed it expired on {risk.allowed.expires}" if risk.allowed else ""
                yield f"{risk.run.place}: {risk.run.statement.clause}: {'; '.join(risk.harms)}{until}"
        if self.migrations and self.migrations.refused:
            yield f"migrate will refuse the release: {self.migrations.refused}"
        if self.migrations and self.migrations.unread:
            yield f"it is not known what the migrations lose: {self.migrations.unread}"
        for finding in self.policy_failures:
            yield f"{finding.resource} fails {finding.check}: {finding.title}"
        if self.policy.is_blind:
            yield (
                f"checkov ran {self.policy.passed + len(self.policy.failed)} checks on {self.policy.resources} "
                "resources, too few to be meaningful; see .checkov.yaml and the version of checkov"
            )
        if self.expect_empty and not self.is_empty:
            yield "the plan is not empty: what is deployed differs from what is in the repository"


def judge(
    plan: Mapping[str, Any],
    *,
    environment: str,
    against: str,
    allowed: Allowed,
    policy: Policy,
    fetch: Fetch,
    read_ledger: ReadLedger,
    today: dt.date,
    expect_empty: bool = False,
) -> Review:
    """Judge a plan.

    Args:
        plan: its JSON.
        environment: the environment of the plan.
        against: what it was made against, for the summary.
        allowed: the allow list.
        policy: the result of checkov.
        fetch: returns the bytes of a release.
        read_ledger: returns what is applied to the database.
        today: the current day in UTC, for entries of `allowed` that expire.
        expect_empty: whether any change is a problem.

    Raises:
        PlanningError: the plan cannot be read.

    """
    changes = tuple(read_changes(plan))
    found = tuple(losses(changes, allowed, today=today))
    run = migrations(changes, fetch, read_ledger)
    risks = tuple(find_risks(run.statements, run.table_bytes, allowed, today=today)) if run else ()
    used = {*(loss.allowed for loss in found), *(risk.allowed for risk in risks)}
    reasons = {entry.check: entry.reason for entry in allowed.policy}
    outputs = plan.get("output_changes") or {}
    return Review(
        environment=environment,
        against=against,
        changes=changes,
        outputs=tuple(sorted(name for name, change in outputs.items() if change["actions"] != ["no-op"])),
        losses=found,
        risks=risks,
        restarts=tuple(restarts(changes)),
        migrations=run,
        policy=policy,
        policy_failures=tuple(finding for finding in policy.failed if finding.check not in reasons),
        policy_reasons={check: reason for check, reason in reasons.items() if check in _checks(policy)},
        expect_empty=expect_empty,
        notes=tuple(_notes(allowed, used, policy, today)),
    )


def _notes(allowed: Allowed, used: Collection[object], policy: Policy, today: dt.date) -> Iterator[str]:
    for entry in allowed.expiring:
        if entry.expires < today:
            yield f"the entry for {entry.title} expired on {entry.expires}; remove it"
        elif entry not in used:
            yield f"the entry for {entry.title} matches nothing in this plan; remove it"
    for left_out in allowed.policy:
        if left_out.check not in _checks(policy):
            yield f"nothing fails {left_out.check}; remove its entry"


def _checks(policy: Policy) -> set[str]:
    return {finding.check for finding in policy.failed}
