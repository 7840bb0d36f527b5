"""What images say of the devices of servers that boot from them: pure. Such are made of servers that boot from volumes.

An image's properties are its owner's words, so that nothing about them is taken for granted.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from nova_lite import errors
from nova_lite.api.services.block_device_mappings import IMAGE, LOCAL, Asked, read, read_old
from nova_lite.model.image import Image

_MAPPINGS = "block_device_mapping"
_IS_NEW = "bdm_v2"
_ROOT_NAME = "root_device_name"
#: Of an image's properties, those that say nothing of a server made from it.
_NO_PROPERTIES = frozenset({_MAPPINGS, _IS_NEW, _ROOT_NAME, "mappings"})
_YES = frozenset({"1", "t", "true", "on", "y", "yes"})

_Text = Annotated[str, msgspec.Meta(max_length=255)] | None
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None


class _Stored(msgspec.Struct):
    """One mapping of an image, in the new syntax or the old; what else it says is nobody's."""

    source_type: _Text = None
    destination_type: _Text = None
    guest_format: _Text = None
    device_type: _Text = None
    disk_bus: _Text = None
    device_name: _Text = None
    virtual_name: _Text = None
    snapshot_id: _Text = None
    volume_id: _Text = None
    image_id: _Text = None
    tag: _Text = None
    volume_type: _Text = None
    boot_index: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    volume_size: _Size = None
    delete_on_termination: bool | None = None
    no_device: bool | None = None


def of_image(image: Image) -> tuple[Asked, ...]:
    """Return the devices that an image asks for; none for most images. Raises Invalid."""
    text = image.properties.get(_MAPPINGS, "")
    if not text:
        return ()
    try:
        # Numbers and truths may be written as text.
        found = msgspec.json.decode(text, type=list[_Stored], strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise errors.Invalid(
            f"Block Device Mapping is Invalid: image {image.id} says it in a way that cannot be read: {exc}"
        ) from exc
    if image.properties.get(_IS_NEW, "").strip().lower() in _YES:
        return read([_as_asked(one) for one in found], image.id, truth=bool)
    root = image.properties.get(_ROOT_NAME, "")
    return read_old([msgspec.to_builtins(one) for one in found], "", truth=bool, root=root)


def merged(asked: Sequence[Asked] | None, of_image: Sequence[Asked], image_id: str) -> tuple[Asked, ...]:
    """Return the devices of a server: those asked for, and of the image's those that have other names than these.

    ``asked`` is None where nobody asked for any: then the server boots from the image, unless that names a root device.
    """
    own = (Asked(IMAGE, LOCAL, image_id, boot_index=0),) if asked is None else tuple(asked)
    if any(one.is_root for one in of_image):
        own = tuple(one for one in own if not (one.is_root and one.source == IMAGE))
    names = {_short(one.device_name) for one in own if one.device_name}
    return (*own, *(one for one in of_image if _short(one.device_name) not in names))


def without_mappings(properties: Mapping[str, str]) -> dict[str, str]:
    """Return an image's properties that say something of servers made from it."""
    return {name: value for name, value in properties.items() if name not in _NO_PROPERTIES}


def _as_asked(one: _Stored) -> dict[str, Any]:
    """Return a mapping as a client would ask for it, which has one name for all ids."""
    if one.source_type not in (None, "image", "snapshot", "volume", "blank"):
        raise errors.Invalid(f"Block Device Mapping is Invalid: there is no source_type {one.source_type!r}.")
    if one.destination_type not in (None, "local", "volume"):
        raise errors.Invalid(f"Block Device Mapping is Invalid: there is no destination_type {one.destination_type!r}.")
    ids = {"image": one.image_id, "snapshot": one.snapshot_id, "volume": one.volume_id}
    wanted: dict[str, Any] = msgspec.to_builtins(one)
    return {**wanted, "uuid": ids.get(one.source_type or ""), "delete_on_termination": bool(one.delete_on_termination)}


def _short(name: str | None) -> str | None:
    return None if name is None else name.removeprefix("/dev/")
