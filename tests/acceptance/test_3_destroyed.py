"""What was deployed can be taken away."""

import json

from tests.acceptance.conftest import Deployed


def test_destroy_leaves_no_function_no_database_and_no_state(deployed: Deployed) -> None:
    summary = deployed.deployment.destroy(deployed.provider)
    assert int(summary.split()[0]) > 150
    emulator = deployed.deployment.emulator
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("rds").describe_db_instances()["DBInstances"] == []
    assert emulator.client("logs").describe_query_definitions()["queryDefinitions"] == []
    alarms = emulator.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert alarms["MetricAlarms"] == alarms["CompositeAlarms"] == []
    state = json.loads((deployed.deployment.directory / "terraform.tfstate").read_text())
    assert state["resources"] == []
