"""The real Placement application on a database of its own, and a client that speaks to it."""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from falcon import testing

from nova_lite import config
from nova_lite.placement import app
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from tests.functional import suite
from tests.tables import make_tables

#: What serves all workers, where they do not serve themselves.
_servers: list[suite.Server] = []


class Client:
    """Speaks to Placement as an administrator, at one microversion unless told otherwise."""

    def __init__(
        self,
        client: testing.TestClient,
        version: str = "1.39",
        token: str | None = "admin",
        roles: str | None = None,
    ) -> None:
        self._client = client
        self._version = version
        self._token = token
        self._roles = roles

    def at(self, version: str) -> "Client":
        """Return a client that speaks another version."""
        return Client(self._client, version, self._token, self._roles)

    def as_user(self, token: str | None, roles: str | None = None) -> "Client":
        """Return a client with another token, and with ``roles`` instead of those it stands for."""
        return Client(self._client, self._version, token, roles)

    def as_service(self) -> "Client":
        """Return a client with the roles that services have."""
        return self.as_user("nova:service", "admin,service")

    def call(self, method: str, url: str, body: Any = None, **options: Any) -> testing.Result:
        """Send one request."""
        headers = {"OpenStack-API-Version": f"placement {self._version}"}
        if self._token is not None:
            headers["X-Auth-Token"] = self._token
        if self._roles is not None:
            headers["X-Roles"] = self._roles
        headers |= options.pop("headers", {})
        path, _, query = url.partition("?")
        if "raw" in options:
            options["body"] = options.pop("raw")
        if body is not None:
            options["json"] = body
        return self._client.simulate_request(method, path, query_string=query, headers=headers, **options)

    def get(self, url: str) -> testing.Result:
        return self.call("GET", url)

    def put(self, url: str, body: Any = None) -> testing.Result:
        return self.call("PUT", url, body)

    def post(self, url: str, body: Any) -> testing.Result:
        return self.call("POST", url, body)

    def delete(self, url: str) -> testing.Result:
        return self.call("DELETE", url)

    def provider(self, name: str, inventories: dict[str, Any] | None = None, parent: str | None = None) -> str:
        """Create a provider with inventories (class → total, or the whole inventory) and return its UUID."""
        body = {"name": name, "uuid": str(uuid.uuid4())} | ({"parent_provider_uuid": parent} if parent else {})
        created = self.at("1.39").post("/resource_providers", body)
        assert created.status_code == 200, created.text
        chosen = str(created.json["uuid"])
        if inventories:
            whole = {key: value if isinstance(value, dict) else {"total": value} for key, value in inventories.items()}
            put = self.put(
                f"/resource_providers/{chosen}/inventories",
                {"resource_provider_generation": 0, "inventories": whole},
            )
            assert put.status_code == 200, put.text
        return chosen

    def generation(self, provider: str) -> int:
        """Return a provider's generation."""
        return int(self.get(f"/resource_providers/{provider}").json["generation"])

    def set_traits(self, provider: str, *traits: str) -> None:
        """Give a provider exactly these traits, made first where they are custom."""
        for trait in traits:
            if trait.startswith("CUSTOM_"):
                assert self.put(f"/traits/{trait}").status_code in (201, 204)
        body = {"resource_provider_generation": self.generation(provider), "traits": list(traits)}
        put = self.put(f"/resource_providers/{provider}/traits", body)
        assert put.status_code == 200, put.text

    def set_aggregates(self, provider: str, *aggregates: str) -> None:
        """Put a provider in exactly these aggregates."""
        body = {"resource_provider_generation": self.generation(provider), "aggregates": list(aggregates)}
        put = self.put(f"/resource_providers/{provider}/aggregates", body)
        assert put.status_code == 200, put.text

    def claim(
        self, consumer: str, allocations: dict[str, dict[str, int]], generation: int | None = None
    ) -> testing.Result:
        """Write what a consumer holds."""
        return self.put(f"/allocations/{consumer}", claim_body(allocations, generation))

    def used(self, provider: str) -> dict[str, int]:
        """Return what is used of a provider."""
        usages: dict[str, int] = self.get(f"/resource_providers/{provider}/usages").json["usages"]
        return usages


def claim_body(allocations: dict[str, dict[str, int]], generation: int | None = None) -> dict[str, Any]:
    """Return the body of a claim at 1.38 and later."""
    return {
        "allocations": {uuid: {"resources": resources} for uuid, resources in allocations.items()},
        "project_id": "project-1",
        "user_id": "user-1",
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
    }


@pytest.fixture(scope="session", autouse=True)
def web_server() -> Iterator[None]:
    """Serve every worker by the server that NOVA_LITE_SUITE names."""
    kind = suite.chosen()
    if kind == suite.SERVERS[0]:
        yield
        return
    with suite.running(kind, "placement_api") as server:
        _servers.append(server)
        yield
    _servers.clear()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Where the Placement database is: the environment may name an empty one of a server, to be used up."""
    return os.environ.get("NOVA_LITE_TEST_PLACEMENT_DATABASE") or f"sqlite:///{tmp_path / 'placement.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty Placement database."""
    opened = Database(database_url)
    if opened.engine.name != "sqlite":
        Base.metadata.drop_all(opened.engine)
    make_tables(opened, Base.metadata)
    yield opened
    opened.close()


@pytest.fixture
def placement(database: Database) -> Client:
    """An administrator's client of a fresh Placement."""
    return Client(new_worker(database))


def new_worker(database: Database, files: Sequence[str] = (), **options: Mapping[str, Any]) -> testing.TestClient:
    """Return a test client of one more worker on ``database``, or of those of the server that stories are told to.

    ``options`` are group → option → value, ``files`` are read before.
    """
    conf = config.load(files=files)
    conf.set_override("auth_strategy", "noauth2", "api")
    for group, values in options.items():
        for name, value in values.items():
            conf.set_override(name, value, group)
    if not _servers:
        return testing.TestClient(app.build(conf, database))
    url = database.url.render_as_string(hide_password=False)
    story = {"database": url, "files": files, "options": suite.overrides(conf)}
    return testing.TestClient(_servers[0].gateway(lambda: story))
