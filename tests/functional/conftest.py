"""What every story leaves behind: nothing that goes on working and logging beside the stories that come later."""

import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest

import nova_lite

_OURS = str(Path(nova_lite.__file__).parent)
#: Seconds a thread gets to end after what it works for has ended.
_PATIENCE_S = 480.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Fail the last test of a folder when threads of services outlive it."""
    yield
    if nextitem is not None and nextitem.path.parent == item.path.parent:
        return
    deadline = time.monotonic() + _PATIENCE_S
    while left := _at_work():
        if time.monotonic() > deadline:
            pytest.fail(f"Threads that outlive the tests of {item.path.parent.name}: {left}", pytrace=False)
        time.sleep(0.05)


def _at_work() -> list[str]:
    """Return the names of the threads, beside this one, that are in code of the package."""
    frames = sys._current_frames()
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    return sorted(thread.name for thread in others if _is_ours(frames.get(thread.ident or 0)))


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return True
        frame = frame.f_back
    return False
