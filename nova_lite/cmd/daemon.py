"""Run a service until it is told to stop: configuration, log, signals. What all daemons have in common."""

import importlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as oslo_logging

from nova_lite import concurrency, config, errors

LOG = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs in the background between ``start`` and ``stop``."""

    def start(self) -> None:
        """Begin; raises when it cannot."""
        ...

    def stop(self) -> None:
        """Finish what is under way and end."""
        ...


def run(prog: str, argv: Sequence[str] | None, service_name: str) -> int:
    """Run the service class named ``module:Class`` until SIGTERM or SIGINT; return the exit code.

    The class is imported only after the threads are chosen: eventlet must patch before others import.

    0: stopped when asked to. 1: could not start, or did not stop within ``graceful_shutdown_timeout``.
    2: the command line or the configuration is wrong.
    """
    try:
        conf = config.load(sys.argv[1:] if argv is None else argv, prog=prog)
    except cfg.Error as exc:
        print(f"{prog}: {exc}", file=sys.stderr)
        return 2
    concurrency.use(conf.service.executor)
    oslo_logging.setup(conf, "nova_lite")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        service = _service_class(service_name)(conf)
        service.start()
    except errors.Misconfigured as exc:
        print(f"{prog}: {exc.message}", file=sys.stderr)
        return 2
    except errors.NovaLiteError as exc:
        print(f"{prog}: {exc.message} {exc.facts or ''}", file=sys.stderr)
        return 1
    while not stopped.wait(3600):
        pass
    LOG.info("%s stops", prog)
    return _stop_within(service, conf.service.graceful_shutdown_timeout)


def _service_class(name: str) -> Callable[[cfg.ConfigOpts], Service]:
    module, _, attribute = name.partition(":")
    found: Callable[[cfg.ConfigOpts], Service] = getattr(importlib.import_module(module), attribute)
    return found


def _stop_within(service: Service, timeout_s: float) -> int:
    stopping = threading.Thread(target=service.stop, name="stop", daemon=True)
    stopping.start()
    stopping.join(timeout_s)
    if stopping.is_alive():
        LOG.error("Work under way did not end within %s s; what is unfinished goes on elsewhere", timeout_s)
        return 1
    return 0
