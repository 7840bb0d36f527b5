"""Whose attachment is whose while a server moves."""

from nova_lite.model import block_device
from nova_lite.model.block_device import BlockDevice

STAYED = BlockDevice("a", "volume-a", "/dev/vdb", attachment_id="here-a")
CAME = BlockDevice("b", "volume-b", "/dev/vdc", attachment_id="there-b")
MOVED = BlockDevice("a", "volume-a", "/dev/vdb", attachment_id="there-a", old_attachment_id="here-a")


def test_a_move_keeps_the_old_attachment_beside_the_new_one() -> None:
    assert block_device.moved((STAYED,), {"a": "there-a"}) == (MOVED,)
    assert block_device.claims((MOVED, CAME)) == {"here-a", "there-a", "there-b"}


def test_what_was_not_moved_is_as_before() -> None:
    assert block_device.moved((STAYED,), {}) == (STAYED,)
    assert block_device.moved_back((STAYED,), {}) == (STAYED,)


def test_on_the_way_back_what_came_meanwhile_has_a_new_attachment() -> None:
    back = block_device.moved_back((MOVED, CAME), {"b": "here-b"})
    assert [device.attachment_id for device in back] == ["here-a", "here-b"]
    assert block_device.claims(back) == {"here-a", "here-b"}


def test_confirmed_the_old_attachment_is_forgotten() -> None:
    (settled,) = block_device.settled((MOVED,))
    assert (settled.attachment_id, settled.old_attachment_id) == ("there-a", None)


def test_a_host_knows_its_own_attachments_alone() -> None:
    assert block_device.as_left((MOVED, CAME)) == (STAYED,)
    assert block_device.at((STAYED, CAME), {"a": "there-a"}) == (block_device.settled((MOVED,))[0],)


def test_off_its_host_a_server_has_but_what_no_host_has() -> None:
    (reserved,) = block_device.at_none((STAYED,), {"a": "none-a"})
    assert (reserved.attachment_id, reserved.old_attachment_id) == ("none-a", None)
