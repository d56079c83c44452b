"""Whether CloudWatch Logs reads the lines of a real PostgreSQL as the metric filters mean it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from scannerdb.checks.model import Answer, Check, Context, ok, refused
from stacks.alarms.log_lines import DENIED_LIMITS, FORMS, SLOW_LIMITS, Entry, events, read_corpus
from stacks.alarms.log_patterns import DENIED_STATEMENTS, SLOW_STATEMENTS

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
MOST_EVENTS = 50
SHOWN_CHARACTERS = 100


def _deployed(context: Context) -> Iterator[Answer]:
    group = context.settings.rds_database.log_group()
    found = context.aws("logs").describe_metric_filters(logGroupName=group)["metricFilters"]
    deployed = {each["filterPattern"] for each in found}
    wanted = {**SLOW_STATEMENTS, **DENIED_STATEMENTS}
    if missing := [name for name, pattern in wanted.items() if pattern not in deployed]:
        yield refused(
            f"{', '.join(missing)}: not on {group} with the pattern of this release",
            next=f"node_modules/.bin/cdktf deploy {context.settings.environment}",
        )
    else:
        yield ok(f"{len(wanted)} on {group}")


def _slow(context: Context) -> Iterator[Answer]:
    """Compare the milliseconds that AWS extracts with those that the server measured."""
    yield from _compare(
        context,
        SLOW_STATEMENTS,
        limits=SLOW_LIMITS,
        expected=lambda _entry, data: data,
        value=lambda extracted: _number(extracted.get("$milliseconds", "")),
    )


def _denied(context: Context) -> Iterator[Answer]:
    """Compare the events that AWS counts with those that are refusals."""
    yield from _compare(
        context,
        DENIED_STATEMENTS,
        limits=DENIED_LIMITS,
        # Only the first event of an entry has the SQLSTATE's text.
        expected=lambda entry, _data: [1.0] if entry.is_refusal else [],
        value=lambda _extracted: 1.0,
    )


def _compare(
    context: Context,
    patterns: Mapping[str, str],
    *,
    limits: frozenset[str],
    expected: Callable[[Entry, list[float]], list[float]],
    value: Callable[[Mapping[str, str]], float | None],
) -> Iterator[Answer]:
    told = list(_events(expected))
    texts = list(dict.fromkeys(text for _, text, _ in told))
    published: dict[str, list[float]] = {text: [] for text in texts}
    for pattern in patterns.values():
        for text, extracted in _matches(context, pattern, texts):
            number = value(extracted)
            published[text] += [] if number is None else [number]
    wrong = [(scenario, text, data) for scenario, text, data in told if published[text] != data]
    limited = {scenario for scenario, _, _ in wrong if scenario in limits}
    faults = [each for each in wrong if each[0] not in limits]
    for scenario, text, data in faults[:3]:
        yield refused(
            f"{scenario}: CloudWatch publishes {published[text]}, the server measured {data}: "
            f"{' '.join(text.split())[:SHOWN_CHARACTERS]}",
            next="correct stacks/alarms/log_patterns.py; until then do not rely on slow-queries or denied-statements",
        )
    if not faults:
        yield ok(
            f"{len(texts)} log lines read as they should; known limits met: {', '.join(sorted(limited)) or 'none'}"
        )


def _events(
    expected: Callable[[Entry, list[float]], list[float]],
) -> Iterator[tuple[str, str, list[float]]]:
    """Yield scenario, text and expected data of each event, in both forms that CloudWatch may get."""
    for entry in read_corpus():
        for form in FORMS:
            for number, (text, data) in enumerate(events(entry, form)):
                if text:  # the service refuses an empty event
                    yield entry.scenario, text, expected(entry, data) if number == 0 else []


def _matches(context: Context, pattern: str, texts: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each event that the pattern matches, with the values that it extracts."""
    for start in range(0, len(texts), MOST_EVENTS):
        batch = texts[start : start + MOST_EVENTS]
        answer = context.aws("logs").test_metric_filter(filterPattern=pattern, logEventMessages=list(batch))
        for match in answer["matches"]:
            # Counted from 1.
            yield batch[match["eventNumber"] - 1], match.get("extractedValues", {})


def _number(text: str) -> float | None:
    """Return a field as a number; a metric filter publishes nothing for other text."""
    try:
        return float(text)
    except ValueError:
        return None


LOG_FILTERS = (
    Check(name="log-filters", asked="log filters deployed", ask=_deployed),
    Check(name="log-filters-slow", asked="log filters: slow statements", ask=_slow),
    Check(name="log-filters-denied", asked="log filters: refusals", ask=_denied),
)
