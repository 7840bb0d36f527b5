"""Two cells and the metadata service over them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
from oslo_config import cfg

from nova_lite import config
from nova_lite.cells.fanout import Fanout
from nova_lite.metadata import app
from nova_lite.metadata.askers import signature
from nova_lite.metadata.servers import Finder, FindsAnywhere
from nova_lite.model.instance import Instance
from tests.functional.compute_api.cloud import Cloud

SECRET = "of the proxies"


def configured(**api: object) -> cfg.ConfigOpts:
    """Return a configuration for a service behind proxies."""
    conf = config.load(files=[])
    conf.set_override("service_metadata_proxy", True, group="neutron")
    conf.set_override("metadata_proxy_shared_secret", SECRET, group="neutron")
    conf.set_override("timeout", 480.0, group="cells")
    for name, value in api.items():
        conf.set_override(name, value, group="api")
    return conf


class Proxy:
    """Asks as guests' proxies do."""

    def __init__(self, conf: cfg.ConfigOpts, finder: Finder) -> None:
        self._client = falcon.testing.TestClient(app.build(conf, finder))

    def send(self, path: str, headers: object, method: str = "GET", **kwargs: Any) -> Any:
        """Return the answer to a request with just these headers."""
        return self._client.simulate_request(method, path, headers=headers, **kwargs)

    def ask(self, server: Instance, path: str, method: str = "GET", **kwargs: Any) -> Any:
        """Return what a server's own guest is answered."""
        return self.send(path, signed(server), method, **kwargs)


def signed(server: Instance, **changes: str | None) -> dict[str, str]:
    """Return the headers of a server's guest, ``changes`` (x_tenant_id=…) made to them; None leaves one out."""
    headers: dict[str, str | None] = {
        "X-Instance-ID": server.uuid,
        "X-Instance-ID-Signature": signature(SECRET, server.uuid),
        "X-Tenant-ID": server.project_id,
        "X-Forwarded-For": "10.0.0.4",
    }
    known = {name.lower().replace("-", "_"): name for name in headers}
    headers |= {known[name]: value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def over(cloud: Cloud, **api: object) -> Proxy:
    """Return a proxy to a service over all of a cloud's cells."""
    return Proxy(configured(**api), FindsAnywhere(cloud.api_db, cloud.cells, Fanout(cloud.conf, cloud.cells)))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(cloud: Cloud) -> Proxy:
    return over(cloud)
