"""Rules of allocations: who holds what, written whole or not at all."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nova_lite.placement.model import ANY_GENERATION, Claim, Holding, Inventory, Provider
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import claims, providers
from nova_lite.placement.services import queries
from nova_lite.placement.services.resource_providers import find
from nova_lite.placement.snapshot import Snapshot
from nova_lite.storage import Database, retried

#: Owner of allocations from clients so old that they do not tell.
NOBODY = "00000000-0000-0000-0000-000000000000"


class AllocationService:
    """Allocations by consumer and by provider, and what they sum up to."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self._database = database
        self._reader = reader

    @contextlib.contextmanager
    def holding(self, consumer_uuid: str) -> Iterator[tuple[Holding | None, Snapshot]]:
        """Yield what a consumer holds (None: nothing), with the snapshot that knows the providers."""
        with self._database.reader() as session:
            found = claims.holding(session, queries.canonical(consumer_uuid))
        with self._reader.current() as world:
            yield found, world.snapshot

    def holders(self, provider_uuid: str) -> tuple[Provider, list[Holding]]:
        """Return a provider and who holds something of it; raises NotFound."""
        with self._reader.current() as world:
            provider = find(world.snapshot, provider_uuid)
        with self._database.reader() as session:
            return provider, claims.holders(session, provider.id)

    @retried
    def replace(self, wanted: Sequence[Claim]) -> None:
        """Make the consumers hold exactly what is ``wanted``: all of it, or nothing changes."""
        with self._database.writer() as session:
            claims.replace(session, wanted)

    @retried
    def remove(self, consumer_uuid: str) -> None:
        """Take everything from a consumer; raises NotFound when it holds nothing."""
        with self._database.writer() as session:
            claims.remove(session, queries.canonical(consumer_uuid))

    @retried
    def reshape(self, inventories: Mapping[str, tuple[int, Mapping[str, Inventory]]], wanted: Sequence[Claim]) -> None:
        """Move inventories and allocations at once; ``inventories`` is provider UUID → (generation, by class)."""
        with self._database.writer() as session:
            for uuid, (generation, by_class) in sorted(inventories.items()):
                providers.set_inventories(session, uuid, by_class, generation, only=False)
            claims.replace(session, wanted)
            for uuid, (_, by_class) in sorted(inventories.items()):
                providers.set_inventories(session, uuid, by_class, None, only=True)

    def usages(self, project_id: str, user_id: str | None) -> list[tuple[str | None, str, int, int]]:
        """Return (consumer type, class, amount, consumers of that type) held by a project, or by a user in it."""
        with self._database.reader() as session:
            return list(claims.usages(session, project_id, user_id))


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
