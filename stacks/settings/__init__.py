"""Everything that differs between deployments, read from `environments/<name>.toml` and checked once.

A variable can set any value too: `SCANNER__DATABASE__PORT=5433` overrides `port` of `[database]`.
"""

from stacks.settings.loading import environment_files, load_settings, resolve_settings
from stacks.settings.model import Settings
from stacks.settings.source import SettingsError

__all__ = ["Settings", "SettingsError", "environment_files", "load_settings", "resolve_settings"]
