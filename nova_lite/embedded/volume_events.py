"""What the embedded block storage service tells compute, as Cinder does: ``POST /os-server-external-events``.

It is told once; should that fail, compute finds the volume's own state.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

import requests

from nova_lite.clients.sessions import LeanSession

LOG = logging.getLogger(__name__)

EXTENDED, REIMAGED = "volume-extended", "volume-reimaged"
#: Event → the microversion of compute that brought it.
_SINCE = {EXTENDED: "2.51", REIMAGED: "2.93"}
#: Seconds compute has to answer: other work on volumes waits meanwhile.
_TIMEOUT_S = 10.0


class Tell(Protocol):
    """Tells compute that something was done to a volume that servers have; raises nothing."""

    def __call__(self, event: str, volume_id: str, servers: Sequence[str]) -> None: ...


def nobody(event: str, volume_id: str, servers: Sequence[str]) -> None:
    """Tell nobody: there is no compute."""


class ComputeEvents:
    """Tells the Compute API at ``url``, as ``user``, whose name is the token."""

    def __init__(self, url: str, user: str) -> None:
        self._url = f"{url}/os-server-external-events"
        self._session = LeanSession()
        self._session.headers["X-Auth-Token"] = user

    def __call__(self, event: str, volume_id: str, servers: Sequence[str]) -> None:
        """Tell of ``event``, one of those above."""
        if not servers:
            return
        events = [{"name": event, "server_uuid": each, "tag": volume_id} for each in servers]
        version = {"OpenStack-API-Version": f"compute {_SINCE[event]}"}
        try:
            answer = self._session.post(self._url, json={"events": events}, headers=version, timeout=_TIMEOUT_S)
            answer.raise_for_status()
        except requests.RequestException as exc:
            LOG.warning("Compute is not told of %s of volume %s: %s", event, volume_id, exc)
