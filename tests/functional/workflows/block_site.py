"""A cloud of stories whose servers have volumes: what its block storage holds, has held, and is to do wrong."""

import contextlib
import uuid as uuids
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.db.repositories import instances
from nova_lite.embedded import volume_api
from nova_lite.embedded.volume_records import Records, StoredAttachment, StoredVolume
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.model import block_device
from nova_lite.model.block_device import Phase
from nova_lite.model.instance import Instance
from nova_lite.model.states import VmState
from nova_lite.testing import cloud as clouds
from nova_lite.testing.block_storage import FaultyVolumes
from tests.functional.workflows.site import Site, opened


@dataclass
class Blocks:
    """The block storage of a cloud, looked at from inside; ``seen`` is every status its volumes have had.

    ``left`` are attachments that are gone without their host having been told, and may be.
    """

    site: Site
    store: VolumeStore
    faults: FaultyVolumes
    seen: dict[str, list[str]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def volume(self, **more: Any) -> str:
        """Return a new volume; nobody needs its file."""
        volume_id, made_at = str(uuids.uuid4()), "2026-01-01T00:00:00.000000"
        self.store.records.put(
            StoredVolume(volume_id, "admin", "admin", 1, "available", self.store.types.default().id, made_at, **more)
        )
        return volume_id

    def attach(self, server: str, volume_id: str) -> None:
        """Attach a volume to a server, and forget what it was before."""
        body = {"volumeAttachment": {"volumeId": volume_id}}
        status, found = self.site.ask("POST", f"/servers/{server}/os-volume_attachments", body)
        assert status == 200, found
        self.site.rest(is_end=False)
        self.seen[volume_id] = []

    def detach(self, server: str, volume_id: str) -> None:
        """Detach a volume from a server."""
        assert self.site.ask("DELETE", f"/servers/{server}/os-volume_attachments/{volume_id}")[0] == 202
        self.site.rest(is_end=False)

    def server(self, count: int = 2) -> tuple[str, list[str]]:
        """Return a new server, and the volumes it has."""
        (server,) = self.site.boot()
        self.site.rest(is_end=False)
        made = [self.volume() for _ in range(count)]
        for volume_id in made:
            self.attach(server, volume_id)
        return server, made

    def attachments(self, server: str) -> dict[str, StoredAttachment]:
        """Return what the block storage has of a server."""
        return {found.id: found for found in self.store.records.all(StoredAttachment) if found.instance_uuid == server}

    def made_for(self, server: str) -> list[str]:
        """Return the volumes that were made for a server."""
        return [found.id for found in self.store.records.all(StoredVolume) if (found.name or "").startswith(server)]

    def status(self, volume_id: str) -> str:
        """Return what a volume is."""
        found = self.store.records.get(StoredVolume, volume_id)
        assert found is not None
        return found.status

    def instance(self, server: str) -> Instance:
        """Return a server as its cell has it."""
        for name in self.site.cloud.settings.cell_names:
            with (
                contextlib.closing(clouds.database(self.site.cloud, name)) as database,
                database.reader() as session,
                contextlib.suppress(errors.NotFound),
            ):
                return instances.get(session, server)
        raise AssertionError(f"no cell has server {server}")

    def assert_whole(self, server: str, volumes: list[str]) -> None:
        """Check that a server at rest has its volumes by the attachments of its row, and where it is, alone."""
        instance = self.instance(server)
        held = self.attachments(server)
        assert set(held) == block_device.claims(instance.volumes)
        assert sorted(str(device.volume_id) for device in instance.volumes) == sorted(volumes)
        is_moved = instance.vm_state is VmState.RESIZED
        for device in instance.volumes:
            attachment = held[str(device.attachment_id)]
            assert device.phase is Phase.ATTACHED
            assert (attachment.host, attachment.volume_id) == (instance.host, device.volume_id)
            assert attachment.status == ("reserved" if instance.host is None else "attached")
            assert is_moved or device.old_attachment_id is None
        for volume_id in volumes:
            assert self.status(volume_id) == ("reserved" if instance.host is None else "in-use")
            assert "available" not in self.seen[volume_id]
        self._assert_plugged(instance)

    def leave(self, server: str) -> None:
        """Expect hosts to hear nothing of the attachments that a server has now, should they go."""
        self.left |= set(self.attachments(server))

    def forgive(self) -> None:
        """Let no later story fail for what hosts were left with until now."""
        for host in self.site.cloud.agents:
            self.left |= clouds.fake_driver(self.site.cloud, host).reached

    def _assert_plugged(self, instance: Instance) -> None:
        """Check that the guest has the volumes, and that no other host has been left a way to them."""
        wanted = {device.volume_id: device.attachment_id for device in instance.volumes}
        allowed = block_device.claims(instance.volumes)
        for host in self.site.cloud.agents:
            driver = clouds.fake_driver(self.site.cloud, host)
            if host == instance.host:
                assert {each.volume_id: each.attachment_id for each in driver.plugged(instance.uuid)} == wanted
            elif instance.vm_state is not VmState.RESIZED:
                assert not driver.reached & allowed
            assert driver.reached - self.left <= {found.id for found in self.store.records.all(StoredAttachment)}

    def assert_free(self, server: str, volumes: list[str]) -> None:
        """Check that nothing holds the volumes of a server that is gone."""
        assert self.attachments(server) == {}
        assert [self.status(volume_id) for volume_id in volumes] == ["available"] * len(volumes)


@contextlib.contextmanager
def opened_with_volumes(directory: Path, **more: Any) -> Iterator[Blocks]:
    """Run a cloud whose block storage can be looked at, and made to fail."""
    kept: list[tuple[VolumeStore, FaultyVolumes]] = []
    real = volume_api.build
    seen: dict[str, list[str]] = defaultdict(list)

    def build(store: VolumeStore, **options: Any) -> FaultyVolumes:
        faults = FaultyVolumes(real(store, **options))
        _watch(store.records, seen)
        kept.append((store, faults))
        return faults

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume_api, "build", build)
        with opened(directory, **more) as site:
            ((store, faults),) = kept
            yield Blocks(site, store, faults, seen)


def _watch(records: Records, seen: dict[str, list[str]]) -> None:
    put = records.put

    def watched(record: Any) -> Any:
        if isinstance(record, StoredVolume):
            seen[record.id].append(record.status)
        return put(record)

    records.put = watched  # type: ignore[method-assign]
