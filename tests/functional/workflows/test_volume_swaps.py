"""Volumes that are migrated below running servers: whatever dies or fails, one of the two has the data, and is held."""

from collections.abc import Callable, Iterator

import pytest

from nova_lite import errors
from nova_lite.embedded.volume_files import POOLS
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.model.block_device import Phase
from nova_lite.model.guest import PowerState
from nova_lite.testing import cloud as clouds
from nova_lite.testing.block_storage import Fault
from nova_lite.testing.volumes import VolumeUser
from tests.functional.workflows.block_site import Blocks, opened_with_volumes
from tests.functional.workflows.sabotage import Place

HELD = Place("cell", "swap-volume", "hold attachment", "after")
NOTED = Place("cell", "swap-volume", "note swap", "after")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blocks]:
    with opened_with_volumes(tmp_path_factory.mktemp("site"), cells=1, hosts_per_cell=1) as blocks:
        yield blocks


@pytest.fixture
def blocks(shared: Blocks) -> Iterator[Blocks]:
    shared.site.saboteur.clear()
    yield shared
    shared.faults.clear()
    shared.site.clean()
    shared.forgive()


def stored(blocks: Blocks, volume_id: str) -> StoredVolume:
    found = blocks.store.records.get(StoredVolume, volume_id)
    assert found is not None
    return found


def migrate(blocks: Blocks, volume_id: str, *, rests: bool = True) -> None:
    """Have a volume go to the back end where it is not, and wait until it is there, or is known not to go."""
    there = next(pool.host for pool in POOLS if pool.name != stored(blocks, volume_id).pool)
    with VolumeUser(blocks.site.cloud.volume_url) as storage:
        storage.ask("POST", f"/volumes/{volume_id}/action", {"os-migrate_volume": {"host": there}})
    if rests:
        clouds.eventually(lambda: not _is_migrating(blocks, volume_id), f"volume {volume_id} has been migrated")
        blocks.site.rest()


def _is_migrating(blocks: Blocks, volume_id: str) -> bool:
    blocks.site.saboteur.pass_time()
    return stored(blocks, volume_id).migration_status in {"starting", "migrating"}


def adding(blocks: Blocks, fault: Fault) -> Callable[[], None]:
    """Return what has a fault happen from then on."""

    def add() -> None:
        blocks.faults.add(fault)

    return add


def assert_at(blocks: Blocks, server: str, volumes: list[str], pool: str) -> None:
    """Check that a server has its volumes whole, the first of them in ``pool``, and that nothing else is left."""
    blocks.assert_whole(server, volumes)
    assert stored(blocks, volumes[0]).pool == pool
    clouds.eventually(lambda: _targets(blocks) == [], "no volume is left that was to take another's place")
    assert {device.next_volume_id for device in blocks.instance(server).volumes} == {None}


def _targets(blocks: Blocks) -> list[str]:
    found = blocks.store.records.all(StoredVolume)
    return [each.id for each in found if (each.migration_status or "").startswith(("target:", "deleting"))]


def failed(blocks: Blocks, server: str, volumes: list[str]) -> str:
    """Check that a migration failed and left all as it was; return why."""
    assert_at(blocks, server, volumes, "files")
    assert stored(blocks, volumes[0]).migration_status == "error"
    return str(blocks.site.last_error(server))


