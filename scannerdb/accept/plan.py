"""Whether a second plan is empty: Terraform reads back what AWS made of the deploy."""

from collections.abc import Iterator

from scannerdb.checks.model import Answer, Check, Context, not_answered, ok, refused
from scannerdb.review.changes import Action, read_changes
from scannerdb.review.planning import plan_environment
from scannerdb.review.terraform_errors import PlanningError

MOST_LISTED = 5


def _plan(context: Context) -> Iterator[Answer]:
    review = f"scannerdb review -e {context.settings.environment}"
    try:
        planned = plan_environment(context.settings)
    except PlanningError as error:
        yield not_answered(str(error).splitlines()[0], next=review)
        return
    changes = read_changes(planned.json)
    differing = [
        f"{change.address} ({', '.join(each.attribute for each in change.differences()) or change.action})"
        for change in changes
        if change.action not in {Action.NOTHING, Action.READ} or change.moved_from or change.imported
    ]
    outputs = planned.json.get("output_changes") or {}
    differing += [f"output {name}" for name, change in outputs.items() if change["actions"] != ["no-op"]]
    if differing:
        more = f", and {len(differing) - MOST_LISTED} more" if len(differing) > MOST_LISTED else ""
        yield refused(f"{len(differing)} differ: {', '.join(differing[:MOST_LISTED])}{more}", next=review)
    else:
        yield ok(f"empty: {len(changes)} resources as deployed, against {planned.against}")


PLAN = (Check(name="second-plan", asked="second plan", ask=_plan),)
