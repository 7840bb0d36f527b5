"""No caller waits for libvirt for ever."""

import threading
import time

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt import connection as connections
from nova_lite.compute.virt.libvirt.connection import CallPool, Connection


def test_results_and_errors_come_back() -> None:
    pool = CallPool("test", 2)
    assert pool.run(lambda: 5, 60.0) == 5
    with pytest.raises(errors.NotFound):
        pool.run(_raise_not_found, 60.0)
    pool.stop()


def _raise_not_found() -> None:
    raise errors.NotFound("nothing")


def test_a_hanging_call_lets_its_caller_go() -> None:
    pool = CallPool("test", 2)
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(errors.Timeout, match="did not answer"):
        pool.run(lambda: release.wait(480), 0.1)
    assert time.monotonic() - began < 400
    assert pool.run(lambda: "others go on", 60.0) == "others go on"
    release.set()
    pool.stop()


def test_when_all_threads_hang_callers_are_told_and_it_passes() -> None:
    pool = CallPool("test", 1)
    release = threading.Event()
    with pytest.raises(errors.Timeout):
        pool.run(lambda: release.wait(480), 0.1)
    with pytest.raises(errors.Unavailable, match="All threads"):
        pool.run(lambda: 5, 0.1)
    release.set()
    assert pool.run(lambda: 5, 60.0) == 5
    pool.stop()


def test_an_error_named_timeout_is_the_calls_own() -> None:
    pool = CallPool("test", 1)
    with pytest.raises(TimeoutError, match="mine"):
        pool.run(_raise_timeout, 60.0)
    pool.stop()


def _raise_timeout() -> None:
    raise TimeoutError("mine")


class _Bindings:
    """Libvirt's bindings, of a libvirt that is there or not."""

    libvirtError = OSError  # noqa: N815 - its name there

    def __init__(self) -> None:
        self.is_there = False

    def registerErrorHandler(self, *_args: object) -> None:  # noqa: N802 - its name there
        """Take an error handler."""

    def open(self, uri: str) -> "_Bindings":
        if not self.is_there:
            raise self.libvirtError(f"nobody listens at {uri}")
        return self

    def getLibVersion(self) -> int:  # noqa: N802 - its name there
        if not self.is_there:
            raise self.libvirtError("gone")
        return 1

    def close(self) -> None:
        """Take leave."""


def test_who_wants_to_know_hears_once_that_libvirt_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    bindings, heard = _Bindings(), list[Exception]()
    monkeypatch.setattr(connections, "libvirt", bindings)
    connection = Connection("test:///", on_silence=heard.append)
    for is_there, count in ((False, 1), (False, 1), (True, 1), (False, 2), (False, 2)):
        bindings.is_there = is_there
        if is_there:
            assert connection.call(lambda _: 5, "asking") == 5
        else:
            with pytest.raises(errors.Unavailable):
                connection.call(lambda _: 5, "asking")
        assert len(heard) == count
    assert str(heard[0]) == "nobody listens at test:///"
    connection.close()
