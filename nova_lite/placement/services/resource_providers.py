"""Rules of resource providers: what they are, what they have, who is asked."""

import contextlib
import uuid as uuids
from collections.abc import Iterable, Iterator, Mapping

from nova_lite import errors
from nova_lite.placement.model import Inventory, Provider, ProviderFilter
from nova_lite.placement.reader import Reader, World
from nova_lite.placement.repositories import belongings, providers
from nova_lite.placement.repositories.transactions import Writer
from nova_lite.placement.services import queries
from nova_lite.placement.snapshot import Snapshot
from nova_lite.storage import Database


class ResourceProviderService:
    """Providers and everything that is a provider's own."""

    def __init__(self, database: Database, reader: Reader) -> None:
        self._reader = reader
        self._writer = Writer(database)

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """Yield the world as it is now."""
        with self._reader.current() as world:
            yield world

    @contextlib.contextmanager
    def shown(self, uuid: str) -> Iterator[tuple[Provider, Snapshot]]:
        """Yield a provider and the snapshot it is in; raises NotFound."""
        with self._reader.current() as world:
            yield find(world.snapshot, uuid), world.snapshot

    def create(self, name: str, uuid: str | None, parent_uuid: str | None) -> tuple[Provider, str]:
        """Add a provider and return it, with its root's UUID."""
        chosen = queries.canonical(uuid) if uuid else str(uuids.uuid4())
        if parent_uuid is not None:
            parent_uuid = queries.canonical(parent_uuid)
            if parent_uuid == chosen:
                raise errors.Invalid("parent_provider_uuid: a provider cannot be its own parent.")
        return self._writer.run(providers.create, chosen, name, parent_uuid)

    def update(self, uuid: str, name: str, parent_uuid: str | None, *, parent_told: bool, may_move: bool) -> None:
        """Rename a provider and, when told, give it another parent."""
        known, parent = (queries.canonical(uuid), None if parent_uuid is None else queries.canonical(parent_uuid))
        self._writer.run(providers.update, known, name, parent, parent_told=parent_told, may_move=may_move)

    def delete(self, uuid: str) -> None:
        """Remove a provider that nothing uses and nothing is below of."""
        self._writer.run(providers.delete, queries.canonical(uuid))

    def set_inventories(self, uuid: str, inventories: Mapping[str, Inventory], generation: int | None) -> Provider:
        """Write all of a provider's inventories and return the provider with them."""
        return self._writer.run(belongings.set_inventories, queries.canonical(uuid), inventories, generation, only=True)

    def set_inventory(
        self, uuid: str, class_name: str, inventory: Inventory, generation: int | None, *, new: bool
    ) -> Provider:
        """Write one inventory, which must be (or must not be, when ``new``) there; return the provider with all."""
        return self._writer.run(
            belongings.set_inventory, queries.canonical(uuid), class_name, inventory, generation, new=new
        )

    def remove_inventory(self, uuid: str, class_name: str) -> None:
        """Remove one inventory that nothing uses."""
        self._writer.run(belongings.remove_inventory, queries.canonical(uuid), class_name)

    def set_traits(self, uuid: str, traits: Iterable[str], generation: int | None) -> Provider:
        """Write a provider's traits and return the provider with them."""
        return self._writer.run(belongings.set_traits, queries.canonical(uuid), traits, generation)

    def set_aggregates(self, uuid: str, aggregates: Iterable[str], generation: int | None) -> Provider:
        """Write a provider's aggregates and return the provider with them."""
        members = [queries.canonical(aggregate) for aggregate in aggregates]
        return self._writer.run(belongings.set_aggregates, queries.canonical(uuid), members, generation)


def find(snapshot: Snapshot, uuid: str) -> Provider:
    """Return the provider of that UUID; raises NotFound."""
    provider = snapshot.by_uuid(queries.canonical(uuid))
    if provider is None:
        raise errors.NotFound(f"No resource provider with uuid {uuid[:64]} found.")
    return provider


def matching(
    snapshot: Snapshot, where: ProviderFilter, resources: Mapping[str, int], name: str | None, uuid: str | None
) -> list[Provider]:
    """Return the providers that meet every condition, oldest first."""
    mask = snapshot.matching(where)
    for class_name, amount in resources.items():
        mask &= snapshot.fits(class_name, amount)
    return [
        provider
        for provider in snapshot.providers(mask)
        if (name is None or provider.name == name) and (uuid is None or provider.uuid == queries.canonical(uuid))
    ]
