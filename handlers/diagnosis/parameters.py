"""Whether a server that its owner configures has the parameters that the deployment expects."""

from collections.abc import Iterable

from handlers.diagnosis.model import Context, Finding, ok, warning
from handlers.diagnosis.text import plural
from handlers.migrator.parameters import differences, switched_off, way_out


def parameters(context: Context) -> Iterable[Finding]:
    """Repeat what `migrate` said when it ran, as it is now."""
    if context.expected is None:
        yield ok("not compared: the parameter group of the deployment sets them")
        return
    found = [*switched_off(context.fetch), *differences(context.fetch, context.expected)]
    if not found:
        yield ok(f"{plural(len(context.expected.values), 'parameter')} of {context.expected.identifier} as expected")
        return
    reasons = dict.fromkeys(each.why for each in found)
    yield warning("; ".join(map(str, found)), next=way_out(found, context.expected), why=" ".join(reasons))
