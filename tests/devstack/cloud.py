"""What ``tools/devstack`` runs: neighbours, nova_lite in two cells whose hosts imitate guests, things to begin with."""

import shutil
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

from tests.integration.stack.cinder import Cinder
from tests.integration.stack.deployment import Deployment
from tests.integration.stack.keystone import ADMIN, REGION, side_by_side
from tests.integration.stack.neighbours import Neighbours
from tests.integration.stack.pretended import Pretended
from tests.integration.stack.services import CONSOLES, METADATA, Host
from tests.integration.stack.site import PASSWORD, Site
from tests.integration.stack.venv import cache_folder

#: What listens, in the order of its ports where those are given.
PORTS = ("keystone", "api", "placement", "glance", "cinder", "mariadb", "amqp", "epmd", "erlang", CONSOLES, METADATA)
HOSTS = tuple(Host(f"{cell}-host{number}", cell, "fake") for cell in ("cell1", "cell2") for number in (1, 2))
#: Name of a flavor → its id, MiB of memory, GiB of disk. Both images fit into both.
FLAVORS = {"tiny-1": ("42", 64, 1), "tiny-2": ("84", 128, 2)}
IMAGES = ("tiny-1", "tiny-2")
#: The volume types; the second one's volumes may be attached to several servers at once.
VOLUME_TYPE, MULTIATTACH = "pretended", "multiattach"
_SETTINGS = """\
report_interval = 5
[cells]
timeout = 10
"""
_IMAGE_BYTES = 64 << 10
#: What outlives ``forget``.
_LOGS = "log"


class _Neighbours(Neighbours):
    """Those of a cloud whose guests and volumes are imitated."""

    @cached_property
    def cinder(self) -> Cinder:
        cinder = Cinder(self.site, self.mariadb, self.rabbitmq, self.keystone, self.glance, Pretended())
        cinder.tells_compute = True
        cinder.pools = (VOLUME_TYPE,)
        return cinder

    def start(self) -> None:
        """Start all of them, beside each other where they do not wait for each other."""

        def those_with_databases() -> None:
            self.mariadb.start()
            side_by_side([self.keystone.start, self.glance.prepare, self.cinder.prepare])
            self.glance.start()

        side_by_side([self.rabbitmq.start, those_with_databases])
        self.cinder.start()


class Cloud(Deployment):
    """Everything below one directory. ``start`` goes on with what is there; ``forget`` drops it."""

    def __init__(self, site: Site, say: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(site, _Neighbours(site), hosts=HOSTS, settings=_SETTINGS, say=say)
        self.services.has_volumes = True
        self.services.tells_guests = True
        self.services.web = cache_folder() / "novnc" / "usr" / "share" / "novnc"

    @property
    def openrc(self) -> Path:
        """Return the file that makes a shell the administrator's."""
        return self.site.path("openrc")

    def end(self) -> list[str]:
        """End whatever was started, however far that came; return what would not end."""
        processes = self.site.processes
        neighbours = {"keystone", "glance", "cinder-api", "cinder-scheduler", "cinder-volume"}
        servers = {"mariadb", "rabbitmq", "epmd"}
        names = processes.names()
        for wanted in (set(names) - neighbours - servers, neighbours, servers):
            side_by_side([partial(self._end, name) for name in names if name in wanted])
        return processes.names()

    def forget(self) -> None:
        """Drop all state of a cloud that does not run; logs of before go too."""
        for path in self.site.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        for name in ("run", _LOGS):
            self.site.folder(name)

    def _end(self, name: str) -> None:
        self.site.processes.stop(name, timeout_s=30)

    def _start_neighbours(self) -> None:
        self._say("MariaDB, RabbitMQ, Keystone, Glance, Cinder")
        self.neighbours.start()
        self.services.write_configuration()
        settings = {
            "AUTH_URL": self.neighbours.keystone.url,
            "USERNAME": ADMIN.user,
            "PASSWORD": PASSWORD,
            "PROJECT_NAME": ADMIN.project,
            "USER_DOMAIN_NAME": "Default",
            "PROJECT_DOMAIN_NAME": "Default",
            "REGION_NAME": REGION,
            "IDENTITY_API_VERSION": "3",
        }
        self.openrc.write_text("".join(f"export OS_{name}={value}\n" for name, value in settings.items()))

    def _add_images(self) -> None:
        data = self.site.path("data", "image.raw")
        data.write_bytes(bytes(_IMAGE_BYTES))
        for name in IMAGES:
            # Passwords are set by an agent in the guest, which the imitated ones have.
            self.neighbours.glance.upload(name, data, disk_format="raw", hw_qemu_guest_agent="yes")

    def _add_flavors(self) -> None:
        with self.connect(ADMIN) as admin:
            for name, (number, ram, disk) in FLAVORS.items():
                admin.compute.create_flavor(name=name, id=number, ram=ram, vcpus=1, disk=disk)
            admin.block_storage.create_type(name=VOLUME_TYPE)
            admin.block_storage.create_type(name=MULTIATTACH, extra_specs={"multiattach": "<is> True"})
