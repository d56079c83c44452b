"""Evaluates CloudWatch Logs' filter patterns for space-delimited events, as documented; no emulator does.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html, and for metric values
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html.
Where the documentation is ambiguous, `Reading` lists the readings; a pattern of the stack must hold under all of them.
"""

import itertools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

# "An integer with an optional + or - sign, a decimal ..., or a number in scientific notation".
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
# What happens to fields that a pattern without an ellipsis does not name.
Surplus = Literal["ignored", "joined to the last", "refused"]
ELLIPSIS = re.compile(r"\s*\.\.\.\s*(?P<end>,|\])")
# A name alone matches any field. An empty name is in one of the documentation's own examples.
CONDITION = re.compile(
    r"""\s*(?P<name>\w*)\s*
        (?:(?P<comparison>!=|>=|<=|=|>|<)\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s",&|\]%]+)))?
        \s*(?P<end>&&|\|\||,|\])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Reading:
    """One reading of the ambiguous parts; the defaults are what the documentation's examples suggest.

    Two facts are undocumented and hold in every reading, because common patterns for Lambda's REPORT lines (a blank and
    a tab) and RDS's prefix (`:[20768]:LOG:` and two blanks) would match nothing otherwise: a run of white space
    separates once, and a bracket inside a word does not begin another field.
    """

    # "Characters between brackets and double quotation marks are single fields": also where they begin inside a word?
    marks_hold_inside_a_word: bool = False
    # A bracket or quotation mark that nothing closes: an ordinary character, or the rest of the event is one field?
    unclosed_mark_holds_the_rest: bool = False
    # `[w1=ERROR, w2]` matches lines of six words, yet seven names are said to be for seven fields.
    surplus_fields: Surplus = "ignored"
    # The ellipsis stands for "as many fields as needed": also for none?
    ellipsis_may_be_empty: bool = True


READINGS = tuple(
    Reading(inside, unclosed, surplus, empty)
    for inside, unclosed, surplus, empty in itertools.product(
        (False, True), (False, True), get_args(Surplus), (True, False)
    )
)


def split(event: str, reading: Reading) -> list[str]:
    """Return an event's fields, without the brackets or quotation marks around them."""
    end = r"|\Z" if reading.unclosed_mark_holds_the_rest else ""
    mark = rf'"[^"]*(?:"{end})|\[[^\]]*(?:\]{end})'
    field = rf"(?:{mark}|\S)+" if reading.marks_hold_inside_a_word else rf"{mark}|\S+"
    found = (match[0] for match in re.finditer(field, event))
    return [text[1:].removesuffix('"').removesuffix("]") if re.fullmatch(mark, text) else text for text in found]


def number(text: str) -> float | None:
    """Return a field's text as a number, or `None`: a metric filter publishes nothing for other text."""
    return float(text) if NUMBER.fullmatch(text) else None


@dataclass(frozen=True)
class Comparison:
    """One comparison of a field, as in `status_code = 4*`."""

    comparison: str
    value: str

    def holds(self, field: str) -> bool:
        """Return whether a field's text satisfies it."""
        left, right = number(field), number(self.value)
        if left is not None and right is not None:
            return COMPARISONS[self.comparison](left, right)
        # Only = and != are for strings.
        return self.comparison in {"=", "!="} and self._equals(field) == (self.comparison == "=")

    def _equals(self, field: str) -> bool:
        # An asterisk is a wildcard at either end only, and in quotation marks too, as in the CIS benchmark's
        # `"*UnauthorizedOperation"`. `Ev*ent` matches itself: an older edition of the documentation says so.
        text = self.value.removeprefix("*")
        text, from_start, to_end = text.removesuffix("*"), text == self.value, not text.endswith("*")
        if from_start and to_end:
            return field == text
        if from_start:
            return field.startswith(text)
        return field.endswith(text) if to_end else text in field


@dataclass(frozen=True)
class Field:
    """A named field and its conditions: alternatives of comparisons, so `&&` binds before `||` as in JSON patterns."""

    name: str
    alternatives: tuple[tuple[Comparison, ...], ...] = ((),)

    def holds(self, text: str) -> bool:
        """Return whether a field's text satisfies one alternative."""
        return any(all(comparison.holds(text) for comparison in every) for every in self.alternatives)

    def and_(self, comparison: Comparison) -> Self:
        """Return the field with one more comparison in its last alternative."""
        *others, last = self.alternatives
        return replace(self, alternatives=(*others, (*last, comparison)))

    def or_(self) -> Self:
        """Return the field with one more alternative."""
        return replace(self, alternatives=(*self.alternatives, ()))


@dataclass(frozen=True)
class FilterPattern:
    """A parsed pattern: the fields before its ellipsis, and those after it (`None` without an ellipsis)."""

    before: tuple[Field, ...]
    after: tuple[Field, ...] | None

    def match(self, event: str, reading: Reading) -> dict[str, str] | None:
        """Return the extracted values by `$name`, or `None` if the event does not match."""
        aligned = self._align(split(event, reading), reading)
        fields = (*self.before, *(self.after or ()))
        if aligned is None or not all(field.holds(text) for field, text in zip(fields, aligned, strict=True)):
            return None
        return {f"${field.name}": text for field, text in zip(fields, aligned, strict=True)}

    def metric_value(self, event: str, value: str, reading: Reading) -> float | None:
        """Return the value that a metric filter with this `metricValue` publishes for the event, if any."""
        matched = self.match(event, reading)
        return None if matched is None else number(matched[value] if value.startswith("$") else value)

    def _align(self, texts: list[str], reading: Reading) -> list[str] | None:
        wanted = len(self.before)
        if self.after is not None:
            least = wanted + len(self.after) + (0 if reading.ellipsis_may_be_empty else 1)
            return texts[:wanted] + texts[len(texts) - len(self.after) :] if len(texts) >= least else None
        if len(texts) < wanted or (len(texts) > wanted and reading.surplus_fields == "refused"):
            return None
        if reading.surplus_fields == "joined to the last":
            return [*texts[: wanted - 1], " ".join(texts[wanted - 1 :])]
        return texts[:wanted]


def parse(pattern: str) -> FilterPattern:
    """Parse a pattern in square brackets.

    Raises:
        ValueError: it is malformed, has two ellipses (undocumented) or uses `%regex%` (not supported here).

    """
    if not pattern.startswith("["):
        raise ValueError(f"a pattern for space-delimited events begins with a bracket, not {pattern!r}")
    position, end = 1, ","
    parts: list[list[Field]] = [[]]
    field: Field | None = None
    while end != "]":
        if ellipsis := ELLIPSIS.match(pattern, position):
            parts.append([])
            position, end = ellipsis.end(), ellipsis["end"]
            continue
        found = CONDITION.match(pattern, position)
        if found is None or (field is not None and found["name"] != field.name):
            raise ValueError(f"cannot read {pattern[position:]!r} of {pattern}")
        field = field.or_() if field is not None and end == "||" else field or Field(found["name"])
        if found["comparison"]:
            field = field.and_(Comparison(found["comparison"], found["quoted"] or found["bare"] or ""))
        position, end = found.end(), found["end"]
        if end in {",", "]"}:
            parts[-1].append(field)
            field = None
    before, *rest = (tuple(part) for part in parts)
    if position != len(pattern) or len(rest) > 1:
        raise ValueError(f"{pattern} goes on after its bracket or has two ellipses")
    return FilterPattern(before, rest[0] if rest else None)
