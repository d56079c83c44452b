"""The dashboard: every metric on it exists, every alarm is explained on it, and everything has its place."""

from __future__ import annotations

import itertools
import json
import re
import urllib.parse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from handlers import refresh
from handlers.contract.alarms import RECORDS
from handlers.contract.alarms.cluster import CLUSTER
from handlers.contract.alarms.metrics import database_metric
from handlers.contract.alarms.model import Alarm, AlarmRecord, Statistic
from stacks import ROOT
from stacks.alarms import catalogue, facts
from stacks.monitoring.widgets import GRAPHS_IN_A_ROW, sections
from stacks.monitoring.widgets import database as database_widgets
from stacks.monitoring.widgets.model import Graph
from stacks.settings import load_settings
from tests.support.aws_metrics import AWS_METRICS
from tests.support.invocations import Context, emitted
from tests.support.real_refresh import ACTIONS, connect_refresh
from tests.support.synthesis import API_ID, ENVIRONMENTS, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.database import TestDatabase
    from tests.support.synthesis import Synthesised

COLUMNS = 24
HEADINGS = ("Users", "Progress", "Functions", "Proxy", "Database", "Disk", "Statements", "Messages")


def widgets(stack: Synthesised, kind: str | None = None) -> list[dict[str, Any]]:
    every = json.loads(stack.one("aws_cloudwatch_dashboard")["dashboard_body"])["widgets"]
    return [widget for widget in every if kind in {None, widget["type"]}]


def series(widget: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str], dict[str, Any]]]:
    """Yield namespace, name, dimensions and options of each metric of a graph that names its metrics."""
    for entry in widget["properties"]["metrics"]:
        if isinstance(entry[0], str):
            namespace, name, *dimensions, options = entry
            yield namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True)), options


def expressions(widget: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry[0] for entry in widget["properties"]["metrics"] if isinstance(entry[0], dict)]


def alarms(environment: str) -> list[Alarm]:
    settings = load_settings(ROOT / "environments" / f"{environment}.toml", {})
    return list(catalogue(settings, api_id=API_ID))


