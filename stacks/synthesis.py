"""Settings to Terraform JSON: one app, one stack per environment."""

from collections.abc import Sequence
from pathlib import Path

from stacks import lazy_bindings

# Before the first import of cdktf or of a construct: later, every resource of the provider is loaded.
lazy_bindings.install()

from cdktf import App

from stacks.assets.migration_files import MigrationError
from stacks.assets.package import Package, PackageError, build_function_package, build_release
from stacks.provider_lock import lock_provider
from stacks.scanner_database import ScannerDatabase
from stacks.settings import Settings


def synthesise(environments: Sequence[Settings], outdir: str | None = None) -> None:
    """Write each environment's stack to `outdir` (default: cdktf.out).

    Raises:
        stacks.assets.package.PackageError: the functions' package or the migrations release cannot be built.

    """
    app = App(outdir=outdir)
    for settings in environments:
        functions = settings.functions
        ScannerDatabase(
            app,
            settings.environment,
            settings=settings,
            package=build_function_package(platform=functions.platform, ca_bundle=functions.ca_bundle),
            release=_release(settings),
        )
    app.synth()
    for settings in environments:
        lock_provider(Path(app.outdir) / "stacks" / settings.environment, settings.aws.provider_version)


def _release(settings: Settings) -> Package:
    try:
        return build_release(settings.release.migrations)
    except MigrationError as error:
        raise PackageError(str(error)) from error
