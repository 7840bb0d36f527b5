"""An embedded cloud as the operators' commands of Placement see it, and hands to break it with."""

import json
import uuid as uuids
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.cmd import manage
from nova_lite.embedded.cloud import Cloud
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from nova_lite.testing.cloud import Answer, ComputeUser
from tests.functional.commands.conftest import Ran

Held = dict[str, dict[str, int]]


class PlacementSite:
    """One running cloud, ``nova-lite-manage`` with its configuration, and its Placement over HTTP."""

    def __init__(self, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
        self.cloud = cloud
        self._capsys = capsys
        self.user = ComputeUser(cloud.compute_url)
        self._placement = ComputeUser(cloud.placement_url, microversion="2.1")
        self._placement._session.headers["OpenStack-API-Version"] = "placement 1.39"
        self.image = ImageDirectory(cloud.settings.image_dir).images()[0].id

    def close(self) -> None:
        self.user.close()
        self._placement.close()

    # -- commands -----------------------------------------------------------------------------------------------------

    def run(self, *words: str, config: str | None = None) -> Ran:
        """Run ``nova-lite-manage placement``, by default with the operators' configuration."""
        return self.run_any("placement", *words, config=config)

    def run_any(self, *words: str, config: str | None = None) -> Ran:
        """Run ``nova-lite-manage``, alike."""
        file = config or str(self.cloud.settings.config_file("nova-lite"))
        self._capsys.readouterr()
        try:
            code = manage.main(["--config-file", file, *words])
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    def found(self, *words: str, code: int) -> list[dict[str, Any]]:
        """Run a command that ends with ``code`` and return the rows it found."""
        ran = self.run(*words, "-f", "json")
        assert (ran.code, ran.err) == (code, ""), ran
        rows: list[dict[str, Any]] = json.loads(ran.out)
        return rows

    def configured(self, name: str, change: Callable[[str], str]) -> str:
        """Write another configuration, made of the operators', and return its file."""
        text = change(self.cloud.settings.config_file("nova-lite").read_text())
        file = self.cloud.settings.state_dir / f"{name}.conf"
        file.write_text(text)
        return str(file)

    # -- the cloud ----------------------------------------------------------------------------------------------------

    def placement(self, method: str, path: str, body: object = None) -> Answer:
        """Send Placement one request."""
        return self._placement.ask(method, path, body)

    def boot(self, name: str = "vm") -> str:
        """Return the UUID of a new server that runs, and that nobody is at work on."""
        uuid = self.user.boot(name, self.image)
        self.user.wait(uuid, "ACTIVE")
        self._is_left_alone(uuid)
        return uuid

    def delete(self, uuid: str) -> None:
        """Delete a server and wait until it is gone, and that work done."""
        assert self.user.ask("DELETE", f"/servers/{uuid}").status == 204
        self.user.wait_gone(uuid)
        self._is_left_alone(uuid)

    def _is_left_alone(self, uuid: str) -> None:
        """Wait for the end of work on a server: it shows what it came to a moment before, and audits heed open work."""
        with Watch(self.cloud) as watch:
            clouds.eventually(lambda: not any(uuid in work for work in watch.open_work()), f"no work on {uuid}")

    def providers(self) -> list[str]:
        """Return the UUID of every provider."""
        return [found["uuid"] for found in self.placement("GET", "/resource_providers").json["resource_providers"]]

    def held(self, consumer: str) -> Held:
        """Return what a consumer holds."""
        found = self.placement("GET", f"/allocations/{consumer}").json["allocations"]
        return {provider: entry["resources"] for provider, entry in found.items()}

    def hold(self, provider: str, amounts: dict[str, int], consumer: str | None = None, **more: object) -> str:
        """Have somebody hold something of a provider; return who."""
        consumer = consumer or str(uuids.uuid4())
        body = {
            "allocations": {provider: {"resources": amounts}},
            "project_id": "p",
            "user_id": "u",
            "consumer_generation": None,
            "consumer_type": "INSTANCE",
            **more,
        }
        answer = self.placement("PUT", f"/allocations/{consumer}", body)
        assert answer.status == 204, answer.json
        return consumer

    def provider(self, name: str, **totals: int) -> str:
        """Make a provider with inventories of these totals; return its UUID."""
        uuid = str(uuids.uuid4())
        assert self.placement("POST", "/resource_providers", {"uuid": uuid, "name": name}).status == 200
        self.set_inventory(uuid, **totals)
        return uuid

    def set_inventory(self, provider: str, **totals: int) -> None:
        """Replace a provider's inventories."""
        body = {
            "resource_provider_generation": self.placement("GET", f"/resource_providers/{provider}").json["generation"],
            "inventories": {name: {"total": total} for name, total in totals.items()},
        }
        answer = self.placement("PUT", f"/resource_providers/{provider}/inventories", body)
        assert answer.status == 200, answer.json

    def write(self, name: str, *statements: sa.Executable) -> None:
        """Write into one of the databases what no program of ours would."""
        database = clouds.database(self.cloud, name)
        try:
            with database.writer() as session:
                for statement in statements:
                    session.execute(statement)
        finally:
            database.close()
