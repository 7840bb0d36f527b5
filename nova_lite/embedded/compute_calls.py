"""What the embedded block storage service asks of compute, as the service's own user."""

from typing import Any, Protocol

import requests

from nova_lite import errors
from nova_lite.clients.sessions import LeanSession

#: Seconds an answer may take.
_TIMEOUT_S = 60.0


class Compute(Protocol):
    """Has the guests that volumes are below."""

    def swap_volume(self, server_id: str, volume_id: str, next_id: str) -> None:
        """Have a server's volume copied to another one, of which we hear in the end; raises what refuses it."""
        ...


class NoCompute:
    """Stands where there is no compute."""

    def swap_volume(self, server_id: str, volume_id: str, next_id: str) -> None:
        """Refuse."""
        raise errors.Unavailable("There is no compute that could be asked.")


class ComputeCalls:
    """The Compute API at ``url``, asked with ``token``, by one thread."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = LeanSession()
        self._session.headers["X-Auth-Token"] = token

    def swap_volume(self, server_id: str, volume_id: str, next_id: str) -> None:
        """Have a server's volume copied to another one."""
        path = f"/servers/{server_id}/os-volume_attachments/{volume_id}"
        self._send("PUT", path, {"volumeAttachment": {"volumeId": next_id}})

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=_TIMEOUT_S)
        except requests.RequestException as exc:
            raise errors.Unavailable("The Compute API does not answer.", cause=str(exc)) from exc
        if not answer.ok:
            raise errors.Conflict("The Compute API refused.", status=answer.status_code, answer=answer.text[:500])
