"""URLs of message buses: whether one is usable, how it is shown without its secrets, and this process's own."""

import functools
from importlib import metadata

from oslo_config import cfg

from nova_lite import errors
from nova_lite.rpc.messaging import oslo_messaging

_STARS = "****"
_EXAMPLE = "rabbit://user:password@host:5672/vhost"


def local(conf: cfg.ConfigOpts) -> str | None:
    """Return ``[DEFAULT] transport_url``, or None when it is not set."""
    oslo_messaging.TransportURL.parse(conf, "none:///")  # teaches the configuration the bus options
    place = conf.get_location("transport_url")
    is_set = place is not None and place.location is not cfg.Locations.opt_default
    return str(conf.transport_url) if is_set and conf.transport_url else None


def checked(url: str) -> None:
    """Raise Misconfigured when ``url`` names no message bus; the message never repeats it."""
    transport = _parsed(url).transport or ""
    if transport.split("+")[0] not in _drivers():
        raise errors.Misconfigured(
            f"The transport URL names no known driver (known: {', '.join(_drivers())}); it should look like {_EXAMPLE}"
        )


@functools.cache
def _drivers() -> tuple[str, ...]:
    """Return what drivers are installed. To ask costs a look into each package that is: more than a bus costs else."""
    return tuple(sorted({entry.name for entry in metadata.entry_points(group="oslo.messaging.drivers")}))


def masked(url: str) -> str:
    """Return ``url`` with ``****`` for every password."""
    try:
        parsed = _parsed(url)
    except errors.Misconfigured:
        return "(unreadable)"
    for host in parsed.hosts:
        if host.password:
            host.password = _STARS
    return str(parsed).replace("%2A%2A%2A%2A", _STARS)


def _parsed(url: str) -> oslo_messaging.TransportURL:
    try:
        return oslo_messaging.TransportURL.parse(cfg.ConfigOpts(), url)
    except (oslo_messaging.InvalidTransportURL, ValueError):
        # Without its cause, which holds the URL and so a password.
        raise errors.Misconfigured(f"The transport URL cannot be read; it should look like {_EXAMPLE}") from None
