"""The emulated Lambda, with nothing around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.emulator.lambda_runtime import LambdaRuntime


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[LambdaRuntime]:
    runtime = LambdaRuntime(directory=tmp_path / "functions", logs=tmp_path / "logs", environment={})
    yield runtime
    runtime.stop()
