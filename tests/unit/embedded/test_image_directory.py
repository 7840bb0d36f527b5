"""The image directory: what it says of files, and what it keeps."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nova_lite import errors
from nova_lite.embedded.image_directory import ImageDirectory


def qcow2(virtual_size: int) -> bytes:
    """Return a qcow2 header that says ``virtual_size``."""
    return b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + virtual_size.to_bytes(8, "big") + bytes(72)


def test_describes_a_file_by_its_content(tmp_path: Path) -> None:
    content = qcow2(5 << 30)
    (tmp_path / "small.img").write_bytes(content)
    (tmp_path / "notes.txt").write_text("not an image")
    [image] = ImageDirectory(tmp_path).images()
    assert (image.name, image.disk_format, image.size, image.virtual_size) == ("small", "qcow2", len(content), 5 << 30)
    assert image.checksum == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert image.sha512 == hashlib.sha512(content).hexdigest()


def test_a_missing_directory_holds_no_images(tmp_path: Path) -> None:
    assert ImageDirectory(tmp_path / "none").images() == []


def test_checksums_are_computed_once_and_edits_of_the_sidecar_are_kept(tmp_path: Path) -> None:
    file, sidecar = tmp_path / "one.raw", tmp_path / "one.raw.json"
    file.write_bytes(b"x" * 100)
    directory = ImageDirectory(tmp_path)
    [first] = directory.images()
    edited = msgspec.json.decode(sidecar.read_bytes()) | {
        "name": "renamed",
        "min_ram": 64,
        "properties": {"hw_disk_bus": "virtio"},
        "checksum": "as recorded",
    }
    sidecar.write_bytes(msgspec.json.encode(edited))
    [second] = directory.images()
    assert (second.name, second.min_ram, second.properties) == ("renamed", 64, {"hw_disk_bus": "virtio"})
    assert second.checksum == "as recorded"

    file.write_bytes(b"y" * 200)
    [third] = directory.images()
    assert (third.id, third.name, third.min_ram, third.size) == (first.id, "renamed", 64, 200)
    assert third.checksum == hashlib.md5(b"y" * 200, usedforsecurity=False).hexdigest()


def test_ids_survive_a_lost_sidecar(tmp_path: Path) -> None:
    (tmp_path / "one.raw").write_bytes(b"x")
    directory = ImageDirectory(tmp_path)
    [before] = directory.images()
    (tmp_path / "one.raw.json").unlink()
    assert directory.images()[0].id == before.id
    assert directory.image(before.id)[1] == tmp_path / "one.raw"
    with pytest.raises(errors.NotFound):
        directory.image("elsewhere")


def test_an_unreadable_sidecar_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.raw").write_bytes(b"x")
    (tmp_path / "one.raw.json").write_text("{")
    with pytest.raises(errors.Unavailable, match=r"one\.raw\.json"):
        ImageDirectory(tmp_path).images()


def test_adds_a_file_under_a_name_once(tmp_path: Path) -> None:
    source = tmp_path / "guest.qcow2"
    source.write_bytes(qcow2(1 << 20))
    directory = ImageDirectory(tmp_path / "images")
    added = directory.add(source, "tiny")
    kept = tmp_path / "images" / "tiny.qcow2"
    copied_at = kept.stat().st_ino
    assert directory.add(source, "tiny") == added
    assert kept.stat().st_ino == copied_at
    source.write_bytes(qcow2(2 << 20) + b"new")
    assert directory.add(source, "tiny").virtual_size == 2 << 20
    assert [image.name for image in directory.images()] == ["tiny"]


@pytest.mark.parametrize(
    "name", [pytest.param("../up", id="path"), pytest.param("", id="empty"), pytest.param(".x", id="hidden")]
)
def test_refuses_names_that_are_no_file_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.raw").write_bytes(b"x")
    with pytest.raises(errors.Invalid):
        ImageDirectory(tmp_path / "images").add(tmp_path / "a.raw", name)


def test_a_name_is_one_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "tiny.raw").write_bytes(b"x")
    (tmp_path / "guest.qcow2").write_bytes(qcow2(1 << 20))
    with pytest.raises(errors.Conflict, match=r"tiny\.raw"):
        ImageDirectory(tmp_path / "images").add(tmp_path / "guest.qcow2", "tiny")


def test_what_is_said_of_an_image_while_its_file_comes_is_kept(tmp_path: Path) -> None:
    directory = ImageDirectory(tmp_path)
    image = directory.create(None, {"name": "before", "disk_format": "raw", "container_format": "bare"})

    def pieces() -> Iterator[bytes]:
        yield b"whole"
        directory.change(image.id, {"name": "after"})

    directory.upload(image.id, pieces())
    found, file = directory.image(image.id)
    assert (found.name, found.status, file.read_bytes()) == ("after", "active", b"whole")
    assert found.sha512 == hashlib.sha512(b"whole").hexdigest()
