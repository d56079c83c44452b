"""Named queries: a line `-- name: some_name`, a line on its purpose, the statement."""

from pathlib import Path

_MARK = "-- name: "


def load_queries(path: Path) -> dict[str, str]:
    """Read the named queries of one file.

    Args:
        path: an `.sql` file in which each query begins with a line `-- name: <name>`.

    Returns:
        The text of each query by its name.

    """
    queries: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_MARK):
            name = line.removeprefix(_MARK).strip()
            queries[name] = []
        elif name and not line.startswith("--"):
            queries[name].append(line)
    return {name: "\n".join(lines).strip().removesuffix(";") for name, lines in queries.items()}
