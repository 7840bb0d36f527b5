"""The Placement database. Rows are read and written in ``repositories/`` only.

Types are chosen to be the same thing on SQLite, MariaDB and PostgreSQL. Times are seconds since 1970.
"""

from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: SQLite counts by itself only in a column that is exactly INTEGER.
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Uuid = sa.String(36)
#: Names compare byte for byte on every database.
Name = sa.String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")


class Base(DeclarativeBase):
    """Everything in the Placement database."""


class ResourceClassRow(Base):
    """A kind of resource, standard or CUSTOM_."""

    __tablename__ = "resource_classes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class TraitRow(Base):
    """A quality a provider can have, standard or CUSTOM_."""

    __tablename__ = "traits"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class ProviderRow(Base):
    """A provider of resources, in a tree by parent and root; a root is its own root."""

    __tablename__ = "resource_providers"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    name: Mapped[str] = mapped_column(Name, unique=True)
    generation: Mapped[int] = mapped_column(BigId, default=0)
    parent_id: Mapped[int | None] = mapped_column(BigId, sa.ForeignKey("resource_providers.id"), index=True)
    root_id: Mapped[int | None] = mapped_column(BigId, sa.ForeignKey("resource_providers.id"), index=True)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class InventoryRow(Base):
    """What a provider has of a class, and how much of it is ``used``: always the sum of its allocations."""

    __tablename__ = "inventories"

    provider_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("resource_providers.id"), primary_key=True)
    class_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("resource_classes.id"), primary_key=True, index=True)
    total: Mapped[int] = mapped_column(BigId)
    reserved: Mapped[int] = mapped_column(BigId)
    min_unit: Mapped[int] = mapped_column(BigId)
    max_unit: Mapped[int] = mapped_column(BigId)
    step_size: Mapped[int] = mapped_column(BigId)
    allocation_ratio: Mapped[float] = mapped_column(sa.Double)
    used: Mapped[int] = mapped_column(BigId, default=0)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class ProviderTraitRow(Base):
    """A provider has a trait."""

    __tablename__ = "resource_provider_traits"

    provider_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("resource_providers.id"), primary_key=True)
    trait_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("traits.id"), primary_key=True, index=True)


class ProviderAggregateRow(Base):
    """A provider is in an aggregate; an aggregate is no more than its members."""

    __tablename__ = "resource_provider_aggregates"

    provider_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("resource_providers.id"), primary_key=True)
    aggregate_uuid: Mapped[str] = mapped_column(Uuid, primary_key=True, index=True)


class ConsumerRow(Base):
    """Who holds allocations. ``consumer_type`` NULL is a consumer that never told its type."""

    __tablename__ = "consumers"
    __table_args__ = (sa.Index("consumers_owner_idx", "project_id", "user_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(Uuid, unique=True)
    generation: Mapped[int] = mapped_column(BigId)
    project_id: Mapped[str] = mapped_column(Name)
    user_id: Mapped[str] = mapped_column(Name)
    consumer_type: Mapped[str | None] = mapped_column(Name)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class AllocationRow(Base):
    """What a consumer holds of one class of one provider."""

    __tablename__ = "allocations"

    consumer_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("consumers.id"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(
        BigId, sa.ForeignKey("resource_providers.id"), primary_key=True, index=True
    )
    class_id: Mapped[int] = mapped_column(BigId, sa.ForeignKey("resource_classes.id"), primary_key=True)
    used: Mapped[int] = mapped_column(BigId)
    updated_at: Mapped[float] = mapped_column(sa.Double)


class ChangeRow(Base):
    """Log of what changed: readers bring their snapshots up to date from it. ``provider_id`` 0 stands for names."""

    __tablename__ = "changes"

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    provider_id: Mapped[int] = mapped_column(BigId)
    kind: Mapped[int] = mapped_column(sa.SmallInteger)
    #: Random, one for all entries of a transaction; a crashed server may give a number out again, a token comes once.
    token: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")


# The same as plain tables, for statements that neither need nor make objects.
CLASSES = cast(sa.Table, ResourceClassRow.__table__)
TRAITS = cast(sa.Table, TraitRow.__table__)
PROVIDERS = cast(sa.Table, ProviderRow.__table__)
INVENTORIES = cast(sa.Table, InventoryRow.__table__)
PROVIDER_TRAITS = cast(sa.Table, ProviderTraitRow.__table__)
PROVIDER_AGGREGATES = cast(sa.Table, ProviderAggregateRow.__table__)
CONSUMERS = cast(sa.Table, ConsumerRow.__table__)
ALLOCATIONS = cast(sa.Table, AllocationRow.__table__)
CHANGES = cast(sa.Table, ChangeRow.__table__)
