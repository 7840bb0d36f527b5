"""How tests act on a deployment: the ``openstack`` command, plain HTTP, and looks at what is really there."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.model.workflow import OPEN
from nova_lite.storage import Database
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.keystone import ADMIN
from tests.integration.stack.processes import Missing, StackError
from tests.integration.stack.services import CELLS
from tests.integration.stack.site import environment


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``body`` is decoded JSON, or None."""

    status: int
    headers: dict[str, str]
    body: Any


def openstack(deployment: Deployment, cloud: str, *arguments: str, timeout_s: float = 300.0) -> str:
    """Run the ``openstack`` command as ``cloud`` and return what it prints; raises StackError when it fails."""
    command = Path(sys.prefix) / "bin" / "openstack"
    if not command.exists():
        raise Missing(f"{command} is not there (pip install python-openstackclient)")
    done = subprocess.run(
        [str(command), "--os-cloud", cloud, *arguments],
        env=environment(OS_CLIENT_CONFIG_FILE=str(deployment.clouds_file)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise StackError(f"openstack {' '.join(arguments)} failed ({done.returncode}): {done.stderr}")
    return done.stdout


def openstack_json(deployment: Deployment, cloud: str, *arguments: str) -> Any:
    """Run an ``openstack`` command that can answer in JSON, and return that."""
    return json.loads(openstack(deployment, cloud, *arguments, "-f", "json"))


def call(
    url: str, *, method: str = "GET", token: str | None = None, body: object = None, version: str | None = None
) -> Answer:
    """Send one HTTP request and return the answer, whatever its status."""
    request = urllib.request.Request(url, method=method)
    request.add_header("Accept", "application/json")
    if token is not None:
        request.add_header("X-Auth-Token", token)
    if version is not None:
        request.add_header("OpenStack-API-Version", version)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=480) as answer:
            return _answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            return _answer(exc.code, exc.headers, exc.read())


def _answer(status: int, headers: Any, text: bytes) -> Answer:
    try:
        body = json.loads(text) if text else None
    except ValueError:
        body = text.decode(errors="replace")
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)


def guests(deployment: Deployment) -> dict[str, list[str]]:
    """Return instance UUID → the hosts that have a guest of it, whether nova_lite runs or not."""
    found: dict[str, list[str]] = {}
    for host in deployment.services.hosts:
        if host.driver == "fake":
            uuids = {path.stem for path in deployment.services.guests_folder(host.name).glob("*.json")}
        else:
            uuids = deployment.neighbours.libvirt.domains()
        for uuid in uuids:
            found.setdefault(uuid, []).append(host.name)
    return found


class Truth:
    """What is really there, past the Compute API: guests on hosts, allocations in Placement, workflows at work."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._token = deployment.neighbours.keystone.token(ADMIN)

    def guests(self) -> dict[str, list[str]]:
        """Return instance UUID → the hosts that have a guest of it."""
        return guests(self._deployment)

    def allocations(self, consumer: str) -> dict[str, dict[str, int]]:
        """Return provider name → class → amount that a consumer holds."""
        answer = self._placement(f"/allocations/{consumer}")
        names = self._provider_names()
        return {names[uuid]: entry["resources"] for uuid, entry in answer["allocations"].items()}

    def holders(self) -> dict[str, list[str]]:
        """Return consumer UUID → names of the providers it holds something of, over all providers."""
        found: dict[str, list[str]] = {}
        for uuid, name in self._provider_names().items():
            for consumer in self._placement(f"/resource_providers/{uuid}/allocations")["allocations"]:
                found.setdefault(consumer, []).append(name)
        return found

    def open_workflows(self) -> list[str]:
        """Return every workflow that has not ended, as text."""
        tables = [f"nova_lite_api.{ApiWorkflowRow.__tablename__}"]
        tables += [f"nova_lite_{cell}.{CellWorkflowRow.__tablename__}" for cell in ("cell0", *CELLS)]
        # All are on one server, and who waits asks again and again.
        looks = (f"SELECT kind, subject, status FROM {table} WHERE status IN :open" for table in tables)
        asked = sa.text(" UNION ALL ".join(looks)).bindparams(sa.bindparam("open", list(OPEN), expanding=True))
        database = Database(self._deployment.neighbours.mariadb.url("nova_lite_api"))
        try:
            with database.reader() as session:
                return [f"{kind} of {subject}: {status}" for kind, subject, status in session.execute(asked)]
        finally:
            database.close()

    def _provider_names(self) -> dict[str, str]:
        return {row["uuid"]: row["name"] for row in self._placement("/resource_providers")["resource_providers"]}

    def _placement(self, path: str) -> Any:
        answer = call(self._deployment.services.placement_url + path, token=self._token, version="placement 1.36")
        if answer.status != 200:
            raise StackError(f"Placement answered {answer.status} to {path}: {answer.body}")
        return answer.body
