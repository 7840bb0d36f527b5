"""What users hand over for their guests to read, and whether a drive is needed for that."""

import base64
import binascii
import re
from collections.abc import Sequence

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.quotas import Allowance
from nova_lite.model.image import Image
from nova_lite.model.instance import InjectedFile

#: Letters of a path that a complaint repeats.
_SHOWN = 100


def refuse_bad_user_data(user_data: str | None) -> None:
    """Raise Invalid for what is not base64."""
    _decoded(user_data or "", "user_data: not base64")


def refuse_bad_files(files: Sequence[InjectedFile]) -> None:
    """Raise Invalid for a file whose content is not base64."""
    for file in files:
        _decoded(file.contents, f"Personality content for {file.path[:_SHOWN]} cannot be decoded: not base64")


def refuse_too_many_files(files: Sequence[InjectedFile], allowance: Allowance) -> None:
    """Raise OverQuota for more files, longer paths or more content than the user may put into one server."""
    if not files:
        return
    path_bytes = max(len(file.path.encode("utf-8", "replace")) for file in files)
    content_bytes = max(len(_decoded(file.contents, "")) for file in files)
    allowance.refuse_more_than("injected_files", len(files), "Personality file limit exceeded")
    allowance.refuse_more_than("injected_file_path_bytes", path_bytes, "Personality file path exceeds maximum {limit}")
    allowance.refuse_more_than(
        "injected_file_content_bytes", content_bytes, "Personality file content exceeds maximum {limit}"
    )


def _decoded(text: str, complaint: str) -> bytes:
    # Encoders break long lines.
    compact = re.sub(r"\s+", "", text, flags=re.ASCII)
    try:
        return base64.b64decode(compact.encode(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise errors.Invalid(complaint) from exc


def needs_config_drive(conf: cfg.ConfigOpts, image: Image) -> bool:
    """Return whether a server of the image gets a config drive that nobody asked for."""
    return bool(conf.force_config_drive) or image.properties.get("img_config_drive") == "mandatory"
