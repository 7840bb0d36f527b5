"""What block device mappings mean, and which cannot be."""

from typing import Any

import pytest

from nova_lite.api.services import block_device_mappings
from nova_lite.api.services.block_device_mappings import BLANK, IMAGE, LOCAL, SNAPSHOT, VOLUME, Asked
from nova_lite.errors import Invalid
from nova_lite.model.flavor import Flavor

FLAVOR = Flavor("1", "small", vcpus=1, ram_mib=512, root_gib=1, ephemeral_gib=10, swap_mib=512)
BARE = Flavor("2", "bare", vcpus=1, ram_mib=512, root_gib=1)
IMAGE_ID = "image"


def read(*mappings: dict[str, Any], image: str = "") -> tuple[Asked, ...]:
    return block_device_mappings.read(mappings, image, truth=bool)


def read_old(*mappings: dict[str, Any], image: str = "") -> tuple[Asked, ...]:
    return block_device_mappings.read_old(mappings, image, truth=bool)


def volume(index: int | None = None, **more: Any) -> Asked:
    return Asked(VOLUME, VOLUME, more.pop("source_id", f"v{index}"), boot_index=index, **more)


ROOT = volume(0)
IMAGE_ROOT = Asked(IMAGE, LOCAL, IMAGE_ID, boot_index=0)


@pytest.mark.parametrize(
    ("mapping", "image", "expected"),
    [
        pytest.param(
            {"source_type": "image", "destination_type": "local", "uuid": IMAGE_ID, "boot_index": 0},
            IMAGE_ID,
            IMAGE_ROOT,
            id="image on a local disk",
        ),
        pytest.param(
            {
                "source_type": "image",
                "destination_type": "volume",
                "uuid": "i",
                "boot_index": "0",
                "volume_size": "2",
                "delete_on_termination": True,
                "volume_type": "fast",
                "tag": "t",
                "disk_bus": "scsi",
                "device_type": "disk",
                "guest_format": "ext4",
                "device_name": "/dev/sda",
            },
            "",
            Asked(IMAGE, VOLUME, "i", 0, 2, "/dev/sda", True, "scsi", "disk", "ext4", "t", "fast"),
            id="image to volume, with all there is",
        ),
        pytest.param({"source_type": "volume", "uuid": "v"}, "", Asked(VOLUME, VOLUME, "v"), id="volume"),
        pytest.param({"source_type": "snapshot", "uuid": "s"}, "", Asked(SNAPSHOT, VOLUME, "s"), id="snapshot"),
        pytest.param(
            {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "boot_index": -1},
            "",
            Asked(BLANK, VOLUME, size=1),
            id="blank volume, not booted from",
        ),
        pytest.param(
            {"source_type": "blank", "guest_format": "swap", "boot_index": None, "volume_type": None},
            "",
            Asked(BLANK, LOCAL, guest_format="swap"),
            id="swap",
        ),
    ],
)
def test_a_mapping_is_read(mapping: dict[str, Any], image: str, expected: Asked) -> None:
    assert read(mapping, image=image) == (expected,)


