"""The hypervisor that the configuration names, and what it is told of itself."""

from pathlib import Path

from nova_lite import config
from nova_lite.compute.service import make_driver
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.compute.virt.libvirt.host_volumes import HostVolumes


def test_a_host_connects_the_volumes_that_are_named(tmp_path: Path) -> None:
    file = tmp_path / "host.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[libvirt]\nvolumes_by_host = iscsi,nvmeof\n")
    driver = make_driver(config.load(["--config-file", str(file)]))
    assert isinstance(driver, LibvirtDriver)
    found = [each for each in vars(driver._volumes).values() if isinstance(each, HostVolumes)]
    assert [each.kinds for each in found] == [("iscsi", "nvmeof")]
