"""Shortens Terraform's errors to their messages and adds the next step."""

import re


class PlanningError(RuntimeError):
    """There is no plan to review; the message gives the cause and the next step."""


_WITHOUT_ACCOUNT = "make plan ENV={environment} ARGS=--emulator"
# Error text of Terraform or the provider -> next step.
_NEXT_STEPS = {
    r"No valid credential sources|ExpiredToken|InvalidClientTokenId|UnrecognizedClient|static credentials are empty|"
    r"SSO session|refresh cached credentials|failed to get shared config profile": (
        f"sign in to the account (`aws sso login`, AWS_PROFILE, ...), or plan without one: {_WITHOUT_ACCOUNT}"
    ),
    r"NoSuchBucket|S3 bucket .* does not exist": (
        "create the bucket of the state, or name yours in [state] of environments/{environment}.toml"
    ),
    r"connection refused": "start the emulator that aws.endpoint names, or plan against an empty one: "
    + _WITHOUT_ACCOUNT,
    r"acquiring the state lock": "another run holds the lock of {environment}'s state; wait for its end and plan again",
    r"AccessDenied|UnauthorizedOperation|not authorized to perform": (
        "the role may not read this; .github/workflows/README.md says what a plan needs"
    ),
    r"Failed to query available provider packages|Failed to install provider": (
        "let Terraform reach registry.terraform.io, or plan with a provider on this machine: " + _WITHOUT_ACCOUNT
    ),
}


def explain(output: str, environment: str) -> str:
    """Return the errors in Terraform's output without their frames, and the next step if one is known."""
    lines = [line.lstrip("│╷╵ ").rstrip() for line in output.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    told = "\n".join(line for line in lines[starts[0] if starts else 0 :] if line)
    for pattern, step in _NEXT_STEPS.items():
        if re.search(pattern, told, re.IGNORECASE):
            return f"{told}\nNext: {step.format(environment=environment)}."
    return told
