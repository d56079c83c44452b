"""A settings file that chooses no size and leaves out nothing that a size would set; and that of a cluster."""

import re

COMPLETE = """\
region = "eu-central-1"

[tags]
owner = "platform-team"

[state]
path = "terraform.dev.tfstate"

[network]
vpc_cidr = "10.42.0.0/22"
subnet_cidrs = ["10.42.0.0/24", "10.42.1.0/24"]
availability_zones = ["eu-central-1a", "eu-central-1b"]

[database]
instance_class = "db.t4g.small"
allocated_storage_gib = 20
max_allocated_storage_gib = 100
multi_az = false
ca_certificate = "rds-ca-rsa2048-g1"
backup_retention_days = 1
deletion_protection = false

[functions]
log_retention_days = 30

[schedule]
refresh_minutes = 5

[status_api]
state_machine = "scanner-dev*"
"""


def without_storage(text: str) -> str:
    """Take away what an instance has and a cluster has not."""
    return re.sub(r"^(\w*allocated_storage_gib|multi_az).*\n", "", text, flags=re.MULTILINE)


# A cluster of a writer and two readers, provisioned.
CLUSTER = without_storage(COMPLETE).replace(
    'instance_class = "db.t4g.small"\n',
    'engine = "aurora-postgresql"\ninstance_class = "db.r7g.large"\nreaders = 2\n',
)
# A writer without readers, whose capacity follows the load.
SERVERLESS = (
    CLUSTER.replace("db.r7g.large", "db.serverless")
    .replace("readers = 2\n", "")
    .replace("[functions]", "[database.capacity]\nmin_acus = 1\nmax_acus = 16\n\n[functions]")
)
