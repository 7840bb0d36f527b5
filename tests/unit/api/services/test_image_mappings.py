"""What images say of devices: read strictly, in both syntaxes, and put together with what a client asks for."""

import json
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.api.services.block_device_mappings import Asked
from nova_lite.api.services.image_mappings import merged, of_image, without_mappings
from nova_lite.model.image import Image

SNAPSHOT = "5" * 32
ROOT = {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": SNAPSHOT, "boot_index": 0}


def image(*mappings: dict[str, Any], is_new: object = "True", **more: str) -> Image:
    properties = {"block_device_mapping": json.dumps(mappings), "bdm_v2": str(is_new), "colour": "blue", **more}
    return Image("i", "copy", "active", "raw", size=0, properties=properties)


def test_most_images_say_nothing() -> None:
    assert of_image(Image("i", "tiny", "active", "raw", size=1)) == ()
    assert of_image(image()) == ()


def test_the_new_syntax() -> None:
    # As Nova writes it: all it knows of a device, with nulls, and what we have no word for.
    written = ROOT | {
        "volume_size": 3,
        "device_name": "/dev/vda",
        "delete_on_termination": True,
        "disk_bus": "virtio",
        "device_type": "disk",
        **dict.fromkeys(("volume_id", "image_id", "no_device", "guest_format", "tag", "volume_type", "encrypted")),
    }
    swap = {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": "64"}
    expected = Asked(
        "snapshot",
        "volume",
        SNAPSHOT,
        boot_index=0,
        size=3,
        device_name="/dev/vda",
        delete_on_termination=True,
        disk_bus="virtio",
        device_type="disk",
    )
    found = of_image(image(written, swap, {"no_device": True}))
    assert found == (expected, Asked("blank", "local", size=64, guest_format="swap"))


@pytest.mark.parametrize(
    ("root", "order"), [({}, (0, None)), ({"root_device_name": "/dev/sda"}, (None, 0))], ids=["usual", "named"]
)
def test_the_old_syntax(root: dict[str, str], order: tuple[int | None, int | None]) -> None:
    first = {"device_name": "vda", "snapshot_id": SNAPSHOT, "delete_on_termination": True}
    second = {"device_name": "/dev/sda", "volume_id": "v", "volume_size": 2}
    found = of_image(image(first, second, is_new="", **root))
    assert [(one.source, one.source_id, one.boot_index) for one in found] == [
        ("snapshot", SNAPSHOT, order[0]),
        ("volume", "v", order[1]),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("snapshot", id="no JSON"),
        pytest.param("{}", id="no list"),
        pytest.param("[1]", id="list of numbers"),
        pytest.param("[[]]", id="list of lists"),
        pytest.param('[{"source_type": 1}]', id="source is a number"),
        pytest.param('[{"source_type": "tape"}]', id="no such source"),
        pytest.param('[{"source_type": "blank", "destination_type": "cloud"}]', id="no such place"),
        pytest.param('[{"source_type": "snapshot", "destination_type": "volume"}]', id="no snapshot"),
        pytest.param('[{"snapshot_id": "x"}]', id="no source"),
        pytest.param('[{"source_type": "blank", "volume_size": "big"}]', id="size in words"),
        pytest.param('[{"source_type": "blank", "volume_size": -1}]', id="size below nothing"),
        pytest.param('[{"source_type": "blank", "volume_size": 99999999999999999999}]', id="huge size"),
        pytest.param('[{"source_type": "blank", "boot_index": "first"}]', id="order in words"),
        pytest.param('[{"source_type": "blank", "device_name": "' + "x" * 256 + '"}]', id="long name"),
        pytest.param("[" * 10_000, id="deep"),
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        of_image(Image("i", "x", "active", "raw", 0, properties={"block_device_mapping": text, "bdm_v2": "true"}))


def test_an_image_that_names_a_root_is_not_booted_itself() -> None:
    own = of_image(image(ROOT))
    assert merged(None, own, "i") == own
    local = Asked("image", "local", "i", boot_index=0)
    data = Asked("blank", "volume", size=1)
    assert merged((local, data), own, "i") == (data, *own)
    into_volume = Asked("image", "volume", "i", boot_index=0, size=5)
    assert merged((into_volume,), own, "") == own


def test_an_image_may_name_other_devices_alone() -> None:
    own = of_image(image(ROOT | {"boot_index": None, "device_name": "/dev/vdb"}))
    local = Asked("image", "local", "i", boot_index=0)
    assert merged(None, own, "i") == (local, *own)
    mine = Asked("blank", "volume", size=1, device_name="vdb")
    assert merged((local, mine), own, "i") == (local, mine)


def test_servers_inherit_nothing_of_it() -> None:
    assert without_mappings(image(ROOT, root_device_name="vda", mappings="[]").properties) == {"colour": "blue"}
