"""Dataclasses that are made from plain data, by ``msgspec``: what JSON columns and messages hold."""

import threading
from typing import TypeVar

import msgspec

T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()


def known(kind: type[T]) -> type[T]:
    """Decorate a dataclass: have msgspec learn its fields now, where the class is made.

    msgspec would do so at the first conversion, and a process in which two threads come to be first crashes: a
    conductor that starts with much to do, for one.
    """
    with _ONE_AT_A_TIME:
        msgspec.json.Decoder(kind)
    return kind
