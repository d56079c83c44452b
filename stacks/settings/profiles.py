"""What `size` sets: defaults for four scales, each of which a file or a variable may override.

The first three scales and their refresh intervals are those that the original guide recommends; a refresh costs what
changed since, so the interval is a question of how fresh cached progress must be, not of what a refresh costs.
"""

from collections.abc import Mapping
from typing import Any

Profile = Mapping[str, Mapping[str, Any]]

PROFILES: Mapping[str, Profile] = {
    # Below 100,000 objects: one zone, a day of backups, a database that may wait.
    "small": {
        "database": {
            "instance_class": "db.t4g.small",
            "allocated_storage_gib": 20,
            "max_allocated_storage_gib": 100,
            "multi_az": False,
            "backup_retention_days": 1,
            "log_min_duration_ms": 1000,
        },
        "functions": {"log_retention_days": 30},
        "schedule": {"refresh_minutes": 15},
        "alarms": {"slow_queries": 10, "api_errors": 5, "backlog_rows": 20_000},
    },
    # Up to a million objects: a standby in another zone, a week of backups.
    "medium": {
        "database": {
            "instance_class": "db.m7g.large",
            "allocated_storage_gib": 50,
            "max_allocated_storage_gib": 500,
            "multi_az": True,
            "backup_retention_days": 7,
            "log_min_duration_ms": 1000,
        },
        "functions": {"log_retention_days": 90},
        "schedule": {"refresh_minutes": 5},
        "alarms": {"slow_queries": 10, "api_errors": 5, "backlog_rows": 50_000},
    },
    # More: memory that holds the objects of ten million and their indexes, two weeks of backups.
    "large": {
        "database": {
            "instance_class": "db.r7g.large",
            "allocated_storage_gib": 100,
            "max_allocated_storage_gib": 1000,
            "multi_az": True,
            "backup_retention_days": 14,
            "log_min_duration_ms": 500,
        },
        "functions": {"log_retention_days": 365},
        "schedule": {"refresh_minutes": 1},
        "alarms": {"slow_queries": 20, "api_errors": 10, "backlog_rows": 100_000},
    },
    # Beyond a hundred million objects: a cluster, whose volume grows to 128 TiB and whose reader takes over and serves
    # dashboards. Each object is written several times and read at each scan, so reads and writes are paid by size.
    "huge": {
        "database": {
            "engine": "aurora-postgresql",
            "instance_class": "db.r7g.2xlarge",
            "readers": 1,
            "io_optimized": True,
            "backup_retention_days": 14,
            "log_min_duration_ms": 500,
        },
        "functions": {"log_retention_days": 365},
        "schedule": {"refresh_minutes": 1},
        "alarms": {"slow_queries": 20, "api_errors": 10, "backlog_rows": 100_000},
    },
}
