"""The configuration files of an embedded cloud's processes: the ones a real deployment would have, on one machine.

Each process gets a file with what it may know, and nothing else: those of a cell say nothing of the API database.
"""

import configparser
import io
from collections.abc import Mapping

from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.embedded import state
from nova_lite.embedded.http import HOST
from nova_lite.embedded.settings import CloudSettings

#: The administrator, whom the services are too; with ``noauth2`` a user's name is their token.
ADMIN = "admin"
#: What those who ask the metadata service for a guest sign with: who can reach it may ask the cloud for anything.
METADATA_SECRET = "not secret"  # noqa: S105 - it is none, as the password is none
#: The host that services beside the cells say they run on.
CONTROLLER = "controller"

Options = Mapping[str, Mapping[str, object]]


class Configuration:
    """Writes and loads the files. ``name`` is the cloud's, part of the names of its buses."""

    def __init__(self, settings: CloudSettings, name: str) -> None:
        self._settings = settings
        self._name = name

    def transport_url(self, bus: str) -> str:
        """Return the URL of a bus inside this process: ``api`` or a cell's."""
        return f"kombu+memory:///{self._name}-{bus}"

    def placement(self) -> cfg.ConfigOpts:
        """Return the Placement API's configuration."""
        return self._write("placement", self._shared(), self._database("placement_database", "placement"), _NO_AUTH)

    def api(self, neighbours: Options) -> cfg.ConfigOpts:
        """Return the Compute API's configuration."""
        return self._write("api", self._shared(), self._above(CONTROLLER), _NO_AUTH, neighbours)

    def metadata(self) -> cfg.ConfigOpts:
        """Return the metadata service's configuration; asked for something by guests, it asks no neighbour."""
        proxies = {"service_metadata_proxy": True, "metadata_proxy_shared_secret": METADATA_SECRET}
        return self._write("metadata", self._shared(), self._above(CONTROLLER), {"neutron": proxies})

    def console_proxy(self, port: int) -> cfg.ConfigOpts:
        """Return the console proxy's configuration; all kinds of consoles are opened at one port."""
        here = {"novncproxy_host": HOST, "novncproxy_port": port}
        elsewhere: Options = {"spice": {"html5proxy_host": HOST}, "serial_console": {"serialproxy_host": HOST}}
        return self._write("console-proxy", self._shared(), self._above(CONTROLLER), {"vnc": here}, elsewhere)

    def controller(self, process: str, neighbours: Options) -> cfg.ConfigOpts:
        """Return the configuration of the super conductor or the scheduler."""
        return self._write(process, self._shared(), self._above(CONTROLLER), neighbours)

    def cell_conductor(self, cell: str, neighbours: Options) -> cfg.ConfigOpts:
        """Return the configuration of a cell's conductor."""
        bus = {"DEFAULT": {"transport_url": self.transport_url(cell), "host": f"{cell}-controller"}}
        return self._write(f"{cell}-conductor", self._shared(), bus, self._database("database", cell), neighbours)

    def agent(
        self, cell: str, host: str, driver: str, share: Mapping[str, object], neighbours: Options
    ) -> cfg.ConfigOpts:
        """Return the configuration of a host's agent; ``share`` says what of the machine is not the host's."""
        settings, home = self._settings, self._settings.host_dir(host)
        own: Options = {
            "DEFAULT": {
                "transport_url": self.transport_url(cell),
                "host": host,
                "state_path": home,
                "instances_path": home / "instances",
                "image_cache_path": settings.image_cache,
                "compute_driver": driver,
                **share,
            },
            "libvirt": {"connection_uri": settings.libvirt_uri, "virt_type": settings.virt_type},
        }
        return self._write(host, self._shared(), own, neighbours)

    def operators(self, neighbours: Options) -> None:
        """Write the file for ``nova-lite-manage``, which looks after all databases."""
        databases = {**self._database("placement_database", "placement"), **self._database("database", "cell0")}
        self._write("nova-lite", self._shared(), self._above(CONTROLLER), databases, neighbours)

    def _shared(self) -> Options:
        # A bus in memory has no connection that could die unseen.
        bus = {"heartbeat_timeout_threshold": 0}
        # A conductor that died took the whole cloud along; what it left is taken up soon after the next start.
        conductor = {"lease": 5, "scan_interval": 2}
        state_path = {"state_path": self._settings.state_dir}
        return {"DEFAULT": state_path, "oslo_messaging_rabbit": bus, "conductor": conductor}

    def _above(self, host: str) -> Options:
        """Return what processes above the cells know."""
        bus = {"DEFAULT": {"transport_url": self.transport_url("api"), "host": host}}
        return {**bus, **self._database("api_database", "api")}

    def _database(self, group: str, name: str) -> Options:
        return {group: {"connection": self._settings.database(name)}}

    def _write(self, process: str, *parts: Options) -> cfg.ConfigOpts:
        merged: dict[str, dict[str, object]] = {}
        for part in (*parts, self._settings.options):
            for group, options in part.items():
                merged.setdefault(group, {}).update(options)
        file = configparser.RawConfigParser(default_section="\0")
        file.read_dict(
            {group: {name: str(value) for name, value in options.items()} for group, options in merged.items()}
        )
        text = io.StringIO("# Written by nova-lite up at each start; changes made here are lost.\n")
        text.seek(0, io.SEEK_END)
        file.write(text)
        path = self._settings.config_file(process)
        state.write(path, text.getvalue().encode())
        return config.load(files=[str(path)])


def check_option(group: str, name: str, value: str) -> None:
    """Raise Misconfigured unless users may set this option of an embedded cloud to ``value``."""
    conf = config.load(files=[])
    if group.endswith("database") or (group, name) in _OWN:
        raise errors.Misconfigured("the cloud sets this by itself")
    try:
        conf.set_override(name, value, group=None if group == "DEFAULT" else group)
    except cfg.NoSuchGroupError as exc:
        raise errors.Misconfigured(f"there is no group {group}") from exc
    except cfg.NoSuchOptError as exc:
        raise errors.Misconfigured(f"there is no option {name} in {group}") from exc
    except ValueError as exc:
        raise errors.Misconfigured(str(exc)) from exc


#: What each process of the cloud is told apart from the others.
_OWN = {
    ("DEFAULT", name)
    for name in ("compute_driver", "host", "image_cache_path", "instances_path", "state_path", "transport_url")
} | {(group, "endpoint_override") for group in ("placement", "glance")}

_NO_AUTH: Options = {"api": {"auth_strategy": "noauth2"}}


def credentials(identity_url: str) -> dict[str, object]:
    """Return with which options of a group a service asks another as itself: as the administrator."""
    return {
        "auth_type": "password",
        "auth_url": f"{identity_url}/v3",
        "username": ADMIN,
        "password": "not checked",
        "project_name": ADMIN,
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


def neighbours(placement_url: str, image_url: str, identity_url: str) -> Options:
    """Return where Placement, images and, by the identity service's catalog, volumes are, for those who ask them."""
    return {
        "placement": {"endpoint_override": placement_url, "noauth_token": ADMIN},
        "glance": {"endpoint_override": image_url, "anonymous": True},
        "cinder": credentials(identity_url),
        "service_user": credentials(identity_url),
    }
