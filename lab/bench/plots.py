"""Draws time against objects, with the original guide's figures, and time against the age of a held snapshot."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.bench import guide

# Milliseconds by number of objects, or by the age of a snapshot in seconds.
Series = Mapping[int, float]

OURS, GUIDE, FALLBACK, LIMIT = "#0b6e4f", "#c1440e", "#d9a404", "#8a8a8a"
READ_STYLES = {
    "count, no index": {"color": GUIDE, "marker": "s"},
    "count, composite index": {"color": FALLBACK, "marker": "s"},
    "real-time": {"color": OURS, "marker": "^"},
    "cached": {"color": OURS, "marker": "o"},
    "SELECT 1": {"color": LIMIT, "marker": ".", "linestyle": ":"},
}
REFRESH_STYLES = {
    "the guide's SQL": {"color": GUIDE, "marker": "s"},
    "migration 002's": {"color": FALLBACK, "marker": "s"},
    "ours": {"color": OURS, "marker": "o"},
}


AGE_STYLES = {
    "the same without bounds": {"color": GUIDE, "marker": "s"},
    "exact read": {"color": OURS, "marker": "o"},
}
GOAL_MS = 10


def draw(path: Path, reads: Mapping[str, Series], refreshes: Mapping[str, Series]) -> None:
    """Write both panels as SVG; equal figures give equal bytes.

    Args:
        path: the file to write.
        reads: a series for each name in `READ_STYLES`.
        refreshes: a series for each name in `REFRESH_STYLES`.

    """
    with _figure(path, panels=2) as (left, right):
        _panel(left, "One job's status", reads, READ_STYLES, guide.PUBLISHED_READS_MS)
        published = {"refresh": guide.PUBLISHED_REFRESH_MS}
        _panel(right, "Refresh after 50,000 changes", refreshes, REFRESH_STYLES, published)


def draw_ages(path: Path, ages: Mapping[str, Series]) -> None:
    """Write the 99th percentile of a read against the age of a held snapshot as SVG.

    Args:
        path: the file to write.
        ages: a series for each name in `AGE_STYLES`.

    """
    with _figure(path, panels=1) as (axes,):
        for name, style in AGE_STYLES.items():
            minutes = [age_s / 60 for age_s in ages[name]]
            axes.plot(minutes, list(ages[name].values()), label=name, linewidth=1.6, markersize=4, **style)
        axes.axhline(GOAL_MS, label="goal", color=LIMIT, linestyle=":")
        axes.set(title="Exact read under a held snapshot, p99", yscale="log", xlabel="minutes since the snapshot")
        axes.yaxis.set_major_formatter(lambda value_ms, _: duration(value_ms))
        axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
        axes.legend(fontsize=7.5, ncols=3, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))


@contextmanager
def _figure(path: Path, *, panels: int) -> Iterator[Sequence[Any]]:
    """Yield the axes of a figure, and write it."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, needed at the end only

    mpl.use("svg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    settings: dict[Any, Any] = {
        "svg.hashsalt": "bench",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(1, panels, figsize=(5 * panels, 5), layout="constrained", squeeze=False)
        yield axes[0]
        figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
        plt.close(figure)


def _panel(
    axes: Any,
    title: str,
    measured: Mapping[str, Series],
    styles: Mapping[str, Mapping[str, str]],
    published: Mapping[str, Series],
) -> None:
    for name, style in styles.items():
        axes.plot(list(measured[name]), list(measured[name].values()), label=name, linewidth=1.6, markersize=5, **style)
    hollow = {"color": "black", "linestyle": "--", "linewidth": 1, "markerfacecolor": "white", "markersize": 6}
    for marker, (name, series) in zip("DvX", published.items(), strict=False):
        axes.plot(list(series), list(series.values()), label=f"published: {name}", marker=marker, **hollow)
    axes.set(title=title, xscale="log", yscale="log", xlabel="objects")
    axes.xaxis.set_major_formatter(lambda objects, _: count(objects))
    axes.yaxis.set_major_formatter(lambda value_ms, _: duration(value_ms))
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.legend(fontsize=7.5, ncols=2, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))


def count(objects: float) -> str:
    """Return a number of objects as text, such as `10M`."""
    return f"{objects / 1e6:g}M" if objects >= 1e6 else f"{objects / 1e3:g}K"  # noqa: PLR2004 - a million


def duration(value_ms: float) -> str:
    """Return milliseconds as text in a readable unit, such as `10 s`."""
    return f"{value_ms / 1000:g} s" if value_ms >= 1000 else f"{value_ms:g} ms"  # noqa: PLR2004 - a second
