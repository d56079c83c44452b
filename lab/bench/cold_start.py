"""Times cold starts: first import to first answer, in a fresh interpreter, with the functions' package as shipped.

The package has no bytecode and Lambda's file system is read-only, so Python compiles it on each cold start. boto3 comes
from the runtime (here from this environment) with its bytecode. Both hold for every way that is measured.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from handlers.contract import metrics, variables
from handlers.contract.events import ReleaseEvent
from lab.bench.answers import Answer, Goal, milliseconds
from lab.bench.cpu_share import NoControlGroupError, cpu_share, measured_share
from lab.bench.dataset import Dataset
from lab.bench.poller_client import event
from lab.bench.samples import Spread, short
from lab.bench.steps import Say
from lab.embedded_postgres import ADMIN_USER
from scannerdb.review.emulator import empty_emulator
from stacks.assets.package import Package, build_function_package

FIRST_ANSWER = Path(__file__).with_name("first_answer.py")
REGION = "us-east-1"
GOAL = Goal("at most", 0.5)
# What 512 MiB of Lambda have, nearly: "at 1,769 MB, a function has the equivalent of one vCPU".
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
SHARE = 1 / 3
ENTRIES = ("status", "refresh", "migrate")
PLAIN = "plain"
# Writes the bytecode of the runtime's packages that are used.
COMPILE_RUNTIME = (
    "import boto3; [boto3.client(name, region_name='us-east-1') for name in ('rds', 's3', 'secretsmanager')]"
)
HEAVY_MS = 10.0


@dataclass(frozen=True, kw_only=True)
class ColdStarts:
    """Cold starts of one way: milliseconds to the first answer, also by part, and peak memory in KiB of each."""

    taken_ms: tuple[float, ...]
    parts_ms: dict[str, tuple[float, ...]]
    peak_kib: tuple[int, ...]

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]]) -> Self:
        """Collect what the processes printed."""
        return cls(
            taken_ms=tuple(each["taken_ms"] for each in results),
            parts_ms={part: tuple(each["parts_ms"][part] for each in results) for part in results[0]["parts_ms"]},
            peak_kib=tuple(each["peak_kib"] for each in results),
        )


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Cold starts on a share of a core, and the share that a busy process got there."""

    share: float
    starts: dict[str, ColdStarts]


@dataclass(frozen=True)
class Import:
    """How long one module took to import, by itself and with everything that it imports."""

    module: str
    self_ms: float
    total_ms: float


class Cold:
    """The functions' package unpacked; starts each way with its event and environment.

    `prefix` is the beginning of each command.
    """

    def __init__(self, dataset: Dataset, release: Package, folder: Path, endpoint_url: str) -> None:
        self._dataset, self._release, self._endpoint_url = dataset, release, endpoint_url
        self.prefix: list[str] = []
        self._package = folder / "functions"
        shutil.rmtree(self._package, ignore_errors=True)
        with zipfile.ZipFile(build_function_package(platform="host").path) as archive:
            archive.extractall(self._package)

    def start(self, entry: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run one entry to its first answer in a fresh interpreter."""
        python = [sys.executable, "-P", *options, str(FIRST_ANSWER), entry, json.dumps(self._event(entry))]
        command = [*self.prefix, *python]
        done = subprocess.run(command, env=self._environment(entry), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{entry} gave no answer:\n{done.stderr[-3000:]}{done.stdout[-1000:]}")
        return done

    def answer(self, entry: str) -> dict[str, Any]:
        """Return time, peak memory and answer of one cold start."""
        result: dict[str, Any] = json.loads(self.start(entry).stdout.splitlines()[-1])
        answer = result["answer"]
        good: dict[str, Callable[[], bool]] = {
            "status": lambda: answer["statusCode"] == 200 and self._dataset.hot.job_id in answer["body"],  # noqa: PLR2004
            "plain": lambda: answer["statusCode"] == 200 and self._dataset.hot.job_id in answer["body"],  # noqa: PLR2004
            "refresh": lambda: answer["refreshed"],
            "migrate": lambda: answer["applied"] == [],
        }
        if not good[entry]():
            raise RuntimeError(f"{entry} answered {answer}")
        return result

    def compile_runtime(self) -> None:
        """Import the runtime's packages once, which writes their bytecode."""
        environment = {"PATH": os.environ["PATH"]}
        subprocess.run([sys.executable, "-c", COMPILE_RUNTIME], env=environment, check=True, capture_output=True)

    def _environment(self, entry: str) -> dict[str, str]:
        user = "progress_refresher" if entry == "refresh" else "progress_reader"
        database = self._dataset.variables(user)
        del database[variables.RDS_PASSWORD]
        return database | {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self._package),
            "PYTHONDONTWRITEBYTECODE": "1",
            variables.RDS_ENDPOINT: self._dataset.server.host,
            variables.MASTER_SECRET_ARN: "master",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self._endpoint_url,
            variables.POWERTOOLS_METRICS_NAMESPACE: metrics.NAMESPACE,
            variables.POWERTOOLS_SERVICE_NAME: f"scanner-database-bench-{entry}",
        }

    def _event(self, entry: str) -> dict[str, Any]:
        if entry == "refresh":
            return {"source": "schedule"}
        if entry == "migrate":
            key = self._release.path.name
            return dict(ReleaseEvent(release_bucket="releases", release_key=key, release_sha256=self._release.sha256))
        return event("GET /jobs/{job_id}", job_id=self._dataset.hot.job_id)


