"""A real Glance under uWSGI, its images in a directory."""

import shutil
from pathlib import Path
from typing import Any

import openstack

from tests.integration.stack.kept import Kept
from tests.integration.stack.keystone import ADMIN, GLANCE, Keystone, uwsgi
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.site import Site, environment, listens, run
from tests.integration.stack.venv import REQUIREMENTS, neighbours_venv


class Glance:
    """An image service; its database is in MariaDB, its images below the deployment's directory."""

    def __init__(self, site: Site, mariadb: MariaDB, keystone: Keystone) -> None:
        self._site = site
        self._mariadb = mariadb
        self._keystone = keystone
        self.port = site.port("glance")
        self.url = f"http://{site.address}:{self.port}"

    def prepare(self) -> None:
        """Make the database's schema, once. Needs MariaDB alone, so it may run while Keystone starts."""
        done = self._site.path("data", "glance", "synced")
        if done.exists():
            return
        venv = neighbours_venv()
        self._mariadb.create(["glance"])
        folder = self._write_configuration(venv)
        manage = [str(venv / "bin" / "glance-manage"), "--config-file", str(folder / "glance-api.conf"), "db_sync"]
        variables = environment(OS_GLANCE_CONFIG_DIR=str(folder))
        kept = Kept(self._mariadb, "glance", REQUIREMENTS)
        if not kept.load("glance"):
            run(manage, log=self._site.path("log", "glance-manage.log"), env=variables)
            kept.save("glance")
        done.write_text("")

    def start(self) -> None:
        """Start Glance and put it into the catalog; Keystone must be up. Return once it answers."""
        venv = neighbours_venv()
        self.prepare()
        folder = self._write_configuration(venv)
        variables = environment(OS_GLANCE_CONFIG_DIR=str(folder))
        argv = uwsgi(venv, self.port, "glance.wsgi.api", 1, 4, address=self._site.address)
        self._site.processes.start(Program("glance", argv, env=variables))
        hint = f"Log: {self._site.processes.log('glance')}"
        wait_until(self._answers, "Glance answering", timeout_s=60, hint=hint)
        listed = self._site.path("data", "glance", "listed")
        if not listed.exists():
            self._keystone.add_endpoint("image", "glance", self.url)
            listed.write_text("")

    def stop(self) -> None:
        """Stop Glance; its images stay."""
        self._site.processes.stop("glance")

    def upload(self, name: str, path: Path, *, disk_format: str = "qcow2", **properties: Any) -> str:
        """Put an image that everybody may use into Glance; return its id."""
        with openstack.connection.Connection(**self._keystone.cloud(ADMIN)) as connection, path.open("rb") as data:
            image = connection.image.create_image(
                name=name,
                data=data,  # type: ignore[arg-type]  # it takes files, its annotation does not
                disk_format=disk_format,
                container_format="bare",
                visibility="public",
                allow_duplicates=True,
                validate_checksum=False,
                **properties,
            )
            return str(image.id)

    def _answers(self) -> bool:
        self._site.processes.require("glance")
        return listens(self.port, self._site.address)

    def _write_configuration(self, venv: Path) -> Path:
        data = self._site.folder("data", "glance")
        for name in ("images", "staging", "tasks", "lock"):
            (data / name).mkdir(exist_ok=True)
        folder = self._site.folder("etc", "glance")
        shutil.copy(venv / "etc" / "glance" / "glance-api-paste.ini", folder)
        # The brackets around the import method are part of the value: without them every POST of an image fails.
        text = f"""\
[DEFAULT]
bind_host = {self._site.address}
bind_port = {self.port}
enabled_backends = files:file
worker_self_reference_url = {self.url}
enabled_import_methods = [glance-direct]
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {data}/images
[os_glance_staging_store]
filesystem_store_datadir = {data}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {data}/tasks
[database]
connection = {self._mariadb.url("glance")}
[paste_deploy]
flavor = keystone
config_file = {folder}/glance-api-paste.ini
[oslo_concurrency]
lock_path = {data}/lock
[oslo_messaging_notifications]
driver = noop
[keystone_authtoken]
www_authenticate_uri = {self._keystone.url}
service_token_roles = service
service_token_roles_required = true
{self._keystone.credentials(GLANCE)}
"""
        (folder / "glance-api.conf").write_text(text)
        return folder
