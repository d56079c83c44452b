"""Draws the dashboard from its JSON, with the metrics of a game day: a picture of what CloudWatch would show.

python -m lab.dashboard                              the committed metrics
python -m lab.dashboard build/gameday_metrics.json   those of the last game day
"""

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlers.contract.alarms.model import Metric, Statistic
from lab.gameday import metric_math
from lab.gameday.alarm_state import State
from lab.gameday.metric_store import MetricStore
from lab.gameday.stage import API_ID
from lab.gameday.system import SETTINGS
from stacks import ROOT
from stacks.alarms import catalogue
from stacks.monitoring.dashboard_body import COLUMNS, body
from stacks.monitoring.dashboard_graphs import COLOURS
from stacks.settings import load_settings

RECORDED = ROOT / "lab" / "gameday" / "results" / "metrics.json"
PICTURE = ROOT / "docs" / "dashboard.png"
# More would make the text in a page's column too small to read.
HEADINGS = ("Users", "Progress", "Database")
WIDTH_IN, ROW_IN, GAP = 13.0, 0.36, 0.004
DPI = 110
# Of the console.
LINES = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf")
INK, FAINT, PAPER = "#16191f", "#687078", "#f2f3f3"
STATE_COLOURS: Mapping[State, str] = {"ALARM": "#d62728", "OK": "#2ca02c", "INSUFFICIENT_DATA": "#aab7b8"}

# Of the picture's width.
WIDE = 0.3

Widget = dict[str, Any]
# Left, bottom, width and height, in parts of the picture.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Recording:
    """The metrics of a game day.

    Args:
        store: the data.
        now_s: the end.
        states: of the alarms, at the end.

    """

    store: MetricStore
    now_s: float
    states: Mapping[str, State]

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """Read what a game day has written."""
        recorded = json.loads(path.read_text())
        store = MetricStore()
        store.load(recorded["series"])
        return cls(store, 60.0 * recorded["minutes"], recorded["states"])


@dataclass(frozen=True)
class Line:
    """One line of a graph: its points, in minutes and in the unit of its axis."""

    label: str
    points: Sequence[tuple[float, float]]
    on_the_right: bool


def dashboard(recording: Recording) -> list[Widget]:
    """Return the widgets of a deployment that has this game day's names and thresholds."""
    settings = load_settings(ROOT / "environments" / "local.toml", SETTINGS)
    alarms = catalogue(settings, api_id=API_ID)
    arns = {
        severity: [
            f"arn:aws:cloudwatch:::alarm:{settings.prefix}-{alarm.name}"
            for alarm in alarms
            if alarm.severity == severity and alarm.name in recording.states
        ]
        for severity in ("page", "ticket")
    }
    widgets: list[Widget] = body(settings, api_id=API_ID, page_arns=arns["page"], ticket_arns=arns["ticket"])["widgets"]
    return widgets


def lines(widget: Widget, recording: Recording) -> list[Line]:
    """Return the lines of a graph or number; none where the game day publishes nothing that it draws."""
    found: dict[str, list[float | None]] = {}
    drawn: list[tuple[dict[str, Any], list[float | None]]] = []
    # What a formula names stands behind it.
    for entry in reversed(widget["properties"]["metrics"]):
        options = entry[-1]
        series = _statistic(entry, recording) if isinstance(entry[0], str) else _formula(options, found)
        found[options.get("id", "")] = series
        if options.get("visible", True):
            drawn.insert(0, (options, series))
    return [
        Line(options["label"], points, options.get("yAxis") == "right")
        for options, series in drawn
        if (points := list(_points(series, options["period"], recording.now_s)))
    ]


def _statistic(entry: Sequence[Any], recording: Recording) -> list[float | None]:
    namespace, name, *pairs, options = entry
    dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
    metric = Metric(namespace=namespace, name=name, dimensions=dimensions)
    watched, period_s = Statistic(metric=metric, statistic=options["stat"]), options["period"]
    count = math.ceil(recording.now_s / period_s)
    return recording.store.series(watched, period_s=period_s, periods=count, now_s=recording.now_s)


