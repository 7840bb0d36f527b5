"""A signal is heeded at whatever the main thread is, and never holds it up; each story is a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
_DEADLINE_S = 300

#: Raises SIGHUP at every single instruction of the waiting and of all that it calls, then SIGTERM at the last ones.
_AT_EVERY_INSTRUCTION = """
import signal, sys
from nova_lite.cmd.signals import Signals

signals = Signals(reloads=True)
found = {"signals": 0, "reloads": 0}

def traced(frame, event, argument):
    frame.f_trace_opcodes = True
    if event == "opcode":
        found["signals"] += 1
        sys.settrace(None)  # its handler is not traced in its turn
        signal.raise_signal(signal.SIGHUP if found["reloads"] < 30 else signal.SIGTERM)
        sys.settrace(traced)
    return traced

def reload():
    found["reloads"] += 1

signal.raise_signal(signal.SIGHUP)
sys.settrace(traced)
signals.until_end(reload)
sys.settrace(None)
print(found["reloads"], found["signals"])
"""

#: Two threads send SIGHUP as fast as they can, while the main thread goes in and out of waiting; then comes the end.
_IN_A_STORM = """
from nova_lite import concurrency
concurrency.use("{executor}")
import os, signal, threading, time
from nova_lite.cmd.signals import Signals

signals = Signals(reloads=True)
reloads = []

def send():
    for number in range(10_000):
        os.kill(os.getpid(), signal.SIGHUP)
        if number % 100 == 0:
            time.sleep(0)  # green threads give way

def end():
    for thread in storm:
        thread.join()
    os.kill(os.getpid(), signal.SIGTERM)

storm = [threading.Thread(target=send) for _ in range(2)]
for thread in [*storm, threading.Thread(target=end)]:
    thread.start()
signals.until_end(lambda: reloads.append(None))
print(len(reloads))
"""

#: Signals that came before anybody waited, more than a pipe holds, with the one that ends among the last.
_BEFORE_THE_WAIT = """
import signal
from nova_lite.cmd.signals import Signals

signals = Signals(reloads=True)
for _ in range(70_000):
    signal.raise_signal(signal.SIGHUP)
signal.raise_signal(signal.SIGTERM)
signals.until_end(lambda: None)
print("ended")
"""

_WHILE_IT_ENDS = """
import signal
from nova_lite.cmd.signals import Signals

signals = Signals(reloads=True)
signal.raise_signal(signal.SIGTERM)
signals.until_end()
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
    signal.raise_signal(number)
print("still at work", flush=True)
signal.raise_signal(signal.SIGINT)
print("never said")
"""

_WITHOUT_RELOADS = """
import signal
from nova_lite.cmd.signals import Signals

Signals(reloads=False)
signal.raise_signal(signal.SIGHUP)
"""


def run(script: str) -> tuple[int, list[str]]:
    """Return the exit code of a script, and the words it said; fails when it hangs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        timeout=_DEADLINE_S,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout.split()


def test_a_signal_at_any_instruction_of_the_wait_blocks_nobody() -> None:
    code, (reloads, signals) = run(_AT_EVERY_INSTRUCTION)
    assert code == 0
    assert int(reloads) >= 30
    assert int(signals) > 300


@pytest.mark.parametrize("executor", ["threading", "eventlet"])
def test_a_storm_of_signals_is_weathered(executor: str) -> None:
    code, (reloads,) = run(_IN_A_STORM.format(executor=executor))
    assert code == 0
    assert int(reloads) > 0


def test_an_end_asked_for_before_the_wait_is_not_lost_in_a_full_pipe() -> None:
    assert run(_BEFORE_THE_WAIT) == (0, ["ended"])


def test_once_it_ends_only_an_interrupt_ends_it_at_once() -> None:
    assert run(_WHILE_IT_ENDS) == (1, ["still", "at", "work"])


def test_who_reads_nothing_again_leaves_hangups_as_they_are() -> None:
    assert run(_WITHOUT_RELOADS) == (-signal.SIGHUP, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_asks_for_the_end(number: signal.Signals) -> None:
    script = f"""
import signal
from nova_lite.cmd.signals import Signals

signals = Signals(reloads=True)
signal.raise_signal({int(number)})
signals.until_end()
"""
    assert run(script) == (0, [])
