"""What all messages to a compute agent have in common: their topic, and the bus they go by."""

from nova_lite.rpc.bus import Bus

TOPIC = "compute"


class Calls:
    """Some of what an agent can be told to do. Each is safe to say twice; each answers when it is done."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