def _formula(options: Mapping[str, Any], found: Mapping[str, list[float | None]]) -> list[float | None]:
    formula = options["expression"]
    if formula.startswith("SELECT"):
        return []  # a query over metrics that nothing publishes on a game day
    inputs = {id_: series for id_, series in found.items() if id_ in re.findall(r"[a-z]\w*", formula)}
    return metric_math.evaluate(formula, inputs, period_s=options["period"])


def _points(series: Sequence[float | None], period_s: float, now_s: float) -> Iterator[tuple[float, float]]:
    for number, value in enumerate(reversed(series)):
        if value is not None:
            yield (now_s - number * period_s) / 60, value


def chosen(widgets: Sequence[Widget], recording: Recording, headings: Sequence[str]) -> list[Widget]:
    """Return the widgets above the first section, and of these sections the rows with what pages, moved together.

    Rows of which the game day publishes nothing are left out.
    """
    kept: list[list[Widget]] = []
    wanted = True
    for y in sorted({widget["y"] for widget in widgets}):
        row = [widget for widget in widgets if widget["y"] == y]
        markdown = row[0]["properties"].get("markdown", "")
        if markdown.startswith("## "):
            wanted = markdown.removeprefix("## ").startswith(tuple(headings))
        is_empty = all(
            each["type"] == "log" or (each["type"] == "metric" and not lines(each, recording)) for each in row
        )
        pages = any(COLOURS["page"] in _colours(each) for each in row)
        if wanted and not is_empty and (pages or not any("yAxis" in each["properties"] for each in row)):
            kept.append(row)
    moved, y = [], 0
    for row in kept:
        # The links of the header are of no use in a picture.
        height = 1 if row[0]["type"] == "text" else row[0]["height"]
        moved += [{**widget, "y": y, "height": height} for widget in row]
        y += height
    return moved


def _colours(widget: Widget) -> set[str]:
    lines_ = widget["properties"].get("annotations", {}).get("horizontal", [])
    return {line["color"] for line in lines_}


