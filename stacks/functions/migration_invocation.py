"""Migrations run when their release or the database changes, before the functions that rely on them are updated."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.lambda_invocation import LambdaInvocation
from constructs import Construct

from handlers.contract.databases import RdsDatabase
from handlers.contract.events import ReleaseEvent
from stacks.functions.function import Function


class MigrationInvocation(Construct):
    """Invokes `migrate` once for each release and database; if it fails, the deployment ends there."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        migrate: Function,
        release: ReleaseEvent,
        database: RdsDatabase,
        depends_on: Sequence[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self.invocation = LambdaInvocation(
            self,
            "invocation",
            function_name=migrate.function.function_name,
            input=json.dumps(release),
            # A restored database may be older than the release.
            triggers={"release_sha256": release["release_sha256"], "database": str(database)},
            depends_on=list(depends_on),
        )
