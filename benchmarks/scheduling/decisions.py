"""One scheduler, asked over the bus for places, as the super conductor asks it."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from benchmarks.placement.wire import BadAnswer
from benchmarks.scheduling.cloud import RAM_MIB, USER
from nova_lite import config
from nova_lite.db.api_tables import CellMappingRow, InstanceMappingRow
from nova_lite.model.flavor import Flavor
from nova_lite.model.request_spec import Decision, RequestSpec
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.scheduler import SchedulerClient
from nova_lite.storage import Database

_ANSWER_S = 60.0


def spec(image_id: str) -> RequestSpec:
    """Return the request for the server that everything here boots."""
    flavor = Flavor(flavor_id="bench", name="bench", vcpus=1, ram_mib=RAM_MIB, root_gib=1)
    return RequestSpec(project_id=USER, user_id=USER, flavor=flavor, image_id=image_id)


class Waiting:
    """Servers as the API database knows them once they have a cell: what is claimed for them stays claimed."""

    def __init__(self, url: str, count: int) -> None:
        self._db = Database(url)
        self._unplaced = [str(uuid.uuid4()) for _ in range(count)]
        self.placed: list[str] = []
        with self._db.writer() as session:
            cell = session.scalar(sa.select(CellMappingRow.uuid).where(CellMappingRow.name == "cell1"))
            common: dict[str, object] = {
                "cell_uuid": cell,
                "project_id": USER,
                "user_id": USER,
                "vcpus": 1,
                "ram_mib": RAM_MIB,
            }
            rows = [common | {"instance_uuid": server} for server in self._unplaced]
            if rows:
                session.execute(sa.insert(InstanceMappingRow), rows)

    def following(self) -> str:
        """Return a server that was not placed yet; raises IndexError when all were."""
        server = self._unplaced.pop()
        self.placed.append(server)
        return server

    def close(self) -> None:
        """Forget them all."""
        with self._db.writer() as session:
            session.execute(
                sa.delete(InstanceMappingRow).where(
                    InstanceMappingRow.instance_uuid.in_([*self._unplaced, *self.placed])
                )
            )
        self._db.close()


class Asking:
    """Clients of one scheduler."""

    def __init__(self, configuration: Path, image_id: str) -> None:
        self._bus = Bus(config.load(files=[str(configuration)]))
        self._client = SchedulerClient(self._bus)
        self._spec = spec(image_id)

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def place(self, server: str | None = None) -> Decision:
        """Have one server placed. Where nobody waits for it, the scheduler gives the claim back at once, too."""
        return self._client.place(self._spec, [server or str(uuid.uuid4())], timeout_s=_ANSWER_S)

    def rehearse(self) -> Decision:
        """Have a place chosen and not claimed."""
        return self._client.rehearse(self._spec, 1)

    def per_s(self, ask: Callable[[], Decision], *, clients: int, seconds: float) -> float:
        """Return how many decisions a second so many clients get."""
        counts = [0] * clients
        failures: list[BaseException] = []
        began = time.perf_counter()

        def life(number: int) -> None:
            try:
                while time.perf_counter() - began < seconds and not failures:
                    decision = ask()
                    if not decision.placed:
                        raise BadAnswer(f"the scheduler refused: {decision.refusal}")
                    counts[number] += 1
            except IndexError:
                return  # nobody is left to be placed
            except BaseException as exc:  # noqa: BLE001 - raised again below, in the caller's thread
                failures.append(exc)

        threads = [threading.Thread(target=life, args=(number,), daemon=True) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return sum(counts) / (time.perf_counter() - began)
