"""The major versions of PostgreSQL that the migrations, the functions and the command line are tested with."""

SUPPORTED = range(15, 19)


def unsupported(server_version: int) -> str | None:
    """Return why a server of this `server_version_num`, such as 170010, is refused; `None` when it is supported."""
    major = server_version // 10_000
    if major in SUPPORTED:
        return None
    way_out = "upgrade the server first" if major < SUPPORTED.start else "use a newer release of this project"
    return f"PostgreSQL {major} is not supported, {SUPPORTED.start} to {SUPPORTED.stop - 1} are: {way_out}"
