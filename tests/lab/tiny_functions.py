"""Tiny Lambda functions: one module in a zip, as Terraform would upload it."""

import io
import zipfile

from lab.emulator.lambda_process import Function


def package(source: str) -> bytes:
    """Return a zip with `app.py`: the same bytes for the same source at any time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py"), source)
    return buffer.getvalue()


def function(source: str, *, handler: str = "app.handler", timeout_s: int = 10, **environment: str) -> Function:
    """Return a function made of one module."""
    return Function(
        name="tiny",
        arn="arn:aws:lambda:us-east-1:123456789012:function:tiny",
        handler=handler,
        timeout_s=timeout_s,
        memory_mb=256,
        code=package(source),
        environment=environment,
    )
