"""What every construct builds on: names, roles, keys, log groups, state and provider."""
