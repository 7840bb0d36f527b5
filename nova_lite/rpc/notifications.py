"""Sends notifications to whoever listens, by oslo.messaging. Off unless an operator names a driver for them.

Nobody waits for them, and nothing fails for them: what is told is queued here and sent by one thread. While their bus
is away up to ``_MAX_WAITING`` wait for it; more are lost, and so is what waits when the process ends.
``docs/notifications.rst`` says what listeners may rely on.
"""

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nova_lite.rpc.messaging import oslo_messaging  # isort: skip - it comes before what is within it
from oslo_config import cfg
from oslo_messaging.notify import notifier as _options

from nova_lite import errors
from nova_lite.model import legacy_notifications, notifications
from nova_lite.model.notifications import Who
from nova_lite.model.payloads import Payload
from nova_lite.rpc.bus import FAILURES, Bus, open_transport

LOG = logging.getLogger(__name__)

#: Where oslo.messaging tells of each try to reach a bus; of this one's we tell ourselves, less often.
_BUS_LOG = logging.getLogger("oslo.messaging._drivers.impl_rabbit")
_GROUP = "oslo_messaging_notifications"
#: The exchange on which listeners expect them, unless ``control_exchange`` says otherwise.
_EXCHANGE = "nova"
#: Notifications that wait to be sent, at most.
_MAX_WAITING = 10_000
#: Seconds for which a bus that took a connection is taken to be there, and between two looks for one that is away.
_TRUSTED_S, _AWAY_S = 5.0, 1.0
#: Seconds between two complaints about a bus that is away, or about notifications that were lost.
_COMPLAIN_S = 60.0
#: Seconds a process that ends gets to send what waits.
_LEAVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: ``is_legacy`` is one of old, which goes to other topics."""

    event_type: str
    publisher: str
    level: str
    who: Who
    payload: Mapping[str, object]
    is_legacy: bool = False


class Notifier:
    """Tells what happens; raises Misconfigured where its bus cannot be. Made once a process, connects when it tells."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        conf.register_opts(_options._notifier_opts, group=_GROUP)
        self._conf = conf
        drivers = [name for name in conf[_GROUP].driver if name and name != "noop"]
        kind = conf.notifications.notification_format
        #: Whether versioned notifications are sent, and those of old.
        self.is_versioned = bool(drivers) and kind in ("versioned", "both")
        self.is_legacy = bool(drivers) and kind in ("unversioned", "both")
        #: Whether servers' volumes are listed, and which changes of their states are told.
        self.lists_volumes: bool = conf.notifications.bdms_in_notifications
        self.state_changes: str | None = conf.notifications.notify_on_state_change
        self._lock = threading.Lock()
        self._sender: _Sender | None = None
        self._transport: Any = self._opened() if self.is_on else None

    @property
    def is_on(self) -> bool:
        """Whether anything is sent; who is about to work out what to tell asks this first."""
        return self.is_versioned or self.is_legacy

    def tell(
        self, name: str, phase: str | None, who: Who, payload: Callable[[], Payload], *, host: str, source: str = ""
    ) -> None:
        """Tell that ``name`` of ``model/notifications.py`` happened at ``host``; ``payload`` is asked only if told.

        Never raises. ``source`` is who tells where the table leaves that open.
        """
        if self.is_versioned:
            self._guarded(self._versioned, name, phase, who, payload, host, source)

    def tell_of_old(
        self, event_type: str, who: Who, payload: Callable[[], Payload], *, host: str, failed: bool
    ) -> None:
        """Tell an event of ``model/legacy_notifications.py``. Never raises."""
        if self.is_legacy:
            self._guarded(self._legacy, event_type, who, payload, host, failed)

    def close(self) -> None:
        """Send what waits, for a few seconds at most, and leave."""
        with self._lock:
            sender, self._sender = self._sender, None
        if sender is None:
            return
        atexit.unregister(self.close)
        if sender.stop(_LEAVE_S):
            with self._lock:
                self._transport.cleanup()
                self._transport = None

    def _opened(self) -> Any:
        return open_transport(self._conf, self._conf[_GROUP].transport_url, _get_transport)

    def _guarded(self, function: Callable[..., None], *args: object) -> None:
        try:
            function(*args)
        except Exception:
            LOG.exception("A notification could not be made: %s", args[0])

    def _versioned(
        self, name: str, phase: str | None, who: Who, payload: Callable[[], Payload], host: str, source: str
    ) -> None:
        failed = phase == notifications.ERROR or name == "compute.exception"
        publisher = f"{source or notifications.EVENTS[name].source}:{host}"
        event_type = notifications.event_type(name, phase)
        self._send(Notification(event_type, publisher, self._level(failed), who, payload()))

    def _legacy(self, event_type: str, who: Who, payload: Callable[[], Payload], host: str, failed: bool) -> None:
        publisher = f"{legacy_notifications.SOURCE}.{host}"
        self._send(Notification(event_type, publisher, self._level(failed), who, payload(), is_legacy=True))

    def _level(self, failed: bool) -> str:
        return "error" if failed else str(self._conf.notifications.default_level).lower()

    def _send(self, notification: Notification) -> None:
        with self._lock:
            # After a fork there is no thread yet, whatever the parent had.
            if self._sender is None or not self._sender.is_alive():
                self._transport = self._transport or self._opened()
                self._sender = _Sender(self._conf, self._transport)
                self._sender.start()
                atexit.register(self.close)
            self._sender.add(notification)


