"""Arranges a review as sections of text, for the terminal and for Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from scannerdb.review.changes import Action, Change, Difference
from scannerdb.review.lines import Code, Diff, Item, Section, TextLine, Tone, commas
from scannerdb.review.migration_items import migration_items
from scannerdb.review.protected import Loss
from scannerdb.review.review import Review
from scannerdb.review.statements import Risk
from scannerdb.review.values import UNKNOWN


def heading(review: Review) -> tuple[Tone, str]:
    """Return the verdict in one line."""
    if count := len(review.problems):
        return "red", f"{review.environment}: {count} problem{'s' * (count > 1)}, do not apply"
    if review.is_empty:
        return "green", f"{review.environment}: nothing to change"
    if review.losses or any(risk.run.statement.losses for risk in review.risks):
        return "yellow", f"{review.environment}: what would be lost was agreed to"
    if review.risks:
        return "yellow", f"{review.environment}: nothing is lost, and that writers are blocked was agreed to"
    if review.migrations and review.migrations.runs and review.migrations.note:
        return "green", f"{review.environment}: nothing is lost, as far as is known without the ledger"
    return "green", f"{review.environment}: nothing is lost"


def counts(review: Review) -> str:
    """Return how many resources change, and how."""
    told = {
        "to create": Action.CREATE,
        "to change": Action.UPDATE,
        "to replace": Action.REPLACE,
        "to destroy": Action.DESTROY,
        "unchanged": Action.NOTHING,
    }
    return ", ".join(f"{len(review.having(action))} {words}" for words, action in told.items())


def sections(review: Review) -> list[Section]:
    """Return the non-empty sections, the most severe first."""
    return [section for section in _sections(review) if section.items]


def _sections(review: Review) -> Iterator[Section]:
    yield Section(title="Problems", tone="red", items=tuple(Item(line=(text,)) for text in review.problems))
    yield Section(
        title="Replaced or destroyed, with what is lost",
        tone="red" if any(not loss.agreed for loss in review.losses) else "yellow",
        items=tuple(_loss(loss) for loss in review.losses),
    )
    yield Section(
        title="Statements that lose data or block writers",
        tone="red" if any(not risk.agreed for risk in review.risks) else "yellow",
        items=tuple(map(_risk, review.risks)),
    )
    yield Section(
        title="Restarts of the database",
        tone="yellow",
        items=tuple(
            Item(
                line=(Code(restart.address), ": ", *_difference(restart.difference)),
                details=((f"{restart.why}; {restart.when}",),),
            )
            for restart in review.restarts
        ),
    )
    if review.migrations:
        yield Section(title="Migrations", tone="plain", items=tuple(migration_items(review.migrations)))
    # In a first deployment all alarms are new, like every resource.
    alarms = review.alarms if any(alarm.action is not Action.CREATE for alarm in review.alarms) else []
    yield Section(title="Alarms", tone="plain", items=tuple(map(_change, alarms)))
    told = [*(loss.change for loss in review.losses), *alarms]
    for title, action in (
        ("Other replacements", Action.REPLACE),
        ("Other destructions", Action.DESTROY),
        ("No longer managed, and left as they are", Action.FORGET),
        ("Changes", Action.UPDATE),
    ):
        items = tuple(_change(change) for change in review.having(action) if change not in told)
        yield Section(title=title, tone="plain" if action is Action.UPDATE else "yellow", items=items)
    yield Section(title="Moved or imported", tone="plain", items=tuple(_moved(review.changes)))
    yield Section(title="Created", tone="plain", items=tuple(_created(review, told)), folded=True)
    outputs = (Item(line=tuple(commas(review.outputs))),) if review.outputs else ()
    yield Section(title="Changed outputs", tone="plain", items=outputs, folded=True)
    yield Section(title="Policy", tone="plain", items=tuple(_policy(review)))
    yield Section(title="Allow list", tone="yellow", items=tuple(Item(line=(note,)) for note in review.notes))


def _difference(difference: Difference) -> TextLine:
    forced = (" forces the replacement",) if difference.forces_replacement else ()
    values: TextLine = (Code(difference.attribute), ": ", Code(difference.before), " -> ", Code(difference.after))
    if difference.lines:
        added, removed = (sum(line.startswith(sign) for line in difference.lines) for sign in "+-")
        values = (Code(difference.attribute), f": {added} lines added, {removed} removed")
    return (*values, *forced)


def _change(change: Change) -> Item:
    done = f": {change.action}, the new one first" if change.create_first else f": {change.action}"
    return Item(line=(Code(change.title), done), details=tuple(_details(change)), diffs=tuple(_diffs(change)))


def _details(change: Change) -> Iterator[TextLine]:
    if change.reason:
        yield (change.reason,)
    if change.action not in {Action.UPDATE, Action.REPLACE}:
        return
    differences = change.differences()
    forcing = [each for each in differences if each.forces_replacement]
    later = [each.attribute for each in differences if each.after.endswith(UNKNOWN) and not each.forces_replacement]
    # All attributes of a replaced resource differ; those that force the replacement matter.
    told = forcing if change.action is Action.REPLACE else [each for each in differences if each.attribute not in later]
    yield from map(_difference, told)
    if later and change.action is Action.UPDATE:
        yield ("known after the apply: ", *commas(later))


def _diffs(change: Change) -> Iterator[Diff]:
    """Yield the documents that change line by line; a replaced resource tells only what forces the replacement."""
    if change.action is Action.UPDATE:
        for each in change.differences():
            if each.lines:
                yield Diff(title=f"{each.attribute} of {change.title}", lines=each.lines)


def _loss(loss: Loss) -> Item:
    item = _change(loss.change)
    lost = [(f"lost: {loss.lost}",), *([(loss.instead,)] if loss.instead else [])]
    return Item(line=item.line, details=(*lost, *item.details, _agreement(loss)), diffs=item.diffs)


def _risk(risk: Risk) -> Item:
    statement = risk.run.statement
    return Item(
        line=(Code(risk.run.file), f", line {statement.line}: ", Code(statement.clause)),
        details=(*((harm,) for harm in risk.harms), _agreement(risk)),
    )


def _agreement(harm: Loss | Risk) -> TextLine:
    """Return the entry of the allow list that agrees, or agreed, or how to agree."""
    if harm.allowed is None:
        return ("not agreed to; environments/allowed/README.md says how to agree",)
    return (f"{'was allowed' if harm.expired else 'allowed'} until {harm.allowed.expires}: {harm.allowed.reason}",)


def _moved(changes: Iterable[Change]) -> Iterator[Item]:
    for change in changes:
        if change.moved_from:
            yield Item(line=(Code(change.moved_from), " -> ", Code(change.address)))
        if change.imported:
            yield Item(line=(Code(change.address), " is imported"))


def _created(review: Review, told: list[Change]) -> Iterator[Item]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for change in review.having(Action.CREATE):
        if change not in told:
            names[change.type].append(change.address.partition(".")[2])
    for kind, found in sorted(names.items()):
        yield Item(line=(Code(kind), f" ({len(found)}): ", *commas(found)))


def _policy(review: Review) -> Iterator[Item]:
    yield Item(line=(f"checkov passed {review.policy.passed} checks of {review.policy.resources} resources",))
    for check, reason in sorted(review.policy_reasons.items()):
        number = sum(finding.check == check for finding in review.policy.failed)
        yield Item(line=(Code(check), f" is left out for {number} resource{'s' * (number > 1)}: {reason}"))
