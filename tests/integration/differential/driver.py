"""Sends stories to two Placements at once and collects in what their answers differ."""

import http.client
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.integration.differential.answers import Answer, normal
from tests.integration.differential.comparing import Problem, differences, first_difference, without_limit
from tests.integration.differential.deliberate import why_meant
from tests.integration.differential.names import Names
from tests.integration.differential.requests import ConsumerGeneration, ProviderGeneration, Request
from tests.integration.differential.stories import Story

_TIMEOUT_S = 600
_UUID_LENGTH = 36
#: What stands for the many requests by which a state is read.
_READ, _ANSWERED = Request("GET", "/"), Answer(200, {}, b"")
_READING = ("GET", "HEAD", "OPTIONS")


class Server:
    """One Placement, reached at ``url``."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        #: UUIDs that this server made up → those that the other one made up for the same.
        self.aliases: dict[str, str] = {}

    def send(self, request: Request) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        path = request.path
        for made_up, alias in self.aliases.items():
            path = path.replace(alias, made_up)
        try:
            connection.request(request.method, path, request.content(), request.all_headers())
            response = connection.getresponse()
            body = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        for made_up, alias in self.aliases.items():
            body = body.replace(made_up.encode(), alias.encode())
            if "location" in headers:
                headers["location"] = headers["location"].replace(made_up, alias)
        return Answer(response.status, headers, body)

    def read(self, path: str, version: str = "1.39") -> Any:
        """Return the document at ``path``, None when there is none."""
        answer = self.send(Request("GET", path, version))
        return answer.document() if answer.status == 200 else None

    def generation(self, wanted: ProviderGeneration | ConsumerGeneration) -> int | None:
        """Return a generation as it is now."""
        if isinstance(wanted, ProviderGeneration):
            provider = self.read(f"/resource_providers/{wanted.provider}")
            return int(provider["generation"]) if provider else 0
        held = self.read(f"/allocations/{wanted.consumer}")
        return None if held is None else held.get("consumer_generation")

    def state(self, names: Names) -> dict[str, Any]:
        """Return everything there is to read: URL → document."""
        urls = ["/resource_providers", "/resource_classes"]
        urls += ["/traits?name=startswith:CUSTOM_", "/traits?associated=true"]
        urls += [f"/allocations/{consumer}" for consumer in names.consumers]
        urls += [f"/usages?project_id={project}" for project in names.projects]
        state = {url: normal(self.read(url)) for url in urls}
        for provider in state["/resource_providers"]["resource_providers"]:
            for tail in ("inventories", "usages", "aggregates", "traits", "allocations"):
                url = f"/resource_providers/{provider['uuid']}/{tail}"
                state[url] = normal(self.read(url))
        return state

    def clear(self, names: Names) -> None:
        """Remove everything a story may have left; raises RuntimeError when something stays."""
        for consumer in names.consumers:
            self.send(Request("DELETE", f"/allocations/{consumer}"))
        for _ in range(20):
            providers = self.read("/resource_providers")["resource_providers"]
            parents = {provider["parent_provider_uuid"] for provider in providers}
            for provider in providers:
                for consumer in self.read(f"/resource_providers/{provider['uuid']}/allocations")["allocations"]:
                    self.send(Request("DELETE", f"/allocations/{consumer}"))
                if provider["uuid"] not in parents:
                    self.send(Request("DELETE", f"/resource_providers/{provider['uuid']}"))
            if not providers:
                break
        for trait in self.read("/traits?name=startswith:CUSTOM_")["traits"]:
            self.send(Request("DELETE", f"/traits/{trait}"))
        for entry in self.read("/resource_classes")["resource_classes"]:
            if entry["name"].startswith("CUSTOM_"):
                self.send(Request("DELETE", f"/resource_classes/{entry['name']}"))
        left = self.state(names)
        if left["/resource_providers"]["resource_providers"] or left["/traits?name=startswith:CUSTOM_"]["traits"]:
            raise RuntimeError(f"a story left something on {self._address}: {left}")


@dataclass(frozen=True)
class Difference:
    """In what two answers to one request of a story differ; ``index`` None is the state at its end."""

    story: Story
    index: int | None
    problems: list[Problem]
    request: Request | None = None
    ours: Answer | None = None
    real: Answer | None = None

    def __str__(self) -> str:
        upto = "" if self.index is None else f" --upto {self.index}"
        lines = [
            f"seed {self.story.seed} ({self.story.plot}), request {self.index}: {'; '.join(map(str, self.problems))}"
        ]
        if self.request is not None:
            lines += [f"  sent  {self.request}", f"  ours  {self.ours}", f"  real  {self.real}"]
        lines.append(f"  again  python -m tests.integration.differential --seeds {self.story.seed}{upto}")
        return "\n".join(lines)


class Pair:
    """Ours and the real one, to which the same is sent."""

    def __init__(self, ours: Server, real: Server) -> None:
        self.ours = ours
        self.real = real
        self._beside = ThreadPoolExecutor(max_workers=1)
        self.sent = 0
        #: Reason → how often two answers differed on purpose.
        self.meant: Counter[str] = Counter()

    def close(self) -> None:
        """End the thread that sends beside."""
        self._beside.shutdown()

    def play(self, story: Story, *, upto: int | None = None, watch: bool = False) -> Iterator[Difference]:
        """Send a story, up to and with request ``upto``, and yield the differences; leave both as empty as before.

        After a write that only one of them took the rest is not sent: it would differ by that alone. With ``watch``
        what they hold is compared after every write, and the first difference in it ends the story.
        """
        try:
            for index, unresolved in enumerate(story.requests[: None if upto is None else upto + 1]):
                request = unresolved.resolved(self.real.generation)
                ours, real = self._send(request)
                problems = differences(ours, real, full=self._full(request, real))
                if left := [one for one in problems if not self._is_meant(request, ours, real, one)]:
                    yield Difference(story, index, left, request, ours, real)
                if request.method in _READING:
                    continue
                if (ours.status < 300) != (real.status < 300):
                    return
                if watch and (left := self._compare_states(story)):
                    yield Difference(story, index, left, request, ours, real)
                    return
            if left := self._compare_states(story):
                yield Difference(story, None, left)
        finally:
            list(self._beside.map(lambda server: server.clear(story.names), [self.ours]))
            self.real.clear(story.names)
            self.ours.aliases.clear()

    def _is_meant(self, request: Request, ours: Answer, real: Answer, problem: Problem) -> bool:
        reason = why_meant(request, ours, real, problem)
        if reason is not None:
            self.meant[reason] += 1
        return reason is not None

    def _send(self, request: Request) -> tuple[Answer, Answer]:
        self.sent += 1
        beside = self._beside.submit(self.ours.send, request)
        real = self.real.send(request)
        ours = beside.result()
        if request.method == "POST" and request.path.startswith("/resource_providers"):
            ours = self._same_uuid(ours, real)
        return ours, real

    def _same_uuid(self, ours: Answer, real: Answer) -> Answer:
        """Return our answer with the provider's UUID that the real one made up, when both made one up."""
        mine, theirs = (answer.headers.get("location", "").rpartition("/")[2] for answer in (ours, real))
        if mine == theirs or len(mine) != _UUID_LENGTH or len(theirs) != _UUID_LENGTH:
            return ours
        self.ours.aliases[mine] = theirs
        headers = ours.headers | {"location": ours.headers["location"].replace(mine, theirs)}
        return Answer(ours.status, headers, ours.body.replace(mine.encode(), theirs.encode()))

    def _full(self, request: Request, real: Answer) -> Answer | None:
        unlimited = without_limit(request)
        return None if unlimited is None or real.status != 200 else self.real.send(unlimited)

    def _compare_states(self, story: Story) -> list[Problem]:
        beside = self._beside.submit(self.ours.state, story.names)
        real = self.real.state(story.names)
        ours = beside.result()
        urls = sorted(set(ours) | set(real))
        problems = [
            first_difference(url, ours.get(url), real.get(url)) for url in urls if ours.get(url) != real.get(url)
        ]
        return [one for one in problems if not self._is_meant(_READ, _ANSWERED, _ANSWERED, one)]
