"""Settings of a deployment around an RDS instance that exists."""

from __future__ import annotations

from tests.support.settings_file import COMPLETE

OWN_NETWORK = """vpc_cidr = "10.42.0.0/22"
subnet_cidrs = ["10.42.0.0/24", "10.42.1.0/24"]
availability_zones = ["eu-central-1a", "eu-central-1b"]
"""
NETWORK = """vpc_id = "vpc-0123456789abcdef0"
subnet_ids = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]
"""
# Its owner decides these.
OF_ITS_OWNER = ("multi_az = false\n", 'ca_certificate = "rds-ca-rsa2048-g1"\n', "backup_retention_days = 1\n")
IDENTIFIER = "scans-of-another-team"


def around_existing(*lines: str, network: str = NETWORK) -> str:
    """Return a settings file around the instance `IDENTIFIER`, with more lines in `[database]`."""
    text = COMPLETE
    for part, instead in ((OWN_NETWORK, network), *((line, "") for line in OF_ITS_OWNER)):
        assert part in text
        text = text.replace(part, instead)
    database = "\n".join(["[database]", f'existing_identifier = "{IDENTIFIER}"', *lines])
    # A provider older than 6.25 knows no authentication by IAM from end to end.
    return text.replace("[database]", database) + '\n[proxy]\nauth_mode = "secrets"\n[aws]\nprovider_version = ">= 5"\n'
