"""Cuts a comment to the length that GitHub accepts."""

# GitHub refuses the body of a comment or of an issue with more characters: "Body is too long (maximum is 65536
# characters)". The rest is for the line that a workflow adds.
LONGEST_COMMENT = 65_536 - 536
_REST = "\n\nThe rest did not fit into a comment of GitHub; the job's log has all of it.\n"
# For the ends of a diff and of two collapsed blocks.
_CLOSERS = 100
# A longer line is cut itself, so that one line does not take all with it.
_LONGEST_LINE = 10_000


def cut(text: str) -> str:
    """Return a Markdown text that fits into a comment: cut at a line's end, with a sentence that says so."""
    if len(text) <= LONGEST_COMMENT:
        return text
    kept = text[: LONGEST_COMMENT - len(_REST) - _CLOSERS]
    whole_lines = kept.rpartition("\n")[0]
    if len(kept) - len(whole_lines) <= _LONGEST_LINE:
        kept = whole_lines
    return f"{kept}{''.join(_closers(kept))}{_REST}"


def _closers(text: str) -> list[str]:
    """Return the ends of the blocks that are open at the end of a text, the innermost first."""
    open_blocks: list[str] = []
    for line in text.splitlines():
        content = line.lstrip(" ")
        indent = line[: len(line) - len(content)]
        if len(indent) > 3:  # noqa: PLR2004 - by CommonMark four spaces are code, and no block begins in it
            continue
        in_fence = bool(open_blocks) and open_blocks[-1].lstrip().startswith("```")
        if in_fence:
            if content == open_blocks[-1].lstrip():
                open_blocks.pop()
        elif content.startswith("```"):
            open_blocks.append(indent + "`" * (len(content) - len(content.lstrip("`"))))
        elif content.startswith("<details>"):
            open_blocks.append(f"{indent}</details>")
        elif content == "</details>" and open_blocks:
            open_blocks.pop()
    return [f"\n{end}\n" for end in reversed(open_blocks)]
