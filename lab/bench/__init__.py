"""Benchmarks: each question is answered with a ratio of two measurements of one run."""

from pathlib import Path

RESULTS = Path(__file__).with_name("results")
