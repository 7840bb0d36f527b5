"""Which versions a block storage service speaks; a small one over HTTP answers."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.clients import volumes
from nova_lite.embedded.http import HttpServer

Serve = Callable[[object], cfg.ConfigOpts]


def version(**values: str) -> dict[str, object]:
    return {"id": "v3.0", "status": "CURRENT", "links": [{"rel": "self", "href": ""}], **values}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a document as a block storage service, and the configuration that names it."""
    servers: list[HttpServer] = []

    def serving(document: object) -> cfg.ConfigOpts:
        def app(env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK" if document is not None else "500 Oops", [("Content-Type", "application/json")])
            return [json.dumps(document).encode()]

        servers.append(HttpServer(0, "cinder"))
        servers[-1].start(app)
        conf = config.load(files=[])
        conf.set_override("auth_type", "none", group="cinder")
        conf.set_override("endpoint_override", f"{servers[-1].url}/v3/", group="cinder")
        return conf

    yield serving
    for server in servers:
        server.stop()


def test_the_newest_version_is_told(serve: Serve) -> None:
    conf = serve({"versions": [version(version="3.71", min_version="3.0")]})
    assert volumes.is_configured(conf)
    assert volumes.newest_version(conf) == (3, 71)


@pytest.mark.parametrize(
    "document", [None, {"versions": [version()]}, {"cats": 3}], ids=["fails", "unsaid", "no service"]
)
def test_what_does_not_say_is_unavailable(serve: Serve, document: object) -> None:
    with pytest.raises(errors.Unavailable):
        volumes.newest_version(serve(document))


def test_nothing_is_configured_by_default() -> None:
    assert not volumes.is_configured(config.load(files=[]))


def test_credentials_that_are_none_are_misconfigured() -> None:
    conf = config.load(files=[])
    conf.set_override("auth_type", "handshake", group="cinder")
    with pytest.raises(errors.Misconfigured, match="cinder"):
        volumes.newest_version(conf)
