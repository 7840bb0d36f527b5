"""What an inventory may take: the pure rule, the snapshot's columns and the claiming statement say the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.placement.capacity import refusal
from nova_lite.placement.model import Claim, Inventory, Provider
from nova_lite.placement.repositories import belongings, claims, names, providers
from nova_lite.placement.snapshot import Snapshot
from nova_lite.placement.tables import Base, ResourceClassRow
from nova_lite.storage import Database

HOST = "3d2a9ed8-3f3c-4a2b-9d0d-6b1b0d4f1a11"
FILLER = "3d2a9ed8-3f3c-4a2b-9d0d-6b1b0d4f1a12"
CONSUMER = "3d2a9ed8-3f3c-4a2b-9d0d-6b1b0d4f1a13"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'placement.db'}")
    Base.metadata.create_all(opened.engine)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("inventory", "amount", "allowed"),
    [
        pytest.param(Inventory(4), 4, True, id="exact fit"),
        pytest.param(Inventory(4), 5, False, id="one too many"),
        pytest.param(Inventory(4, used=3), 1, True, id="last one"),
        pytest.param(Inventory(4, used=4), 1, False, id="full"),
        pytest.param(Inventory(4, reserved=1), 4, False, id="reserved"),
        pytest.param(Inventory(4, allocation_ratio=1.5), 6, True, id="overcommitted"),
        pytest.param(Inventory(3, allocation_ratio=1.5), 5, False, id="half a unit is none"),
        pytest.param(Inventory(4, min_unit=2), 1, False, id="below min_unit"),
        pytest.param(Inventory(4, max_unit=2), 3, False, id="above max_unit"),
        pytest.param(Inventory(4, step_size=2), 3, False, id="between steps"),
        pytest.param(Inventory(4, step_size=2), 4, True, id="on a step"),
    ],
)
def test_three_ways_agree(database: Database, inventory: Inventory, amount: int, allowed: bool) -> None:
    assert (refusal(inventory, amount) is None) == allowed

    provider = Provider(1, HOST, "host", 0, None, 1, 0.0, {"VCPU": inventory})
    assert bool(Snapshot([provider]).fits("VCPU", amount).any()) == allowed

    with database.writer() as session:
        names.add(session, ResourceClassRow, "VCPU")
        providers.create(session, HOST, "host", None)
        belongings.set_inventories(session, HOST, {"VCPU": Inventory(1000)}, None, only=True)
        if inventory.used:
            claims.replace(session, [Claim(FILLER, {HOST: {"VCPU": inventory.used}}, "p", "u", None)])
        belongings.set_inventories(session, HOST, {"VCPU": inventory}, None, only=True)
    wanted = [Claim(CONSUMER, {HOST: {"VCPU": amount}}, "p", "u", None)]
    if allowed:
        with database.writer() as session:
            claims.replace(session, wanted)
    else:
        with pytest.raises(errors.Conflict), database.writer() as session:
            claims.replace(session, wanted)
    with database.reader() as session:
        used = providers.get(session, HOST).inventories["VCPU"].used
    assert used == inventory.used + (amount if allowed else 0)
