"""The evaluator of filter patterns, by the examples of CloudWatch Logs' documentation."""

from __future__ import annotations

import pytest

from lab.emulator.filter_pattern import READINGS, Reading, number, parse, split

APACHE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
ALL_SEVEN = "[ip, user, username, timestamp, request, status_code, bytes]"
INFO = "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200"
WARNING = "WARNING 09/25/2014 12:00:02 Invalid user request"
ERROR = "ERROR 09/25/2014 12:00:02 Failed to process request"
EXAMPLES = Reading()


def matches(pattern: str, event: str, reading: Reading = EXAMPLES) -> bool:
    return parse(pattern).match(event, reading) is not None


def test_the_documentation_s_line_has_seven_fields_under_every_reading() -> None:
    expected = {
        "$ip": "127.0.0.1",
        "$user": "Prod",
        "$username": "frank",
        "$timestamp": "10/Oct/2000:13:25:15 -0700",
        "$request": "GET /index.html HTTP/1.0",
        "$status_code": "404",
        "$bytes": "1534",
    }
    assert [parse(ALL_SEVEN).match(APACHE, reading) for reading in READINGS] == [expected] * len(READINGS)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", True),
        ("[ip, user, username, timestamp, request =*.html*, status_code = 5*, bytes]", False),
        ("[ip, user, username, timestamp, request =*.gif*, status_code = 4*, bytes]", False),
        ("[..., request =*.html*, status_code = 4*, bytes]", True),
        ("[..., request =*.html*, status_code = 4*,]", True),
        ("[..., status_code, bytes]", True),
        ("[..., status_code = 1534, bytes]", False),
        ("[ip, user, ..., status_code, bytes]", True),
        ("[ip, user, ..., status_code = 404, bytes = 1534]", True),
        ("[ip, user, ...]", True),
        ("[ip, user = frank, ...]", False),
        ("[ip, user, username, timestamp, request, status_code = 404 || status_code = 410, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code = 403 || status_code = 410, bytes]", False),
        ("[ip, user, username, timestamp, request, status_code = 4* && status_code != 403, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code = 4* && status_code != 404, bytes]", False),
        ("[ip, user, username, timestamp, request, status_code, bytes > 1000]", True),
        ("[ip, user, username, timestamp, request, status_code, bytes > 1534]", False),
        ("[ip, user, username, timestamp, request, status_code, bytes >= 1534]", True),
        ("[ip, user, username, timestamp, request, status_code, bytes < 1534]", False),
        ("[ip, user, username, timestamp, request, status_code, bytes <= +1.534e3]", True),
        ("[ip, user, username, timestamp, request, status_code = 200, bytes]", False),
        ("[a, b, c, d, e, f, g, h]", False),
    ],
)
def test_a_condition_is_about_its_own_field(pattern: str, expected: bool) -> None:
    assert {matches(pattern, APACHE, reading) for reading in READINGS} == {expected}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[w1=ERROR, w2]", {ERROR}),
        ("[w1=ERROR || w1=WARNING, w2]", {ERROR, WARNING}),
        ("[w1!=ERROR && w1!=WARNING, w2]", {INFO}),
    ],
)
@pytest.mark.parametrize("surplus", ["ignored", "joined to the last"])
def test_terms_in_order_match_longer_lines(pattern: str, expected: set[str], surplus: str) -> None:
    reading = Reading(surplus_fields=surplus)
    assert {line for line in (INFO, WARNING, ERROR) if matches(pattern, line, reading)} == expected


def test_names_for_fewer_fields_may_also_mean_just_so_many() -> None:
    assert not matches("[w1=ERROR, w2]", ERROR, Reading(surplus_fields="refused"))
    assert matches("[w1=ERROR, w2]", "ERROR once", Reading(surplus_fields="refused"))


