"""URLs that were taken out of the Compute API for good: 410 for whoever has a token, in every version alike."""

from collections.abc import Iterable, Mapping
from functools import partial

import falcon

#: URL → methods it had. Some are served under other methods.
GONE: Mapping[str, tuple[str, ...]] = {
    "/os-agents": ("GET", "POST"),
    "/os-agents/{agent_id}": ("PUT", "DELETE"),
    "/os-cells/capacities": ("GET",),
    "/os-cells/detail": ("GET",),
    "/os-cells/info": ("GET",),
    "/os-cells/sync_instances": ("POST",),
    "/os-cells/{cell_id}": ("GET", "PUT", "DELETE"),
    "/os-cells/{cell_id}/capacities": ("GET",),
    "/os-certificates": ("POST",),
    "/os-certificates/{certificate_id}": ("GET",),
    "/os-cloudpipe": ("GET", "POST"),
    "/os-cloudpipe/{cloudpipe_id}": ("PUT",),
    "/os-fixed-ips/{address}": ("GET",),
    "/os-fixed-ips/{address}/action": ("POST",),
    "/os-floating-ip-dns": ("GET",),
    "/os-floating-ip-dns/{domain}": ("PUT", "DELETE"),
    "/os-floating-ip-dns/{domain}/entries/{entry}": ("GET", "PUT", "DELETE"),
    "/os-floating-ips-bulk": ("GET", "POST"),
    "/os-floating-ips-bulk/{host}": ("GET", "PUT"),
    "/os-fping": ("GET",),
    "/os-fping/{server_id}": ("GET",),
    "/os-networks": ("POST",),
    "/os-networks/add": ("POST",),
    "/os-networks/{network_id}": ("DELETE",),
    "/os-networks/{network_id}/action": ("POST",),
    "/os-security-group-default-rules": ("GET", "POST"),
    "/os-security-group-default-rules/{rule_id}": ("GET", "DELETE"),
    "/os-tenant-networks": ("POST",),
    "/os-tenant-networks/{network_id}": ("DELETE",),
    "/servers/{server_id}/consoles": ("GET", "POST"),
    "/servers/{server_id}/consoles/{console_id}": ("GET", "DELETE"),
    "/servers/{server_id}/os-virtual-interfaces": ("GET",),
}


def routes(table: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return a handler for each of them; those that ``table`` serves under other methods go on doing so."""
    served = dict(table)
    return [(path, Gone(methods, served.get(path))) for path, methods in GONE.items()]


class Gone:
    """One URL whose ``methods`` are gone; others are ``served``. Where none is, looking at it finds nothing."""

    def __init__(self, methods: tuple[str, ...], served: object = None) -> None:
        for name in dir(served):
            if name.startswith("on_"):
                setattr(self, name, getattr(served, name))
        for method in methods if served else {"GET", *methods}:
            setattr(self, f"on_{method.lower()}", partial(_refuse, is_gone=method in methods))


def _refuse(req: falcon.Request, resp: falcon.Response, is_gone: bool, **parts: str) -> None:
    if is_gone:
        raise falcon.HTTPGone(title="Gone", description="This part of the API was taken out of it.")
    raise falcon.HTTPNotFound(title="Not Found")
