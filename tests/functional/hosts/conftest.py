"""A host before a real Placement: what it told, what others do to it, and how many requests it took."""

import uuid as uuids
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import config
from nova_lite.compute.provider_tree import ProviderTree
from nova_lite.compute.told import Told
from nova_lite.embedded.http import HttpServer
from nova_lite.model.provider import Inventory, Provider
from nova_lite.placement import app
from nova_lite.placement.tables import Base
from nova_lite.storage import Database
from tests.contract.clients.placement import client_of
from tests.tables import make_tables

OWNER = {"project_id": "demo", "user_id": "alice"}


class Home:
    """One host and its Placement."""

    def __init__(self, url: str, state_dir: Path) -> None:
        self.url = url
        self.client = client_of(url)
        self.node = str(uuids.uuid4())
        self.name = f"host-{self.node}"
        self._state_dir = state_dir
        self.asked: list[str] = []
        self._watch()
        self.restart()

    def restart(self) -> None:
        """Forget all that is not written down."""
        self.tree = ProviderTree(self.client, self.node, Told(self._state_dir / "told.json"))

    def _watch(self) -> None:
        request = self.client._request

        def asked(method: str, path: str, **options: Any) -> Any:
            self.asked.append(f"{method} {path}")
            return request(method, path, **options)

        self.client._request = asked  # type: ignore[method-assign]

    @property
    def writes(self) -> list[str]:
        """Return what was written since this was last asked."""
        found = [asked for asked in self.asked if not asked.startswith("GET")]
        self.asked.clear()
        return found

    def part(self, name: str, traits: frozenset[str] = frozenset(), **inventories: Inventory | int) -> Provider:
        """Return a provider of the host: the host itself, with name ``""``, or a part of it."""
        sized = {key: Inventory(value) if isinstance(value, int) else value for key, value in inventories.items()}
        if not name:
            return Provider(self.name, None, sized, traits)
        return Provider(f"{self.name}_{name}", self.name, sized, traits)

    def agree(self, *wanted: Provider) -> tuple[str, ...]:
        """Tell."""
        return self.tree.agree(wanted)

    def uuid(self, name: str = "") -> str:
        """Return the UUID of a part."""
        wanted = f"{self.name}_{name}" if name else self.name
        (found,) = [provider["uuid"] for provider in self.client.tree(self.node) if provider["name"] == wanted]
        return str(found)

    def names(self) -> set[str]:
        """Return the names of all providers in the tree, without their host's."""
        return {provider["name"].removeprefix(self.name) for provider in self.client.tree(self.node)}

    def totals(self, name: str = "") -> dict[str, tuple[int, int]]:
        """Return class → total and reserve of a part."""
        found, _ = self.client.inventories(self.uuid(name))
        return {key: (value["total"], value["reserved"]) for key, value in found.items()}

    def claim(self, **amounts: dict[str, int]) -> str:
        """Have somebody hold something of parts (``host`` is the host itself); return who."""
        consumer = str(uuids.uuid4())
        allocations = {self.uuid("" if name == "host" else name): found for name, found in amounts.items()}
        assert self.client.claim(consumer, allocations, **OWNER)
        return consumer

    def held(self, consumer: str) -> dict[str, dict[str, int]]:
        """Return what a consumer holds, by part."""
        names = {provider["uuid"]: provider["name"] for provider in self.client.tree(self.node)}
        found = self.client.allocations(consumer)
        return {names[uuid].removeprefix(self.name).removeprefix("_"): amounts for uuid, amounts in found.items()}


@pytest.fixture(scope="module")
def placement_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    conf = config.load(files=[])
    conf.set_override("auth_strategy", "noauth2", group="api")
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('placement') / 'placement.sqlite'}")
    make_tables(database, Base.metadata)
    server = HttpServer(0, "placement")
    server.start(app.build(conf, database))
    yield server.url
    server.stop()
    database.close()


@pytest.fixture
def home(placement_url: str, tmp_path: Path) -> Home:
    return Home(placement_url, tmp_path)