def test_a_device_that_shall_not_be_is_none() -> None:
    assert read({"no_device": True, "device_name": "vdb"}) == ()
    assert read_old({"no_device": True, "device_name": "vdb"}) == ()


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        pytest.param({"uuid": "v"}, "required fields", id="no source"),
        pytest.param({"source_type": "volume"}, "Missing device UUID", id="no volume"),
        pytest.param({"source_type": "volume", "volume_id": "v"}, "Missing device UUID", id="volume by the old name"),
        pytest.param({"source_type": "blank", "uuid": "v"}, "Invalid device UUID", id="blank with a UUID"),
        pytest.param(
            {"source_type": "image", "uuid": "i", "boot_index": 0}, "image to local is not", id="image not named"
        ),
        pytest.param(
            {"source_type": "volume", "uuid": "i", "destination_type": "local"}, "volume to local is", id="local volume"
        ),
        pytest.param(
            {"source_type": "snapshot", "uuid": "i", "destination_type": "local"},
            "snapshot to local is",
            id="local snapshot",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(mapping: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read(mapping)


def test_an_image_is_put_on_a_local_disk_only_as_the_one_asked_for() -> None:
    local = {"source_type": "image", "uuid": "other", "destination_type": "local", "boot_index": 0}
    with pytest.raises(Invalid, match="another image"):
        read(local, image=IMAGE_ID)
    with pytest.raises(Invalid, match="image to local is not"):
        read({**local, "uuid": IMAGE_ID, "boot_index": 1}, image=IMAGE_ID)


@pytest.mark.parametrize(
    ("mappings", "image", "expected"),
    [
        pytest.param([{"device_name": "vda", "volume_id": "v"}], "", [Asked(VOLUME, VOLUME, "v", 0)], id="root volume"),
        pytest.param(
            [{"device_name": "/dev/vda", "snapshot_id": "s", "delete_on_termination": True, "volume_size": 2}],
            IMAGE_ID,
            [Asked(SNAPSHOT, VOLUME, "s", 0, 2, delete_on_termination=True)],
            id="root snapshot rather than the image",
        ),
        pytest.param(
            [{"device_name": "vdb", "volume_id": "v"}],
            IMAGE_ID,
            [IMAGE_ROOT, Asked(VOLUME, VOLUME, "v")],
            id="data volume beside the image",
        ),
        pytest.param(
            [{"device_name": "vdb", "virtual_name": "swap"}, {"device_name": "vdc", "virtual_name": "ephemeral0"}],
            IMAGE_ID,
            [
                IMAGE_ROOT,
                Asked(BLANK, LOCAL, guest_format="swap", delete_on_termination=True),
                Asked(BLANK, LOCAL, delete_on_termination=True),
            ],
            id="local disks",
        ),
    ],
)
def test_an_old_mapping_is_read(mappings: list[dict[str, Any]], image: str, expected: list[Asked]) -> None:
    found = read_old(*mappings, image=image)
    names = [None, *(mapping.get("device_name") for mapping in mappings)][-len(found) :]
    assert [(each, each.device_name) for each in found] == [
        (Asked(**{**_fields(each), "device_name": name}), name) for each, name in zip(expected, names, strict=True)
    ]


def _fields(asked: Asked) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in Asked.__slots__}


def test_an_old_mapping_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="legacy format"):
        read_old({"device_name": "vdb", "virtual_name": "floppy"})


SWAP = Asked(BLANK, LOCAL, size=512, guest_format="swap")


@pytest.mark.parametrize(
    ("asked", "flavor", "count"),
    [
        pytest.param([ROOT], BARE, 1, id="one volume"),
        pytest.param([ROOT, volume(1), volume(2), volume(None)], BARE, 1, id="several to boot from"),
        pytest.param([volume(1), ROOT], BARE, 1, id="in any order"),
        pytest.param([IMAGE_ROOT, volume(None)], BARE, 1, id="image and volume"),
        pytest.param(
            [IMAGE_ROOT, SWAP, Asked(BLANK, LOCAL, size=4), Asked(BLANK, LOCAL, size=6)], FLAVOR, 1, id="local"
        ),
        pytest.param([IMAGE_ROOT, Asked(BLANK, LOCAL)], FLAVOR, 5, id="ephemeral disk of the flavor's size"),
        pytest.param([Asked(IMAGE, VOLUME, "i", 0, 1), Asked(BLANK, VOLUME, size=1)], BARE, 5, id="made for each"),
        pytest.param([Asked(SNAPSHOT, VOLUME, "i", 0)], BARE, 5, id="snapshot says its size"),
        pytest.param([volume(0, disk_bus="sata", device_type="disk")], BARE, 1, id="bus"),
    ],
)
def test_what_fits_is_let_through(asked: list[Asked], flavor: Flavor, count: int) -> None:
    block_device_mappings.refuse_misfits(asked, flavor, count=count)