@pytest.fixture
def refresh_metrics(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> set[str]:
    """The names of all metrics that `refresh` emits, whatever it is told to do and whatever happens."""
    connect_refresh(database, monkeypatch)
    names: set[str] = set()
    for action in ACTIONS:
        refresh.handler({"action": action}, Context())
        names |= emitted(capsys).keys()
    other = database.connect("progress_refresher")
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("SELECT refresh_job_progress()")
    refresh.handler({}, Context())
    other.close()
    return names | emitted(capsys).keys()


def test_every_metric_of_ours_on_the_dashboard_is_one_that_refresh_emits_or_a_filter_makes(
    stacks: dict[str, Synthesised], refresh_metrics: set[str]
) -> None:
    for environment, stack in stacks.items():
        filters = stack.every("aws_cloudwatch_log_metric_filter").values()
        made = {(each["metric_transformation"]["namespace"], each["metric_transformation"]["name"]) for each in filters}
        service = stack.one("aws_lambda_function", "refresh_function")["environment"]["variables"]
        shown = [each for widget in widgets(stack, "metric") for each in series(widget)]
        ours = [each for each in shown if each[0].startswith("ScannerDatabase")]
        assert {(namespace, name) for namespace, name, *_ in ours if namespace != "ScannerDatabase"} == made
        assert made == {(f"ScannerDatabase/{environment}", name) for _, name in made}
        for namespace, name, dimensions, _ in ours:
            if namespace == "ScannerDatabase":
                assert name in refresh_metrics
                assert dimensions == {"service": service["POWERTOOLS_SERVICE_NAME"]}
            else:
                assert dimensions == {}


def test_every_metric_that_refresh_emits_is_on_the_dashboard(prod: Synthesised, refresh_metrics: set[str]) -> None:
    shown = {
        name for widget in widgets(prod, "metric") for namespace, name, *_ in series(widget) if "/" not in namespace
    }
    assert refresh_metrics - shown == set()


def test_every_metric_of_aws_on_the_dashboard_is_one_that_aws_documents(stack: Synthesised) -> None:
    for widget in widgets(stack, "metric"):
        for namespace, name, dimensions, _ in series(widget):
            if namespace.startswith("AWS/"):
                documented = AWS_METRICS[namespace, frozenset(dimensions)]
                assert name in documented, (widget["properties"]["title"], name)


def test_every_query_on_the_dashboard_names_a_metric_that_aws_documents(stack: Synthesised) -> None:
    queries = [each["expression"] for widget in widgets(stack, "metric") for each in expressions(widget)]
    queries = [query for query in queries if query.startswith("SELECT")]
    assert len(queries) == 2
    for query in queries:
        found = re.fullmatch(
            r'SELECT SUM\((\w+)\) FROM SCHEMA\("([\w/]+)", ([\w, ]+)\) WHERE ProxyName = \'\S+\'', query
        )
        assert found
        assert found[1] in AWS_METRICS[found[2], frozenset(found[3].split(", "))]


def test_every_dimension_on_the_dashboard_is_something_that_is_deployed(stack: Synthesised) -> None:
    deployed = {
        "ApiId": {API_ID},
        "FunctionName": {body["function_name"] for body in stack.every("aws_lambda_function").values()},
        "ScheduleGroup": {stack.one("aws_scheduler_schedule_group")["name"]},
        "TopicName": {body["name"] for body in stack.every("aws_sns_topic").values()},
        "DBInstanceIdentifier": {stack.one("aws_db_instance")["identifier"]},
        "ProxyName": {stack.one("aws_db_proxy")["name"]},
        "TargetGroup": {"default"},
        "TargetRole": {"READ_WRITE"},
    }
    for widget in widgets(stack, "metric"):
        for namespace, _, dimensions, _ in series(widget):
            if namespace.startswith("AWS/"):
                for name, value in dimensions.items():
                    assert value in deployed[name]


def graphs(stack: Synthesised) -> list[dict[str, Any]]:
    return [each for each in widgets(stack, "metric") if each["properties"]["view"] == "timeSeries"]


def explained(annotation: dict[str, Any]) -> list[str]:
    """Return the names in the label of a threshold, such as `a, b ≥ 10 %`."""
    return re.split(r" [<≥] ", annotation["label"])[0].split(", ")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alarm_is_drawn_as_it_compares_and_beside_it_its_threshold(
    stacks: dict[str, Synthesised], environment: str
) -> None:
    drawn = []
    for widget in graphs(stacks[environment]):
        for annotation in widget["properties"]["annotations"]["horizontal"]:
            names = explained(annotation)
            drawn += [(alarm, annotation, widget) for alarm in alarms(environment) if alarm.name in names]
    assert sorted(alarm.name for alarm, *_ in drawn) == sorted(alarm.name for alarm in alarms(environment))
    for alarm, annotation, widget in drawn:
        divisor = {"ms": 1000, "µs": 1_000_000, "bytes": 1024**3}.get(alarm.unit, 1)
        assert annotation["value"] * divisor == pytest.approx(alarm.threshold)
        assert annotation["color"] == {"page": "#d62728", "ticket": "#ff7f0e"}[alarm.severity]
        shown = {each["expression"]: each for each in expressions(widget)}
        if isinstance(alarm.watches, Statistic):
            wanted = [("", alarm.watches)]
        else:
            assert alarm.watches.formula in shown
            wanted = list(alarm.watches.inputs.items())
        for id_, watched in wanted:
            found = [
                options
                for namespace, name, dimensions, options in series(widget)
                if (namespace, name, dimensions)
                == (watched.metric.namespace, watched.metric.name, watched.metric.dimensions)
                and (options["stat"], options["period"]) == (watched.statistic, alarm.period_s)
                and id_ in {"", options.get("id")}
            ]
            assert len(found) == 1, alarm.name
            # What a formula is made of is not drawn; what is drawn is on the threshold's axis.
            assert found[0].get("visible", True) == (not id_ and divisor == 1)
            if divisor != 1:
                assert f"{found[0]['id']} / {divisor}" in shown
            assert "yAxis" not in found[0]


def test_a_threshold_that_alarms_share_is_one_line(stack: Synthesised) -> None:
    for widget in graphs(stack):
        lines = widget["properties"]["annotations"]["horizontal"]
        assert len({line["value"] for line in lines}) == len(lines), widget["properties"]["title"]
    (errors,) = [each for each in graphs(stack) if each["properties"]["title"] == "Errors"]
    (line,) = errors["properties"]["annotations"]["horizontal"]
    assert line["label"] == "status-failing, refresh-failing, migration-failed ≥ 1 errors"


def test_axes_begin_at_0_and_those_of_percents_end_at_100(stack: Synthesised) -> None:
    for widget in graphs(stack):
        axes = widget["properties"]["yAxis"]
        assert (axes["left"]["min"], axes["right"]["min"]) == (0, 0)
        assert axes["left"].get("max") == (100 if "%" in widget["properties"]["title"] else None)


def test_no_value_is_drawn_in_bytes_in_milliseconds_or_in_microseconds(stack: Synthesised) -> None:
    for widget in widgets(stack, "metric"):
        title = widget["properties"]["title"]
        assert not re.search(r"\b(ms|µs|bytes)\b", title, re.IGNORECASE), title
    (memory,) = [each for each in graphs(stack) if each["properties"]["title"] == "Memory, GiB"]
    assert [each["expression"] for each in expressions(memory)] == ["raw1 / 1073741824", "raw2 / 1073741824"]


def test_legends_are_short_and_tell_the_lines_of_a_graph_apart(stack: Synthesised) -> None:
    for widget in graphs(stack):
        labels = [options["label"] for *_, options in series(widget) if options.get("visible", True)]
        labels += [each["label"] for each in expressions(widget)]
        assert len(set(labels)) == len(labels), widget["properties"]["title"]
        # With the title above it, a label needs not name the metric again.
        assert all(label and len(label) <= 60 for label in labels)
    legends = {
        each["properties"]["title"]: [options["label"] for *_, options in series(each) if "label" in options]
        for each in graphs(stack)
    }
    assert legends["Errors"] == ["status", "refresh", "migrate", "doctor"]


def test_the_first_row_says_at_a_glance_whether_it_is_fresh_answers_and_has_room(stack: Synthesised) -> None:
    first = [each for each in widgets(stack) if each["y"] == 0]
    assert [each["properties"]["title"] for each in first] == [
        "Age of progress, s",
        "5xx in 5 minutes",
        "Connections in use, %",
        "Free disk, GiB",
        "Longest wait for a lock, s",
    ]
    assert {each["properties"]["view"] for each in first} == {"singleValue"}
    assert sum(each["width"] for each in first) == COLUMNS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_pages_is_twice_as_wide_as_what_stands_beside_it(stacks: dict[str, Synthesised], environment: str) -> None:
    pages = {alarm.name for alarm in alarms(environment) if alarm.severity == "page"}
    by_row: dict[int, list[tuple[bool, int]]] = {}
    for widget in graphs(stacks[environment]):
        lines = widget["properties"]["annotations"]["horizontal"]
        pages_here = any(name in pages for line in lines for name in explained(line))
        by_row.setdefault(widget["y"], []).append((pages_here, widget["width"]))
    assert sum(pages_here for row in by_row.values() for pages_here, _ in row) == len(pages)
    for row in by_row.values():
        wide = [width for pages_here, width in row if pages_here]
        narrow = [width for pages_here, width in row if not pages_here]
        assert all(width >= COLUMNS // 2 for width in wide)
        assert not wide or not narrow or min(wide) >= 2 * max(narrow)


def test_ids_of_metric_math_are_allowed_and_unique_in_a_graph(stack: Synthesised) -> None:
    for widget in widgets(stack, "metric"):
        ids = [options["id"] for *_, options in series(widget) if "id" in options]
        ids += [each["id"] for each in expressions(widget)]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z]\w*", id_) for id_ in ids)


def test_the_states_of_all_alarms_are_shown_those_that_page_first(stack: Synthesised) -> None:
    every = stack.every("aws_cloudwatch_metric_alarm")
    by_severity = {
        severity: [
            f"${{aws_cloudwatch_metric_alarm.{name}.arn}}"
            for name, body in every.items()
            if body["tags"]["severity"] == severity
        ]
        for severity in ("page", "ticket")
    }
    pages, tickets = (widget["properties"]["alarms"] for widget in widgets(stack, "alarm"))
    assert sorted(pages) == sorted(["${aws_cloudwatch_composite_alarm.alarms_outage.arn}", *by_severity["page"]])
    assert sorted(tickets) == sorted(by_severity["ticket"])
    assert len(tickets) <= 100  # as many as the widget takes


def test_it_reads_as_the_on_call_thinks(stack: Synthesised) -> None:
    texts = [widget["properties"]["markdown"] for widget in widgets(stack, "text")]
    assert texts[0].startswith("# scanner-database-")
    assert tuple(re.split(r"\W", text.removeprefix("## "))[0] for text in texts[1:]) == HEADINGS
    assert [widget["y"] for widget in widgets(stack)] == sorted(widget["y"] for widget in widgets(stack))


def test_everything_fits_into_24_columns_and_nothing_overlaps(stack: Synthesised) -> None:
    places = [(each["x"], each["y"], each["width"], each["height"]) for each in widgets(stack)]
    assert all(x >= 0 and width > 0 and x + width <= COLUMNS for x, _, width, _ in places)
    cells = [
        (column, row)
        for x, y, width, height in places
        for column, row in itertools.product(range(x, x + width), range(y, y + height))
    ]
    assert len(set(cells)) == len(cells)
    # And no row is left empty.
    assert {row for _, row in cells} == set(range(max(row for _, row in cells) + 1))


def test_the_header_links_the_runbook_and_asks_every_saved_query_where_it_is_saved_for(stack: Synthesised) -> None:
    header = widgets(stack, "text")[0]["properties"]["markdown"]
    links = dict(re.findall(r"\[([^]]+)\]\(([^)]*)\)", header))
    if stack.folder.name == "prod":
        assert links.pop("runbook").startswith("https://")
    else:
        assert "`docs/runbook.md`" in header
    saved = {body["name"].partition("/")[2]: body for body in stack.every("aws_cloudwatch_query_definition").values()}
    assert links.keys() == saved.keys()
    for name, link in links.items():
        address, _, fragment = link.partition("#")
        assert address == "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1"
        # As the console reads it: two escapes, then JSURL.
        page, _, state = urllib.parse.unquote(fragment.replace("$", "%")).partition("?queryDetail=")
        assert page == "logsV2:logs-insights"
        texts = {
            key: re.sub(r"\*([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), value)
            for key, value in re.findall(r"(\w*)~'([^~)]*)", urllib.parse.unquote(state))
        }
        assert texts["editorString"] == saved[name]["query_string"]
        sources = re.search(r"source~\((.*)\)\)$", urllib.parse.unquote(state))
        assert sources
        groups = [each.replace("*2F", "/") for each in re.findall(r"~'([^~)]*)", f"{sources[1]})")]
        assert groups == saved[name]["log_group_names"]


def test_the_slowest_statements_are_a_table_of_the_saved_query(stack: Synthesised) -> None:
    (table,) = widgets(stack, "log")
    saved = stack.one("aws_cloudwatch_query_definition", "saved_queries_slowest_statements")
    (group,) = saved["log_group_names"]
    assert table["properties"]["query"] == f"SOURCE '{group}' | {saved['query_string']}"


def test_the_output_is_the_dashboard_s_address(prod: Synthesised) -> None:
    name = prod.one("aws_cloudwatch_dashboard")["dashboard_name"]
    region = "eu-central-1"
    address = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
    assert prod.json["output"]["dashboard_url"]["value"] == address


def test_no_alarm_is_named_on_the_dashboard_that_is_not_deployed(stack: Synthesised) -> None:
    deployed = {name_of(stack, body) for body in stack.every("aws_cloudwatch_metric_alarm").values()}
    for widget in graphs(stack):
        for annotation in widget["properties"]["annotations"]["horizontal"]:
            assert set(explained(annotation)) <= deployed | {"timeout", "allowed"}


SETTINGS = load_settings(ROOT / "environments" / "dev.toml", {})


def test_every_alarm_belongs_to_a_section() -> None:
    records = [each for section in sections(SETTINGS, facts(SETTINGS), catalogue(SETTINGS)) for each in section.records]
    of_a_cluster = {record.name for record in CLUSTER}
    assert sorted(record.name for record in records) == sorted(
        record.name for record in RECORDS if record.name not in of_a_cluster
    )


def test_an_alarm_that_no_graph_names_gets_one_of_its_own_at_the_end_of_its_section(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swap = AlarmRecord(
        name="database-swap",
        watches=Statistic(metric=database_metric("SwapUsage"), statistic="Maximum"),
        period_s=60,
        threshold=1,
        unit="bytes",
        missing_data="ignore",
        severity="ticket",
        meaning="It swaps.",
        checks=("connection",),
    )
    new = tuple(replace(swap, name=f"database-swap-{number}") for number in range(GRAPHS_IN_A_ROW + 1))
    monkeypatch.setattr(database_widgets, "INSTANCE", (*database_widgets.INSTANCE, *new))
    deployment = facts(SETTINGS)
    alarms_ = (*catalogue(SETTINGS), *(record.of(deployment) for record in new))
    shown = {section.heading: section for section in sections(SETTINGS, deployment, alarms_)}
    rows = shown["Database"].rows
    graphs = [Graph(title="SwapUsage, GiB", alarms=(record.name,)) for record in new]
    assert [widget for row in rows for widget in row][-len(new) :] == graphs
    assert max(map(len, rows)) == GRAPHS_IN_A_ROW
