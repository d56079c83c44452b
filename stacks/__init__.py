"""Settings in, Terraform JSON out: one stack per environment."""

from stacks import lazy_bindings

lazy_bindings.install()
