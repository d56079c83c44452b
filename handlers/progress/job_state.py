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

    A job is `completed` only where no more objects can come: it has no execution, or its execution succeeded before
    the objects were counted.

    Args:
        row: a row of `job_progress`.
        execution: the execution's state in Step Functions; `None` when there is none or it is unknown.
        counted_after_end: the row was counted after the execution had ended.

    """
    total = row["total_objects"]
    done = row["succeeded_count"] + row["failed_count"]
    has_execution = bool(row["execution_arn"])
    if execution in _ENDED_BADLY:
        ending = execution.lower().replace("_", " ")
        return _ENDED_BADLY[execution], f"The execution {ending}; {done:,} of {total:,} objects were done"
    if execution in _LISTING:
        return "listing", f"Listing objects: {total:,} found so far, {done:,} done"
    if done < total:
        return "processing", f"Processing objects: {done:,} of {total:,} done"
    if has_execution and execution != SUCCEEDED:
        why = "Step Functions does not say whether more objects are listed"
        return "listing", f"{why}; all {total:,} found so far are done"
    if has_execution and not counted_after_end:
        return "processing", f"Listing has ended; all {total:,} objects of the last count are done"
    all_done = f"All {total:,} objects are done, {row['failed_count']:,} of them failed"
    return "completed", all_done if total else "There was no object to process"
