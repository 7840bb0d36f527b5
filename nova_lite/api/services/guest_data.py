"""What users hand over for their guests to read, and whether a drive is needed for that."""

import base64
import binascii
import re

from oslo_config import cfg

from nova_lite import errors
from nova_lite.model.image import Image


def refuse_bad_user_data(user_data: str | None) -> None:
    """Raise Invalid for what is not base64."""
    # Encoders break long lines.
    text = re.sub(r"\s+", "", user_data or "", flags=re.ASCII)
    try:
        base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise errors.Invalid("user_data: not base64") from exc


def needs_config_drive(conf: cfg.ConfigOpts, image: Image) -> bool:
    """Return whether a server of the image gets a config drive that nobody asked for."""
    return bool(conf.force_config_drive) or image.properties.get("img_config_drive") == "mandatory"