def test_and_binds_before_or() -> None:
    pattern = "[w1=a* && w1!=ab || w1=c, ...]"
    assert [word for word in ("a", "ab", "ac", "c", "d") if matches(pattern, f"{word} more")] == ["a", "ac", "c"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("PutEvent", ["PutEvent"]),
        ("*Event", ["PutEvent"]),
        ('"*Event"', ["PutEvent"]),
        ("Event*", ["EventId"]),
        ("*tEv*", ["PutEvent"]),
        ("Ev*ent", ["Ev*ent"]),
        ("*", ["PutEvent", "EventId", "Ev*ent", "putevent"]),
        ("putevent", ["putevent"]),
    ],
)
def test_an_asterisk_is_a_wildcard_at_the_ends_and_case_counts(value: str, expected: list[str]) -> None:
    events = ["PutEvent", "EventId", "Ev*ent", "putevent"]
    assert [event for event in events if matches(f"[name={value}]", event)] == expected
    assert [event for event in events if not matches(f"[name!={value}]", event)] == expected


def test_an_order_is_of_numbers_only() -> None:
    assert matches("[n > 5]", "10")
    assert not matches("[n > 5]", "9ms")
    assert not matches("[n < 5]", "9ms")


def test_blanks_tabs_and_line_ends_separate_once() -> None:
    assert split("REPORT\tDuration: 3.5 ms \tMemory\n\t size", EXAMPLES) == [
        *("REPORT", "Duration:", "3.5", "ms", "Memory", "size"),
    ]


@pytest.mark.parametrize(
    ("event", "reading", "expected"),
    [
        ('user@my"db:[2 3]:LOG: a "b"', Reading(), ['user@my"db:[2', "3]:LOG:", "a", "b"]),
        ("user@db:[2 3]:LOG: a", Reading(marks_hold_inside_a_word=True), ["user@db:[2 3]:LOG:", "a"]),
        ('my"db a b" c', Reading(marks_hold_inside_a_word=True), ['my"db a b"', "c"]),
        ('my"db a b c', Reading(marks_hold_inside_a_word=True), ['my"db', "a", "b", "c"]),
        ('a "b c', Reading(), ["a", '"b', "c"]),
        ('a "b c', Reading(unclosed_mark_holds_the_rest=True), ["a", "b c"]),
        ("a [b\nc", Reading(unclosed_mark_holds_the_rest=True), ["a", "b\nc"]),
        ('a"b c', Reading(True, True), ['a"b c']),
    ],
)
def test_a_mark_that_is_open_or_inside_a_word_is_read_in_each_way(
    event: str, reading: Reading, expected: list[str]
) -> None:
    assert split(event, reading) == expected


def test_an_ellipsis_may_stand_for_nothing_or_not() -> None:
    assert matches("[a, b, ...]", "x y", Reading(ellipsis_may_be_empty=True))
    assert not matches("[a, b, ...]", "x y", Reading(ellipsis_may_be_empty=False))
    assert matches("[a, b, ...]", "x y z", Reading(ellipsis_may_be_empty=False))


def test_a_metric_takes_its_value_from_the_field_and_none_from_text() -> None:
    pattern = parse(ALL_SEVEN)
    assert pattern.metric_value(APACHE, "$bytes", EXAMPLES) == 1534
    assert pattern.metric_value(APACHE, "$username", EXAMPLES) is None
    assert pattern.metric_value(APACHE, "1", EXAMPLES) == 1
    assert pattern.metric_value(ERROR, "$bytes", EXAMPLES) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("55.5", 55.5), ("+1000", 1000), ("-1", -1), ("10e-3", 0.01), ("1,000", None), ("12ms", None), ("nan", None)],
)
def test_a_number_is_what_the_documentation_calls_one(text: str, expected: float | None) -> None:
    assert number(text) == expected


@pytest.mark.parametrize(
    "pattern",
    # The last but one joins two fields in one place. An example of an older edition does so.
    ["ERROR", "[a, b", "[a] b", "[a, ..., b, ...]", "[a=]", '[a="b]', "[a=%b%]", "[a=1 && b=2]", "[a b]"],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"begins with a bracket|cannot read|goes on after"):
        parse(pattern)
