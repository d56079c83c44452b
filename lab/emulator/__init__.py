"""AWS on loopback: moto, patched where Terraform or a function needs more, with a Lambda that runs our own package."""
