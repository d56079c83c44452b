"""Where Terraform keeps a stack's state: a file, or a bucket with a lock."""

from cdktf import LocalBackend, S3Backend, TerraformStack

from stacks import ROOT
from stacks.settings import Settings

# The first version whose S3 backend locks the state without a DynamoDB table.
TERRAFORM_VERSION = ">= 1.10"


def terraform_state(stack: TerraformStack, settings: Settings) -> None:
    """Add the backend, and the version of Terraform that it needs."""
    stack.add_override("terraform.required_version", TERRAFORM_VERSION)
    if settings.state.bucket is None:
        # Beside main.py, wherever it is started from.
        LocalBackend(stack, path=str(ROOT / (settings.state.path or "terraform.tfstate")))
        return
    backend = S3Backend(
        stack,
        bucket=settings.state.bucket,
        key=f"{settings.prefix}.tfstate",
        region=settings.region,
        encrypt=True,
    )
    backend.add_override("use_lockfile", True)  # younger than cdktf's own arguments
