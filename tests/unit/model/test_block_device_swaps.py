"""Devices whose volume another one is to take the place of."""

from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice

STILL = BlockDevice("b1", "v1", "/dev/vda", "a1")
SWAPPED = BlockDevice("b2", "v2", "/dev/vdb", "a2", next_volume_id="v3", next_attachment_id="a3")


def test_both_attachments_are_the_servers() -> None:
    assert block_device.claims((STILL, SWAPPED)) == {"a1", "a2", "a3"}


def test_what_it_is_to_be_is_told_beside_it() -> None:
    to_be = BlockDevice("b2", "v3", "/dev/vdb", "a3")
    assert block_device.next_of(SWAPPED) == to_be
    assert block_device.with_next((STILL, SWAPPED)) == [STILL, SWAPPED, to_be]
