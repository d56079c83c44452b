"""Lists the migrations of a plan: for each file its locks on existing relations, and whether writers wait."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from handlers.migrator.steps import Step
from scannerdb.review.lines import Code, Item, TextLine, commas
from scannerdb.review.releases import Migrations

_HARMLESS = "ACCESS SHARE"


def migration_items(migrations: Migrations) -> Iterator[Item]:
    """Yield the release, and each pending file with its locks."""
    release = ("release ", Code(migrations.release[:12]))
    if migrations.unread or migrations.refused:
        yield Item(line=(*release, f": {migrations.unread or 'migrate will refuse it'}"))
    else:
        to_run = "to run" if migrations.runs else "not applied"
        yield Item(line=(*release, f": {_count(len(migrations.steps), 'statement')} {to_run}"))
    for file, group in groupby(migrations.steps, key=lambda step: step.file):
        steps = list(group)
        details = [*_locks(steps)]
        if file in migrations.without_down:
            details.append(
                (
                    "no ",
                    Code(file.replace(".sql", ".down.sql")),
                    ": no rollback takes it back",
                )
            )
        yield Item(line=(Code(file), f": {_count(len(steps), 'statement')}"), details=tuple(details))
    for file, count in migrations.each_run:
        if count:
            yield Item(line=(Code(file), f": {_count(count, 'statement')}, as with each new release"))
    if migrations.note:
        yield Item(line=(migrations.note,))


def _locks(steps: Sequence[Step]) -> Iterator[TextLine]:
    # Locks on relations that the file itself creates block no session.
    made = {step.title.rpartition(" ")[2] for step in steps if step.title.startswith("CREATE ")}
    locking = [step for step in steps if step.lock not in {None, _HARMLESS} and not made.issuperset(step.relations)]
    for _, group in groupby(locking, key=lambda step: (step.lock, step.relations, step.blocks_writers, step.note)):
        alike = list(group)
        first = alike[0]
        waiting = "its writers WAIT" if first.blocks_writers else "its writers go on"
        note = f"; {first.note}" if first.note else ""
        yield (
            f"line{'s' * (len(alike) > 1)} {', '.join(str(step.line) for step in alike)}: {first.lock} on ",
            *(commas(first.relations) if first.relations else ["each table that it checks"]),
            f", {waiting}: ",
            *commas(step.title for step in alike),
            note,
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
