"""The embedded block storage service's volumes: their data, and what a restart finds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_attachments import VolumeAttachments
from nova_lite.embedded.volume_records import StoredAttachment, StoredSnapshot, StoredVolume
from nova_lite.embedded.volume_store import VolumeCaller, VolumeStore
from nova_lite.model.volume import NewVolume

DEMO = VolumeCaller("demo", "demo")
SERVER = "5f0c6a3e-0a7e-4d0b-9a63-0e2a8f7f5a11"
_GIB = 1 << 30


@pytest.fixture
def images(tmp_path: Path) -> ImageDirectory:
    return ImageDirectory(tmp_path / "images")


@pytest.fixture
def opened(tmp_path: Path, images: ImageDirectory) -> Iterator[Callable[[], VolumeStore]]:
    """Return a function that opens the same store once more, without starting it."""
    stores: list[VolumeStore] = []

    def opening() -> VolumeStore:
        stores.append(VolumeStore(tmp_path / "volumes", images))
        return stores[-1]

    yield opening
    for store in stores:
        store.stop()


def _worked(store: VolumeStore) -> VolumeStore:
    """Have the store do all it has to do, and leave it as a new process would find it."""
    store.start()
    store.stop()
    return store


def _content(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def test_a_volume_holds_its_image_and_takes_no_more_room(
    tmp_path: Path, images: ImageDirectory, opened: Callable[[], VolumeStore]
) -> None:
    source = tmp_path / "disk.raw"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(50 << 20)
        file.write(b"end")
    image = images.add(source, "disk")
    store = opened()
    made = store.create(DEMO, NewVolume(1, image_id=image.id), 1)
    _worked(store)

    path = store.files.volume(made.id)
    assert path.stat().st_size == _GIB
    assert _content(path, 5) == b"begin"
    with path.open("rb") as file:
        file.seek(50 << 20)
        assert file.read(5) == b"end\0\0"
    assert path.stat().st_blocks * 512 < 8 << 20
    volume = opened().volume(DEMO, made.id)
    assert (volume.status, volume.is_bootable, volume.image_metadata["image_name"]) == ("available", True, "disk")


def test_copies_hold_what_was_written(opened: Callable[[], VolumeStore]) -> None:
    store = opened()
    source = store.create(DEMO, NewVolume(1), 1)
    _worked(store)
    store.files.volume(source.id).write_bytes(b"data" * 1000)

    store = opened()
    snapshot = store.create_snapshot(DEMO, source.id, is_forced=False, name="one")
    _worked(store)
    store.files.volume(source.id).write_bytes(b"changed")

    store = opened()
    restored = store.create(DEMO, NewVolume(0, snapshot_id=snapshot.id), None)
    copied = store.create(DEMO, NewVolume(2, source_volume_id=source.id), 2)
    _worked(store)
    assert _content(store.files.volume(restored.id), 4004) == b"data" * 1000 + b"\0\0\0\0"
    assert _content(store.files.volume(copied.id), 9) == b"changed\0\0"
    assert store.files.volume(copied.id).stat().st_size == 2 * _GIB


def test_a_volume_is_filled_anew_where_it_is(
    tmp_path: Path, images: ImageDirectory, opened: Callable[[], VolumeStore]
) -> None:
    source = tmp_path / "new.raw"
    source.write_bytes(b"new")
    image = images.add(source, "new")
    store = opened()
    made = store.create(DEMO, NewVolume(1), 1)
    _worked(store)
    path = store.files.volume(made.id)
    with path.open("r+b") as file:
        file.write(b"old content")
    with path.open("rb") as held:  # as a guest has it
        store = opened()
        store.reimage(DEMO, made.id, image.id, may_be_reserved=False)
        assert store.volume(DEMO, made.id).status == "downloading"
        _worked(store)
        assert held.read(11) == b"new\0\0\0\0\0\0\0\0"
    assert path.stat().st_size == _GIB
    assert opened().volume(DEMO, made.id).status == "available"


@pytest.mark.parametrize("status", ["creating", "extending", "deleting"])
def test_a_restart_goes_on_with_what_was_begun(opened: Callable[[], VolumeStore], status: str) -> None:
    """A process that was killed left a state, and perhaps half a file."""
    killed = opened()
    made = killed.create(DEMO, NewVolume(1), 1)
    if status != "creating":
        _worked(killed)
        killed = opened()
    if status == "extending":
        killed.extend(DEMO, made.id, 2, may_be_used=False)
    if status == "deleting":
        killed.delete(DEMO, made.id)
    assert killed.volume(DEMO, made.id).status == status
    killed.files.volume(made.id).with_suffix(".raw.part").write_bytes(b"half")
    killed.records.close()

    _worked(opened())
    store = opened()
    left = store.volumes(DEMO)
    assert [volume.status for volume in left] == ([] if status == "deleting" else ["available"])
    sizes = {"creating": [_GIB], "extending": [2 * _GIB], "deleting": []}[status]
    assert [path.stat().st_size for path in store.files.volume(made.id).parent.glob("volume-*")] == sizes


def test_attachments_outlive_the_process(opened: Callable[[], VolumeStore]) -> None:
    store = opened()
    made = store.create(DEMO, NewVolume(1), 1)
    _worked(store)
    store = opened()
    attachment = VolumeAttachments(store).create(DEMO, made.id, SERVER, {"host": "host1"}, None)
    store.records.close()

    found = VolumeAttachments(opened()).attachment(DEMO, attachment.id)
    assert (found.status, found.host, found.mode) == ("attaching", "host1", "rw")
    assert Path(found.connection_info["device_path"]).stat().st_size == _GIB


def test_a_change_that_fails_half_way_is_not_made(opened: Callable[[], VolumeStore]) -> None:
    store = opened()
    made = store.create(DEMO, NewVolume(1), 1)

    def half() -> None:
        with store.records.changing():
            store.records.put(replace(made, name="changed"))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        half()
    assert store.volume(DEMO, made.id).name is None
    assert store.records.all(StoredSnapshot) == []
    assert store.records.all(StoredAttachment) == []


def test_an_image_that_cannot_be_read_ends_in_error(
    tmp_path: Path, images: ImageDirectory, opened: Callable[[], VolumeStore]
) -> None:
    source = tmp_path / "gone.raw"
    source.write_bytes(b"x")
    image = images.add(source, "gone")
    store = opened()
    made = store.create(DEMO, NewVolume(1, image_id=image.id), 1)
    images.image(image.id)[1].unlink()
    _worked(store)
    assert opened().records.get(StoredVolume, made.id).status == "error"  # type: ignore[union-attr]  # it is there
