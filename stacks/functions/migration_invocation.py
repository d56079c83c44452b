"""Migrations run when their release changes, before the functions that rely on them are updated."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.lambda_invocation import LambdaInvocation
from cdktf_cdktf_provider_aws.s3_object import S3Object
from constructs import Construct

from stacks.assets.package import Package
from stacks.functions.function import Function


class MigrationInvocation(Construct):
    """Invokes `migrate` once for each hash of the release; if it fails, the deployment ends there."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        migrate: Function,
        package: Package,
        stored_release: S3Object,
        depends_on: Sequence[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self.invocation = LambdaInvocation(
            self,
            "invocation",
            function_name=migrate.function.function_name,
            input=json.dumps(
                {
                    "release_bucket": stored_release.bucket,
                    "release_key": stored_release.key,
                    "release_sha256": package.sha256,
                }
            ),
            triggers={"release_sha256": package.sha256},
            depends_on=list(depends_on),
        )
