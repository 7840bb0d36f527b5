"""Steps that claim: they take a client's part between two requests, which no clock sees."""

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.placement.cases import claim_query
from benchmarks.placement.clouds import uuid_of
from benchmarks.placement.wire import BadAnswer, Client, Step, request

_RESOURCES = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}


class Claims:
    """Consumers of one run, remembered so that they can be taken away again. Safe for threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count()
        self._random = random.Random(name)
        self._lock = threading.Lock()
        self.placed: list[str] = []

    def put_to(self, provider_uuids: Sequence[str]) -> Iterator[Step]:
        """Yield steps that each claim for a new consumer on the next of ``provider_uuids``, by one PUT."""
        for provider_uuid in itertools.cycle(provider_uuids):
            consumer = self._consumer()
            yield self._put(consumer, self._body(consumer, {provider_uuid: {"resources": _RESOURCES}}))

    def scheduled(self) -> Iterator[Step]:
        """Yield steps that each ask for ten candidates and claim one of them."""
        question = claim_query()

        def step(client: Client) -> tuple[float, int]:
            asked = client.send(question)
            choices = asked.json()["allocation_requests"]
            if not choices:
                return asked.wait_s, 0
            consumer = self._consumer()
            chosen = self._random.choice(choices)
            wait_s, status = self._put(consumer, self._body(consumer, chosen["allocations"]))(client)
            return asked.wait_s + wait_s, status

        while True:
            yield step

    def undo(self) -> Iterator[Step]:
        """Yield steps that take every claim away again."""
        while self.placed:
            data = request("DELETE", f"/allocations/{self.placed.pop()}")

            def step(client: Client, data: bytes = data) -> tuple[float, int]:
                answer = client.send(data)
                if answer.status != 204:
                    raise BadAnswer(f"DELETE: {answer.status} {answer.body[:500]!r}")
                return answer.wait_s, answer.status

            yield step

    def _consumer(self) -> str:
        return uuid_of(f"{self._name}-{next(self._numbers)}")

    def _put(self, consumer: str, data: bytes) -> Step:
        def step(client: Client) -> tuple[float, int]:
            answer = client.send(data)
            if answer.status == 204:
                with self._lock:
                    self.placed.append(consumer)
            elif answer.status != 409:
                raise BadAnswer(f"PUT: {answer.status} {answer.body[:500]!r}")
            return answer.wait_s, answer.status

        return step

    def _body(self, consumer: str, allocations: Any) -> bytes:
        return request(
            "PUT",
            f"/allocations/{consumer}",
            {
                "allocations": allocations,
                "project_id": "project",
                "user_id": "user",
                "consumer_generation": None,
                "consumer_type": "INSTANCE",
            },
        )
