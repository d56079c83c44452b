"""Parameters of the server that break what we do, or that a deployment expects otherwise."""

from collections.abc import Iterable

from handlers.contract.parameters import ExpectedParameters
from handlers.migrator import parameters
from handlers.migrator.examination.checks import Check
from handlers.migrator.parameters import Difference, Fetch

NEEDED_CHECK = Check(why="{why}", way_out="{way_out}", refuses=True)
PARAMETER_CHECK = Check(why="{why}", way_out="{way_out}", refuses=False)


def needed_parameters(fetch: Fetch, expected: ExpectedParameters | None) -> list[dict[str, str]]:
    """Return one row for each that must be on and is off, with a subject, a value, a reason and a way out."""
    return _rows(parameters.switched_off(fetch), expected)


def other_parameters(fetch: Fetch, expected: ExpectedParameters | None) -> list[dict[str, str]]:
    """Return one row, as above, for each that differs from what is expected; none where nothing is."""
    return _rows(parameters.differences(fetch, expected), expected) if expected else []


def _rows(found: Iterable[Difference], expected: ExpectedParameters | None) -> list[dict[str, str]]:
    return [
        {
            "subject": f"the parameter {each.name}",
            "value": f"{each.found or 'empty'}, not {each.wanted}",
            "why": each.why,
            "way_out": parameters.way_out([each], expected)
            if expected
            else f"Who runs the server can set {each.name} to {each.wanted} in its configuration.",
        }
        for each in found
    ]
