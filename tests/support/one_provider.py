"""One process of the AWS provider for all commands of Terraform in a test."""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING

from lab.processes import end_tree
from scannerdb.terraform import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.deployment import Deployment
    from scannerdb import terraform

# What the provider prints in debug mode (hashicorp/terraform-plugin-go, tf5server.WithManagedDebug).
ATTACH = re.compile(r"TF_REATTACH_PROVIDERS='(.+)'")


@contextlib.contextmanager
def one_provider(deployment: Deployment, provider: terraform.Provider) -> Iterator[None]:
    """Start the provider that `terraform init` installed, and have every command use it until the block ends.

    Each start builds the schemas of 1,500 resources, 2 s of CPU, and Terraform starts a provider for each walk of a
    command: four times for an apply.
    """
    installed = deployment.stack_directory / ".terraform" / "providers"
    (program,) = installed.glob(f"{PROVIDER}/*/*/terraform-provider-aws*")
    process = subprocess.Popen(
        [program, "-debug"],
        env=deployment.environment(provider),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        said = next(filter(None, map(ATTACH.search, process.stdout)))
        deployment.overrides["TF_REATTACH_PROVIDERS"] = said[1]
        yield
    finally:
        deployment.overrides.pop("TF_REATTACH_PROVIDERS", None)
        end_tree(process)
        process.stdout.close()
