"""Runs commands on a share of one core, in a control group with a CFS quota. Needs Linux and, as a rule, root."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# Short, so that work of some milliseconds is spread as evenly as work of seconds.
PERIOD_US = 20_000
# Version 1 has a folder for each controller, version 2 one for all.
# https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html, https://docs.kernel.org/admin-guide/cgroup-v2.html
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
# Joins the group, then becomes the command.
JOIN = 'echo $$ > "$0" && exec "$@"'
BURN = """
import time
wall, cpu = time.perf_counter(), time.process_time()
while time.process_time() - cpu < 0.3:
    pass
print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


class NoControlGroupError(RuntimeError):
    """A control group with a CPU quota cannot be made here."""


@contextlib.contextmanager
def cpu_share(share: float, *, version_1: Path = VERSION_1, version_2: Path = VERSION_2) -> Iterator[list[str]]:
    """Make a group and yield the beginning of each command that shall run in it.

    Args:
        share: of one core, for all processes of the group together.
        version_1: the folder of the cpu controller.
        version_2: the folder of the unified hierarchy.

    Raises:
        NoControlGroupError: there is no such controller here, or it may not be used.

    """
    quota_us = round(PERIOD_US * share)
    try:
        if (version_1 / "cpu.cfs_quota_us").exists():
            group = version_1 / f"bench-{os.getpid()}"
            group.mkdir()
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (version_2 / "cgroup.subtree_control").write_text("+cpu")
            group = version_2 / f"bench-{os.getpid()}"
            group.mkdir()
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
    except OSError as error:
        raise NoControlGroupError(f"no control group with a CPU quota: {error}") from error
    try:
        yield ["/bin/sh", "-c", JOIN, str(group / "cgroup.procs")]
    finally:
        group.rmdir()


def measured_share(prefix: Sequence[str]) -> float:
    """Return the share of a core that a busy process gets behind a prefix."""
    done = subprocess.run([*prefix, sys.executable, "-c", BURN], capture_output=True, text=True, check=True)
    return float(done.stdout)
