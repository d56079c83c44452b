"""Settings to Terraform JSON: one app, one stack per environment."""

from collections.abc import Sequence

from cdktf import App

from stacks.manifest import MigrationError
from stacks.package import Package, PackageError, build_function_package, build_release
from stacks.scanner_database import ScannerDatabase
from stacks.settings import Settings


class SynthesisError(RuntimeError):
    """What would be deployed cannot be built; the message says why, fit to be shown without a stack trace."""


def synthesise(environments: Sequence[Settings], outdir: str | None = None) -> None:
    """Write each environment's stack to `outdir` (default: cdktf.out).

    Raises:
        SynthesisError: the functions' package or the migrations release cannot be built.

    """
    app = App(outdir=outdir)
    for settings in environments:
        package, release = _packages(settings)
        ScannerDatabase(app, settings.environment, settings=settings, package=package, release=release)
    app.synth()


def _packages(settings: Settings) -> tuple[Package, Package]:
    functions = settings.functions
    try:
        package = build_function_package(platform=functions.platform, ca_bundle=functions.ca_bundle)
        return package, build_release(settings.release.migrations)
    except (PackageError, MigrationError) as error:
        raise SynthesisError(str(error)) from error
