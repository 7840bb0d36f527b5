"""How the hosts of an embedded cloud share the machine."""

from pathlib import Path

import pytest

from nova_lite.compute.virt.libvirt import host
from nova_lite.embedded import hypervisors
from nova_lite.embedded.settings import CloudSettings


@pytest.mark.parametrize(
    ("cells", "hosts", "memory_mib", "each_mib"),
    [
        pytest.param(2, 2, 9 * 1024, 2048, id="four hosts"),
        pytest.param(1, 1, 9 * 1024, 8192, id="one host"),
        pytest.param(2, 2, 512, 0, id="a machine too small for any"),
    ],
)
def test_hosts_together_never_offer_more_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int, hosts: int, memory_mib: int, each_mib: int
) -> None:
    monkeypatch.setattr(host, "ram_mib", lambda: memory_mib)
    settings = CloudSettings(state_dir=tmp_path, cells=cells, hosts=hosts)
    share = hypervisors.share(settings, "libvirt")
    assert memory_mib - int(str(share["reserved_host_memory_mb"])) == each_mib
    assert int(str(share["reserved_host_disk_mb"])) >= 0


def test_imitated_hosts_share_nothing(tmp_path: Path) -> None:
    assert hypervisors.share(CloudSettings(state_dir=tmp_path), "fake") == {"reserved_host_memory_mb": 0}