@pytest.mark.parametrize(
    ("asked", "flavor", "words"),
    [
        pytest.param([], BARE, "Boot sequence", id="nothing"),
        pytest.param([volume(None)], BARE, "Boot sequence", id="nothing to boot from"),
        pytest.param([volume(1)], BARE, "Boot sequence", id="no first"),
        pytest.param([ROOT, volume(0, source_id="w")], BARE, "Boot sequence", id="two firsts"),
        pytest.param([ROOT, volume(2)], BARE, "Boot sequence", id="gap"),
        pytest.param([IMAGE_ROOT, ROOT], BARE, "Boot sequence", id="image and volume first"),
        pytest.param([Asked(BLANK, LOCAL, boot_index=0, size=1)], BARE, "Boot sequence", id="booting from nothing"),
        pytest.param([ROOT, volume(1, source_id="v0")], BARE, "more than once", id="volume twice"),
        pytest.param([Asked(IMAGE, VOLUME, "i", 0)], BARE, "non-zero", id="image without size"),
        pytest.param([ROOT, Asked(BLANK, VOLUME)], BARE, "non-zero", id="blank without size"),
        pytest.param([volume(0, volume_type="t")], BARE, "type to existing", id="type of a volume that is"),
        pytest.param(
            [IMAGE_ROOT, Asked(BLANK, LOCAL, volume_type="t")],
            FLAVOR,
            "destination_type=local",
            id="type of a local disk",
        ),
        pytest.param([volume(0, disk_bus="nvme")], BARE, "disk bus nvme", id="bus nobody has"),
        pytest.param([volume(0, device_type="cdrom")], BARE, "cdrom", id="compact disc"),
        pytest.param([IMAGE_ROOT, SWAP, SWAP], FLAVOR, "one swap", id="two swaps"),
        pytest.param([IMAGE_ROOT, SWAP], BARE, "Swap drive", id="swap bigger than the flavor's"),
        pytest.param([IMAGE_ROOT, Asked(BLANK, LOCAL, size=11)], FLAVOR, "Ephemeral", id="ephemeral too big"),
        pytest.param(
            [IMAGE_ROOT, Asked(BLANK, LOCAL), Asked(BLANK, LOCAL)], FLAVOR, "Ephemeral", id="together too big"
        ),
        pytest.param([IMAGE_ROOT, Asked(BLANK, LOCAL, size=1)], BARE, "Ephemeral", id="flavor has none"),
    ],
)
def test_what_does_not_fit_is_refused(asked: list[Asked], flavor: Flavor, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        block_device_mappings.refuse_misfits(asked, flavor, count=1)


def test_a_volume_is_for_one_server() -> None:
    with pytest.raises(Invalid, match="multiple instances"):
        block_device_mappings.refuse_misfits([ROOT], BARE, count=2)


@pytest.mark.parametrize(
    ("asked", "flavor", "names"),
    [
        pytest.param([ROOT, volume(None)], BARE, "vda vdb", id="root first"),
        pytest.param([volume(None), ROOT], BARE, "vdb vda", id="root last"),
        pytest.param([IMAGE_ROOT, volume(None)], BARE, "vdb", id="behind the image's disk"),
        pytest.param([IMAGE_ROOT, volume(None)], FLAVOR, "vdd", id="behind all local disks"),
        pytest.param([ROOT, volume(None)], FLAVOR, "vda vdd", id="local disks behind the root"),
        pytest.param([volume(0, device_name="vdc"), volume(None)], BARE, "vdc vda", id="root elsewhere"),
        pytest.param([ROOT, volume(1, device_name="/dev/xvdf")], BARE, "vda vdf", id="by letter"),
        pytest.param([ROOT, volume(1, device_name="disk")], BARE, "vda vdb", id="a name that is none"),
        pytest.param([volume(0, disk_bus="scsi"), volume(1, disk_bus="ide")], BARE, "sda hdb", id="buses"),
    ],
)
def test_disks_have_names(asked: list[Asked], flavor: Flavor, names: str) -> None:
    found = block_device_mappings.named(asked, "virtio", flavor, has_config_drive=True)
    assert [name.removeprefix("/dev/") for _, name in found] == names.split()
    assert [one for one, _ in found] == [one for one in asked if one.is_volume]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([IMAGE_ROOT, volume(None, device_name="vda")], id="the image's place"),
        pytest.param([volume(0, device_name="vdb"), volume(1, device_name="/dev/vdb")], id="one place twice"),
        pytest.param([volume(index) for index in range(27)], id="more than there are letters"),
    ],
)
def test_places_are_not_shared(asked: list[Asked]) -> None:
    with pytest.raises(Invalid):
        block_device_mappings.named(asked, "virtio", BARE, has_config_drive=False)
