"""Run a service until it is told to stop: configuration, log, signals. What all daemons have in common."""

import importlib
import logging
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from oslo_config import cfg
from oslo_log import log as oslo_logging

from nova_lite import concurrency, config, errors, reloading
from nova_lite.cmd.signals import Signals

if TYPE_CHECKING:
    from nova_lite.web.listener import Listener

LOG = logging.getLogger(__name__)

#: What tells of itself as it is loaded: oslo.service names eventlet there whatever the executor, and patches nothing.
_CHATTY = ("alembic.runtime.plugins", "oslo_service.backend")
#: Seconds between two lines that tell what a process that is to end waits for.
_TOLD_S = 5.0
EXIT_CODES = (
    "Exit codes: 0 stopped when asked to (SIGTERM, SIGINT); 1 could not start, or did not stop within "
    "[service] graceful_shutdown_timeout; 2 the command line or the configuration is wrong."
)


class Service(Protocol):
    """Something that runs in the background between ``start`` and ``stop``."""

    def start(self) -> None:
        """Begin; raises when it cannot."""
        ...

    def stop(self) -> None:
        """Finish what is under way and end."""
        ...

    def under_way(self) -> list[str]:
        """Return what it is at work on now, each by its kind."""
        ...

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what it must be able to do when it is ready; each raises Unavailable."""
        ...


class _Stopping:
    """The end of a service: it takes no more work, and what it is at work on is waited for and told."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._has_begun = False

    def check(self) -> None:
        """Raise Unavailable once it has begun, with what is still under way."""
        if self._has_begun:
            raise errors.Unavailable(f"This process stops; still at work: {self._left()}.")

    def within(self, timeout_s: float) -> int:
        """Stop the service; return 0 as soon as its work has ended, 1 when ``timeout_s`` seconds were not enough.

        With 0 any number is enough.
        """
        self._has_begun = True
        thread = threading.Thread(target=self._service.stop, name="stop", daemon=True)
        thread.start()
        end = time.monotonic() + (timeout_s or math.inf)
        while thread.is_alive() and (left_s := end - time.monotonic()) > 0:
            thread.join(min(_TOLD_S, left_s))
            if thread.is_alive():
                LOG.info("Still at work before the end: %s", self._left())
        if thread.is_alive():
            LOG.error("Work did not end within %s s: %s; it goes on elsewhere", timeout_s, self._left())
            return 1
        return 0

    def _left(self) -> str:
        found = Counter(self._service.under_way())
        return ", ".join(f"{number} {kind}" for kind, number in sorted(found.items())) or "nothing"


class Meters(Protocol):
    """What counts for those who watch a service; made with the numbers and the service."""

    def refresh(self) -> None:
        """Bring the numbers up to date."""
        ...


def run(prog: str, about: str, argv: Sequence[str] | None, *, service_name: str, meters_name: str) -> int:
    """Run the service class named ``module:Class`` until SIGTERM or SIGINT; return the exit code, see ``EXIT_CODES``.

    ``about`` is what ``--help`` says of it first.

    On SIGHUP it reads its configuration again: see ``reloading``. Signals while it stops: see ``signals``.

    Who may watch it is told what the class named ``meters_name`` counts, where ``[service] monitoring_address`` says.
    Classes are imported only after the threads are chosen: eventlet must patch before others import.
    """
    signals = Signals(reloads=True)
    words = sys.argv[1:] if argv is None else argv

    def load() -> cfg.ConfigOpts:
        description = f"{about} Without --config-file it reads {config.DEFAULT_FILE}."
        return config.load(words, prog=prog, description=description, epilog=EXIT_CODES)

    try:
        conf = load()
    except cfg.Error as exc:
        print(f"{prog}: {exc}", file=sys.stderr)
        return 2
    concurrency.use(conf.service.executor)
    oslo_logging.setup(conf, "nova_lite")
    for logger in map(logging.getLogger, _CHATTY):
        logger.setLevel(logger.level or logging.WARNING)  # unless the configuration says otherwise
    try:
        service: Service = _class(service_name)(conf)
        stopping = _Stopping(service)
        watched = bool(conf.service.monitoring_address)
        listener = _listener(conf, prog, service, stopping, meters_name) if watched else None
        service.start()
    except errors.Misconfigured as exc:
        print(f"{prog}: {exc.message}", file=sys.stderr)
        return 2
    except errors.NovaLiteError as exc:
        print(f"{prog}: {exc.message} {exc.facts or ''}".rstrip(), file=sys.stderr)
        return 1
    signals.until_end(lambda: reloading.reload(conf, load))
    LOG.info("%s stops", prog)
    code = stopping.within(conf.service.graceful_shutdown_timeout)
    if code:
        os._exit(code)  # else the interpreter waits for the threads of pools, which are still at work
    if listener is not None:
        listener.stop()
    return code


def _class(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _listener(conf: cfg.ConfigOpts, prog: str, service: Service, stopping: "_Stopping", meters_name: str) -> "Listener":
    """Return what answers those who watch the service, at work; it tells what keeps the service from starting, too."""
    # Only those who are watched carry it.
    from nova_lite.web.health import Health  # noqa: PLC0415
    from nova_lite.web.listener import Listener  # noqa: PLC0415
    from nova_lite.web.metrics import Metrics  # noqa: PLC0415

    metrics = Metrics(prog)
    meters: Meters = _class(meters_name)(metrics, service)
    checks = {"stopping": stopping.check, **service.checks()}
    listener = Listener(conf.service.monitoring_address, Health(checks), metrics, meters.refresh)
    listener.start()
    LOG.info("%s can be watched at %s", prog, conf.service.monitoring_address)
    return listener
