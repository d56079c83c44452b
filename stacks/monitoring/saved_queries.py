"""The queries of `log_queries`, saved in CloudWatch Logs Insights under the deployment's name."""

from cdktf_cdktf_provider_aws.cloudwatch_query_definition import CloudwatchQueryDefinition
from constructs import Construct

from stacks.foundation.context import Context
from stacks.monitoring.log_queries import log_queries


class SavedQueries(Construct):
    """One saved query for each; the slash in the name makes a folder."""

    def __init__(self, scope: Construct, id_: str, *, context: Context) -> None:
        super().__init__(scope, id_)
        for query in log_queries(context.settings):
            CloudwatchQueryDefinition(
                self,
                query.name.replace(" ", "_"),
                name=f"{context.settings.prefix}/{query.name}",
                log_group_names=list(query.log_groups),
                query_string=query.text,
            )
