"""Each alarm is deployed as its record says, agrees with what AWS documents, and has its section of the runbook."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from handlers.contract.alarms import RECORDS
from handlers.contract.alarms.cluster import CLUSTER
from handlers.contract.alarms.messages import NOTICES, OUTAGE
from handlers.contract.alarms.model import Alarm, Expression, Statistic
from handlers.contract.thresholds import Thresholds
from handlers.contract.timeouts import PROXY_WAITS, STALE_AFTER_INTERVALS
from stacks import ROOT
from stacks.alarms import catalogue
from stacks.alarms.descriptions import description
from stacks.alarms.table import RUNBOOK, renewed
from stacks.alarms.thresholds import doctor_thresholds
from stacks.settings import Settings, load_settings
from tests.support.aws_metrics import AWS_METRICS, RECOMMENDED
from tests.support.settings_file import CLUSTER as CLUSTER_FILE
from tests.support.settings_file import SERVERLESS as SERVERLESS_FILE
from tests.support.synthesis import API_ID, ENVIRONMENTS, Synthesised, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S, WEEK_S = 24 * 60 * 60, 7 * 24 * 60 * 60
# What the on-call needs at three in the morning, and what a ticket needs by day, each in this order.
PAGE_PARTS = ("For users", "Usual causes, each with what ends it", "Wake", "Over when")
TICKET_PARTS = ("Means", "Look", "Do", "Over when")


def settings_of(environment: str) -> Settings:
    return load_settings(ROOT / "environments" / f"{environment}.toml", {})


def alarms(environment: str) -> tuple[Alarm, ...]:
    return catalogue(settings_of(environment), api_id=API_ID)


def names(environment: str) -> list[str]:
    return [alarm.name for alarm in alarms(environment)]


def pages() -> set[str]:
    settings = load_settings(ROOT / "environments" / "prod.toml", {})
    return {alarm.name for alarm in catalogue(settings, api_id="a1") if alarm.severity == "page"} | {OUTAGE.name}


EVERY_NAME = {record.name: None for record in RECORDS}
TOLD = (*EVERY_NAME, OUTAGE.name, *(notice.name for notice in NOTICES))


def sections(text: str) -> dict[str, str]:
    """Return the text of each section that is named like an alarm."""
    parts = re.split(r"^#{2,3} (\S+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def runbook_sections() -> dict[str, str]:
    return sections(RUNBOOK.read_text())


def clusters() -> Iterator[Settings]:
    """Yield a provisioned cluster with readers, and Serverless v2: together they have every alarm of a cluster."""
    for text in (SERVERLESS_FILE, CLUSTER_FILE):
        with TemporaryDirectory() as folder:
            file = Path(folder) / "huge.toml"
            file.write_text(text)
            yield load_settings(file, {})


OF_CLUSTERS = [alarm for settings in clusters() for alarm in catalogue(settings, api_id=API_ID)]
# Every alarm, as in production where it is there, otherwise as of a cluster.
ALARMS = {
    **{alarm.name: alarm for alarm in OF_CLUSTERS},
    **{alarm.name: alarm for environment in ("dev", "prod") for alarm in alarms(environment)},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_alarm_is_deployed_as_its_record_says(stacks: dict[str, Synthesised], environment: str) -> None:
    stack = stacks[environment]
    bodies = {name_of(stack, body): body for body in stack.every("aws_cloudwatch_metric_alarm").values()}
    assert bodies.keys() == set(names(environment))
    for alarm in alarms(environment):
        body = bodies[alarm.name]
        assert (body["comparison_operator"], body["threshold"]) == (alarm.comparison, alarm.threshold)
        assert body["evaluation_periods"] == alarm.evaluation_periods
        assert body.get("datapoints_to_alarm") == alarm.datapoints_to_alarm
        assert body["treat_missing_data"] == alarm.missing_data
        assert body["tags"]["severity"] == alarm.severity
        assert f" {alarm.meaning} " in body["alarm_description"]
        if isinstance(alarm.watches, Statistic):
            assert "metric_query" not in body
            # A percentile is an extended statistic.
            other, own = (
                ("statistic", "extended_statistic")
                if alarm.watches.statistic[0] == "p"
                else (
                    "extended_statistic",
                    "statistic",
                )
            )
            assert other not in body
            assert_metric(body, alarm.watches, body[own], alarm.period_s)
        else:
            result, *inputs = body["metric_query"]
            assert (result["expression"], result["return_data"]) == (alarm.watches.formula, True)
            # CloudWatch requires a period of a query, and refuses one of metric math.
            assert result.get("period") == (None if inputs else alarm.period_s)
            assert [each["id"] for each in inputs] == list(alarm.watches.inputs)
            for each in inputs:
                assert each["return_data"] is False
                assert_metric(each["metric"], alarm.watches.inputs[each["id"]], each["metric"]["stat"], alarm.period_s)


def assert_metric(body: dict[str, Any], watched: Statistic, statistic: str, period_s: int) -> None:
    assert (body["namespace"], body["metric_name"]) == (watched.metric.namespace, watched.metric.name)
    assert body.get("dimensions", {}) == watched.metric.dimensions
    assert (statistic, body["period"]) == (watched.statistic, period_s)


def test_only_a_burstable_instance_has_an_alarm_on_its_credits(stacks: dict[str, Synthesised]) -> None:
    burstable = {
        environment: stacks[environment].one("aws_db_instance")["instance_class"].startswith("db.t")
        for environment in ENVIRONMENTS
    }
    assert set(burstable.values()) == {True, False}
    for environment, has_credits in burstable.items():
        without = [record.name for record in RECORDS if record.name not in names(environment)]
        of_a_cluster = [record.name for record in CLUSTER]
        assert without == [*([] if has_credits else ["database-cpu-credits"]), *of_a_cluster]


INSTANCE_ONLY = {"database-load", "storage-low", "storage-filling", "disk-throughput-spent", "disk-operations-spent"}


def test_a_cluster_has_alarms_on_its_volume_in_the_place_of_those_on_a_disk() -> None:
    provisioned = {alarm.name for settings in clusters() if settings.database.readers for alarm in catalogue(settings)}
    serverless = {alarm.name for settings in clusters() if settings.database.capacity for alarm in catalogue(settings)}
    of_a_cluster = {record.name for record in CLUSTER}
    assert provisioned & of_a_cluster == of_a_cluster - {"capacity-used"}
    assert serverless & of_a_cluster == of_a_cluster - {"local-storage-low", "replica-lag"}
    assert (provisioned | serverless) & INSTANCE_ONLY == set()


def test_the_alarms_of_a_cluster_follow_a_failover_to_the_next_writer() -> None:
    """No alarm names an instance, whose role may change, but the load, which is that of the busiest."""
    for alarm in OF_CLUSTERS:
        for watched in inputs(alarm):
            assert "DBInstanceIdentifier" not in watched.metric.dimensions
            if watched.metric.namespace == "AWS/RDS" and "ProxyName" not in watched.metric.dimensions:
                assert watched.metric.dimensions["DBClusterIdentifier"] == "scanner-database-huge"
                assert watched.metric.dimensions.get("Role", "WRITER") == "WRITER"
    load = next(alarm for alarm in reversed(OF_CLUSTERS) if alarm.name == "cluster-load")  # with two readers
    members = " OR ".join(f"DBInstanceIdentifier = 'scanner-database-huge-{number}'" for number in (1, 2, 3))
    assert isinstance(load.watches, Expression)
    assert load.watches.formula.endswith(f" WHERE {members}")


def test_the_volume_of_a_cluster_is_held_against_the_size_at_which_it_grows_no_more() -> None:
    tib = 1024**4
    nearly_full = next(alarm for alarm in OF_CLUSTERS if alarm.name == "volume-nearly-full")
    assert nearly_full.threshold == 0.9 * 128 * tib
    filling = next(alarm for alarm in OF_CLUSTERS if alarm.name == "volume-filling")
    assert isinstance(filling.watches, Expression)
    assert f"({128 * tib} - used)" in filling.watches.formula
    for settings in clusters():
        assert doctor_thresholds(settings).storage_gib == 128 * 1024


def inputs(alarm: Alarm) -> list[Statistic]:
    return [alarm.watches] if isinstance(alarm.watches, Statistic) else list(alarm.watches.inputs.values())


# A query names its metric itself; the dashboard's tests know the queries.
OF_AWS = [
    pytest.param(alarm, watched, id=f"{alarm.name}-{watched.metric.name}")
    for alarm in (*ALARMS.values(), *OF_CLUSTERS)
    for watched in inputs(alarm)
    if watched.metric.namespace.startswith("AWS/")
]


@pytest.mark.parametrize(("alarm", "watched"), OF_AWS)
def test_an_alarm_uses_a_metric_as_what_aws_says_it_is(alarm: Alarm, watched: Statistic) -> None:
    documented = AWS_METRICS[watched.metric.namespace, frozenset(watched.metric.dimensions)][watched.metric.name]
    # Events are added up; the sum of a level says nothing.
    assert (watched.statistic == "Sum") == (documented.kind == "events")
    # Metric math may make a reserve of a level, as the time until a volume is full.
    if isinstance(alarm.watches, Statistic):
        assert alarm.comparison.startswith("Less" if documented.kind == "reserve" else "Greater")
    # A metric that comes with an event only: no datum, no event.
    assert alarm.missing_data == ("ignore" if documented.is_steady else "notBreaching")
    if isinstance(alarm.watches, Statistic):
        is_measured = alarm.unit in {"%", "s", "ms", "µs", "bytes", "bytes/s"}
        assert (alarm.unit if is_measured else "count") == documented.unit


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_on_silence_is_evaluated_at_once(name: str) -> None:
    """While data are missing, CloudWatch evaluates older periods too; FILL gives each period a datum."""
    watches, missing_data = ALARMS[name].watches, ALARMS[name].missing_data
    fills = not isinstance(watches, Statistic) and "FILL(" in watches.formula
    assert missing_data in {"notBreaching", "ignore", *(["breaching"] if fills else [])}


@pytest.mark.parametrize(("namespace", "metric"), RECOMMENDED)
def test_an_alarm_that_aws_recommends_has_aws_s_statistic_and_periods(namespace: str, metric: str) -> None:
    ours = [
        (watches.statistic, alarm.period_s, alarm.datapoints_to_alarm or alarm.evaluation_periods)
        for alarm in ALARMS.values()
        if isinstance(watches := alarm.watches, Statistic)
        and (watches.metric.namespace, watches.metric.name) == (namespace, metric)
    ]
    assert set(ours) == {RECOMMENDED[namespace, metric]}


@pytest.mark.parametrize("function", ["status", "refresh", "migrate"])
def test_a_function_is_slow_before_its_time_is_up(prod: Synthesised, function: str) -> None:
    timeout_ms = 1000 * prod.one("aws_lambda_function", f"{function}_function")["timeout"]
    assert timeout_ms / 2 < ALARMS[f"{function}-slow"].threshold < timeout_ms


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_progress_is_stale_when_the_last_refreshes_did_not_come(environment: str) -> None:
    (stale,) = [alarm for alarm in alarms(environment) if alarm.name == "progress-stale"]
    minutes = STALE_AFTER_INTERVALS * settings_of(environment).schedule.refresh_minutes
    assert stale.period_s * stale.evaluation_periods == 60 * minutes
    assert f"for {minutes} minutes" in stale.meaning


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_doctor_judges_by_the_thresholds_of_the_alarms(environment: str) -> None:
    thresholds = asdict(doctor_thresholds(settings_of(environment)))
    thresholds_of_alarms = {alarm.name: alarm.threshold for alarm in alarms(environment)}
    setting = [(record.sets, record.name) for record in RECORDS if record.sets and record.name in thresholds_of_alarms]
    assert len(dict(setting)) == len(setting)
    for field, name in setting:
        assert thresholds[field] == thresholds_of_alarms[name]
    of_the_deployment = {"refresh_interval_s", "slow_statement_ms", "storage_gib"}
    assert {field.name for field in fields(Thresholds)} == dict(setting).keys() | of_the_deployment


def test_the_runbook_s_table_has_the_alarms_as_they_are() -> None:
    """`make runbook` renews it; a review sees each changed threshold there."""
    assert renewed(RUNBOOK.read_text()) == RUNBOOK.read_text()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_periods_are_what_cloudwatch_accepts(environment: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    for alarm in alarms(environment):
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
    assert pages
    assert sorted(outage["alarm_rule"].split(" OR ")) == sorted(pages)
    assert outage["alarm_actions"] == outage["ok_actions"] == ["${aws_sns_topic.topics_page.arn}"]
    assert outage["tags"] == {"severity": "page"}


HOW_TO_GET = re.escape("(the runbook begins with how to get it)")


def test_the_runbook_begins_with_how_to_get_the_first_command() -> None:
    first, second = re.findall(r"^## .*\n(?:(?!## ).*\n)*", RUNBOOK.read_text(), re.MULTILINE)[:2]
    assert first.startswith("## How to get scannerdb\n")
    assert "uv tool install" in first
    assert "--project" in first or "SCANNERDB_PROJECT" in first
    assert second.startswith("## How to get in\n")


def test_every_description_says_what_it_means_links_the_runbook_and_names_the_first_command(stack: Synthesised) -> None:
    alarms = [
        *stack.every("aws_cloudwatch_metric_alarm").values(),
        *stack.every("aws_cloudwatch_composite_alarm").values(),
    ]
    for body in alarms:
        name, text = name_of(stack, body), body["alarm_description"]
        assert len(text) <= 1024
        meaning, _, rest = text.partition(" Runbook: ")
        assert meaning.startswith(f"{body['alarm_name']}: ")
        assert meaning.endswith(".")
        first = rf"scannerdb tunnel -e {stack.folder.name} --direct -- scannerdb doctor {name}"
        dashboard = re.escape(stack.json["output"]["dashboard_url"]["value"])
        assert re.fullmatch(rf"\S+#{name} Dashboard: {dashboard} First {HOW_TO_GET}: {first}", rest), text


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("cn-north-1", "console.amazonaws.cn"),
    ],
)
def test_a_message_links_the_console_of_its_partition(region: str, host: str) -> None:
    settings = settings_of("prod").model_copy(update={"region": region})
    home = f"https://{host}/cloudwatch/home?region={region}#dashboards/dashboard/scanner-database-prod"
    assert f" Dashboard: {home} " in description(settings, OUTAGE)


def test_the_alarms_come_after_the_schedule_that_they_watch_and_need_no_refresh_that_succeeds(
    stack: Synthesised,
) -> None:
    for body in stack.every("aws_cloudwatch_metric_alarm").values():
        assert body["depends_on"] == ["aws_scheduler_schedule.schedule_refresh"]
    kinds = ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm", "aws_cloudwatch_dashboard")
    addresses = [f"{kind}.{name}" for kind in kinds for name in stack.every(kind)]
    for address in addresses:
        needed = stack.needs(address)
        assert "aws_lambda_invocation.first_refresh_invocation" not in needed, address
        # Before it, no datum is there: what pages for missing data would.
        assert f"aws_lambda_invocation.first_refresh_wait_{PROXY_WAITS}" in needed, address


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
        assert section.startswith(f"\n\n```\nscannerdb tunnel -e prod --direct -- scannerdb doctor {name}\n```\n")
    else:
        assert f"`scannerdb doctor {name}`" in section[section.index("**Look**") : section.index("**Do**")]
