"""Which kind of database the settings ask for."""

from constructs import Construct

from stacks.database.cluster import Cluster
from stacks.database.database import Database
from stacks.database.existing import Existing
from stacks.database.instance import Instance
from stacks.foundation.context import Context
from stacks.network.network import Network


def database(scope: Construct, id_: str, *, context: Context, network: Network, key_arn: str) -> Database:
    """Create the database of a deployment, of the kind that its settings ask for."""
    if context.settings.database.existing_identifier is not None:
        return Existing(scope, id_, context=context)
    kind = Cluster if context.settings.database.is_cluster else Instance
    return kind(scope, id_, context=context, network=network, key_arn=key_arn)