def test_a_volume_goes_to_another_back_end_and_returns(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    for pool in ("more", "files"):
        before = blocks.attachments(server)
        migrate(blocks, volumes[0])
        assert_at(blocks, server, volumes, pool)
        assert stored(blocks, volumes[0]).migration_status == "success"
        after = blocks.attachments(server)
        assert len(set(after) & set(before)) == 1
        (new,) = set(after) - set(before)
        assert after[new].connection_info["device_path"] == str(blocks.store.path_of(stored(blocks, volumes[0])))
    assert blocks.site.last_error(server) is None


def test_a_volume_gets_another_type_that_is_elsewhere(blocks: Blocks) -> None:
    server, volumes = blocks.server(1)
    type_id = blocks.store.types.create("fast", None, is_public=True, extra_specs={"volume_backend_name": "more"}).id
    with VolumeUser(blocks.site.cloud.volume_url) as storage:
        body = {"os-retype": {"new_type": "fast", "migration_policy": "on-demand"}}
        storage.ask("POST", f"/volumes/{volumes[0]}/action", body)
    clouds.eventually(lambda: not _is_migrating(blocks, volumes[0]), "the volume is of another type")
    blocks.site.rest()
    assert_at(blocks, server, volumes, "more")
    assert stored(blocks, volumes[0]).type_id == type_id


def test_the_root_of_a_paused_server_goes_elsewhere(blocks: Blocks) -> None:
    server, volumes = blocks.server(1)
    blocks.site.act(server, "pause")
    blocks.site.rest()
    migrate(blocks, volumes[0])
    assert_at(blocks, server, volumes, "more")


@pytest.mark.parametrize("after_work", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("place", "method", "pattern"),
    [
        pytest.param(HELD, "PUT", "/attachments/", id="connecting"),
        pytest.param(NOTED, "POST", "/attachments/.*/action$", id="completing the attachment"),
        pytest.param(NOTED, "DELETE", "/attachments/", id="removing the old attachment"),
        pytest.param(NOTED, "POST", "/volumes/.*/action$", id="completing the migration"),
    ],
)
def test_block_storage_fails_a_while(blocks: Blocks, place: Place, method: str, pattern: str, after_work: bool) -> None:
    server, volumes = blocks.server()
    fault = Fault(method, pattern, after_work=after_work, times=3)
    blocks.site.saboteur.plan(place, adding(blocks, fault))
    migrate(blocks, volumes[0])
    assert fault.met > 0
    assert_at(blocks, server, volumes, "more")


@pytest.mark.parametrize("status", [404, 409])
def test_the_next_volume_cannot_be_connected(blocks: Blocks, status: int) -> None:
    server, volumes = blocks.server()
    fault = Fault("PUT", "/attachments/", status=status)
    blocks.site.saboteur.plan(HELD, adding(blocks, fault))
    migrate(blocks, volumes[0])
    assert fault.met == 1
    assert "cannot be attached" in failed(blocks, server, volumes)


@pytest.mark.parametrize("after_work", [False, True], ids=["before", "after"])
def test_the_next_volume_cannot_be_reserved(blocks: Blocks, after_work: bool) -> None:
    server, volumes = blocks.server()
    blocks.faults.add(Fault("POST", "/attachments$", after_work=after_work))
    migrate(blocks, volumes[0])
    failed(blocks, server, volumes)


def test_what_failed_is_told_though_that_fails_a_while(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    fault = Fault("POST", "/volumes/.*/action$", times=3)
    script = blocks.site.faults()
    script.fail("swap_volume", errors.GuestFailed("The copy broke off."))
    blocks.site.saboteur.plan(HELD, adding(blocks, fault))
    migrate(blocks, volumes[0])
    assert fault.met == 3
    assert failed(blocks, server, volumes) == "The copy broke off."


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_host_fails_with_the_guest_here_or_there(blocks: Blocks, after: bool) -> None:
    """What went over goes back."""
    server, volumes = blocks.server()
    blocks.site.faults().fail("swap_volume", errors.GuestFailed("It broke."), after=after)
    migrate(blocks, volumes[0])
    assert failed(blocks, server, volumes) == "It broke."


def test_the_guest_stops_in_the_middle(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    host = str(blocks.instance(server).host)
    driver = clouds.fake_driver(blocks.site.cloud, host)
    blocks.site.saboteur.plan(HELD, lambda: driver.power_off(server, timeout_s=0))
    migrate(blocks, volumes[0])
    assert "does not run" in failed(blocks, server, volumes)


def test_the_host_is_down_in_the_middle(blocks: Blocks) -> None:
    """The volume is taken to be where it was, and so it is when the host is back."""
    server, volumes = blocks.server()
    host = str(blocks.instance(server).host)
    script = blocks.site.faults()
    script.fail("swap_volume", errors.Timeout("The host is silent."), times=None)
    blocks.site.saboteur.plan(HELD, lambda: blocks.site.force_down(host))
    blocks.leave(server)
    migrate(blocks, volumes[0], rests=False)
    clouds.eventually(lambda: not _is_migrating(blocks, volumes[0]), "the migration has failed")
    script.clear()
    blocks.site.raise_hosts()
    blocks.forgive()
    blocks.site.rest()
    assert "does not answer" in failed(blocks, server, volumes)


def test_the_server_is_deleted_while_it_is_copied(blocks: Blocks) -> None:
    server, volumes = blocks.server()
    gate = blocks.site.faults().hold("swap_volume")
    migrate(blocks, volumes[0], rests=False)
    gate.reached.wait(480)
    assert blocks.site.delete(server) == 204
    gate.open()
    blocks.site.rest()
    assert blocks.site.status(server) == "GONE"
    blocks.assert_free(server, volumes)
    assert stored(blocks, volumes[0]).migration_status == "error"
    clouds.eventually(lambda: _targets(blocks) == [], "the next volume is gone")


def test_the_server_is_deleted_when_it_went_over(blocks: Blocks) -> None:
    """What the guest wrote there is kept."""
    server, volumes = blocks.server()
    answers: list[int] = []
    blocks.site.saboteur.plan(NOTED, lambda: answers.append(blocks.site.delete(server)))
    migrate(blocks, volumes[0])
    assert blocks.site.status(server) == "GONE"
    blocks.assert_free(server, volumes)
    assert (stored(blocks, volumes[0]).migration_status, stored(blocks, volumes[0]).pool) == ("success", "more")


@pytest.mark.parametrize("ask", [lambda site, server: site.act(server, "reboot", {"type": "HARD"})], ids=["reboot"])
def test_what_disturbs_a_guest_waits_until_it_went_over(blocks: Blocks, ask: Callable[..., object]) -> None:
    server, volumes = blocks.server()
    gate = blocks.site.faults().hold("swap_volume")
    migrate(blocks, volumes[0], rests=False)
    gate.reached.wait(480)
    ask(blocks.site, server)
    (device,) = [each for each in blocks.instance(server).volumes if each.volume_id == volumes[0]]
    assert device.phase is Phase.SWAPPING
    gate.open()
    blocks.site.rest()
    assert_at(blocks, server, volumes, "more")
    host = str(blocks.instance(server).host)
    assert clouds.fake_driver(blocks.site.cloud, host).guest(server).power_state is PowerState.RUNNING  # type: ignore[union-attr]


def test_a_volume_that_nobody_has_is_copied_by_block_storage(blocks: Blocks) -> None:
    volume_id = blocks.volume()
    blocks.store.files.volume(volume_id).write_bytes(b"content")
    migrate(blocks, volume_id)
    found = stored(blocks, volume_id)
    assert (found.status, found.pool, found.migration_status) == ("available", "more", "success")
    assert blocks.store.path_of(found).read_bytes()[:7] == b"content"
    assert blocks.store.records.of_volume(StoredAttachment, volume_id) == []
    clouds.eventually(lambda: not blocks.store.files.volume(volume_id).exists(), "the old file is gone")
