"""Subnets, endpoints and security groups."""
