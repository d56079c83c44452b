"""Where Terraform keeps a stack's state: a file, or a bucket with a lock; and whose state it is."""

from cdktf import LocalBackend, Postcondition, S3Backend, TerraformResource, TerraformResourceLifecycle, TerraformStack

from stacks import ROOT
from stacks.settings import Settings

# The first version whose S3 backend locks the state without a DynamoDB table.
TERRAFORM_VERSION = ">= 1.10"


def terraform_state(stack: TerraformStack, settings: Settings) -> None:
    """Add the backend, the version of Terraform that it needs, and what refuses the state of another environment."""
    stack.add_override("terraform.required_version", TERRAFORM_VERSION)
    _refuse_state_of_another(stack, settings.prefix)
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


def _refuse_state_of_another(stack: TerraformStack, deployment: str) -> None:
    """Keep in the state whose it is, and let every plan compare.

    The first apply stores the name. Later ones ignore what the stack says, so the postcondition sees the stored name,
    wherever the state is. Terraform checks it during a plan, but not during that of a destroy. The type is built into
    Terraform.
    """
    owner = TerraformResource(
        stack,
        "state_owner",
        terraform_resource_type="terraform_data",
        lifecycle=TerraformResourceLifecycle(
            ignore_changes=["input"],
            postcondition=[
                Postcondition(
                    condition=f'${{self.input == "{deployment}"}}',
                    error_message=(
                        f"The state holds ${{self.input}}, and this plan is of {deployment}: it would rename or "
                        "replace what is deployed. Give each environment a state of its own."
                    ),
                )
            ],
        ),
    )
    owner.add_override("input", deployment)
