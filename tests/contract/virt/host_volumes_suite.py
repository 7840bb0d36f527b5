"""What a host promises of volumes that it connects itself, whatever connects them."""

from typing import Protocol

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes
from nova_lite.model.guest import VolumeDisk


class Site(Protocol):
    """A host with volumes in its reach."""

    volumes: HostVolumes

    def volume(self) -> VolumeDisk:
        """Return a new volume that this host can connect."""
        ...

    def no_device(self) -> VolumeDisk:
        """Return one whose connecting leads to what is no device."""
        ...

    def after_a_death(self) -> HostVolumes:
        """Return what another agent of the host finds."""
        ...

    def noted(self) -> int:
        """Return of how many connections something is known."""
        ...


class HostVolumesContract:
    """The promises, each a test."""

    def test_a_device_is_connected_once_and_found_again(self, site: Site) -> None:
        volume = site.volume()
        with site.volumes.coming(volume) as first:
            assert first.is_device
        with site.after_a_death().coming(volume) as again:
            assert again == first
        assert site.noted() == 1

    def test_what_a_dead_agent_connected_is_given_up(self, site: Site) -> None:
        volume = site.volume()
        with site.volumes.coming(volume):
            pass
        for _ in range(2):
            site.after_a_death().release(volume.connection, lambda path: False)
            assert site.noted() == 0

    def test_what_a_dead_agent_connected_for_nobody_is_given_up_by_the_next(self, site: Site) -> None:
        used, unused = site.volume(), site.volume()
        with site.volumes.coming(used) as local, site.volumes.coming(unused):
            pass
        for _ in range(2):
            site.after_a_death().sweep(lambda path: path == local.path)
            assert site.noted() == 1

    def test_a_device_goes_with_its_last_guest(self, site: Site) -> None:
        volume, users = site.volume(), {"one", "other"}
        with site.volumes.coming(volume) as local:
            pass
        for user in ("one", "other"):
            assert site.noted() == 1
            users.remove(user)
            site.volumes.release_device(local.path, lambda path: path == local.path and bool(users))
        assert site.noted() == 0

    def test_a_device_that_comes_to_a_guest_stays(self, site: Site) -> None:
        volume = site.volume()
        with site.volumes.coming(volume) as local:
            site.volumes.release(volume.connection, lambda path: False)
            site.volumes.release_device(local.path, lambda path: False)
            assert site.noted() == 1
        site.volumes.release(volume.connection, lambda path: False)
        assert site.noted() == 0

    def test_each_volume_has_a_device_of_its_own(self, site: Site) -> None:
        one, other = site.volume(), site.volume()
        with site.volumes.coming(one) as first, site.volumes.coming(other) as second:
            assert first.path != second.path
        site.volumes.release(one.connection, lambda path: path == second.path)
        assert site.noted() == 1

    def test_what_is_no_device_comes_to_no_guest(self, site: Site) -> None:
        with pytest.raises(errors.HostFailed), site.volumes.coming(site.no_device()):
            pytest.fail("a guest would have had it")
        assert site.noted() == 0

    def test_what_another_kind_of_connection_leads_to_is_not_the_hosts(self, site: Site) -> None:
        other = {"driver_volume_type": "rbd", "name": "pool/image"}
        assert not site.volumes.takes(other)
        site.volumes.release(other, lambda path: False)
        site.volumes.release_device("/dev/nobodys", lambda path: False)
