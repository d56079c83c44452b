"""Refreshes progress at the end of a deploy: once the proxy serves a new database, and for each new release."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.db_proxy_target import DbProxyTarget
from cdktf_cdktf_provider_aws.lambda_invocation import LambdaInvocation
from constructs import Construct

from handlers.contract.events import RefreshAction, RefreshEvent
from handlers.contract.timeouts import PROXY_WAITS
from stacks.assets.package import Package
from stacks.functions.function import Function


class FirstRefresh(Construct):
    """Waits for a new target of the proxy, then invokes `refresh`; once for each target and hash of the release.

    `aws_db_proxy_target` does not wait until its target serves.

    The last invocation tests the whole path: function, network, proxy, IAM, role, migrated schema. If it fails, the
    deploy ends with its message, and the next deploy tries again. A repeated refresh is harmless.

    Attributes:
        waited: the last of the waits, none of which fails because of the database or the proxy. The schedule and the
            alarms are made after it: earlier, they would ring for a proxy that is only starting; after the refresh
            that must succeed, they would be missing where it fails.

    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        refresh: Function,
        release: Package,
        target: DbProxyTarget,
        depends_on: Sequence[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)

        def invoke(
            name: str, action: RefreshAction, *, triggers: dict[str, str], after: Sequence[ITerraformDependable]
        ) -> LambdaInvocation:
            return LambdaInvocation(
                self,
                name,
                function_name=refresh.function.function_name,
                input=json.dumps(RefreshEvent(source="deploy", action=action)),
                triggers=triggers,
                depends_on=list(after),
            )

        after = depends_on
        for number in range(1, PROXY_WAITS + 1):
            self.waited = invoke(
                f"wait_{number}", RefreshAction.AWAIT_PROXY, triggers={"proxy_target": target.id}, after=after
            )
            after = [self.waited]
        triggers = {"release_sha256": release.sha256, "proxy_target": target.id}
        invoke("invocation", RefreshAction.AFTER_DEPLOY, triggers=triggers, after=after)
