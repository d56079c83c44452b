"""A migrations release as the runner receives it: the bytes of its zip."""

import hashlib
import io
import zipfile

from handlers.contract.release import MANIFEST, FormatError, Manifest, Release
from handlers.errors import ReleaseError


def read_release(archive: bytes, *, expected_sha256: str) -> Release:
    """Read a release from the bytes of its zip.

    Raises:
        ReleaseError: the bytes are not those that were asked for, or not a release that this runner understands.

    """
    sha256 = hashlib.sha256(archive).hexdigest()
    if sha256 != expected_sha256:
        raise ReleaseError(
            f"the release has the SHA-256 {sha256}, not {expected_sha256}; deploy again to upload it once more"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as zip_file:
            manifest = Manifest.from_json(zip_file.read(MANIFEST))
    except FormatError as error:
        raise ReleaseError(f"the release {sha256[:12]} {error}; deploy the runner and the release together") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ReleaseError(f"the release {sha256[:12]} is damaged: {error}; build it again") from error
    return Release(sha256=sha256, **vars(manifest))
