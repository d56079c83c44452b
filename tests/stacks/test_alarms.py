"""The alarms, fact by fact, and that each is complete: words for people, a section of the runbook, an answer."""

from __future__ import annotations

import re

import pytest

from stacks import ROOT
from stacks.alarms import NOTICES, OUTAGE, catalogue
from stacks.settings import load_settings
from tests.stacks.alarm_facts import name_of, read_facts, words
from tests.stacks.conftest import ENVIRONMENTS, Synthesised

RUNBOOK = ROOT / "docs" / "runbook.md"
FACTS = read_facts()
DAY_S, WEEK_S = 24 * 60 * 60, 7 * 24 * 60 * 60
# What the on-call needs at three in the morning, and what a ticket needs by day, each in this order.
PAGE_PARTS = ("For users", "Usual causes, each with what ends it", "Wake", "Over when")
TICKET_PARTS = ("Means", "Look", "Do", "Over when")


def names(environment: str) -> list[str]:
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    return [alarm.name for alarm in catalogue(settings, api_id="a1")]


def pages() -> set[str]:
    settings = load_settings(ROOT / "environments" / "prod.toml", {})
    return {alarm.name for alarm in catalogue(settings, api_id="a1") if alarm.severity == "page"} | {OUTAGE.name}


EVERY_NAME = {name: None for environment in ENVIRONMENTS for name in names(environment)}
TOLD = (*EVERY_NAME, OUTAGE.name, *(notice.name for notice in NOTICES))


def sections(text: str) -> dict[str, str]:
    """Return the text of each section that is named like an alarm."""
    parts = re.split(r"^#{2,3} (\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def runbook_sections() -> dict[str, str]:
    return sections(RUNBOOK.read_text())


@pytest.mark.parametrize("name", FACTS)
def test_the_production_alarms(prod: Synthesised, name: str) -> None:
    body = prod.one("aws_cloudwatch_metric_alarm", f"alarms_{name.replace('-', '_')}")
    assert words(prod, body) == FACTS[name]


def test_every_alarm_has_its_facts_here(prod: Synthesised) -> None:
    alarms = prod.every("aws_cloudwatch_metric_alarm").values()
    assert {name_of(prod, body) for body in alarms} == FACTS.keys()


def test_a_burstable_instance_has_an_alarm_on_its_credits_and_no_other_environment_differs(
    stacks: dict[str, Synthesised],
) -> None:
    for environment in ENVIRONMENTS:
        stack = stacks[environment]
        burstable = stack.one("aws_db_instance")["instance_class"].startswith("db.t")
        alarms = {name_of(stack, body) for body in stack.every("aws_cloudwatch_metric_alarm").values()}
        assert alarms == FACTS.keys() | ({"database-cpu-credits"} if burstable else set())


def test_the_alarm_on_credits(stacks: dict[str, Synthesised]) -> None:
    body = stacks["dev"].one("aws_cloudwatch_metric_alarm", "alarms_database_cpu_credits")
    assert words(stacks["dev"], body) == (
        "AWS/RDS CPUCreditBalance DBInstanceIdentifier=<prefix> Minimum / 300 s",
        "24 of 24",
        "< 20",
        "ignore",
        "ticket",
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_periods_are_what_cloudwatch_accepts(environment: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    for alarm in catalogue(settings, api_id="a1"):
        assert alarm.period_s % 60 == 0
        assert alarm.period_s * alarm.evaluation_periods <= (WEEK_S if alarm.period_s >= 60 * 60 else DAY_S)


def test_a_ticket_tells_both_its_begin_and_its_end_and_a_page_leaves_that_to_the_outage(stack: Synthesised) -> None:
    for body in stack.every("aws_cloudwatch_metric_alarm").values():
        told = {"page": [], "ticket": ["${aws_sns_topic.topics_ticket.arn}"]}[body["tags"]["severity"]]
        assert body["alarm_actions"] == body["ok_actions"] == told


def test_the_outage_covers_exactly_the_pages_and_tells_its_begin_and_its_end(stack: Synthesised) -> None:
    outage = stack.one("aws_cloudwatch_composite_alarm")
    pages = [
        f'ALARM("${{aws_cloudwatch_metric_alarm.{name}.alarm_name}}")'
        for name, body in stack.every("aws_cloudwatch_metric_alarm").items()
        if body["tags"]["severity"] == "page"
    ]
    assert len(pages) == 6
    assert sorted(outage["alarm_rule"].split(" OR ")) == sorted(pages)
    assert outage["alarm_actions"] == outage["ok_actions"] == ["${aws_sns_topic.topics_page.arn}"]
    assert outage["tags"] == {"severity": "page"}


def test_every_description_says_what_it_means_links_the_runbook_and_names_the_first_command(stack: Synthesised) -> None:
    alarms = [
        *stack.every("aws_cloudwatch_metric_alarm").values(),
        *stack.every("aws_cloudwatch_composite_alarm").values(),
    ]
    for body in alarms:
        name, description = name_of(stack, body), body["alarm_description"]
        assert len(description) <= 1024
        meaning, _, rest = description.partition(" Runbook: ")
        assert meaning.endswith(".")
        first = rf"scannerdb tunnel {stack.folder.name} --direct -- scannerdb doctor {name}"
        assert re.fullmatch(rf"\S+#{name}\. First: {first}", rest), description


def test_the_alarms_come_after_the_schedule_and_the_first_refresh_that_they_watch(stack: Synthesised) -> None:
    for body in stack.every("aws_cloudwatch_metric_alarm").values():
        assert body["depends_on"] == [
            "aws_scheduler_schedule.schedule_refresh",
            "aws_lambda_invocation.first_refresh_invocation",
        ]


def test_every_alarm_has_a_section_in_the_runbook_and_every_section_an_alarm() -> None:
    assert sorted(runbook_sections()) == sorted(TOLD)


def test_the_first_part_of_the_runbook_holds_the_pages_and_the_second_the_tickets() -> None:
    first, second = re.split(r"^# Part [12]: .+$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    assert sections(first).keys() == pages()
    assert sections(second).keys() == set(TOLD) - pages()


@pytest.mark.parametrize("name", TOLD)
def test_a_section_of_the_runbook_answers_what_the_on_call_asks(name: str) -> None:
    section = runbook_sections()[name]
    parts = PAGE_PARTS if name in pages() else TICKET_PARTS
    places = [section.find(f"**{part}**") for part in parts]
    assert -1 not in places, [part for part, place in zip(parts, places, strict=True) if place == -1]
    assert places == sorted(places)


@pytest.mark.parametrize("name", TOLD)
def test_a_page_begins_with_a_command_to_paste_and_a_ticket_names_it_where_it_says_to_look(name: str) -> None:
    section = runbook_sections()[name]
    if name in pages():
        assert section.startswith(f"\n\n```\nscannerdb tunnel prod --direct -- scannerdb doctor {name}\n```\n")
    else:
        assert f"`scannerdb doctor {name}`" in section[section.index("**Look**") : section.index("**Do**")]