def draw(path: Path, recording: Recording, headings: Sequence[str] = HEADINGS) -> None:
    """Draw the upper part of the dashboard and these sections into a PNG."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, needed here only

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    widgets = chosen(dashboard(recording), recording, headings)
    rows = max(widget["y"] + widget["height"] for widget in widgets)
    with mpl.rc_context({"font.family": "sans-serif", "font.size": 8, "axes.edgecolor": "#d5dbdb"}):
        figure = plt.figure(figsize=(WIDTH_IN, rows * ROW_IN), facecolor=PAPER)
        for widget in widgets:
            left, width = widget["x"] / COLUMNS, widget["width"] / COLUMNS
            bottom, height = 1 - (widget["y"] + widget["height"]) / rows, widget["height"] / rows
            gap_y = GAP * WIDTH_IN / (rows * ROW_IN)
            box = (left + GAP, bottom + gap_y, width - 2 * GAP, height - 2 * gap_y)
            _widget(figure, box, widget, recording)
        figure.savefig(path, dpi=DPI, metadata={"Software": None})
        plt.close(figure)


def _widget(figure: Any, box: Box, widget: Widget, recording: Recording) -> None:
    left, bottom, _, height = box
    if widget["type"] == "text":
        heading = widget["properties"]["markdown"].splitlines()[0].lstrip("# ")
        figure.text(left + 0.004, bottom + height / 2, heading, size=11, weight="bold", va="center", color=INK)
        return
    card = figure.add_axes(box, facecolor="white", xticks=[], yticks=[])
    properties = widget["properties"]
    inch = 1 / (figure.get_figheight() * height)  # of this card's height
    card.text(0.012 * 24 / widget["width"], 1 - 0.14 * inch, properties["title"], size=9, color=INK, va="center")
    if widget["type"] == "alarm":
        _alarms(card, properties["alarms"], recording, inch)
    elif properties["view"] == "singleValue":
        _number(figure, box, card, lines(widget, recording))
    else:
        _graph(figure, box, properties, lines(widget, recording), recording.now_s / 60)


def _alarms(card: Any, arns: Sequence[str], recording: Recording, inch: float) -> None:
    """Draw the alarms as boxes, those that ring first."""
    names = [arn.rpartition(":")[2].partition("-local-")[2] for arn in arns]
    states = sorted(((recording.states[name], name) for name in names), key=lambda each: each[0] != "ALARM")
    columns = 6
    count = math.ceil(len(states) / columns)
    room = 1 - 0.3 * inch
    for number, (state, name) in enumerate(states):
        x, y = (number % columns) / columns, room * (1 - (number // columns + 0.5) / count)
        card.text(x + 0.014, y, "■", color=STATE_COLOURS[state], size=10, va="center")
        card.text(x + 0.028, y, name, color=INK if state != "INSUFFICIENT_DATA" else FAINT, size=8, va="center")


def _number(figure: Any, box: Box, card: Any, drawn: Sequence[Line]) -> None:
    if not drawn:
        card.text(0.5, 0.4, "no data", color=FAINT, ha="center")
        return
    (line,) = drawn
    newest = line.points[0][1]
    shown = f"{newest:,.0f}" if newest >= 100 or newest == round(newest) else f"{newest:.1f}"  # noqa: PLR2004
    card.text(0.06, 0.45, shown, size=24, color=INK, va="center")
    card.text(0.06, 0.12, line.label, size=7.5, color=FAINT, va="center")
    left, bottom, width, height = box
    spark = figure.add_axes((left + 0.5 * width, bottom + 0.26 * height, 0.46 * width, 0.42 * height))
    spark.plot(*zip(*line.points, strict=True), color=LINES[0], linewidth=1)
    spark.set_ylim(bottom=0)
    spark.set_axis_off()


def _graph(figure: Any, box: Box, properties: Widget, drawn: Sequence[Line], last_minute: float) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    left, bottom, width, height = box
    is_wide = width > WIDE
    inch_x, inch_y = 1 / WIDTH_IN, 1 / figure.get_figheight()
    right = any(line.on_the_right for line in drawn)
    plot = figure.add_axes(
        (
            left + 0.42 * inch_x,
            bottom + 0.54 * inch_y,
            width - (0.9 if right else 0.68) * inch_x,
            height - 0.86 * inch_y,
        )
    )
    other = plot.twinx() if right else None
    for number, line in enumerate(drawn):
        axes = other if line.on_the_right and other is not None else plot
        axes.plot(*zip(*line.points, strict=True), color=LINES[number % len(LINES)], linewidth=1.1, label=line.label)
    shown = [*properties["annotations"]["horizontal"]]
    limits = properties["yAxis"]["left"]
    largest = max([value for line in drawn if not line.on_the_right for _, value in line.points], default=0)
    top = limits.get("max") or 1.15 * max([largest, *(each["value"] for each in shown)], default=1)
    plot.set_ylim(limits["min"], top or 1)
    for each in shown:
        plot.axhline(each["value"], color=each["color"], linewidth=1)
        above = each["value"] < 0.85 * top
        plot.annotate(
            each["label"],
            (0.995, each["value"]),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2 if above else -2),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
            size=6.5,
            color=each["color"],
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )
    for axes in filter(None, (plot, other)):
        axes.tick_params(labelsize=6.5, length=0, colors=FAINT)
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    if other is not None:
        other.set_ylim(bottom=0)
    plot.set_xlim(0, last_minute)
    plot.xaxis.set_major_locator(MaxNLocator(6 if is_wide else 3, integer=True))
    plot.xaxis.set_major_formatter(lambda minute, _: f"{minute:.0f} min")
    plot.grid(axis="y", color="#eaeded", linewidth=0.6)
    if not drawn:
        plot.text(0.5, 0.5, "nothing publishes this on a game day", transform=plot.transAxes, color=FAINT, ha="center")
        return
    handles = [handle for axes in filter(None, (plot, other)) for handle in axes.get_legend_handles_labels()[0]]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(left + 0.1 * inch_x, bottom),
        ncols=6 if is_wide else 2,
        fontsize=6.5,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        labelcolor=INK,
    )


def _short(value: float) -> str:
    """Return a tick, such as `1.5K` or `200K`."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def main() -> None:
    """Draw the picture of README."""
    parser = argparse.ArgumentParser(prog="python -m lab.dashboard", description="Draw the dashboard.")
    parser.add_argument("metrics", nargs="?", type=Path, default=RECORDED, help="of a game day")
    parser.add_argument("--to", type=Path, default=PICTURE, help="the picture (docs/dashboard.png)")
    arguments = parser.parse_args()
    draw(arguments.to, Recording.read(arguments.metrics))


if __name__ == "__main__":
    main()
