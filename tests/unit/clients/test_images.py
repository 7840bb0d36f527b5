"""The image client, against the embedded image service and against services that misbehave."""

import contextlib
import hashlib
import json
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.clients.images import Images
from nova_lite.embedded import configuration, identity_api, image_api
from nova_lite.embedded.http import HttpServer, Wsgi
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.model.image import Image

Serve = Callable[[Wsgi], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve WSGI applications on free ports of the loopback; returns the URL."""
    with contextlib.ExitStack() as running:

        def start(app: Wsgi) -> str:
            server = HttpServer(0, "images", threads=2)
            running.callback(server.stop)
            server.start(app)
            return server.url

        yield start


def settings(url: str | None, *, anonymous: bool = True) -> cfg.ConfigOpts:
    conf = config.load(files=[])
    conf.set_override("anonymous", anonymous, "glance")
    conf.set_override("endpoint_override", url, "glance")
    return conf


def test_finds_and_changes_for_users(tmp_path: Path, serve: Serve) -> None:
    url = serve(image_api.build(ImageDirectory(tmp_path / "images")))
    images = Images(settings(url))
    assert images.endpoint() == url
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for number, image_id in enumerate(ids):
        images.create(Image(image_id, f"i{number}", "queued", "", size=0, properties={"kind": "daily", "x": "1"}))
    found, has_more = images.find({"limit": "2"}, None, "token")
    assert (len(found), has_more) == (2, True)
    rest, has_more = images.find({"limit": "2"}, found[-1].id, "token")
    assert {image.id for image in [*found, *rest]} == set(ids)
    assert not has_more
    [named], _ = images.find({"name": "i1", "limit": "5"}, None)
    assert (named.id, len(named.created_at or "")) == (ids[1], len("2026-01-31T12:00:00Z"))
    new = {"kind": "weekly", "a/b~c": "2"}
    assert images.change_properties(ids[1], named.properties, new, "token").properties == new
    assert images.change_properties(ids[1], new, new).properties == new
    with pytest.raises(errors.Invalid):
        images.find({}, str(uuid.uuid4()))
    with pytest.raises(errors.NotFound):
        images.change_properties(str(uuid.uuid4()), {}, new)


def test_shows_and_downloads(tmp_path: Path, serve: Serve) -> None:
    content = bytes(range(256)) * 8192
    (tmp_path / "tiny.raw").write_bytes(content)
    directory = ImageDirectory(tmp_path)
    [stored] = directory.images()
    images = Images(settings(serve(image_api.build(directory))))

    image = images.show(stored.id)
    assert (image.id, image.name, image.status, image.disk_format) == (stored.id, "tiny", "active", "raw")
    assert (image.size, image.checksum, image.hash_algo) == (len(content), stored.checksum, "sha512")
    assert image.hash_value == hashlib.sha512(content).hexdigest()
    assert images.show(stored.id, "somebody") == image
    assert b"".join(images.download(stored.id)) == content
    for absent in ("absent", "../images", ""):
        with pytest.raises(errors.NotFound):
            list(images.download(absent or "?"))
        with pytest.raises(errors.NotFound):
            images.show(absent or "?")


def scripted(status: str, body: bytes, seen: list[tuple[str, str | None]] | None = None) -> Wsgi:
    """Return a service that knows its version and answers everything else with ``status`` and ``body``."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.strip("/") in ("", "v2"):
            start_response("200 OK", [("Content-Type", "application/json")])
            host = environ["HTTP_HOST"]
            return [
                f'{{"versions": [{{"id": "v2.2", "status": "CURRENT", "links": [{{"rel": "self", "href": "http://{host}/v2/"}}]}}]}}'.encode()
            ]
        if seen is not None:
            seen.append((path, environ.get("HTTP_X_AUTH_TOKEN")))
        start_response(status, [("Content-Type", "application/json")])
        return [body]

    return app


def test_makes_fills_finds_and_removes(tmp_path: Path, serve: Serve) -> None:
    images = Images(settings(serve(image_api.build(ImageDirectory(tmp_path / "images")))))
    wanted = Image(str(uuid.uuid4()), "snap", "queued", "", size=0, min_disk_gib=2, properties={"kind": "daily"})
    assert images.create(wanted) == wanted
    assert images.create(wanted) == wanted
    with pytest.raises(errors.Conflict):
        images.create(replace(wanted, name="another"))
    file = tmp_path / "disk"
    file.write_bytes(b"disk" * 10_000)
    images.upload(wanted.id, "raw", file)
    found = images.show(wanted.id)
    assert (found.status, found.size, found.disk_format, found.min_disk_gib) == ("active", 40_000, "raw", 2)
    file.write_bytes(b"another")
    images.upload(wanted.id, "raw", file)
    assert images.show(wanted.id) == found
    assert [image.id for image in images.like(kind="daily", name="snap")] == [wanted.id]
    assert images.like(kind="weekly") == []
    empty = replace(wanted, id=str(uuid.uuid4()), disk_format="raw")
    images.create(empty)
    images.activate(empty.id)
    assert (images.show(empty.id).status, images.show(empty.id).size) == ("active", 0)
    images.delete(wanted.id)
    images.delete(wanted.id)
    with pytest.raises(errors.NotFound):
        images.upload(wanted.id, "raw", file)


class BreakingOff(BaseHTTPRequestHandler):
    """An image service with one queued image, that hangs up in the middle of the first file it is sent."""

    first_is_over = False
    files: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        links = [{"rel": "self", "href": f"http://{self.headers['Host']}/v2/"}]
        versions = {"versions": [{"id": "v2.2", "status": "CURRENT", "links": links}]}
        self._answer(200, {"id": "i", "status": "queued"} if "/images/" in self.path else versions)

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {"id": "i", "status": "queued"})

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        if not self.first_is_over:
            type(self).first_is_over = True
            self.rfile.read(length // 2)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.files.append(self.rfile.read(length))
        self._answer(204)

    def _answer(self, status: int, document: object = None) -> None:
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - called so above
        """Say nothing."""


def test_a_file_that_was_partly_sent_is_sent_again_from_its_beginning(tmp_path: Path) -> None:
    """What stood for the rest of it would have been taken for the whole image."""
    content = bytes(range(256)) * (64 << 10)
    file = tmp_path / "disk"
    file.write_bytes(content)

    class Service(BreakingOff):
        files: ClassVar[list[bytes]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            images = Images(settings(f"http://127.0.0.1:{server.server_port}"))
            with pytest.raises(errors.Unavailable):
                images.upload("i", "raw", file)
            assert Service.files == []
            images.upload("i", "raw", file)
        finally:
            server.shutdown()
            serving.join()
    assert [len(each) for each in Service.files] == [len(content)]
    assert Service.files == [content]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param("403 No", errors.Forbidden, id="forbidden"),
        pytest.param("413 Too much", errors.Forbidden, id="over a limit"),
        pytest.param("409 No", errors.Conflict, id="conflict"),
        pytest.param("500 Oh", errors.Unavailable, id="broken"),
    ],
)
def test_says_why_an_image_cannot_be_made(tmp_path: Path, serve: Serve, status: str, kind: type[Exception]) -> None:
    reading = image_api.build(ImageDirectory(tmp_path))

    def refuse(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            return reading(environ, start_response)
        start_response(status, [("Content-Length", "4")])
        return [b"Why."]

    with pytest.raises(kind):
        Images(settings(serve(refuse))).create(Image("x", "x", "queued", "raw", size=0), "token")


def test_asks_with_the_users_token_and_downloads_with_its_own(tmp_path: Path, serve: Serve) -> None:
    seen: list[tuple[str, str | None]] = []
    url = serve(
        scripted("200 OK", b'{"id": "i", "status": "active", "min_disk": 2, "hw_disk_bus": "scsi", "tags": []}', seen)
    )
    file = tmp_path / "glance.conf"
    file.write_text(f"[glance]\nendpoint_override = {url}\nauth_type = admin_token\nendpoint = {url}\ntoken = ours\n")
    conf = config.load(files=[str(file)])
    images = Images(conf)
    image = images.show("i", "theirs")
    assert (image.name, image.min_disk_gib, image.properties) == ("", 2, {"hw_disk_bus": "scsi"})
    images.show("i")
    list(images.download("i"))
    assert seen == [("/v2/images/i", "theirs"), ("/v2/images/i", "ours"), ("/v2/images/i/file", "ours")]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param("404 Not Found", b"", errors.NotFound, id="not there"),
        pytest.param("403 Forbidden", b"", errors.NotFound, id="not theirs"),
        pytest.param("500 Oops", b"<html>", errors.Unavailable, id="broken"),
        pytest.param("401 Unauthorized", b"", errors.Unavailable, id="no credentials"),
        pytest.param("200 OK", b"[]", errors.Unavailable, id="another shape"),
        pytest.param("200 OK", b"<html>", errors.Unavailable, id="no JSON"),
        pytest.param("200 OK", b'{"id": "i"}', errors.Unavailable, id="no status"),
    ],
)
def test_says_what_went_wrong(serve: Serve, status: str, body: bytes, kind: type[Exception]) -> None:
    images = Images(settings(serve(scripted(status, body))))
    with pytest.raises(kind):
        images.show("i")


