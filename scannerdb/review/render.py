"""Renders the sections for a terminal, as Markdown for a pull request, and as JSON for programs."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from scannerdb.review.comments import cut
from scannerdb.review.document import counts, heading, sections
from scannerdb.review.lines import Code, Diff, Item, Section, TextLine
from scannerdb.review.review import Review

_SIGNS = {"red": "🔴", "yellow": "🟡", "green": "🟢", "plain": ""}
# What a line of a diff looks like on a terminal.
_STYLES = {"+": "green", "-": "red", "@": "dim"}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~@])")


def print_review(review: Review, console: Console) -> None:
    """Print the review on a terminal."""
    tone, title = heading(review)
    console.print(Text(title, style=f"bold {tone}"))
    console.print(Text(f"Planned against {review.against}: {counts(review)}."), soft_wrap=True)
    for section in sections(review):
        console.print()
        console.print(Text(section.title, style="bold" if section.tone == "plain" else f"bold {section.tone}"))
        for item in section.items:
            console.print(_text(item.line, indent=2), soft_wrap=True)
            for line in item.details:
                console.print(_text(line, indent=6), soft_wrap=True)
            for diff in item.diffs:
                console.print(Text(f"      {diff.title}:"), soft_wrap=True)
                for each in diff.lines:
                    console.print(Text(f"        {each}", style=_STYLES.get(each[:1], "")), soft_wrap=True)


def markdown(review: Review) -> str:
    """Return the summary for a comment; by the marker in its first line a later run replaces the comment."""
    tone, title = heading(review)
    told = f"Planned against {_escape(review.against)}: {counts(review)}."
    parts = [f"{_marker(review.environment)}\n## {_SIGNS[tone]} {_escape(title)}\n\n{told}\n"]
    parts += map(_markdown, sections(review))
    return cut("\n".join(parts))


def no_plan(environment: str, why: str) -> str:
    """Return the summary when planning failed."""
    told = "\n".join(f"    {line}" for line in why.splitlines())
    return cut(f"{_marker(environment)}\n## {_SIGNS['red']} {_escape(environment)}: no plan\n\n{told}\n")


def _marker(environment: str) -> str:
    return f"<!-- plan-review:{environment} -->"


def to_json(review: Review) -> str:
    """Return the summary as JSON; secrets of the plan are left out."""
    tone, title = heading(review)
    fields = {
        "environment": review.environment,
        "verdict": tone,
        "title": title,
        "empty": review.is_empty,
        "problems": review.problems,
        "counts": {action.name.lower(): len(review.having(action)) for action in {c.action for c in review.changes}},
        "sections": [
            {"title": section.title, "items": [_plain(item) for item in section.items]} for section in sections(review)
        ],
    }
    return json.dumps(fields, indent=2, sort_keys=True)


def _text(line: TextLine, *, indent: int) -> Text:
    text = Text(" " * indent)
    for part in line:
        text.append(part, style="cyan" if isinstance(part, Code) else "")
    return text


def _markdown(section: Section) -> str:
    title = f"{_SIGNS[section.tone]} {section.title}".strip()
    items = "\n".join(line for item in section.items for line in _list(item))
    if section.folded:
        return f"<details><summary>{title}</summary>\n\n{items}\n\n</details>\n"
    return f"### {title}\n\n{items}\n"


def _list(item: Item) -> Iterator[str]:
    yield f"- {_inline(item.line)}"
    for line in item.details:
        yield f"  - {_inline(line)}"
    for diff in item.diffs:
        yield from (f"  {line}".rstrip() for line in _collapsed(diff))


def _collapsed(diff: Diff) -> Iterator[str]:
    fence = "`" * max([3, *(len(run) + 1 for line in diff.lines for run in re.findall("`+", line))])
    yield from ("", f"<details><summary>{html.escape(diff.title)}</summary>", "", f"{fence}diff")
    yield from (" ".join(line.splitlines()) for line in diff.lines)
    yield from (fence, "", "</details>")


def _inline(line: TextLine) -> str:
    return "".join(_code(part) if isinstance(part, Code) else _escape(part) for part in line)


def _code(text: str) -> str:
    """Return a code span on one line, whose fence is longer than any run of backticks inside."""
    text = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}" if text else ""


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", re.sub(r"\s+", " ", text))


def _plain(item: Item) -> dict[str, Any]:
    diffs = {"diffs": [{"title": diff.title, "lines": diff.lines} for diff in item.diffs]} if item.diffs else {}
    return {"text": "".join(item.line), "details": ["".join(line) for line in item.details], **diffs}
