"""A block storage service that fails: what our client makes of it, and what the service has done by then."""

import logging
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.embedded import volume_api, volume_requests
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_records import StoredAttachment, StoredVolume
from nova_lite.testing import block_storage
from nova_lite.testing.block_storage import BlockStorage, Fault
from nova_lite.web.versions import Version

_CONNECTOR = {"host": "host1", "ip": "127.0.0.1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockStorage]:
    directory = tmp_path_factory.mktemp("volumes")
    with block_storage.running(directory, ImageDirectory(directory / "images")) as service:
        yield service


@pytest.fixture
def service(running: BlockStorage) -> Iterator[BlockStorage]:
    yield running
    running.faults.clear()


@pytest.fixture
def volumes(service: BlockStorage) -> VolumesAs:
    return Volumes(service.configuration(http_retries=1)).as_service()


@pytest.fixture
def volume_id(service: BlockStorage) -> str:
    """A volume that is there; its file matters to nobody here."""
    records = service.store.records
    type_id = service.store.types.default().id
    made = StoredVolume(str(uuids.uuid4()), "demo", "demo", 1, "available", type_id, "2026-01-01T00:00:00.000000")
    with records.changing():
        records.put(made)
    return made.id


def _server() -> str:
    return str(uuids.uuid4())


def test_a_reservation_whose_answer_is_lost_was_made_once(
    service: BlockStorage, volumes: VolumesAs, volume_id: str
) -> None:
    """Sent again it would be there twice."""
    fault = service.faults.add(Fault("POST", "/attachments$", after_work=True, times=5))
    server = _server()
    with pytest.raises(errors.Unavailable):
        volumes.reserve(volume_id, server)
    assert fault.met == 1
    assert [found.status for found in volumes.attachments_of(server)] == ["reserved"]


def test_a_reservation_that_failed_was_not_made(service: BlockStorage, volumes: VolumesAs, volume_id: str) -> None:
    service.faults.add(Fault("POST", "/attachments$"))
    with pytest.raises(errors.Unavailable):
        volumes.reserve(volume_id, _server())
    assert volumes.show(volume_id).status == "available"


def test_what_may_arrive_twice_is_sent_again(service: BlockStorage, volumes: VolumesAs, volume_id: str) -> None:
    attachment = volumes.reserve(volume_id, _server())
    service.faults.add(Fault("PUT", "/attachments/", after_work=True))
    assert volumes.connect(attachment.id, _CONNECTOR).connection_info["device_path"].endswith(f"{volume_id}.raw")
    service.faults.add(Fault("POST", "/action$", after_work=True))
    assert volumes.complete(attachment.id)
    service.faults.add(Fault("DELETE", "/attachments/", after_work=True))
    volumes.detach(attachment.id)
    assert volumes.show(volume_id).status == "available"


def test_tries_are_bounded(service: BlockStorage, volumes: VolumesAs, volume_id: str) -> None:
    fault = service.faults.add(Fault("GET", f"/volumes/{volume_id}$", status=503, times=9))
    with pytest.raises(errors.Unavailable):
        volumes.show(volume_id)
    assert fault.met == 2


def test_an_attachment_that_is_not_found_is_gone(service: BlockStorage, volumes: VolumesAs, volume_id: str) -> None:
    attachment = volumes.reserve(volume_id, _server())
    service.faults.add(Fault("DELETE", "/attachments/", status=404))
    volumes.detach(attachment.id)
    assert volumes.attachment(attachment.id)  # nobody else thinks so


def test_an_answer_that_does_not_come_is_a_timeout(service: BlockStorage, volume_id: str) -> None:
    impatient = Volumes(service.configuration(timeout=1, http_retries=5)).as_service()
    fault = service.faults.add(Fault("GET", f"/volumes/{volume_id}$", hangs=True, times=9))
    with pytest.raises(errors.Timeout, match=volume_id):
        impatient.show(volume_id)
    fault.released.set()
    assert fault.met == 1


def test_an_attachment_may_be_lost_or_be_reached_in_another_way(
    service: BlockStorage, volumes: VolumesAs, volume_id: str
) -> None:
    attachment = volumes.attach(volume_id, _server(), _CONNECTOR)
    service.change_connection(attachment.id, device_path="/elsewhere")
    assert volumes.attachment(attachment.id).connection_info["device_path"] == "/elsewhere"
    service.lose_attachment(attachment.id)
    with pytest.raises(errors.NotFound, match=attachment.id):
        volumes.complete(attachment.id)
    assert service.store.records.of_volume(StoredAttachment, volume_id) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (401, errors.Forbidden),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.OverQuota),
        (500, errors.Unavailable),
        (503, errors.Unavailable),
    ],
)
def test_each_code_has_its_kind(
    service: BlockStorage, volumes: VolumesAs, status: int, kind: type[errors.NovaLiteError]
) -> None:
    service.faults.add(Fault("GET", "/volumes/", status=status, times=9))
    gone = _server()
    with pytest.raises(kind) as caught:
        volumes.show(gone)
    assert gone in f"{caught.value.message} {caught.value.facts}"


def test_a_service_that_is_down_is_unavailable(tmp_path: Path) -> None:
    with block_storage.running(tmp_path, ImageDirectory(tmp_path / "images")) as service:
        conf = service.configuration(http_retries=1)
        volumes = Volumes(conf).as_service()
    with pytest.raises(errors.Unavailable):
        volumes.show(_server())
    with pytest.raises(errors.Unavailable):
        Volumes(conf).as_service()


@pytest.mark.parametrize(
    ("newest", "spoken", "lacking"),
    [("3.71", (3, 71), None), ("3.50", (3, 48), "reimage"), ("3.43", (3, 27), "complete attachments")],
)
def test_the_version_is_negotiated_and_said_once(
    service: BlockStorage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    newest: str,
    spoken: tuple[int, int],
    lacking: str | None,
) -> None:
    _let_it_speak(monkeypatch, newest)
    volumes = Volumes(service.configuration())
    with caplog.at_level(logging.INFO, "nova_lite.clients.volume_calls"):
        assert volumes.version() == spoken
        assert volumes.version() == spoken
    (said,) = [record.getMessage() for record in caplog.records if record.name.endswith("volume_calls")]
    assert f"{spoken[0]}.{spoken[1]}" in said
    assert (lacking or "without") in said or lacking is None


def test_an_older_service_lacks_what_is_younger(
    service: BlockStorage, monkeypatch: pytest.MonkeyPatch, volume_id: str
) -> None:
    _let_it_speak(monkeypatch, "3.43")
    volumes = Volumes(service.configuration()).as_service()
    attachment = volumes.attach(volume_id, _server(), _CONNECTOR)
    assert not volumes.complete(attachment.id)
    assert volumes.show(volume_id).has_shared_targets is None
    with pytest.raises(errors.Unsupported):
        volumes.reimage(volume_id, _server(), is_reserved=False)


def test_a_service_without_attachments_is_too_old(service: BlockStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    _let_it_speak(monkeypatch, "3.26")
    with pytest.raises(errors.Unsupported, match=r"3\.27"):
        Volumes(service.configuration()).version()


def _let_it_speak(monkeypatch: pytest.MonkeyPatch, newest: str) -> None:
    """Have the service say that it speaks no more than ``newest``."""
    for module in (volume_api, volume_requests):
        monkeypatch.setattr(module, "MAXIMUM", Version.parse(newest))
