"""Free volumes of servers that are not to be: their request failed, or they were deleted before they had a cell.

Inputs: ``servers``, each with its ``uuid`` and ``devices``. The API writes it down: ``api/services/boot_holdings.py``.
"""

import msgspec

from nova_lite.conductor import volume_claims
from nova_lite.conductor.saga import Definition, Step, Work
from nova_lite.conductor.spanning.tools import SuperTools
from nova_lite.model.block_device import BlockDevice


def free_volumes(work: Work[SuperTools]) -> None:
    """Take back every reservation, and remove the volumes that go with the servers."""
    service = work.tools.volumes.as_service()
    for server in work.inputs["servers"]:
        devices = msgspec.convert(server["devices"], list[BlockDevice])
        volume_claims.free_devices(service, server["uuid"], devices)


FREE_VOLUMES = Definition("free-volumes", (Step("free volumes", free_volumes, no_way_back=True),))
