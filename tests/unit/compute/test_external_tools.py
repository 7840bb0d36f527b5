"""Other people's programs are held to their limits."""

import sys
import time

import pytest

from nova_lite import errors
from nova_lite.compute.external_tools import Limits, read, require, run


def test_a_program_that_works() -> None:
    run(["/bin/true"])
    assert read(["/bin/echo", "a line"]) == "a line\n"
    with pytest.raises(errors.Unavailable):
        read(["/bin/false"])


def test_what_a_failing_program_said_is_for_the_log() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        run(["/bin/sh", "-c", "echo secret >&2; exit 3"])
    assert "secret" not in caught.value.message
    assert caught.value.facts["stderr"] == "secret\n"
    assert caught.value.facts["exit"] == 3


def test_a_program_that_hangs_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(errors.Timeout):
        run(["/bin/sleep", "600"], Limits(wall_s=0.2))
    assert time.monotonic() - began < 400


def test_a_program_that_wants_too_much_memory_fails() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        run([sys.executable, "-S", "-c", "bytes(700 * 1024**2)"], Limits(memory_mib=300))
    assert "MemoryError" in str(caught.value.facts["stderr"])


def test_threads_use_little_of_the_memory_limit() -> None:
    """Threads that allocate at once: with an arena of 64 MiB each they would not even start."""
    program = """if True:
        import threading
        together = threading.Barrier(24)
        def work():
            together.wait()
            bytes(1000)
            together.wait()
        threads = [threading.Thread(target=work, daemon=True) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    run([sys.executable, "-S", "-c", program], Limits(memory_mib=480))


def test_a_program_that_burns_the_processor_is_ended() -> None:
    with pytest.raises(errors.Unavailable):
        run(["/bin/sh", "-c", "while :; do :; done"], Limits(cpu_s=1, wall_s=60))


def test_arguments_are_no_shell_words() -> None:
    run(["/usr/bin/test", "$(echo a); b", "=", "$(echo a); b"])


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(errors.Misconfigured, match="install the package qemu-utils"):
        require("no-such-program-at-all", "qemu-utils")
    assert require("sh", "dash").endswith("/sh")
