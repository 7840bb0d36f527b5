"""What must hold in a Placement database whatever happened, asked of the database itself in plain SQL."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from nova_lite.placement import audit
from nova_lite.storage import Database

_PROVIDERS = "SELECT id, uuid, name, generation, parent_id, root_id FROM resource_providers"
_INVENTORIES = (
    "SELECT p.uuid, c.name, i.total, i.reserved, i.allocation_ratio, i.used FROM inventories i"
    " JOIN resource_providers p ON p.id = i.provider_id JOIN resource_classes c ON c.id = i.class_id"
)
_ALLOCATIONS = (
    "SELECT k.uuid, p.uuid, c.name, a.used FROM allocations a JOIN consumers k ON k.id = a.consumer_id"
    " JOIN resource_providers p ON p.id = a.provider_id JOIN resource_classes c ON c.id = a.class_id"
)
_CONSUMERS = "SELECT uuid, generation FROM consumers"
_TRAITS = (
    "SELECT p.uuid, t.name FROM resource_provider_traits x"
    " JOIN resource_providers p ON p.id = x.provider_id JOIN traits t ON t.id = x.trait_id"
)
_AGGREGATES = (
    "SELECT p.uuid, x.aggregate_uuid FROM resource_provider_aggregates x"
    " JOIN resource_providers p ON p.id = x.provider_id"
)


@dataclass(slots=True)
class Row:
    """One provider as the database has it; ``parent`` and ``root`` are UUIDs."""

    uuid: str
    name: str
    generation: int
    parent: str | None
    root: str | None
    #: Class → (capacity, used).
    inventories: dict[str, tuple[float, int]] = field(default_factory=dict)
    traits: set[str] = field(default_factory=set)
    aggregates: set[str] = field(default_factory=set)


@dataclass(slots=True)
class State:
    """Everything of one moment: providers by UUID, consumers, and consumer → provider → class → amount."""

    providers: dict[str, Row]
    consumers: dict[str, int]
    allocations: dict[str, dict[str, dict[str, int]]]

    def used(self, provider: str, class_name: str) -> int:
        """Return what all consumers hold of one inventory."""
        return sum(held.get(provider, {}).get(class_name, 0) for held in self.allocations.values())


class Truth:
    """Looks into one Placement database."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="REPEATABLE READ", pool_pre_ping=True)
        self._database = Database(url)

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()
        self._database.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction of its own."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def plain_connection(self) -> Iterator[sa.Connection]:
        """Yield a connection that locks no more than a worker's, and whose user commits."""
        with self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="READ COMMITTED")

    def state(self) -> State:
        """Return everything, as of one moment."""
        with self._engine.begin() as connection:
            return _read(lambda statement: connection.execute(sa.text(statement)).all())

    def deadlocks(self) -> int:
        """Return how many deadlocks the server has broken so far; PostgreSQL counts those of this database."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                # Each server process tells its numbers at most once a second, and before it ends.
                connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
                return int(
                    connection.execute(
                        sa.text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
                    ).scalar_one()
                )
            row = connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")).one()
            return int(row[1])

    def problems(self) -> list[str]:
        """Return what is not as it must be, by the audit that operators have and by a look of our own."""
        state = self.state()
        return [
            *(f"audit: {finding.text}" for finding in audit.check(self._database)),
            *_wrong_counters(state),
            *_wrong_trees(state),
            *(f"consumer {uuid} holds nothing" for uuid in sorted(set(state.consumers) - set(state.allocations))),
        ]


def _read(rows: Callable[[str], Sequence[Any]]) -> State:
    listed = rows(_PROVIDERS)
    uuids = {row.id: row.uuid for row in listed}
    providers = {
        row.uuid: Row(row.uuid, row.name, row.generation, uuids.get(row.parent_id), uuids.get(row.root_id))
        for row in listed
    }
    for uuid, class_name, total, reserved, ratio, used in rows(_INVENTORIES):
        providers[uuid].inventories[class_name] = ((total - reserved) * ratio, used)
    for uuid, trait in rows(_TRAITS):
        providers[uuid].traits.add(trait)
    for uuid, aggregate in rows(_AGGREGATES):
        providers[uuid].aggregates.add(aggregate)
    allocations: dict[str, dict[str, dict[str, int]]] = {}
    for consumer, uuid, class_name, used in rows(_ALLOCATIONS):
        allocations.setdefault(consumer, {}).setdefault(uuid, {})[class_name] = used
    return State(providers, {row.uuid: row.generation for row in rows(_CONSUMERS)}, allocations)


def _wrong_counters(state: State) -> Iterator[str]:
    sums: dict[tuple[str, str], int] = {}
    for held in state.allocations.values():
        for uuid, amounts in held.items():
            for class_name, amount in amounts.items():
                sums[uuid, class_name] = sums.get((uuid, class_name), 0) + amount
    for uuid, row in state.providers.items():
        for class_name, (capacity, used) in row.inventories.items():
            total = sums.pop((uuid, class_name), 0)
            if used != total:
                yield f"{uuid} {class_name}: used says {used}, its allocations sum up to {total}"
            if used > capacity:
                yield f"{uuid} {class_name}: {used} used of a capacity of {capacity:g}"
    for (uuid, class_name), total in sums.items():
        yield f"{uuid} {class_name}: {total} allocated, but there is no inventory"


def _wrong_trees(state: State) -> Iterator[str]:
    for uuid, row in state.providers.items():
        seen, top = {uuid}, row
        while top.parent is not None and top.parent not in seen:
            seen.add(top.parent)
            top = state.providers[top.parent]
        if top.parent is not None:
            yield f"{uuid} is in a loop"
        elif row.root != top.uuid:
            yield f"{uuid} has root {row.root}, but its topmost parent is {top.uuid}"
