"""Bytes between a browser and a guest's console, both ways, no faster than the slower one takes them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

#: Bytes taken from a console at once.
CHUNK = 64 * 1024
#: Seconds a console gets to take a connection.
_PATIENCE_S = 10.0

#: Told how many bytes went which way: "in" to the guest, "out" of it.
Count = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a console is closed: after so many seconds of silence, and of being open; None is never."""

    idle_s: float | None = None
    session_s: float | None = None


class Relay:
    """One open console."""

    def __init__(self, browser: ServerConnection, bounds: Bounds, count: Count) -> None:
        self._browser = browser
        self._bounds = bounds
        self._count = count
        self._heard_at = 0.0

    async def run(self, host: str, port: int, ending: "asyncio.Future[str]") -> str:
        """Relay until one side leaves, the bounds are reached or ``ending`` is done; return why. Raises OSError."""
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
        self._heard_at = asyncio.get_running_loop().time()
        ways: list[Awaitable[str]] = [self._to_guest(writer), self._to_browser(reader), self._silence(), self._end()]
        tasks = [ending, *(asyncio.ensure_future(way) for way in ways)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _to_guest(self, writer: asyncio.StreamWriter) -> str:
        with contextlib.suppress(ConnectionClosed, OSError):
            async for message in self._browser:
                data = message.encode() if isinstance(message, str) else message
                self._note("in", len(data))
                writer.write(data)
                await writer.drain()
        return "the user left"

    async def _to_browser(self, reader: asyncio.StreamReader) -> str:
        with contextlib.suppress(ConnectionClosed, OSError):
            while data := await reader.read(CHUNK):
                self._note("out", len(data))
                await self._browser.send(data)
        return "the console ended"

    async def _silence(self) -> str:
        idle_s = self._bounds.idle_s
        loop = asyncio.get_running_loop()
        while (left_s := self._heard_at + (idle_s or 0) - loop.time()) > 0 or idle_s is None:
            await asyncio.sleep(3600 if idle_s is None else left_s)
        return "nothing was said for too long"

    async def _end(self) -> str:
        session_s = self._bounds.session_s
        while session_s is None:
            await asyncio.sleep(3600)
        await asyncio.sleep(max(0.0, session_s))
        return "its token has expired"

    def _note(self, way: str, number: int) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._count(way, number)
