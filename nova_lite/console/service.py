"""The console proxy's process: it takes tokens from browsers and relays consoles to them."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from oslo_config import cfg

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.console.gate import Admitted, Gate
from nova_lite.console.listener import Listener
from nova_lite.reloading import ticker
from nova_lite.storage import Database

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class ConsoleProxy:
    """One console proxy; reads where cells are and what they know of tokens, and asks agents. It writes nothing."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        if not conf.api_database.connection:
            raise errors.Misconfigured("The console proxy needs [api_database] connection.")
        if concurrency.messaging_executor() != "threading":
            raise errors.Misconfigured("The console proxy runs on native threads: [service] executor = threading.")
        self._addresses = _addresses(conf)
        self._db = Database(conf.api_database.connection, pool_size=conf.api_database.max_pool_size)
        self._cells = Cells(conf, self._db)
        self._fanout = Fanout(conf, self._cells)
        self.tally = concurrency.Tally()
        self._gate = Gate(self._cells, self._fanout)
        self.listener = Listener(conf, self._gate, self.tally)
        self._looker = ticker(conf, lambda: conf.console.check_interval, self.look, "revoked consoles")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="consoles", daemon=True)

    def under_way(self) -> list[str]:
        """Return what it is at work on: consoles that are open."""
        return ["console"] * len(self.listener.sessions)

    def checks(self) -> dict[str, Callable[[], object]]:
        """Return what a proxy that is ready can do; each raises Unavailable."""
        return {"database": self._db.ping, "cells": self._fanout.ping}

    def start(self) -> None:
        """Begin to listen; raises Misconfigured where an address cannot be had."""
        self._thread.start()
        try:
            self._on_loop(self.listener.open(list(self._addresses.values())))
        except OSError as exc:
            self.stop()
            raise errors.Misconfigured(f"An address for consoles cannot be had: {exc.strerror}.") from exc
        self._looker.start()
        LOG.info("console proxy listens for %s", self.ports)

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each kind of consoles, by its group of options."""
        return dict(zip(self._addresses, self.listener.ports, strict=True))

    def stop(self) -> None:
        """Close every console and leave."""
        self._looker.stop()
        self._on_loop(self.listener.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._fanout.close()
        self._cells.close()
        self._db.close()

    def look(self) -> None:
        """Ask the cells of all consoles that are open, and close those that may be open no longer."""
        sessions = self.listener.sessions
        asked = self._on_loop(sessions.open_now())
        if not asked:
            return
        found: dict[Admitted, str | None] = {}
        try:
            found = self._gate.judge(asked)
        finally:
            self._on_loop(sessions.settle(asked, found))

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _addresses(conf: cfg.ConfigOpts) -> dict[str, tuple[str, int]]:
    """Return where to listen for what; any console may be opened at any of them."""
    found = {}
    if conf.vnc.enabled:
        found["vnc"] = (conf.vnc.novncproxy_host, conf.vnc.novncproxy_port)
    if conf.spice.enabled:
        found["spice"] = (conf.spice.html5proxy_host, conf.spice.html5proxy_port)
    if conf.serial_console.enabled:
        found["serial_console"] = (conf.serial_console.serialproxy_host, conf.serial_console.serialproxy_port)
    if not found:
        raise errors.Misconfigured("The console proxy has nothing to do: [vnc], [spice] and [serial_console] are off.")
    return found
