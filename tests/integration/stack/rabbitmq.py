"""One RabbitMQ broker with a private epmd, and the virtual hosts of a deployment."""

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Sequence

from tests.integration.stack.processes import Program, wait_until
from tests.integration.stack.site import ADDRESS, PASSWORD, Site, run, tool, wait_listening

_FOLDER = "/usr/lib/rabbitmq/bin"
_USER = "nova_lite"
#: The buses of a deployment: one for what is above the cells, one for each cell.
VHOSTS = ("api", "cell1", "cell2")


class RabbitMQ:
    """A broker on private ports. ``stop`` keeps its state, so that ``start`` after it is a restart."""

    def __init__(self, site: Site, vhosts: Sequence[str] = VHOSTS) -> None:
        self._site = site
        self._vhosts = tuple(vhosts)
        self._home = site.folder("data", "rabbitmq")
        self.port = site.port("amqp")
        self._epmd_port = site.port("epmd")

    def url(self, vhost: str) -> str:
        """Return the transport URL of one virtual host."""
        return f"rabbit://{_USER}:{PASSWORD}@{self._site.address}:{self.port}/{vhost}"

    def start(self) -> None:
        """Start epmd and the broker; return once it takes connections."""
        # Debian's wrapper in /usr/sbin changes to another account when root calls it; the real one does not.
        server = tool("rabbitmq-server", package="rabbitmq-server", folders=[_FOLDER])
        epmd = tool("epmd", package="erlang-base")
        self._write_configuration()
        self._write_cookie()
        # An epmd that the broker started itself would outlive it.
        argv = (epmd, "-port", str(self._epmd_port), "-address", self._site.address)
        self._site.processes.start(Program("epmd", argv, env={"PATH": os.environ["PATH"]}))
        wait_listening(self._site, "epmd", self._epmd_port)
        self._site.processes.start(Program("rabbitmq", (server,), env=self._environment(), cwd=str(self._home)))
        wait_listening(self._site, "rabbitmq", self.port, timeout_s=60)
        wait_until(self._has_booted, "RabbitMQ booted", timeout_s=30, hint=self._site.processes.tail("rabbitmq"))

    def stop(self) -> None:
        """Stop the broker and its epmd; what it keeps on disk stays."""
        self._site.processes.stop("rabbitmq", timeout_s=30)
        self._site.processes.stop("epmd", timeout_s=5)

    def restart(self) -> None:
        """Stop the broker as an operator would, and start it again: every connection breaks meanwhile."""
        self._site.processes.stop("rabbitmq", timeout_s=30)
        self._site.processes.log("rabbitmq").rename(self._site.path("log", "rabbitmq.before.log"))
        self.start()

    def crash(self) -> None:
        """End the broker without warning."""
        self._site.processes.kill("rabbitmq")

    def add_vhost(self, name: str) -> str:
        """Make one more virtual host and return its transport URL."""
        self._ctl("add_vhost", name)
        self._ctl("set_permissions", "-p", name, _USER, ".*", ".*", ".*")
        return self.url(name)

    def connected_peers(self, vhost: str) -> set[int]:
        """Return the source ports of the connections that are open to ``vhost``."""
        environment = self._environment()
        listing = subprocess.run(
            [f"{_FOLDER}/rabbitmqctl", "-q", "list_connections", "peer_port", "vhost", "--no-table-headers"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=480,
            check=True,
        )
        rows = (line.split("\t") for line in listing.stdout.splitlines() if line.strip())
        return {int(row[0]) for row in rows if row[1] == vhost}

    def _ctl(self, *arguments: str) -> None:
        run(
            [f"{_FOLDER}/rabbitmqctl", "-q", *arguments],
            log=self._site.path("log", "rabbitmqctl.log"),
            env=self._environment(),
        )

    def _has_booted(self) -> bool:
        self._site.processes.require("rabbitmq")
        return "completed with" in self._site.processes.log("rabbitmq").read_text(errors="replace")

    def _write_cookie(self) -> None:
        """Make what its parts know each other by: those who make it themselves show it to all for an instant."""
        cookie = self._home / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(0o600)
            cookie.write_text("NOVALITENOVALITENOVA")
            cookie.chmod(0o400)

    def _write_configuration(self) -> None:
        salt = os.urandom(4)
        digest = base64.b64encode(salt + hashlib.sha256(salt + PASSWORD.encode()).digest()).decode()
        user = {
            "name": _USER,
            "password_hash": digest,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "administrator",
        }
        all_rights = {"user": _USER, "configure": ".*", "write": ".*", "read": ".*"}
        granted = [{**all_rights, "vhost": vhost} for vhost in self._vhosts]
        definitions = {"users": [user], "vhosts": [{"name": name} for name in self._vhosts], "permissions": granted}
        path = self._site.write(json.dumps(definitions), "etc", "rabbitmq", "definitions.json")
        lines = [
            f"listeners.tcp.default = {self._site.address}:{self.port}",
            f"load_definitions = {path}",
            "vm_memory_high_watermark.absolute = 1GB",
            "disk_free_limit.absolute = 50MB",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
        ]
        self._site.write("\n".join(lines) + "\n", "etc", "rabbitmq", "rabbitmq.conf")
        self._site.write("[].\n", "etc", "rabbitmq", "plugins")

    def _environment(self) -> dict[str, str]:
        etc = self._site.folder("etc", "rabbitmq")
        return {
            "PATH": f"{_FOLDER}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "HOME": str(self._home),  # holds the cookie that lets rabbitmqctl in
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": ADDRESS,
            "RABBITMQ_NODENAME": f"nl{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._site.port("erlang")),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Two schedulers that do not spin, and no port open to other machines.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_MAX_PORTS": "4096",
            # The start script then becomes the broker instead of waiting for it, and SIGTERM reaches the broker.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
