"""Everything that differs between deployments, read from `environments/<name>.toml` and checked once.

A variable can set any value too: `SCANNER__DATABASE__PORT=5433` overrides `port` of `[database]`.
"""

from stacks.settings.loading import load_settings, resolve_settings
from stacks.settings.model import Settings
from stacks.settings.source import SettingsError, environment_files
from stacks.settings.state_owner import refuse_shared_states

__all__ = [
    "Settings",
    "SettingsError",
    "environment_files",
    "load_settings",
    "refuse_shared_states",
    "resolve_settings",
]
