"""What the super conductor answers on the bus; the client side is ``rpc/conductor.py``."""

from typing import Any

from nova_lite.cells.registry import Cells
from nova_lite.conductor.saga import Runner
from nova_lite.db.repositories import hosts
from nova_lite.storage import retried


class SuperEndpoint:
    """The super conductor's ear, on the API bus. Heartbeats of the services beside it are kept in cell0."""

    def __init__(self, runner: Runner[Any], cells: Cells) -> None:
        self._runner = runner
        self._cells = cells

    def wake(self, workflow_uuid: str) -> None:
        self._runner.wake(workflow_uuid)

    @retried
    def heartbeat(self, host: str, binary: str) -> None:
        with self._cells.cell0.db.writer() as session:
            hosts.beat(session, host, binary)