class _Context(dict[str, str]):
    """What is told of the caller: never all that is known of one, for that has a token."""

    def redacted_copy(self) -> dict[str, str]:
        """Return what may be sent: all of it. oslo.messaging sends nothing of a context that cannot say so."""
        return dict(self)


class _Quiet(logging.Filter):
    """Keeps out of a log what one thread says there."""

    def __init__(self, thread: int) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


class _Sender(threading.Thread):
    """Sends notifications one after the other."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Any) -> None:
        super().__init__(name="notifications", daemon=True)
        self._bus = Bus(conf, conf[_GROUP].transport_url)
        # By itself oslo.messaging tries one message for ever and logs every try, or gives it up after the first.
        self._driver = transport._driver
        transport._send_notification = self._send_patiently
        topics = {False: conf.notifications.versioned_notifications_topics, True: None}
        self._notifiers = {
            is_legacy: oslo_messaging.Notifier(transport, topics=names) for is_legacy, names in topics.items()
        }
        self._waiting: queue.Queue[Notification | None] = queue.Queue(_MAX_WAITING)
        self._stopping = threading.Event()
        self._seen_at = float("-inf")
        self._complaining = threading.Lock()
        self._complained_at = float("-inf")
        self._lost = 0

    def add(self, notification: Notification) -> None:
        """Send soon; lost when too many wait."""
        try:
            self._waiting.put_nowait(notification)
        except queue.Full:
            self._lost += 1
            self._complain("Too many notifications wait for their bus; %s were lost since the start", self._lost)

    def stop(self, wait_s: float) -> bool:
        """Send what waits, for ``wait_s`` at most; what is left then is lost. Return whether the thread has ended."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self._stopping.set()
        self.join(wait_s)
        self._stopping.set()
        if self._waiting.qsize():
            LOG.warning("%s notifications were not sent before the end", self._waiting.qsize())
        return not self.is_alive()

    def run(self) -> None:
        quiet = _Quiet(threading.get_ident())
        _BUS_LOG.addFilter(quiet)
        try:
            while not self._stopping.is_set() and (notification := self._waiting.get()) is not None:
                try:
                    self._send(notification)
                except Exception as exc:  # noqa: BLE001 - whatever a driver raises, the next one may do.
                    self._complain("Notifications cannot be sent: %s", exc)
        finally:
            _BUS_LOG.removeFilter(quiet)

    def _send(self, notification: Notification) -> None:
        who = notification.who
        told = self._notifiers[notification.is_legacy].prepare(publisher_id=notification.publisher)
        context = _Context(request_id=who.request_id, project_id=who.project_id, user_id=who.user_id)
        getattr(told, notification.level)(context, notification.event_type, notification.payload)

    def _send_patiently(self, target: Any, ctxt: Any, message: Any, version: float, retry: int | None = None) -> None:
        """Do what oslo.messaging's transports do, until the bus has taken the message or the process ends."""
        while self._await_bus():
            try:
                self._driver.send_notification(target, ctxt, message, version, retry=0)
            except FAILURES as exc:
                self._seen_at = float("-inf")
                self._complain("Notifications wait for their bus: %s", str(exc))
                self._stopping.wait(_AWAY_S)
            else:
                return

    def _await_bus(self) -> bool:
        """Return when the bus takes connections; False when the process ends before."""
        while not self._stopping.is_set():
            if time.monotonic() - self._seen_at < _TRUSTED_S:
                return True
            try:
                self._bus.ping()
            except errors.Unavailable as exc:
                self._complain("Notifications wait for their bus: %s %s", exc, exc.facts)
                self._stopping.wait(_AWAY_S)
            else:
                self._seen_at = time.monotonic()
                return True
        return False

    def _complain(self, words: str, *facts: object) -> None:
        """Say what is wrong, but not for each notification."""
        with self._complaining:
            if time.monotonic() - self._complained_at < _COMPLAIN_S:
                return
            self._complained_at = time.monotonic()
        LOG.warning(words, *facts)


def _get_transport(conf: cfg.ConfigOpts, url: str | None) -> Any:
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    if conf.control_exchange == "openstack" and hasattr(transport._driver, "_default_exchange"):
        transport._driver._default_exchange = _EXCHANGE
    return transport
