"""Listens for browsers: web pages for those who ask for one, consoles for those who have a token.

Whoever has none is refused before anything else happens. Neither URLs nor headers are ever logged: they hold tokens.
"""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any, cast

from oslo_config import cfg
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from nova_lite import concurrency, errors
from nova_lite.console import requests, tls
from nova_lite.console.gate import Admitted, Gate
from nova_lite.console.pages import Pages
from nova_lite.console.relay import Bounds, Relay
from nova_lite.console.sessions import Sessions
from nova_lite.db.columns import utcnow
from nova_lite.model.console import ConsoleToken

LOG = logging.getLogger(__name__)

#: Seconds for a request to come whole and be let in.
_OPEN_S = 30.0
#: Bytes of one message of a browser, and how many messages may wait for a guest.
_MAX_MESSAGE, _MAX_WAITING = 1 << 20, 4
#: Tokens that are looked up at once.
_THREADS = 16
_BINARY = Subprotocol("binary")
#: How consoles are closed: because they are over, because the proxy stops, because they may be open no longer.
_OVER, _GOING_AWAY, _REVOKED = 1000, 1001, 1008


class Listener:
    """Everything that happens on the loop: ``open`` and ``close`` are called there."""

    def __init__(self, conf: cfg.ConfigOpts, gate: Gate, tally: concurrency.Tally) -> None:
        self._conf = conf
        self._gate = gate
        self._tally = tally
        self._pages = Pages(conf.web)
        self._tls = tls.context(conf)
        self._pool = concurrency.Pool(_THREADS, "gate")
        self._servers: list[Server] = []
        self._connections: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        self._admitted: weakref.WeakKeyDictionary[ServerConnection, Admitted] = weakref.WeakKeyDictionary()
        #: Consoles that are open now.
        self.sessions = Sessions()

    @property
    def ports(self) -> list[int]:
        """Return the ports that are listened at, in the order of addresses."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def open(self, addresses: Sequence[tuple[str, int]]) -> None:
        """Listen at ``addresses``; raises OSError."""
        for host, port in addresses:
            server = await serve(
                self._serve,
                host,
                port,
                process_request=self._receive,
                select_subprotocol=_choose,
                compression=None,
                server_header=None,
                create_connection=cast("type[ServerConnection]", self._connected),
                open_timeout=_OPEN_S,
                max_size=_MAX_MESSAGE,
                max_queue=_MAX_WAITING,
                logger=_SILENT,
                ssl=self._tls,
                ssl_handshake_timeout=_OPEN_S if self._tls else None,
            )
            self._servers.append(server)

    async def close(self) -> None:
        """Listen no more, and close every console."""
        for server in self._servers:
            server.close(code=_GOING_AWAY)
        for connection in list(self._connections):
            # The server would wait as long as a request may take. Amid a handshake of TLS there is no transport.
            transport = getattr(connection, "transport", None)
            if connection.request is None and transport is not None:
                transport.abort()
        for server in self._servers:
            await server.wait_closed()
        self._pool.stop()

    def _connected(self, *about: Any, **options: Any) -> ServerConnection:
        connection = ServerConnection(*about, **options)
        self._connections.add(connection)
        return connection

    async def _receive(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return what a request is answered; None when it has a token that opens a console."""
        if not any("websocket" in value.lower() for value in request.headers.get_all("Upgrade")):
            return await self._page(request)
        try:
            self._admitted[connection] = await self._admit(request)
        except errors.Forbidden as exc:
            LOG.info("%s opens no console: %s", _who(connection), exc.message)
            self._tally.add("connections", "refused")
            return _answer(HTTPStatus.FORBIDDEN)
        except errors.NovaLiteError as exc:
            LOG.warning("%s opens no console now: %s %s", _who(connection), exc.message, exc.facts)
            self._tally.add("connections", "failed")
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE)
        return None

    async def _admit(self, request: Request) -> Admitted:
        if len(self.sessions) >= self._conf.console.max_sessions:
            raise errors.Unavailable("There are too many open consoles.")
        headers = request.headers
        if any(len(headers.get_all(name)) > 1 for name in ("Origin", "Host")):
            raise errors.Forbidden("the request says twice where it is from")
        token = requests.token_of(request.path, headers.get_all("Cookie"))
        admitted = await asyncio.wrap_future(self._pool.submit(self._gate.admit, token))
        assert isinstance(admitted, Admitted)  # noqa: S101 - what the pool runs it does not tell
        allowed = self._conf.console.allowed_origins
        if not requests.is_welcome(
            headers.get("Origin"), headers.get("Host"), admitted.meant.console.base_url, allowed
        ):
            raise errors.Forbidden("the page that asks is of another origin")
        return admitted

    async def _page(self, request: Request) -> Response:
        found = await asyncio.to_thread(self._pages.find, request.path)
        if found is None:
            return _answer(HTTPStatus.NOT_FOUND)
        kind, content = found
        return _answer(HTTPStatus.OK, content, kind)

    async def _serve(self, connection: ServerConnection) -> None:
        admitted = self._admitted.pop(connection)
        meant = admitted.meant
        console, uuid = meant.console, meant.instance_uuid
        LOG.info("%s opens the %s console of instance %s", _who(connection), console.kind, uuid)
        code, outcome = _OVER, "served"
        with self.sessions.opened(admitted) as ending:
            try:
                relay = Relay(connection, self._bounds(meant), self._count)
                why = await relay.run(console.host, console.port, ending)
                if ending.done() and not ending.cancelled():
                    code, outcome = _REVOKED, "cut"
            except OSError as exc:  # a console that takes too long, too
                why, outcome = "it cannot be reached", "failed"
                LOG.warning("The console of instance %s at %s:%s: %s", uuid, console.host, console.port, exc)
        self._tally.add("connections", outcome)
        LOG.info("The %s console of instance %s is closed for %s: %s", console.kind, uuid, _who(connection), why)
        with contextlib.suppress(OSError):
            await connection.close(code, why)

    def _bounds(self, meant: ConsoleToken) -> Bounds:
        idle_s = self._conf.console.idle_timeout or None
        ends = self._conf.consoleauth.enforce_session_timeout
        return Bounds(idle_s, (meant.expires_at - utcnow()).total_seconds() if ends else None)

    def _count(self, way: str, number: int) -> None:
        self._tally.add("bytes", way, number=number)


def _choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return _BINARY if _BINARY in offered else None


def _answer(status: HTTPStatus, content: bytes = b"", kind: str | None = None) -> Response:
    headers = Headers(
        chain(
            [("Content-Type", kind)] if kind else [],
            {
                "Content-Length": str(len(content)),
                "Connection": "close",
                "Cache-Control": "no-cache",
                # The address of the page holds the token: it goes to nobody else.
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }.items(),
        )
    )
    return Response(status.value, status.phrase, headers, content)


def _who(connection: ServerConnection) -> str:
    address = connection.remote_address
    return str(address[0]) if address else "somebody who has left"


def _silent() -> logging.Logger:
    """Return a logger that says nothing, for the library: it would show requests."""
    logger = logging.Logger("silent")
    logger.disabled = True
    return logger


_SILENT = _silent()
