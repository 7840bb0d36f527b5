"""nova_lite's own Placement under the uWSGI file it ships, with a database in MariaDB and without Keystone."""

import sys
from pathlib import Path

from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Missing, Program
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import ADDRESS, Site, environment, run, wait_listening


class OurPlacement:
    """One server; with two workers, so that each must see what the other has written."""

    name = "our-placement"
    database = "our_placement"

    def __init__(self, site: Site, mariadb: MariaDB) -> None:
        self._site = site
        self._mariadb = mariadb
        self.port = site.port(self.name)
        self.url = f"http://{ADDRESS}:{self.port}"

    def start(self) -> None:
        """Start the server, its database made on the first time; MariaDB must be up. Return once it listens."""
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        configuration = self._write_configuration()
        variables = environment(
            PYTHONPATH=str(REPOSITORY),
            NOVA_LITE_CONFIG_FILES=str(configuration),
            NOVA_LITE_PLACEMENT_LISTEN=f"{ADDRESS}:{self.port}",
            NOVA_LITE_PLACEMENT_PROCESSES="2",
            NOVA_LITE_PLACEMENT_THREADS="2",
        )
        self._mariadb.create([self.database])
        manage = [sys.executable, "-m", "nova_lite.cmd.manage", "--config-file", str(configuration)]
        log = self._site.path("log", f"{self.name}-manage.log")
        run([*manage, "placement_db", "sync"], log=log, env=variables, cwd=REPOSITORY)
        ini = REPOSITORY / "etc" / "nova-lite-placement-uwsgi.ini"
        argv = (str(uwsgi), "--ini", str(ini), "--virtualenv", sys.prefix, "--pythonpath", str(REPOSITORY))
        self._site.processes.start(Program(self.name, argv, env=variables, cwd=str(REPOSITORY)))
        wait_listening(self._site, self.name, self.port, timeout_s=60)

    def stop(self) -> None:
        """Stop the server; its database stays."""
        self._site.processes.stop(self.name)

    def _write_configuration(self) -> Path:
        text = f"""\
[DEFAULT]
state_path = {self._site.folder("data", self.name)}
[api]
auth_strategy = noauth2
[placement_database]
connection = {self._mariadb.url(self.database)}
"""
        return self._site.write(text, "etc", f"{self.name}.conf")
