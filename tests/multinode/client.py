"""How the suite acts on the cloud: openstacksdk, the ``openstack`` command, plain HTTP; and what is really there."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from nova_lite.db.cell_tables import InstanceRow
from tests.integration.stack.clients import Answer, call
from tests.integration.stack.keystone import Account
from tests.integration.stack.processes import StackError, wait_until
from tests.integration.stack.site import environment
from tests.multinode.cloud import FLAVOR, IMAGE, Cloud
from tests.multinode.layout import CELLS, HOSTS

#: The newest version in which a list shows servers of cells that do not answer, and what is older than any of it.
VERSION = "compute 2.96"
_TIMEOUT_S = 60.0
#: Seconds of CPU that show how much of one this process gets; and how many times a limit is stretched at most.
_SAMPLE_S = 0.1
_SLOWEST = 6.0


class Client:
    """One user."""

    def __init__(self, cloud: Cloud, account: Account) -> None:
        self._cloud = cloud
        self._account = account
        self.sdk = cloud.connect(account)
        self._token = cloud.keystone.token(account)
        self._image = self.sdk.image.find_image(IMAGE, ignore_missing=False).id
        self._flavor = self.sdk.compute.find_flavor(FLAVOR, ignore_missing=False).id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sdk.close()

    # -- servers ------------------------------------------------------------------------------------------------------

    def create(self, name: str, *, host: str | None = None) -> str:
        """Ask for a server and return its UUID; it is on its way."""
        where = {} if host is None else {"availability_zone": f"nova:{host}"}
        created = self.sdk.compute.create_server(
            name=name, image_id=self._image, flavor_id=self._flavor, networks="none", **where
        )
        return str(created.id)

    def try_create(self, name: str, *, host: str) -> Answer:
        """Ask for a server and return the answer, whatever it is."""
        wanted = {
            "name": name,
            "imageRef": self._image,
            "flavorRef": self._flavor,
            "networks": "none",
            "availability_zone": f"nova:{host}",
        }
        return self.http("POST", "/servers", {"server": wanted})

    def boot(self, name: str, *, host: str | None = None, timeout_s: float = _TIMEOUT_S) -> str:
        """Return the UUID of a new server that is ACTIVE."""
        uuid = self.create(name, host=host)
        self.wait_status(uuid, "ACTIVE", timeout_s=timeout_s)
        return uuid

    def act(self, uuid: str, action: str) -> Answer:
        """Send a server action without arguments and return the answer, whatever it is."""
        return self.http("POST", f"/servers/{uuid}/action", {action: None})

    def stop(self, uuid: str) -> None:
        """Stop a server and wait for it."""
        assert self.act(uuid, "os-stop").status == 202
        self.wait_status(uuid, "SHUTOFF")

    def start(self, uuid: str) -> None:
        """Start a server and wait for it."""
        assert self.act(uuid, "os-start").status == 202
        self.wait_status(uuid, "ACTIVE")

    def delete(self, uuid: str) -> None:
        """Delete a server and wait until it is gone."""
        assert self.http("DELETE", f"/servers/{uuid}").status == 204
        wait_until(
            lambda: self.http("GET", f"/servers/{uuid}").status == 404, f"{uuid} gone", timeout_s=_TIMEOUT_S
        )  # fmt: skip

    def status(self, uuid: str) -> str:
        """Return the status of a server as shown."""
        answer = self.http("GET", f"/servers/{uuid}")
        if answer.status != 200:
            raise StackError(f"{uuid} shows as {answer}")
        return str(answer.body["server"]["status"])

    def wait_status(self, uuid: str, wanted: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Wait until a server has a status; raises StackError at once when it is in ERROR instead."""

        def reached() -> bool:
            status = self.status(uuid)
            if status == "ERROR" != wanted:
                raise StackError(f"{uuid} is in ERROR: {self.http('GET', f'/servers/{uuid}').body}")
            return status == wanted

        wait_until(reached, f"{uuid} {wanted}", timeout_s=timeout_s, interval_s=0.1)

    def listed(self, query: str = "") -> dict[str, str]:
        """Return server UUID → status in one list of all cells."""
        answer = self.http("GET", f"/servers/detail{query}")
        assert answer.status == 200, answer
        return {server["id"]: server["status"] for server in answer.body["servers"]}

    def delete_all(self) -> None:
        """Delete every server there is and wait until none is left; who is told to come again does."""
        for uuid in self.listed("?all_tenants=1"):
            wait_until(partial(self._takes_delete, uuid), f"{uuid} accepted for deletion", timeout_s=_TIMEOUT_S)
        wait_until(lambda: not self.listed("?all_tenants=1"), "no server left", timeout_s=_TIMEOUT_S, interval_s=0.2)

    def _takes_delete(self, uuid: str) -> bool:
        return self.http("DELETE", f"/servers/{uuid}").status in (204, 404)

    # -- other roads --------------------------------------------------------------------------------------------------

    def http(self, method: str, path: str, body: object = None, *, version: str = VERSION) -> Answer:
        """Send one request to the Compute API and return the answer."""
        url = self._cloud.programs.api_url + path
        return call(url, method=method, token=self._token, body=body, version=version)

    def openstack(self, *arguments: str) -> str:
        """Run the ``openstack`` command and return what it prints; raises StackError when it fails."""
        command = Path(sys.prefix) / "bin" / "openstack"
        variables = environment(
            OS_CLIENT_CONFIG_FILE=str(self._cloud.clouds_file), OS_CLOUD=self._account.user
        )  # fmt: skip
        done = subprocess.run(
            [str(command), *arguments],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise StackError(f"openstack {' '.join(arguments)} failed ({done.returncode}): {done.stderr}")
        return done.stdout

    def openstack_json(self, *arguments: str) -> Any:
        """Run an ``openstack`` command that can answer in JSON, and return that."""
        return json.loads(self.openstack(*arguments, "-f", "json"))


def guests(cloud: Cloud) -> dict[str, list[str]]:
    """Return instance UUID → the hosts that have a guest of it, whether nova_lite runs or not."""
    found: dict[str, list[str]] = {}
    for host in HOSTS:
        if host.driver == "libvirt":
            uuids = cloud.libvirts[host.name].domains()
        else:
            uuids = {path.stem for path in cloud.programs.guests_folder(host.name).glob("*.json")}
        for uuid in uuids:
            found.setdefault(uuid, []).append(host.name)
    return found


def cells_with(cloud: Cloud, uuid: str, cells: Sequence[str] = CELLS) -> list[str]:
    """Return the cells whose databases have a row of a server that is not deleted."""
    found = []
    for cell in cells:
        with cloud.cell_database(cell) as database, database.reader() as session:
            if session.scalar(sa.select(InstanceRow.uuid).where(InstanceRow.uuid == uuid, InstanceRow.deleted == 0)):
                found.append(cell)
    return found


def seconds_until(condition: Callable[[], bool], what: str, *, timeout_s: float) -> float:
    """Wait for ``condition`` and return how long that took."""
    began = time.monotonic()
    wait_until(condition, what, timeout_s=timeout_s)
    return time.monotonic() - began


def limit(seconds: float) -> float:
    """Return a limit that is ``seconds`` on a machine with CPUs to spare, and longer where others use them, too."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < _SAMPLE_S:
        pass
    return seconds * min(_SLOWEST, max(1.0, (time.monotonic() - began) / _SAMPLE_S))
