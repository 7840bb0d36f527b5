"""Tell where a guest of this host has a console, for those whom a proxy lets at it."""

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt.driver import Driver
from nova_lite.model.console import PROTOCOLS, Console


class Consoles:
    """Looks up consoles; what is told to whom is decided above."""

    def __init__(self, conf: cfg.ConfigOpts, driver: Driver) -> None:
        self._driver = driver
        vnc, spice, serial = conf.vnc, conf.spice, conf.serial_console
        #: Kind → the address that proxies reach, and what users are given; only kinds that this host has.
        self._known: dict[str, tuple[str, str]] = {}
        if vnc.enabled:
            self._known["novnc"] = (vnc.server_proxyclient_address, vnc.novncproxy_base_url)
        if spice.enabled:
            self._known["spice-html5"] = (spice.server_proxyclient_address, spice.html5proxy_base_url)
            self._known["spice-direct"] = (spice.server_proxyclient_address, spice.spice_direct_proxy_base_url)
        if serial.enabled:
            self._known["serial"] = (serial.proxyclient_address, serial.base_url)

    def find(self, instance_uuid: str, kind: str) -> Console:
        """Return a console of a guest.

        Raises Invalid when this host or the guest has none of this kind, NotFound when there is no such guest,
        Conflict when it does not run.
        """
        if kind not in self._known:
            raise errors.Invalid(f"Unavailable console type {kind}.")
        ports = self._driver.console_ports(instance_uuid, PROTOCOLS[kind])
        if ports is None:
            raise errors.Invalid(f"Unavailable console type {kind}.")
        address, base_url = self._known[kind]
        return Console(kind, address, ports.port, base_url, ports.tls_port)
