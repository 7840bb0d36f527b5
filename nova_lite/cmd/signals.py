"""What signals ask of a process: to end (SIGTERM, SIGINT), to read its configuration again (SIGHUP).

A handler of Python runs between any two instructions of the main thread, so it may take no lock: the main thread could
hold it. Here handlers set a plain attribute at most; the main thread is woken by a pipe, into which the interpreter
itself writes the number of each signal as it arrives, whatever the main thread is at. None is lost between two looks.
"""

import os
import select
import signal
from collections.abc import Callable

_ENDS = (signal.SIGTERM, signal.SIGINT)
#: Numbers of signals read at once: what a pipe holds.
_MANY = 65536
#: What a process returns that was told to end at once.
_AT_ONCE = 1


class Signals:
    """Heeds the signals of this process from now on; made by the main thread, once. SIGHUP only where it ``reloads``.

    The first SIGTERM or SIGINT asks the process to end. Once it is asked, another SIGTERM and SIGHUP change nothing,
    and SIGINT ends it at once with code 1: as a kill would, so what is under way is taken up elsewhere.
    """

    def __init__(self, *, reloads: bool) -> None:
        self._is_to_end = False
        self._numbers, numbers = os.pipe()
        for descriptor in (self._numbers, numbers):
            os.set_blocking(descriptor, False)
        # A full pipe means thousands unread: the main thread is woken, and an end asked for is noted beside it.
        signal.set_wakeup_fd(numbers, warn_on_full_buffer=False)
        for number in (*_ENDS, signal.SIGHUP) if reloads else _ENDS:
            signal.signal(number, self._heed)

    def _heed(self, number: int, _: object) -> None:
        if number == signal.SIGINT and self._is_to_end:
            os._exit(_AT_ONCE)
        if number in _ENDS:
            self._is_to_end = True

    def until_end(self, reload: Callable[[], None] = lambda: None) -> None:
        """Return when the process is to end; until then call ``reload`` after SIGHUP, once after several at once."""
        while not self._is_to_end:
            select.select([self._numbers], [], [])
            heard = set(os.read(self._numbers, _MANY))
            if signal.SIGHUP in heard:
                reload()
            if heard.intersection(_ENDS):
                return
