"""A command behind the prefix gets its share of a core and no more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.bench.cpu_share import VERSION_1, NoControlGroupError, cpu_share, measured_share

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    return tmp_path / "missing"


def test_a_busy_process_gets_a_third_of_a_core_and_less_where_the_machine_is_busy() -> None:
    try:
        with cpu_share(1 / 3) as prefix:
            assert 0.1 < measured_share(prefix) < 1 / 3 + 0.03
    except NoControlGroupError as error:
        pytest.skip(str(error))
    assert not (VERSION_1 / f"bench-{os.getpid()}").exists()


def test_a_group_of_the_unified_hierarchy_gets_its_quota_and_period(tmp_path: Path, no_folder: Path) -> None:
    with cpu_share(1 / 4, version_1=no_folder, version_2=tmp_path) as prefix:
        group = tmp_path / f"bench-{os.getpid()}"
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
        assert (group / "cpu.max").read_text() == "5000 20000"
        assert prefix[-1] == str(group / "cgroup.procs")
        (group / "cpu.max").unlink()  # the kernel's own files do not keep it from removing a group


def test_a_machine_without_control_groups_says_so(no_folder: Path) -> None:
    with (
        pytest.raises(NoControlGroupError, match="no control group"),
        cpu_share(1 / 3, version_1=no_folder, version_2=no_folder),
    ):
        pass
