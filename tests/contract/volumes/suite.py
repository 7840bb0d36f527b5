"""What our client gets from any block storage service, the embedded one or a real Cinder.

Subclass and give it a fixture ``storage``. Volumes are removed when a test ends, whatever became of it.
"""

import time
import uuid as uuids
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.volume import NewVolume, Volume, VolumeSnapshot

#: Volumes take far less; a busy machine may not.
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Storage:
    """One service. ``member`` and ``other`` are tokens of users of two projects; ``image_id`` an image of some KiB.

    ``call`` asks as the administrator: method, path below ``/v3``, body.
    """

    volumes: Volumes
    member: Callable[[], str]
    other: Callable[[], str]
    image_id: str
    call: Callable[[str, str, Any], Any]


class VolumesSuite:
    """Everything that we ask of block storage."""

    @pytest.fixture
    def user(self, storage: Storage) -> VolumesAs:
        """The volumes as a user sees them."""
        return storage.volumes.as_user(storage.member())

    @pytest.fixture
    def service(self, storage: Storage) -> VolumesAs:
        """The volumes as we see them ourselves."""
        return storage.volumes.as_service()

    @pytest.fixture
    def make(self, storage: Storage, user: VolumesAs) -> Iterator[Callable[..., Volume]]:
        """Return a function that makes a volume and waits for it; all are removed in the end."""
        made: list[str] = []

        def making(size_gib: int = 1, **wanted: Any) -> Volume:
            volume = user.create(NewVolume(size_gib, **{"name": _name(), **wanted}))
            made.append(volume.id)
            return _reached(user, volume.id, "available")

        yield making
        service = storage.volumes.as_service()
        for volume_id in reversed(made):
            for attachment in service.attachments_to(volume_id):
                service.detach(attachment.id)
        for volume_id in reversed(made):
            storage.call("POST", f"/volumes/{volume_id}/action", {"os-force_delete": None})
            _gone(service, volume_id)

    @pytest.fixture
    def shared_type(self, storage: Storage) -> Iterator[str]:
        """A type whose volumes may be attached to several servers."""
        body = {"volume_type": {"name": _name(), "extra_specs": {"multiattach": "<is> True"}}}
        made = storage.call("POST", "/types", body)["volume_type"]
        yield made["name"]
        storage.call("DELETE", f"/types/{made['id']}", None)

    # -- volumes --------------------------------------------------------------------------------------------------

    def test_the_newest_version_we_know_is_spoken(self, storage: Storage) -> None:
        assert storage.volumes.version() == (3, 71)

    def test_a_volume_is_made_shown_and_removed(self, user: VolumesAs, service: VolumesAs) -> None:
        name = _name()
        made = user.create(NewVolume(1, name, "a disk", metadata={"colour": "red"}))
        assert made.status == "creating"

        volume = _reached(user, made.id, "available")
        assert (volume.name, volume.size_gib, volume.metadata) == (name, 1, {"colour": "red"})
        assert (volume.is_bootable, volume.is_multiattach, volume.is_encrypted) == (False, False, False)
        assert (volume.availability_zone, volume.attachments, volume.image_metadata) == ("nova", (), {})
        assert (volume.has_shared_targets, volume.service_uuid is not None) == (False, True)
        assert volume.project_id == service.show(made.id).project_id
        assert [found.id for found in user.named(name)] == [made.id]
        assert [found.id for found in service.named(name)] == [made.id]

        user.delete(made.id)
        _gone(user, made.id)
        user.delete(made.id)  # which is no error

    def test_a_foreign_volume_is_not_found(self, storage: Storage, make: Callable[..., Volume]) -> None:
        volume = make()
        other = storage.volumes.as_user(storage.other())
        for ask in (other.show, other.begin_detaching, lambda found: other.reserve(found, _uuid())):
            with pytest.raises(errors.NotFound, match=volume.id):
                ask(volume.id)
        assert other.named(volume.name) == []

    @pytest.mark.parametrize(
        ("wanted", "kind"),
        [
            pytest.param({"size_gib": 0}, errors.Invalid, id="no size"),
            pytest.param({"volume_type": "no-such"}, errors.NotFound, id="type"),
            pytest.param({"availability_zone": "mars"}, errors.Invalid, id="zone"),
            pytest.param({"snapshot_id": str(uuids.UUID(int=1))}, errors.NotFound, id="snapshot"),
            pytest.param({"source_volume_id": str(uuids.UUID(int=1))}, errors.NotFound, id="source"),
            pytest.param({"image_id": str(uuids.UUID(int=1))}, errors.Invalid, id="image"),
            pytest.param({"size_gib": 100_000}, errors.OverQuota, id="quota"),
        ],
    )
    def test_what_cannot_be_made(
        self, user: VolumesAs, wanted: dict[str, Any], kind: type[errors.NovaLiteError]
    ) -> None:
        with pytest.raises(kind):
            user.create(NewVolume(**{"size_gib": 1, "name": _name(), **wanted}))

    def test_a_volume_from_an_image_can_be_booted_and_filled_anew(
        self, storage: Storage, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        volume = make(image_id=storage.image_id)
        assert volume.is_bootable
        assert volume.image_metadata["image_id"] == storage.image_id

        user.reimage(volume.id, storage.image_id, is_reserved=False)
        _reached(user, volume.id, "available")
        attachment = user.reserve(volume.id, _uuid())
        with pytest.raises(errors.Invalid, match=volume.id):
            user.reimage(volume.id, storage.image_id, is_reserved=False)
        service.reimage(volume.id, storage.image_id, is_reserved=True)
        _reached(user, volume.id, "reserved")
        assert service.attachment(attachment.id).status == "reserved"
        with pytest.raises(errors.NotFound):
            service.reimage(volume.id, _uuid(), is_reserved=True)

    def test_a_volume_is_made_from_another(self, user: VolumesAs, make: Callable[..., Volume]) -> None:
        source = make()
        copy = make(2, source_volume_id=source.id)
        assert copy.size_gib == 2
        with pytest.raises(errors.Invalid, match="smaller"):
            user.create(NewVolume(1, _name(), source_volume_id=copy.id))

    # -- attachments ----------------------------------------------------------------------------------------------

    def test_attach_and_detach(self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]) -> None:
        volume, server = make(), _uuid()
        reserved = user.reserve(volume.id, server)
        assert (reserved.volume_id, reserved.instance_uuid, reserved.status) == (volume.id, server, "reserved")
        assert reserved.connection_info == {}
        assert user.show(volume.id).status == "reserved"

        connected = service.connect(reserved.id, _connector("host1"))
        assert connected.connection_info["driver_volume_type"]
        assert service.connect(reserved.id, _connector("host1")).connection_info == connected.connection_info
        assert user.show(volume.id).status == "attaching"
        assert service.attachment(reserved.id).status == "attaching"

        assert service.complete(reserved.id)
        assert service.complete(reserved.id)  # once more does no harm
        assert service.attachment(reserved.id).connection_info == connected.connection_info
        used = service.show(volume.id)
        assert used.status == "in-use"
        assert [(use.attachment_id, use.instance_uuid, use.host) for use in used.attachments] == [
            (reserved.id, server, "host1")
        ]

        user.begin_detaching(volume.id)
        assert user.show(volume.id).status == "detaching"
        service.detach(reserved.id)
        assert (user.show(volume.id).status, user.show(volume.id).attachments) == ("available", ())
        service.detach(reserved.id)  # which is no error

    def test_everybodys_attachments_and_volumes_in_a_status_are_found(
        self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        """What audits ask."""
        volume, other, server = make(), make(), _uuid()
        attachment = service.attach(volume.id, server, _connector("host1"))
        service.complete(attachment.id)
        found = {one.id: one for one in service.every_attachment()}[attachment.id]
        assert (found.volume_id, found.instance_uuid, found.status) == (volume.id, server, "attached")
        assert volume.id not in {one.id for one in service.in_status("detaching")}

        service.begin_detaching(volume.id)
        detaching = {one.id: one for one in service.in_status("detaching")}
        assert other.id not in detaching
        uses = [(use.attachment_id, use.instance_uuid) for use in detaching[volume.id].attachments]
        assert uses == [(attachment.id, server)]
        service.roll_detaching(volume.id)
        assert user.show(volume.id).status == "in-use"

    def test_what_is_gone_is_named(self, service: VolumesAs) -> None:
        gone = _uuid()
        for ask in (service.attachment, service.complete, lambda found: service.connect(found, _connector("host1"))):
            with pytest.raises(errors.NotFound, match=gone):
                ask(gone)
        with pytest.raises(errors.NotFound, match=gone):
            service.reserve(gone, _uuid())

    def test_a_volume_is_one_servers_alone(
        self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        volume = make()
        attachment = user.reserve(volume.id, _uuid())
        with pytest.raises(errors.Invalid, match=volume.id):
            user.reserve(volume.id, _uuid())
        service.connect(attachment.id, _connector("host1"))
        service.complete(attachment.id)
        with pytest.raises(errors.Invalid, match=volume.id):
            user.reserve(volume.id, _uuid())
        assert [found.id for found in service.attachments_to(volume.id)] == [attachment.id]

    def test_a_server_takes_its_volume_along_to_another_host(
        self, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        volume, server = make(), _uuid()
        source = service.attach(volume.id, server, _connector("host1"))
        service.complete(source.id)

        target = service.attach(volume.id, server, _connector("host2"))
        assert target.connection_info
        assert {found.id for found in service.attachments_of(server)} == {source.id, target.id}
        service.complete(target.id)
        service.detach(source.id)

        volume = service.show(volume.id)
        assert (volume.status, [use.host for use in volume.attachments]) == ("in-use", ["host2"])

    def test_a_second_host_must_be_told_at_once(self, service: VolumesAs, make: Callable[..., Volume]) -> None:
        """Reserved first, it would not be given to another host as long as one has it."""
        volume, server = make(), _uuid()
        source = service.attach(volume.id, server, _connector("host1"))
        service.complete(source.id)
        target = service.reserve(volume.id, server)
        with pytest.raises(errors.Conflict, match=target.id):
            service.connect(target.id, _connector("host2"))
        assert service.show(volume.id).status == "in-use"

    def test_a_server_without_a_host_keeps_its_volume(self, service: VolumesAs, make: Callable[..., Volume]) -> None:
        volume, server = make(), _uuid()
        before = service.attach(volume.id, server, _connector("host1"))
        service.complete(before.id)

        kept = service.reserve(volume.id, server)
        assert service.show(volume.id).status == "in-use"
        service.detach(before.id)
        assert service.show(volume.id).status == "reserved"

        service.connect(kept.id, _connector("host2"))
        service.complete(kept.id)
        assert service.show(volume.id).status == "in-use"

    def test_a_reservation_is_given_back(self, user: VolumesAs, make: Callable[..., Volume]) -> None:
        volume = make()
        attachment = user.reserve(volume.id, _uuid())
        with pytest.raises(errors.Invalid):
            user.delete(volume.id)
        user.detach(attachment.id)
        assert user.show(volume.id).status == "available"

    def test_detaching_begins_once_and_is_taken_back(
        self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        volume = make()
        with pytest.raises(errors.Invalid):
            user.begin_detaching(volume.id)
        attachment = service.attach(volume.id, _uuid(), _connector("host1"))
        service.complete(attachment.id)
        user.begin_detaching(volume.id)
        with pytest.raises(errors.Invalid):
            user.begin_detaching(volume.id)
        for _ in range(2):
            user.roll_detaching(volume.id)
            assert user.show(volume.id).status == "in-use"

    def test_a_shared_volume_has_several_servers(
        self, service: VolumesAs, shared_type: str, make: Callable[..., Volume]
    ) -> None:
        volume = make(volume_type=shared_type)
        assert volume.is_multiattach
        one = service.reserve(volume.id, _uuid())
        with pytest.raises(errors.Invalid, match=volume.id):
            service.reserve(volume.id, _uuid())  # for the first is on its way
        service.connect(one.id, _connector("host1"))
        service.complete(one.id)

        two = service.reserve(volume.id, _uuid())
        assert service.show(volume.id).status == "reserved"
        service.connect(two.id, _connector("host1"))
        service.complete(two.id)
        assert {use.attachment_id for use in service.show(volume.id).attachments} == {one.id, two.id}

        service.detach(one.id)
        assert service.show(volume.id).status == "in-use"
        service.detach(two.id)
        assert service.show(volume.id).status == "available"

    def test_a_used_or_broken_volume_is_refused(
        self, storage: Storage, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        volume = make()
        attachment = service.attach(volume.id, _uuid(), _connector("host1"))
        service.complete(attachment.id)
        with pytest.raises(errors.Invalid):
            user.delete(volume.id)
        service.detach(attachment.id)
        storage.call("POST", f"/volumes/{volume.id}/action", {"os-reset_status": {"status": "error"}})
        with pytest.raises(errors.Invalid, match="error state"):
            user.reserve(volume.id, _uuid())

    def test_only_we_take_a_volume_from_a_server(
        self, storage: Storage, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        """Without a service token the service asks compute, or refuses: what is attached stays attached."""
        volume = make()
        attachment = service.attach(volume.id, _uuid(), _connector("host1"))
        service.complete(attachment.id)
        with pytest.raises(OSError):
            storage.call("DELETE", f"/attachments/{attachment.id}", None)
        assert service.attachment(attachment.id).status == "attached"
        assert service.show(volume.id).status == "in-use"

    # -- what hosts and administrators do -------------------------------------------------------------------------

    def test_a_used_volume_grows(self, storage: Storage, service: VolumesAs, make: Callable[..., Volume]) -> None:
        volume = make()
        attachment = service.attach(volume.id, _uuid(), _connector("host1"))
        service.complete(attachment.id)
        storage.call("POST", f"/volumes/{volume.id}/action", {"os-extend": {"new_size": 2}})
        assert _reached(service, volume.id, "in-use").size_gib == 2
        with pytest.raises(errors.Invalid):
            service.complete_extension(volume.id, has_failed=False)  # for nobody waits for it

    def test_a_server_goes_to_another_volume(self, service: VolumesAs, make: Callable[..., Volume]) -> None:
        old, new = make(), make()
        assert service.complete_migration(old.id, new.id, has_failed=False) == new.id

    def test_a_volume_that_is_migrated_is_nobody_elses(
        self, storage: Storage, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        """Its server's attachment goes before the migration is complete; it is not free for all that."""
        old, new = make(), make()
        server = _uuid()
        attachment = service.attach(old.id, server, _connector("host1"))
        service.complete(attachment.id)
        _reset_migration(storage, old.id, "migrating")
        service.begin_detaching(old.id)
        assert (service.show(old.id).status, service.show(old.id).migration_status) == ("in-use", "migrating")
        with pytest.raises(errors.Invalid):
            service.complete_migration(old.id, new.id, has_failed=False)  # nobody took it to the new one
        service.detach(attachment.id)
        assert service.show(old.id).status == "in-use"
        with pytest.raises(errors.Invalid):
            service.reserve(old.id, _uuid())
        _reset_migration(storage, old.id, "none")

    def test_migrations_that_cannot_be(self, storage: Storage, service: VolumesAs, make: Callable[..., Volume]) -> None:
        volume = make()
        url = f"/volumes/{volume.id}/action"
        here = storage.call("GET", f"/volumes/{volume.id}", None)["volume"]["os-vol-host-attr:host"]
        for body in (
            {"os-migrate_volume": {"host": "nobody@nowhere#none"}},
            {"os-migrate_volume": {"host": here}},
            {"os-retype": {"new_type": volume.volume_type, "migration_policy": "on-demand"}},
        ):
            with pytest.raises(OSError, match="400"):
                storage.call("POST", url, body)
        assert service.show(volume.id).status == "available"
        assert service.show(volume.id).migration_status is None

    def test_snapshots(self, storage: Storage, user: VolumesAs, make: Callable[..., Volume]) -> None:
        volume, service = make(), storage.volumes.as_service()
        made = user.create_snapshot(volume.id, "before", "just in case", metadata={"image_id": "one"})
        assert (made.volume_id, made.size_gib, made.name) == (volume.id, 1, "before")
        for who in (user, service):
            assert [(one.id, one.metadata) for one in who.snapshots_of(volume.id)] == [(made.id, {"image_id": "one"})]
        _snapshot_reached(user, made.id, "available")
        with pytest.raises(errors.Invalid):
            user.delete(volume.id)

        copy = make(snapshot_id=made.id)
        assert (copy.size_gib, copy.snapshot_id) == (1, made.id)

        with pytest.raises(errors.Invalid):
            service.update_snapshot_status(made.id, "error", "20%")
        storage.call("POST", f"/snapshots/{made.id}/action", {"os-reset_status": {"status": "creating"}})
        service.update_snapshot_status(made.id, "creating", "80%")
        assert user.snapshot(made.id).progress == "80%"
        service.update_snapshot_status(made.id, "available", "100%")

        user.delete_snapshot(made.id)
        _snapshot_gone(user, made.id)
        user.delete_snapshot(made.id)  # which is no error

    def test_a_used_volume_is_snapshot(self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]) -> None:
        volume = make()
        attachment = service.attach(volume.id, _uuid(), _connector("host1"))
        service.complete(attachment.id)
        made = user.create_snapshot(volume.id, "while running")
        _snapshot_reached(user, made.id, "available")
        user.delete_snapshot(made.id)
        _snapshot_gone(user, made.id)

    def test_what_we_make_for_ourselves_is_not_the_users(
        self, user: VolumesAs, service: VolumesAs, make: Callable[..., Volume]
    ) -> None:
        """So volumes and snapshots for users are made as the user; only attachments go to the volume's project."""
        volume = make()
        attachment = service.reserve(volume.id, _uuid())
        assert user.attachment(attachment.id).volume_id == volume.id
        service.detach(attachment.id)
        snapshot = service.create_snapshot(volume.id, "ours")
        own = service.create(NewVolume(1, _name()))
        try:
            _snapshot_reached(service, snapshot.id, "available")
            _reached(service, own.id, "available")
            with pytest.raises(errors.NotFound):
                user.snapshot(snapshot.id)
            with pytest.raises(errors.NotFound):
                user.show(own.id)
        finally:
            service.delete_snapshot(snapshot.id)
            service.delete(own.id)
            _snapshot_gone(service, snapshot.id)
            _gone(service, own.id)

    @pytest.mark.parametrize("wrong", ["no uuid", "server"], ids=["volume", "server"])
    def test_ids_are_uuids(self, service: VolumesAs, wrong: str) -> None:
        volume_id, server = (_uuid(), wrong) if wrong == "server" else (wrong, _uuid())
        with pytest.raises(errors.Invalid):
            service.reserve(volume_id, server)

    def test_a_bad_token_is_refused(self, storage: Storage) -> None:
        with pytest.raises(errors.Forbidden):
            storage.volumes.as_user("no token : at all").show(_uuid())


def _connector(host: str) -> dict[str, Any]:
    initiator = f"iqn.1993-08.org.debian:01:{host}"
    return {"host": host, "ip": "127.0.0.1", "initiator": initiator, "multipath": False, "platform": "x86_64"}


def _uuid() -> str:
    return str(uuids.uuid4())


def _reset_migration(storage: Storage, volume_id: str, status: str) -> None:
    """Say, as an administrator may, how far a volume's migration is."""
    storage.call("POST", f"/volumes/{volume_id}/action", {"os-reset_status": {"migration_status": status}})


def _name() -> str:
    return f"contract-{uuids.uuid4().hex[:8]}"


def _reached(volumes: VolumesAs, volume_id: str, status: str) -> Volume:
    """Return a volume in a status, with the back end's service, which is noted a moment after a new one is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while (volume := volumes.show(volume_id)).status != status or volume.service_uuid is None:
        assert "error" not in volume.status, volume
        assert time.monotonic() < deadline, volume
        time.sleep(0.05)
    return volume


def _gone(volumes: VolumesAs, volume_id: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            volume = volumes.show(volume_id)
        except errors.NotFound:
            return
        assert time.monotonic() < deadline, volume
        time.sleep(0.05)


def _snapshot_reached(volumes: VolumesAs, snapshot_id: str, status: str) -> VolumeSnapshot:
    deadline = time.monotonic() + _PATIENCE_S
    while (snapshot := volumes.snapshot(snapshot_id)).status != status:
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.05)
    return snapshot


def _snapshot_gone(volumes: VolumesAs, snapshot_id: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            snapshot = volumes.snapshot(snapshot_id)
        except errors.NotFound:
            return
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.05)
