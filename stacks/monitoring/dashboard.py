"""One dashboard for the deployment."""

import json
from collections.abc import Sequence

from cdktf_cdktf_provider_aws.cloudwatch_dashboard import CloudwatchDashboard
from constructs import Construct

from stacks.alarms.descriptions import dashboard_url
from stacks.foundation.context import Context
from stacks.monitoring.dashboard_body import body


class Dashboard(Construct):
    """The dashboard, and its address."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        context: Context,
        api_id: str,
        page_arns: Sequence[str],
        ticket_arns: Sequence[str],
    ) -> None:
        super().__init__(scope, id_)
        settings = context.settings
        CloudwatchDashboard(
            self,
            "dashboard",
            dashboard_name=settings.prefix,
            dashboard_body=json.dumps(body(settings, api_id=api_id, page_arns=page_arns, ticket_arns=ticket_arns)),
        )
        self.url = dashboard_url(settings)
