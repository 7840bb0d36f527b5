"""How far a volume is to another place, by a guest's definitions."""

import pytest

from nova_lite.compute.virt.libvirt import block_copies, volume_xml
from nova_lite.compute.virt.libvirt.block_copies import Look, Stage
from nova_lite.compute.virt.libvirt.volume_xml import Host, Local
from nova_lite.errors import GuestFailed
from nova_lite.model.guest import VolumeDisk

VOLUME = "11111111-83f3-4df4-bd4d-3f3f21ab3e52"
WANTED = volume_xml.disk(
    VolumeDisk(VOLUME, "/dev/vdb", {"driver_volume_type": "local"}), Host("alpha"), Local("/v/there")
)


def a_guest(path: str, copied_to: str | None = None, ready: str = "") -> str:
    """Return a definition with the volume at ``path``, being copied or not."""
    copy = f"<mirror type='file' job='copy'{ready}><source file='{copied_to}'/></mirror>" if copied_to else ""
    return (
        "<domain><devices><disk type='file' device='disk'><source file='/other'/><target dev='vda'/></disk>"
        f"<disk type='file' device='disk'><source file='{path}' index='3'/>{copy}<target dev='vdb'/>"
        f"<serial>{VOLUME}</serial></disk></devices></domain>"
    )


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        pytest.param(a_guest("/v/here"), Look(Stage.AWAY, "vdb", runs=True), id="not begun"),
        pytest.param(
            a_guest("/v/here", "/v/there"), Look(Stage.COPYING, "vdb", runs=True, is_copied=True), id="under way"
        ),
        pytest.param(
            a_guest("/v/here", "/v/there", " ready='yes'"),
            Look(Stage.WHOLE, "vdb", runs=True, is_copied=True),
            id="whole",
        ),
        pytest.param(
            a_guest("/v/here", "/v/third", " ready='yes'"),
            Look(Stage.ELSEWHERE, "vdb", runs=True, is_copied=True),
            id="to another place",
        ),
        pytest.param(a_guest("/v/there"), Look(Stage.THERE, "vdb", runs=True), id="there"),
        pytest.param(
            a_guest("/v/there", "/v/here"), Look(Stage.THERE, "vdb", runs=True, is_copied=True), id="being copied away"
        ),
    ],
)
def test_how_far_it_is(live: str, expected: Look) -> None:
    assert block_copies.look(a_guest("/v/here"), live, WANTED) == expected


def test_a_guest_that_is_off_has_it_where_its_definition_says() -> None:
    assert block_copies.look(a_guest("/v/there"), None, WANTED) == Look(Stage.THERE, "vdb", runs=False)
    assert block_copies.look(a_guest("/v/here"), None, WANTED) == Look(Stage.AWAY, "vdb", runs=False)


def test_a_guest_without_the_volume() -> None:
    with pytest.raises(GuestFailed, match=VOLUME):
        block_copies.look("<domain><devices/></domain>", None, WANTED)
