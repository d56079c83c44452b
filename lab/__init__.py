"""What never ships: embedded PostgreSQL, AWS emulator, demo, game day and benchmarks; no AWS account, no Docker."""
