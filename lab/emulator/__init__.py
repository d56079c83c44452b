"""An AWS on loopback: moto, completed where it falls short, whose Lambda runs our own package."""
