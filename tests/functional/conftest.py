"""What every story leaves behind: nothing that goes on working and logging beside the stories that come later."""

import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]

import nova_lite
from tests.dealing import Dealer, dealer, put_in_turn
from tests.functional import suite
from tests.tables import remember_histories

_OURS = str(Path(nova_lite.__file__).parent)
#: Seconds a thread gets to end after what it works for has ended.
_PATIENCE_S = 480.0
#: Modules so long that one worker would still be at it when all others are done: their functions are dealt out.
_LONG = {"test_every_step.py"}
#: Folders whose tests come first, each on end: those of the first share clouds, and those of all three take long.
_FOLDERS = ("workflows", "embedded", "commands")
#: Modules with few tests that take half a minute and more.
_FEW_BUT_LONG = {
    "test_audit_at_work.py",
    "test_crowds.py",
    "test_evacuations.py",
    "test_fuzz.py",
    "test_group_crowds.py",
    "test_list_promises.py",
    "test_openapi_fuzz.py",
    "test_up.py",
}


def pytest_configure(config: pytest.Config) -> None:
    """Make the databases of the many clouds quickly."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    remember_histories(patch)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Dealer | None:
    """Deal modules out to workers, of long ones each function."""
    return dealer(config, log, _group_of)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long; leave out what cannot be told where stories are told now."""
    suite.keep_what_can_be_told(config, items)
    put_in_turn(config, items, _group_of, _turn_of)


def _turn_of(nodeid: str) -> tuple[int, ...]:
    path = Path(nodeid.partition("::")[0])
    folder = path.parent.name
    place = _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)
    return place, path.name not in _LONG, path.name not in _FEW_BUT_LONG


def _group_of(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return nodeid.partition("[")[0] if Path(path).name in _LONG else path


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