def measure(
    dataset: Dataset, release: Package, *, folder: Path, samples: int, say: Say
) -> tuple[dict[str, ColdStarts], Limited | None, list[Import]]:
    """Start each way in turn.

    Returns:
        The cold starts of each; those of `status` and the plain way on a share of a core, `None` where this machine
        cannot limit one; and the slowest imports of `status`.

    """
    with _aws(dataset, release) as endpoint_url:
        cold = Cold(dataset, release, folder, endpoint_url)
        cold.compile_runtime()
        starts = _starts(cold, (*ENTRIES, PLAIN), samples=samples, say=say)
        limited = None
        with contextlib.suppress(NoControlGroupError), cpu_share(SHARE) as cold.prefix:
            share = measured_share(cold.prefix)
            limited = Limited(share=share, starts=_starts(cold, ("status", PLAIN), samples=samples, say=say))
        cold.prefix = []
        return starts, limited, heaviest_imports(cold.start("status", "-X", "importtime").stderr)


def _starts(cold: Cold, entries: Sequence[str], *, samples: int, say: Say) -> dict[str, ColdStarts]:
    taken: dict[str, list[dict[str, Any]]] = {entry: [] for entry in entries}
    for sample in range(-1, samples):  # the first sample only fills the file cache
        for entry, results in taken.items():
            say(f"{entry}, sample {sample + 1} of {samples}")
            result = cold.answer(entry)
            if sample >= 0:
                results.append(result)
    return {entry: ColdStarts.of(results) for entry, results in taken.items()}


def answers(starts: Mapping[str, ColdStarts], limited: Limited | None) -> list[Answer]:
    """Compare each entry with the plain way, and both on a share of a core."""
    plain = starts[PLAIN]
    result = []
    for entry in ENTRIES:
        ours = starts[entry]
        times = f"{milliseconds(Spread.of(ours.taken_ms))} : {milliseconds(Spread.of(plain.taken_ms))}"
        result.append(
            Answer(
                question=f"cold start of `{entry}` : the plain way of `status`",
                value=f"{times}; at most {_mebibytes(ours)} : {_mebibytes(plain)} MiB",
                ratio=Spread.of_ratios(ours.taken_ms, plain.taken_ms),
                goal=GOAL if entry == "status" else None,
            )
        )
    return result + _limited_answers(limited)


def _limited_answers(limited: Limited | None) -> list[Answer]:
    where = "on a third of a core"
    if limited is None:
        return [Answer(question=f"cold start of `status` {where}", value="this machine lets us make no control group")]
    ours, plain = limited.starts["status"], limited.starts[PLAIN]
    return [
        Answer(
            question=f"cold start of `status` : the plain way of `status`, {where}",
            value=f"{milliseconds(Spread.of(ours.taken_ms))} : {milliseconds(Spread.of(plain.taken_ms))}",
            ratio=Spread.of_ratios(ours.taken_ms, plain.taken_ms),
            goal=GOAL,
        ),
        *(
            Answer(
                question=f"{part} of it",
                value=f"{milliseconds(Spread.of(taken))} : {milliseconds(Spread.of(plain.parts_ms[part]))}",
                ratio=Spread.of_ratios(taken, plain.parts_ms[part]),
            )
            for part, taken in ours.parts_ms.items()
        ),
        Answer(question="the share of a core that a busy process got there", value=short(limited.share)),
    ]


def heaviest_imports(log: str, *, at_least_ms: float = HEAVY_MS) -> list[Import]:
    """Return the slow modules of a `-X importtime` log, including what they import, the slowest first."""
    found = []
    for line in log.splitlines():
        numbers, _, module = line.removeprefix("import time:").rpartition("|")
        own_us, _, total_us = (part.strip() for part in numbers.partition("|"))
        if line.startswith("import time:") and own_us.isdigit() and int(total_us) >= at_least_ms * 1000:
            found.append(Import(module.strip(), int(own_us) / 1000, int(total_us) / 1000))
    return sorted(found, key=lambda each: -each.total_ms)


def _mebibytes(starts: ColdStarts) -> str:
    return short(Spread.of(starts.peak_kib).median / 1024)


@contextlib.contextmanager
def _aws(dataset: Dataset, release: Package) -> Iterator[str]:
    """Stand in for S3 and Secrets Manager, which `migrate` calls; yield the address."""
    import boto3  # noqa: PLC0415 - needed here only

    with empty_emulator() as url:
        options = {"endpoint_url": url, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        store = boto3.client("s3", region_name=REGION, **options)
        store.create_bucket(Bucket="releases")
        store.put_object(Bucket="releases", Key=release.path.name, Body=release.path.read_bytes())
        secret = json.dumps({"username": ADMIN_USER, "password": dataset.server.password})
        boto3.client("secretsmanager", region_name=REGION, **options).create_secret(Name="master", SecretString=secret)
        yield url
