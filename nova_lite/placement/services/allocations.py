"""Rules of allocations: who holds what, written whole or not at all."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from nova_lite.placement.model import ANY_GENERATION, Claim, Holding, Inventory, Provider
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import belongings, claims, holdings
from nova_lite.placement.repositories.transactions import Writer
from nova_lite.placement.services import queries
from nova_lite.placement.services.resource_providers import find
from nova_lite.placement.snapshot import Snapshot
from nova_lite.storage import Database

#: Owner of allocations from clients so old that they do not tell.
NOBODY = "00000000-0000-0000-0000-000000000000"


class AllocationService:
    """Allocations by consumer and by provider, and what they sum up to."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader
        self._writer = Writer(database)

    @contextlib.contextmanager
    def holding(self, consumer_uuid: str) -> Iterator[tuple[Holding | None, Snapshot]]:
        """Yield what a consumer holds (None: nothing), with the snapshot that knows the providers."""
        with self._database.reading() as connection:
            found = holdings.holding(connection, queries.canonical(consumer_uuid))
        with self._reader.current() as world:
            yield found, world.snapshot

    def holders(self, provider_uuid: str) -> tuple[Provider, list[Holding]]:
        """Return a provider and who holds something of it; raises NotFound."""
        with self._reader.current() as world:
            provider = find(world.snapshot, provider_uuid)
        with self._database.reading() as connection:
            return provider, holdings.holders(connection, provider.id)

    def replace(self, wanted: Sequence[Claim]) -> None:
        """Make the consumers hold exactly what is ``wanted``: all of it, or nothing changes."""
        self._writer.run(claims.replace, wanted)

    def remove(self, consumer_uuid: str) -> None:
        """Take everything from a consumer; raises NotFound when it holds nothing."""
        self._writer.run(claims.remove, queries.canonical(consumer_uuid))

    def reshape(self, inventories: Mapping[str, tuple[int, Mapping[str, Inventory]]], wanted: Sequence[Claim]) -> None:
        """Move inventories and allocations at once; ``inventories`` is provider UUID → (generation, by class)."""
        self._writer.run(_reshape, inventories, wanted)

    def usages(self, project_id: str, user_id: str | None) -> list[tuple[str | None, str, int, int]]:
        """Return (consumer type, class, amount, consumers of that type) held by a project, or by a user in it."""
        with self._database.reading() as connection:
            return holdings.usages(connection, project_id, user_id)


def _reshape(
    connection: sa.Connection, inventories: Mapping[str, tuple[int, Mapping[str, Inventory]]], wanted: Sequence[Claim]
) -> None:
    """Add inventories, move what is claimed, take inventories away: between, every claim has where to be."""
    claims.lock(connection, wanted, inventories)
    belongings.set_many_inventories(connection, inventories, only=False)
    claims.replace(connection, wanted)
    after = {uuid: (None, by_class) for uuid, (_, by_class) in inventories.items()}
    belongings.set_many_inventories(connection, after, only=True)


def claim(consumer_uuid: str, body: Mapping[str, Any]) -> Claim:
    """Return what a checked body, of whatever version, wants a consumer to hold."""
    told = body["allocations"]
    if isinstance(told, list):
        allocations = {queries.canonical(entry["resource_provider"]["uuid"]): entry["resources"] for entry in told}
    else:
        allocations = {queries.canonical(uuid): entry["resources"] for uuid, entry in told.items()}
    return Claim(
        consumer_uuid=queries.canonical(consumer_uuid),
        allocations=allocations,
        project_id=body.get("project_id", NOBODY),
        user_id=body.get("user_id", NOBODY),
        generation=body.get("consumer_generation", ANY_GENERATION),
        consumer_type=body.get("consumer_type"),
        type_told="consumer_type" in body,
    )
