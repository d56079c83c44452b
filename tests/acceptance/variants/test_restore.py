"""A deployment of PostgreSQL 18 loses its findings and is restored twice: from a snapshot, then to a point in time.

Each restore is a deploy with `database.restore_from` and the next `database.generation`. What was lost is back,
Terraform finds nothing left to change, with the setting and without it, and the older instance is left as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from handlers.contract.events import RefreshAction
from lab.api_client import get
from lab.deployment import Deployment, changes
from lab.scan import plan_scan, write_scan
from scannerdb import terraform
from tests.support.acceptance import broken_requests
from tests.support.terraform_plans import in_one_line
from tests.support.variant import EMULATED, Variant, settings_of

if TYPE_CHECKING:
    from lab.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.deployment

VARIANT = Variant(name="restored", size="small")
FIRST, SECOND, THIRD = (f"scanner-database-restored{end}" for end in ("", "-2", "-3"))
OBJECTS = 2000
SNAPSHOT = "before-the-loss"
FROM_SNAPSHOT = {"SCANNER__DATABASE__GENERATION": "2", "SCANNER__DATABASE__RESTORE_FROM__SNAPSHOT": SNAPSHOT}
AGREE = ("-no-color", "-auto-approve")
# The rows of a table in one value.
DIGEST = (
    "SELECT count(*), md5(string_agg(row_text, ' ' ORDER BY row_text)) FROM (SELECT t::text AS row_text FROM {} t) _"
)
TABLES = ("jobs", "job_objects", "findings", "schema_migrations")
LOSS = "DROP TABLE findings CASCADE"


@dataclass
class Restored:
    """What was seen after one restore."""

    version: str = ""
    digests: dict[str, Any] = field(default_factory=dict)
    verified: dict[str, Any] = field(default_factory=dict)
    answer: Any = None
    refreshed_after_s: float = 0
    plan: list[str] = field(default_factory=list)
    plan_without_setting: list[str] = field(default_factory=list)


@dataclass
class Recovery:
    """What was seen of the deployment from its loss to its end."""

    before: dict[str, Any] = field(default_factory=dict)
    objects_of_first: int = 0
    from_snapshot: Restored = field(default_factory=Restored)
    to_point_in_time: Restored = field(default_factory=Restored)
    again: str = ""
    status_while_restored: int = 0
    older: list[str] = field(default_factory=list)
    lost_in_older: Any = None
    destroyed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    contract: list[str] = field(default_factory=list)


def ask(server: EmbeddedPostgres, sql: str) -> Any:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone() if cursor.description else None


def digests(server: EmbeddedPostgres) -> dict[str, Any]:
    return {table: ask(server, DIGEST.format(table)) for table in TABLES}


@pytest.fixture(scope="module")
def recovery(provider: terraform.Provider, tmp_path_factory: pytest.TempPathFactory) -> Recovery:
    seen, folder = Recovery(), tmp_path_factory.mktemp("recovery")
    file = folder / f"{VARIANT.name}.toml"
    file.write_text(settings_of(VARIANT).replace("[database]", '[database]\nengine_version = "18"'))
    with Deployment(folder / "deployment", settings_file=file, report=lambda _: None) as deployment:
        deployment.overrides.update(EMULATED)
        rds = deployment.emulator.client("rds")
        _apply(deployment, provider)
        jobs = plan_scan(OBJECTS)
        write_scan(deployment.postgres.dsn(user="scanner_app"), jobs)
        deployment.emulator.invoke(deployment.function_name("refresh"), {"source": "schedule"})
        seen.before = digests(deployment.postgres)
        rds.create_db_snapshot(DBInstanceIdentifier=FIRST, DBSnapshotIdentifier=SNAPSHOT)
        ask(deployment.postgres, LOSS)

        path = f"/jobs/{jobs[0].job_id}"
        deployment.overrides.update(FROM_SNAPSHOT)
        seen.from_snapshot = _restore(deployment, provider, SECOND, path)
        seen.again = _plan_again(deployment, provider)

        second = deployment.emulator.restored_server(SECOND)
        rds.create_db_snapshot(DBInstanceIdentifier=SECOND, DBSnapshotIdentifier="nightly")
        (until,) = ask(second, "SELECT date_trunc('second', clock_timestamp()) + interval '1 s' FROM pg_sleep(1)")
        ask(second, "SELECT pg_sleep(2)")
        ask(second, LOSS)
        deployment.overrides.update(
            {
                "SCANNER__DATABASE__GENERATION": "3",
                "SCANNER__DATABASE__RESTORE_FROM__SOURCE": SECOND,
                "SCANNER__DATABASE__RESTORE_FROM__TIME": f"{until:%Y-%m-%dT%H:%M:%SZ}",
            }
        )
        # The instance first, so that callers are served while it is restored: docs/operations/recovery.md.
        _synthesise(deployment, provider)
        stack, environment = deployment.stack_directory, deployment.environment(provider)
        terraform.run(stack, environment, "apply", *AGREE, "-target=aws_db_instance.database_3_instance")
        answer = get(f"{deployment.emulator.api_url}{path}", region=deployment.settings.region)
        seen.status_while_restored = answer.status_code
        seen.to_point_in_time = _restore(deployment, provider, THIRD, path)
        seen.older = [each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]]
        seen.lost_in_older = ask(deployment.postgres, "SELECT to_regclass('findings')")
        seen.objects_of_first = ask(deployment.postgres, "SELECT count(*) FROM job_objects")[0]

        # The older instances are the operator's, who deletes them before the network that they lie in.
        for identifier in (FIRST, SECOND):
            rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)
        stack, environment = deployment.stack_directory, deployment.environment(provider)
        terraform.run(stack, environment, "destroy", *AGREE, "-refresh=false")
        seen.destroyed = [each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]]
        seen.refused = [f"{each['what']}: {each['refused']}" for each in deployment.emulator.refusals()]
        seen.contract = broken_requests(deployment.emulator)
    return seen


def _synthesise(deployment: Deployment, provider: terraform.Provider) -> None:
    deployment.synthesise()
    terraform.init(deployment.stack_directory, deployment.environment(provider))


def _apply(deployment: Deployment, provider: terraform.Provider) -> None:
    _synthesise(deployment, provider)
    terraform.run(deployment.stack_directory, deployment.environment(provider), "apply", *AGREE)


def _restore(deployment: Deployment, provider: terraform.Provider, identifier: str, path: str) -> Restored:
    _apply(deployment, provider)
    server = deployment.emulator.restored_server(identifier)
    restored = Restored(version=ask(server, "SHOW server_version")[0])
    restored.digests = digests(server)
    (restored.refreshed_after_s,) = ask(
        server, "SELECT extract(epoch FROM now() - last_refreshed_at)::float FROM materialized_view_refresh_log"
    )
    invoke = deployment.emulator.invoke
    restored.verified = invoke(deployment.function_name("refresh"), {"action": RefreshAction.VERIFY})
    restored.answer = get(f"{deployment.emulator.api_url}{path}", region=deployment.settings.region)
    restored.plan = changes(deployment.plan(provider))
    for name in [each for each in deployment.overrides if "RESTORE_FROM" in each]:
        del deployment.overrides[name]
    _synthesise(deployment, provider)
    restored.plan_without_setting = changes(deployment.plan(provider))
    return restored


def _plan_again(deployment: Deployment, provider: terraform.Provider) -> str:
    """Ask for another restore of the same generation; return what the plan says."""
    deployment.overrides["SCANNER__DATABASE__RESTORE_FROM__SNAPSHOT"] = "another"
    _synthesise(deployment, provider)
    try:
        deployment.plan(provider)
    except terraform.TerraformError as error:
        return in_one_line(error)
    finally:
        del deployment.overrides["SCANNER__DATABASE__RESTORE_FROM__SNAPSHOT"]
    return ""


@pytest.fixture(params=["from_snapshot", "to_point_in_time"])
def restored(request: pytest.FixtureRequest, recovery: Recovery) -> Restored:
    found: Restored = getattr(recovery, request.param)
    return found


def test_what_was_lost_is_back_row_by_row(recovery: Recovery, restored: Restored) -> None:
    assert recovery.before["findings"][0] > 0
    assert restored.digests == recovery.before


def test_nothing_is_pending_and_progress_is_refreshed_and_exact(restored: Restored) -> None:
    # The ledger is that of before: `migrate` ran, and found nothing to apply.
    assert restored.refreshed_after_s < 300
    assert restored.verified["drifted_jobs"] == 0


def test_the_status_api_answers_from_the_restored_database(restored: Restored) -> None:
    assert restored.answer.status_code == 200
    assert restored.answer.body["total_findings"] > 0


def test_the_version_is_that_of_the_settings(restored: Restored) -> None:
    assert restored.version.startswith("18.")


def test_callers_are_served_while_the_instance_is_restored_first(recovery: Recovery) -> None:
    assert recovery.status_while_restored == 200


def test_a_second_plan_changes_nothing_with_the_setting_and_without_it(restored: Restored) -> None:
    assert restored.plan == []
    assert restored.plan_without_setting == []


def test_a_second_restore_into_the_same_generation_fails_the_plan_with_the_way_out(recovery: Recovery) -> None:
    assert f"{SECOND} exists, and was not restored from what database.restore_from says" in recovery.again
    assert "database.generation to 3" in recovery.again


def test_the_older_instances_are_left_as_they_were(recovery: Recovery) -> None:
    assert recovery.older == [FIRST, SECOND, THIRD]
    assert recovery.lost_in_older == (None,)
    assert recovery.objects_of_first == OBJECTS


def test_destroy_takes_the_present_generation_away(recovery: Recovery) -> None:
    assert recovery.destroyed == []


def test_nothing_was_denied_and_no_request_broke_a_model_of_aws(recovery: Recovery) -> None:
    assert recovery.refused == []
    assert recovery.contract == []
