"""What operators tell guests: a file, and services that are asked, of which none is trusted to behave."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.clients.vendordata import Teller
from tests.guests import INSTANCE

ASKED = replace(INSTANCE, user_data="d29yZHM=", metadata={"role": "web"}, boot_roles="member,reader")


class Service(http.server.BaseHTTPRequestHandler):
    """Answers as its server was told, and keeps what it was asked."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.asked.append((self.path, dict(self.headers), orjson.loads(body)))
        status, headers, answer = server.answers.get(self.path, (200, {}, b"{}"))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.asked, server.answers = [], {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def configured(**values: object) -> cfg.ConfigOpts:
    conf = config.load(files=[])
    for name, value in {"vendordata_providers": ["StaticJSON", "DynamicJSON"], **values}.items():
        conf.set_override(name, value, group="api")
    return conf


def named(conf: cfg.ConfigOpts) -> Any:
    return Teller(conf).told(ASKED).vendordata.named()


def target(service: Any, name: str, path: str = "/") -> str:
    return f"{name}@http://127.0.0.1:{service.server_port}{path}"


def test_a_file_is_told_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "vendor.json"
    path.write_text('{"cloud-init": "#cloud-config"}')
    conf = configured(vendordata_jsonfile_path=str(path))
    vendordata = Teller(conf).told(ASKED).vendordata
    assert vendordata.static is not None
    assert vendordata.static() == {"cloud-init": "#cloud-config"}
    assert vendordata.named() == {"static": {"cloud-init": "#cloud-config"}}
    path.write_text('["changed"]')
    assert vendordata.static() == ["changed"]


def test_without_a_file_nothing_is_told() -> None:
    assert Teller(configured()).static() == {}
    assert Teller(configured(vendordata_providers=["DynamicJSON"])).told(ASKED).vendordata.static is None
    assert named(configured(vendordata_providers=["DynamicJSON"])) == {}


@pytest.mark.parametrize("content", [None, "{", "\udcff"], ids=["missing", "no JSON", "no text"])
def test_a_file_that_cannot_be_read_is_the_operators_mistake(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "vendor.json"
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(errors.Misconfigured, match="vendordata_jsonfile_path"):
        Teller(configured(vendordata_jsonfile_path=str(path))).static()


def test_services_are_asked_with_what_they_must_know(service: Any) -> None:
    service.answers["/a"] = (200, {}, b'{"rack": 4}')
    service.answers["/b"] = (200, {}, b"")
    found = named(configured(vendordata_dynamic_targets=[target(service, "a", "/a"), target(service, "b", "/b")]))
    assert found == {"static": {}, "a": {"rack": 4}, "b": {}}
    path, headers, body = service.asked[0]
    assert (path, headers["Content-Type"], headers["Accept"]) == ("/a", "application/json", "application/json")
    assert "X-Auth-Token" not in headers
    assert body == {
        "project-id": "demo",
        "instance-id": INSTANCE.uuid,
        "image-id": INSTANCE.image_id,
        "user-data": "d29yZHM=",
        "hostname": "vm-one",
        "metadata": {"role": "web"},
        "boot-roles": "member,reader",
    }


def test_names_are_taken_once_and_targets_must_be_urls(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    targets = [target(service, "a"), target(service, "a", "/again"), target(service, "static"), "b", "c@file:///etc/x"]
    assert named(configured(vendordata_dynamic_targets=targets)) == {"static": {}, "a": {}}
    assert [path for path, *_ in service.asked] == ["/", "/"]
    assert caplog.text.count("is not name@url") == 3


_BAD = {
    "an error": (500, {}, b"{}"),
    "a redirect": (302, {"Location": "/secret"}, b"{}"),
    "no JSON": (200, {}, b"{"),
    "too long": (200, {}, b'"' + b"x" * (1 << 20) + b'"'),
    "cut short": (200, {"Content-Length": "9"}, b"{}"),
}


@pytest.mark.parametrize("kind", _BAD)
def test_what_fails_says_nothing_unless_it_must(service: Any, kind: str) -> None:
    service.answers["/"] = _BAD[kind]
    targets = [target(service, "bad"), target(service, "good", "/good")]
    assert named(configured(vendordata_dynamic_targets=targets)) == {"static": {}, "bad": {}, "good": {}}
    assert [path for path, *_ in service.asked] == ["/", "/good"], "nothing is followed"
    with pytest.raises(errors.Unavailable, match="bad"):
        named(configured(vendordata_dynamic_targets=targets, vendordata_dynamic_failure_fatal=True))


def test_a_service_that_is_not_there_says_nothing(service: Any) -> None:
    gone = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    gone.server_close()
    assert named(configured(vendordata_dynamic_targets=[target(gone, "gone")])) == {"static": {}, "gone": {}}
