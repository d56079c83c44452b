"""Refreshes progress at the end of a deploy whose release changed."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.lambda_invocation import LambdaInvocation
from constructs import Construct

from handlers.contract.events import RefreshAction, RefreshEvent
from stacks.assets.package import Package
from stacks.functions.function import Function


class FirstRefresh(Construct):
    """Invokes `refresh` once for each hash of the release; a repeated refresh is harmless.

    It tests the whole path: function, network, proxy, IAM, role, migrated schema. If it fails, the deploy ends with its
    message, and the next deploy tries again.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        refresh: Function,
        release: Package,
        depends_on: Sequence[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self.invocation = LambdaInvocation(
            self,
            "invocation",
            function_name=refresh.function.function_name,
            input=json.dumps(RefreshEvent(source="deploy", action=RefreshAction.AFTER_DEPLOY)),
            triggers={"release_sha256": release.sha256},
            depends_on=list(depends_on),
        )
