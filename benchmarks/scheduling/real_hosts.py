"""Many hosts of the real Nova in one process: a compute service each, as its own ``nova-compute`` starts one.

A process a host would be the real thing, and takes 100 MB and seconds of CPU to start each time. Here every host has a
service, a manager, a driver, RPC servers and timers of its own; modules, the configuration and connections that
the services share anyway are there once. That favours the real one: it saves memory, and waits are for the same CPUs.

Runs in its environment, where nova_lite is not; the names of the hosts are in ``hosts`` below the state path.
"""

import importlib
import sys
import threading
from pathlib import Path
from typing import Any


def _module(name: str) -> Any:
    return importlib.import_module(name)


def main() -> int:
    """Carry the hosts until told to stop."""
    # In the order, and with the arguments, of its own entry point, whose import chooses native threads.
    compute = _module("nova.cmd.compute")
    conf = compute.CONF
    compute.config.parse_args(sys.argv)
    compute.logging.setup(conf, "nova")
    compute.objects.register_all()
    compute.os_vif.initialize()
    _module("nova.db.main.api").DISABLE_DB_ACCESS = True
    compute.objects_base.NovaObject.indirection_api = compute.conductor_rpcapi.ConductorAPI()
    compute.objects.Service.enable_min_version_cache()
    services = []
    for name in Path(conf.state_path, "hosts").read_text().split():
        found = compute.service.Service.create(
            host=name,
            binary="nova-compute",
            topic=compute.compute_rpcapi.RPC_TOPIC,
            topic_alt=compute.compute_rpcapi.RPC_TOPIC_ALT,
        )
        found.start()
        services.append(found)
    Path(conf.state_path, "ready").touch()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
