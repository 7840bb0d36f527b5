"""The image cache: one download, verified, whole or not at all."""

import fcntl
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute import images
from nova_lite.compute.images import ImageCache
from nova_lite.model.image import Image

RAW = bytes(510) + b"\x55\xaa" + bytes(range(256)) * 64


class Store:
    """An image service with one image, that may misbehave."""

    def __init__(self, content: bytes = RAW, **about: object) -> None:
        self.content = content
        self.image = replace(
            Image(id="one", name="one", status="active", disk_format="raw", size=len(content)),
            **{"hash_algo": "sha512", "hash_value": hashlib.sha512(content).hexdigest(), **about},  # type: ignore[arg-type]
        )
        self.downloads = 0
        self.gone = False
        self.breaks_after: int | None = None
        self.gate: threading.Event | None = None

    def show(self, image_id: str) -> Image:
        if self.gone:
            raise errors.NotFound(f"Image {image_id} could not be found")
        return replace(self.image, id=image_id)

    def download(self, image_id: str) -> Iterator[bytes]:
        self.downloads += 1
        if self.gate is not None:
            assert self.gate.wait(480)
        for start in range(0, len(self.content), 1000):
            if self.breaks_after is not None and start >= self.breaks_after:
                raise errors.Unavailable("The image service broke off.")
            yield self.content[start : start + 1000]


def images_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.suffix != ".lock")


def test_an_image_is_downloaded_once_and_found_again(tmp_path: Path) -> None:
    store = Store()
    image = ImageCache(tmp_path, store).fetch("one")
    assert (image.disk_format, image.virtual_size) == ("raw", len(RAW))
    assert Path(image.path).read_bytes() == RAW
    assert ImageCache(tmp_path, store).fetch("one") == image
    assert store.downloads == 1


def test_a_base_image_cannot_be_written(tmp_path: Path) -> None:
    path = Path(ImageCache(tmp_path, Store()).fetch("one").path)
    assert path.stat().st_mode & 0o777 == 0o444


def test_concurrent_fetches_download_once(tmp_path: Path) -> None:
    store = Store()
    store.gate = threading.Event()
    caches = [ImageCache(tmp_path, store), ImageCache(tmp_path, store)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda cache=cache: found.append(cache.fetch("one").path))
        for cache in caches
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    store.gate.set()
    for thread in threads:
        thread.join(480)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert store.downloads == 1


def test_processes_share_a_cache(tmp_path: Path) -> None:
    """Each process adds a line for each download it makes: one line in all."""
    program = f"""if True:
        import pathlib, sys, time
        from nova_lite.compute.images import ImageCache
        from nova_lite.model.image import Image
        class Store:
            def show(self, image_id):
                return Image(id=image_id, name="", status="active", disk_format="raw", size=4096)
            def download(self, image_id):
                with open({str(tmp_path / "downloads")!r}, "a") as counter:
                    counter.write("one\\n")
                time.sleep(0.5)
                yield bytes(4096)
        ImageCache(pathlib.Path({str(tmp_path / "cache")!r}), Store()).fetch("one")
    """
    started = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(480) for process in started] == [0, 0, 0]
    assert (tmp_path / "downloads").read_text() == "one\n"


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        pytest.param(Store(hash_value="0" * 128), "damaged", id="wrong hash"),
        pytest.param(Store(hash_algo=None, hash_value=None, checksum="0" * 32), "damaged", id="wrong md5"),
        pytest.param(Store(size=len(RAW) + 1), "ended after", id="truncated"),
        pytest.param(Store(size=len(RAW) - 1), "longer than", id="too long"),
        pytest.param(Store(size=2**60), "most|room", id="no room"),
    ],
)
def test_a_bad_download_leaves_nothing(tmp_path: Path, store: Store, reason: str) -> None:
    with pytest.raises(errors.Unavailable, match=reason):
        ImageCache(tmp_path, store, max_bytes=2**61).fetch("one")
    assert images_in(tmp_path) == []


def test_a_broken_download_may_be_tried_again(tmp_path: Path) -> None:
    store = Store()
    store.breaks_after = 5000
    cache = ImageCache(tmp_path, store)
    with pytest.raises(errors.Unavailable, match="broke off"):
        cache.fetch("one")
    assert images_in(tmp_path) == []
    store.breaks_after = None
    assert cache.fetch("one").virtual_size == len(RAW)


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        pytest.param(Store(b"KDMV" + bytes(2000)), "vmdk", id="vmdk called raw"),
        pytest.param(Store(b"QFI\xfb" + bytes(2000)), "declared as raw and is qcow2", id="qcow2 called raw"),
        pytest.param(Store(RAW, disk_format="qcow2"), "declared as qcow2 and is raw", id="raw called qcow2"),
        pytest.param(Store(RAW, disk_format="vmdk"), "only raw and qcow2", id="declared vmdk"),
        pytest.param(Store(RAW, status="queued"), "not active", id="queued"),
    ],
)
def test_an_image_that_can_never_work_is_the_users_matter(tmp_path: Path, store: Store, reason: str) -> None:
    with pytest.raises(errors.GuestFailed, match=reason):
        ImageCache(tmp_path, store).fetch("one")
    assert images_in(tmp_path) == []


def test_an_image_over_the_limit_is_not_even_begun(tmp_path: Path) -> None:
    store = Store()
    with pytest.raises(errors.GuestFailed, match="at most"):
        ImageCache(tmp_path, store, max_bytes=1000).fetch("one")
    assert store.downloads == 0


def test_a_deleted_image_is_the_users_matter(tmp_path: Path) -> None:
    store = Store()
    store.gone = True
    with pytest.raises(errors.GuestFailed, match="not exist"):
        ImageCache(tmp_path, store).fetch("one")


def test_md5_and_no_checksum_are_accepted(tmp_path: Path) -> None:
    md5 = hashlib.md5(RAW, usedforsecurity=False).hexdigest()
    assert ImageCache(tmp_path, Store(hash_algo="shake_128", checksum=md5)).fetch("md5")
    assert ImageCache(tmp_path, Store(hash_algo=None, hash_value=None)).fetch("none")


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "one.part").write_bytes(b"half")
    (tmp_path / "one").write_bytes(b"an image without a note")
    image = ImageCache(tmp_path, Store()).fetch("one")
    assert Path(image.path).read_bytes() == RAW


@pytest.mark.parametrize("damage", ["cut", "note", "removed"])
def test_a_damaged_cache_heals(tmp_path: Path, damage: str) -> None:
    store = Store()
    cache = ImageCache(tmp_path, store)
    path = Path(cache.fetch("one").path)
    match damage:
        case "cut":
            path.chmod(0o644)
            path.write_bytes(RAW[:100])
        case "note":
            (tmp_path / "one.json").write_bytes(b"{")
        case _:
            path.unlink()
    assert Path(cache.fetch("one").path).read_bytes() == RAW
    assert store.downloads == 2


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "/etc/passwd", ".", "a/b", "x" * 300, "one.json", "é"])
def test_no_id_leads_out_of_the_directory(tmp_path: Path, image_id: str) -> None:
    directory = tmp_path / "cache"
    path = Path(ImageCache(directory, Store()).fetch(image_id).path)
    assert path.parent == directory
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_held_lock_is_waited_for_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_LOCK_TIMEOUT_S", 0.2)
    with (tmp_path / "one.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(errors.Timeout, match="Another process"):
            ImageCache(tmp_path, Store()).fetch("one")


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Unavailable, match="cannot store"):
        ImageCache(tmp_path / "file" / "cache", Store()).fetch("one")
