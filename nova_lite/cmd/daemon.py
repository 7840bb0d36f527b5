"""Run a service until it is told to stop: configuration, log, signals. What all daemons have in common."""

import importlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from oslo_config import cfg
from oslo_log import log as oslo_logging

from nova_lite import concurrency, config, errors

if TYPE_CHECKING:
    from nova_lite.web.listener import Listener

LOG = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs in the background between ``start`` and ``stop``."""

    def start(self) -> None:
        """Begin; raises when it cannot."""
        ...

    def stop(self) -> None:
        """Finish what is under way and end."""
        ...

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what it must be able to do when it is ready; each raises Unavailable."""
        ...


class Meters(Protocol):
    """What counts for those who watch a service; made with the numbers and the service."""

    def refresh(self) -> None:
        """Bring the numbers up to date."""
        ...


def run(prog: str, argv: Sequence[str] | None, service_name: str, meters_name: str) -> int:
    """Run the service class named ``module:Class`` until SIGTERM or SIGINT; return the exit code.

    Who may watch it is told what the class named ``meters_name`` counts, where ``[service] monitoring_address`` says.
    Classes are imported only after the threads are chosen: eventlet must patch before others import.

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
        service: Service = _class(service_name)(conf)
        listener = _listener(conf, prog, service, meters_name) if conf.service.monitoring_address else None
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
    code = _stop_within(service, conf.service.graceful_shutdown_timeout)
    if listener is not None:
        listener.stop()
    return code


def _class(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _listener(conf: cfg.ConfigOpts, prog: str, service: Service, meters_name: str) -> "Listener":
    """Return what answers those who watch the service, at work; it tells what keeps the service from starting, too."""
    # Only those who are watched carry it.
    from nova_lite.web.health import Health  # noqa: PLC0415
    from nova_lite.web.listener import Listener  # noqa: PLC0415
    from nova_lite.web.metrics import Metrics  # noqa: PLC0415

    metrics = Metrics(prog)
    meters: Meters = _class(meters_name)(metrics, service)
    listener = Listener(conf.service.monitoring_address, Health(service.checks()), metrics, meters.refresh)
    listener.start()
    LOG.info("%s can be watched at %s", prog, conf.service.monitoring_address)
    return listener


def _stop_within(service: Service, timeout_s: float) -> int:
    stopping = threading.Thread(target=service.stop, name="stop", daemon=True)
    stopping.start()
    stopping.join(timeout_s)
    if stopping.is_alive():
        LOG.error("Work under way did not end within %s s; what is unfinished goes on elsewhere", timeout_s)
        return 1
    return 0
