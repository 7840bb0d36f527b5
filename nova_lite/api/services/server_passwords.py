"""Passwords that were set inside servers: kept sealed with their users' public keys, so that nobody else reads them."""

import base64
import logging

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from nova_lite.api.policies import server_passwords as policies
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import server_passwords
from nova_lite.model.caller import Caller
from nova_lite.model.instance import Instance
from nova_lite.storage import retried

LOG = logging.getLogger(__name__)


class ServerPasswordService:
    """Shows and forgets what is kept; the servers' own passwords stay as they are."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def show(self, caller: Caller, uuid: str) -> str:
        """Return the sealed password in base64, empty when none is kept."""
        located = self._lookup.find(caller, uuid)
        caller.require(policies.SHOW, **target(located.instance))
        if located.cell is None:
            return ""
        with located.cell.db.reader() as session:
            return server_passwords.get(session, uuid) or ""

    def clear(self, caller: Caller, uuid: str) -> None:
        """Forget what is kept."""
        located = self._lookup.find(caller, uuid)
        caller.require(policies.CLEAR, **target(located.instance))
        if located.cell is not None:
            _put(located.cell, uuid, None)


def keep(cell: OpenCell, instance: Instance, password: str) -> None:
    """Keep the password that was just set inside a server, if its user has an RSA key to read it with."""
    sealed = sealed_with(instance.key_data or "", password)
    if sealed is not None:
        _put(cell, instance.uuid, sealed)


def sealed_with(public_key: str, password: str) -> str | None:
    """Return the password encrypted with an OpenSSH RSA key (PKCS#1 v1.5), in base64; None for any other key: pure."""
    if not public_key.startswith("ssh-rsa"):
        return None
    try:
        key = load_ssh_public_key(public_key.encode())
        if not isinstance(key, rsa.RSAPublicKey):
            return None
        return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()
    except (ValueError, UnsupportedAlgorithm) as exc:
        LOG.warning("A password is not kept, for it cannot be sealed with its user's key: %s", exc)
        return None


@retried
def _put(cell: OpenCell, uuid: str, sealed: str | None) -> None:
    with cell.db.writer() as session:
        server_passwords.put(session, uuid, sealed)
