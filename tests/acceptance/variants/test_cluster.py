"""An Aurora cluster: Terraform makes it, it fails over under requests, a plan finds nothing, and it is taken away."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lab.api_client import get
from lab.deployment import changes
from lab.emulator.patch_clusters import FAILOVER_S
from lab.scan import plan_scan, write_scan
from scannerdb.review.allowed import load_allowed
from scannerdb.review.policy import check_policy
from tests.support.variant import Life, Variant, live

if TYPE_CHECKING:
    from lab.deployment import Deployment
    from scannerdb import terraform

pytestmark = pytest.mark.deployment

HUGE = Variant(name="huge", size="huge")
NAME = "scanner-database-huge"
OBJECTS = 2000
REQUESTS_EACH_S = 0.1
# A function waits up to two seconds for a connection, and the scan's process may be busy.
LONGEST_S = FAILOVER_S + 5


@dataclass
class Failover:
    """What a caller of the status API and the account saw of a failover.

    Args:
        answers: seconds since its beginning, status, and the `Retry-After` of an answer.
        before, after: the writer, and what the API told of the largest job.

    """

    answers: list[tuple[float, int, str | None]] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def run(self, deployment: Deployment) -> None:
        """Write a scan, ask for it without a pause, and fail over at the same time."""
        jobs = plan_scan(OBJECTS)
        write_scan(deployment.postgres.dsn(user="scanner_app"), jobs)
        deployment.emulator.invoke(deployment.function_name("refresh"), {"source": "schedule"})
        largest = max(jobs, key=lambda job: job.objects)
        url = f"{deployment.emulator.api_url}/jobs/{largest.job_id}?real_time=true"
        rds = deployment.emulator.client("rds")

        def ask() -> Any:
            return get(url, region=deployment.settings.region)

        def look() -> None:
            (cluster,) = rds.describe_db_clusters()["DBClusters"]
            members = cluster["DBClusterMembers"]
            self.writers += [each["DBInstanceIdentifier"] for each in members if each["IsClusterWriter"]]
            self.told.append(ask().body)

        look()
        began, done = time.monotonic(), threading.Event()

        def ask_on() -> None:
            while not done.is_set():
                answer = ask()
                self.answers.append((time.monotonic() - began, answer.status_code, answer.headers.get("retry-after")))
                time.sleep(REQUESTS_EACH_S)

        caller = threading.Thread(target=ask_on)
        caller.start()
        time.sleep(1)
        rds.failover_db_cluster(DBClusterIdentifier=NAME)
        time.sleep(LONGEST_S + 3)
        done.set()
        caller.join()
        look()


@pytest.fixture(scope="module")
def failover() -> Failover:
    return Failover()


@pytest.fixture(scope="module")
def life(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory, failover: Failover) -> Life:
    return live(HUGE, directory=tmp_path_factory.mktemp("huge"), provider=provider, while_deployed=failover.run)


def test_a_second_plan_changes_nothing_after_a_failover_too(life: Life) -> None:
    assert changes(life.second_plan) == []
    assert life.resources > 140


def test_what_is_deployed_passes_the_policy(life: Life) -> None:
    policy = check_policy(life.second_plan)
    allowed = {entry.check for entry in load_allowed("dev", today=dt.datetime.now(dt.UTC).date()).policy}
    allowed |= {"CKV_AWS_139"}  # of a cluster what CKV_AWS_293 is of an instance: dev has no deletion_protection
    assert [finding for finding in policy.failed if finding.check not in allowed] == []
    assert not policy.is_blind


def test_it_is_a_writer_and_a_reader_on_one_volume_without_a_block_of_serverless_v1(life: Life) -> None:
    (cluster,) = life.made("DBClusters")
    assert (cluster["Engine"], cluster["StorageType"]) == ("aurora-postgresql", "aurora-iopt1")
    assert "ScalingConfigurationInfo" not in cluster
    assert sorted(each["DBInstanceIdentifier"] for each in cluster["DBClusterMembers"]) == [f"{NAME}-1", f"{NAME}-2"]
    assert {each["DBInstanceClass"] for each in life.made("DBInstances")} == {"db.r7g.2xlarge"}


def test_the_proxy_leads_to_the_readers_too(life: Life) -> None:
    (endpoint,) = life.made("DBProxyEndpoints")
    assert (endpoint["DBProxyName"], endpoint["TargetRole"]) == (NAME, "READ_ONLY")


def test_a_failover_swaps_the_writer_and_the_reader(life: Life, failover: Failover) -> None:
    assert life.resources
    before, after = failover.writers
    assert {before, after} == {f"{NAME}-1", f"{NAME}-2"}


def test_the_status_api_answers_throughout_a_failover_with_503_for_seconds_at_most(
    life: Life, failover: Failover
) -> None:
    assert life.resources
    assert {status for _, status, _ in failover.answers} == {200, 503}
    refused = [(at_s, retry_after) for at_s, status, retry_after in failover.answers if status == 503]
    assert all(retry_after is not None and int(retry_after) > 0 for _, retry_after in refused)
    assert refused[-1][0] - refused[0][0] < LONGEST_S
    # One outage: before it and after it every request is answered.
    assert [status for status, _ in itertools.groupby(status for _, status, _ in failover.answers)] == [200, 503, 200]
    print(f"503 for {refused[-1][0] - refused[0][0]:.1f} s, {len(failover.answers)} answers")


def test_after_a_failover_the_progress_is_what_it_was(life: Life, failover: Failover) -> None:
    assert life.resources
    before, after = ({key: each[key] for key in ("total", "succeeded", "failed", "queued")} for each in failover.told)
    assert before == after
    assert before["total"] > 0


def test_nothing_was_denied(life: Life) -> None:
    assert life.refused == []


def test_destroy_leaves_the_account_as_it_was(life: Life) -> None:
    assert {kind: held for kind, held in life.destroyed.items() if held != life.before[kind]} == {}
    assert life.made("DBClusterParameterGroups")
