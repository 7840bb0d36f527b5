"""Cell mappings whose URLs have holes, ``mysql+pymysql://{username}:{password}@db2/nova``: filled from what is local.

So one mapping serves processes that reach a cell in different ways, and no password needs to stand in the database.
A hole in the database's URL takes that part of ``[database] connection``, one in the bus's URL that part of
``[DEFAULT] transport_url``, where several hosts are told apart by number: ``{hostname2}``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from oslo_config import cfg

from nova_lite import errors
from nova_lite.model.host import Cell
from nova_lite.rpc import transport_url as transport_urls

_HOLE = re.compile(r"\{([^{}]*)\}")
#: Parts that every host of a URL has of its own.
_OF_HOST = ("username", "password", "hostname", "port")
_URL = re.compile(r"([^:/?#@]+)://([^/?#]*)([^?]*)(\?.*)?", re.DOTALL)
_WHERE = re.compile(r"(\[[^\]]*\]|[^:]*)(:(\d*|\{[^{}]*\}))?")
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token)[^=&]*=)([^&#]*)", re.IGNORECASE)
_STARS = "****"


@dataclass(frozen=True, slots=True)
class LocalUrls:
    """What holes are filled from; None where this process has no such URL."""

    transport_url: str | None = None
    connection: str | None = None


#: For those who know that no mapping has holes.
NOWHERE = LocalUrls()


def local_urls(conf: cfg.ConfigOpts) -> LocalUrls:
    """Return the URLs that this process's configuration names."""
    return LocalUrls(transport_urls.local(conf), conf.database.connection or None)


def has_holes(url: str) -> bool:
    """Return whether a URL of a mapping needs to be filled."""
    return bool(_HOLE.search(url))


def transport_url(cell: Cell, local: LocalUrls) -> str:
    """Return the URL of a cell's bus, its holes filled.

    Raises Misconfigured for a hole of an unknown name, or one the local URL has nothing for; never repeats a URL.
    """
    return _filled(cell.transport_url, local.transport_url, "[DEFAULT] transport_url")


def connection(cell: Cell, local: LocalUrls) -> str:
    """Return the URL of a cell's database, its holes filled; raises as ``transport_url``."""
    return _filled(cell.database_connection, local.connection, "[database] connection")


def masked(template: str) -> str:
    """Return a URL with its holes as they are, and ``****`` for every password that is none."""
    found = _URL.fullmatch(template)
    if found is None or "@" in found[3] + (found[4] or ""):
        return "(unreadable)"
    scheme, hosts, path, query = found.groups(default="")
    shown = ",".join(_masked_host(host) for host in hosts.split(","))
    return f"{scheme}://{shown}{path}{_SECRET_PARAMETER.sub(_masked_parameter, query)}"


def _masked_host(host: str) -> str:
    login, at, where = host.rpartition("@")
    if not _WHERE.fullmatch(where):  # part of a password, perhaps, that has a comma
        return _STARS
    user, colon, password = login.partition(":")
    return f"{user}{colon}{_masked_word(password) if colon else ''}{at}{where}"


def _masked_parameter(found: re.Match[str]) -> str:
    return found[1] + _masked_word(found[2])


def _masked_word(word: str) -> str:
    return word if _HOLE.fullmatch(word) else _STARS


def _filled(template: str, local: str | None, option: str) -> str:
    if not _HOLE.search(template):
        return template
    if not local:
        raise errors.Misconfigured(f"The cell's URL has holes to be filled from {option}, which is not set.")
    parts = _parts(local, option)

    def part(hole: re.Match[str]) -> str:
        if hole[1] not in parts:
            known = ", ".join(f"{{{name}}}" for name in parts)
            raise errors.Misconfigured(f"The cell's URL has a hole {hole[0]}; {option} fills {known}.")
        return parts[hole[1]]

    return _HOLE.sub(part, template)


def _parts(url: str, option: str) -> Mapping[str, str]:
    """Return the parts of a URL by name, as they stand there (percent signs and all); of hosts also by number."""
    try:
        split = urlsplit(url)
        hosts = [urlsplit(f"//{netloc}") for netloc in split.netloc.split(",")]
        parts = {name: _of_host(hosts[0], name) for name in _OF_HOST}
        for number, host in enumerate(hosts, start=1):
            parts |= {f"{name}{number}": _of_host(host, name) for name in _OF_HOST}
    except ValueError:
        # Without its cause, which may hold a password.
        raise errors.Misconfigured(f"{option} is no URL.") from None
    others = {"scheme": split.scheme, "path": split.path.lstrip("/"), "query": split.query, "fragment": split.fragment}
    return parts | others


def _of_host(host: SplitResult, name: str) -> str:
    if name == "hostname" and host.hostname and ":" in host.hostname:
        return f"[{host.hostname}]"
    value = getattr(host, name)
    return "" if value is None else str(value)
