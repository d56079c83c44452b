"""The status of a job, from its counts and the state of its execution."""

from collections.abc import Mapping
from typing import Any

from handlers.executions import SUCCEEDED

# Which statuses `state` of `GET /jobs` stands for; `None`: all.
STATES: dict[str, frozenset[str] | None] = {
    "active": frozenset({"listing", "processing"}),
    "completed": frozenset({"completed"}),
    "failed": frozenset({"failed", "aborted"}),
    "all": None,
}

# Step Functions lists the job's objects, or will continue to.
_LISTING = frozenset({"RUNNING", "PENDING_REDRIVE"})
_ENDED_BADLY = {"FAILED": "failed", "TIMED_OUT": "failed", "ABORTED": "aborted"}


def status_message(row: Mapping[str, Any], execution: str | None, *, counted_after_end: bool) -> tuple[str, str]:
    """Return the job's status and a sentence about it.

    A job is `completed` only where no more objects can come: it has no execution, its execution succeeded before
    the objects were counted, or it is retired. Step Functions forgets an execution after 90 days.

    Args:
        row: a row of `job_progress`.
        execution: the execution's state in Step Functions; `None` when there is none or it is unknown.
        counted_after_end: the row was counted after the execution had ended.

    """
    total = row["total_objects"]
    done = row["succeeded_count"] + row["failed_count"]
    may_list = bool(row["execution_arn"]) and not row.get("retired_at")
    if execution in _ENDED_BADLY:
        ending = execution.lower().replace("_", " ")
        return _ENDED_BADLY[execution], f"The execution {ending}; {done:,} of {total:,} objects were done"
    if execution in _LISTING:
        return "listing", f"Listing objects: {total:,} found so far, {done:,} done"
    if done < total:
        return "processing", f"Processing objects: {done:,} of {total:,} done"
    if may_list and execution != SUCCEEDED:
        why = "Step Functions does not say whether more objects are listed"
        return "listing", f"{why}; all {total:,} found so far are done"
    if may_list and not counted_after_end:
        return "processing", f"Listing has ended; all {total:,} objects of the last count are done"
    all_done = f"All {total:,} objects are done, {row['failed_count']:,} of them failed"
    return "completed", all_done if total else "There was no object to process"