def test_an_image_without_data_cannot_be_downloaded(serve: Serve) -> None:
    images = Images(settings(serve(scripted("204 No Content", b""))))
    with pytest.raises(errors.NotFound):
        list(images.download("i"))


def test_a_service_that_is_not_there_is_unavailable_and_found_later(tmp_path: Path, serve: Serve) -> None:
    server = HttpServer(0, "images", threads=2)
    images = Images(settings(server.url))
    server.stop()
    with pytest.raises(errors.Unavailable):
        images.show("i")
    (tmp_path / "tiny.raw").write_bytes(b"x")
    directory = ImageDirectory(tmp_path)
    server = HttpServer(urlsplit(server.url).port or 0, "images", threads=2)
    server.start(image_api.build(directory))
    try:
        assert images.show(directory.images()[0].id).name == "tiny"
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["", "/", "/v2", "/v2/"])
def test_is_found_in_the_catalog(tmp_path: Path, serve: Serve, path: str) -> None:
    (tmp_path / "tiny.raw").write_bytes(b"x")
    directory = ImageDirectory(tmp_path)
    url = serve(image_api.build(directory))
    catalog = {"image": ("glance", url + path)}
    credentials = configuration.credentials(serve(identity_api.build(catalog, admin=configuration.ADMIN)))
    file = tmp_path / "glance.conf"
    file.write_text("[glance]\n" + "".join(f"{name} = {value}\n" for name, value in credentials.items()))
    images = Images(config.load(files=[str(file)]))
    assert images.endpoint() == url
    assert images.show(directory.images()[0].id, "somebody").name == "tiny"


def test_is_missed_in_the_catalog(tmp_path: Path, serve: Serve) -> None:
    credentials = configuration.credentials(serve(identity_api.build({}, admin=configuration.ADMIN)))
    file = tmp_path / "glance.conf"
    file.write_text("[glance]\n" + "".join(f"{name} = {value}\n" for name, value in credentials.items()))
    with pytest.raises(errors.Unavailable):
        Images(config.load(files=[str(file)])).show("i")


def test_missing_settings_are_named() -> None:
    with pytest.raises(errors.Misconfigured, match="endpoint_override"):
        Images(settings(None)).show("i")
    with pytest.raises(errors.Misconfigured, match="auth_type"):
        Images(settings("http://127.0.0.1:9", anonymous=False)).show("i")
