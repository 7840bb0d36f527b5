"""Placement over HTTP, as the scheduler, the conductors and the agents need it.

Answers are plain dictionaries, as Placement sends them, but for candidates, of which there are many. Every call has a
timeout; no answer, or a 5xx, is Unavailable.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import urllib3
from keystoneauth1 import exceptions as ks_errors
from keystoneauth1 import loading as ks_loading
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.sessions import LeanSession
from nova_lite.model.candidates import Candidates, Stocks

LOG = logging.getLogger(__name__)

#: The microversion every call is made at; each call's body is that of this version.
_VERSION = "1.36"
#: The first microversion that tells of which type a consumer is.
_TYPES_VERSION = "1.38"
#: Seconds one answer may take, where the configuration says nothing.
_TIMEOUT_S = 15.0
#: Tries at a claim that Placement refuses since others change the same, and seconds between two at most.
_CLAIM_TRIES, _CLAIM_PAUSE_S = 4, 0.1
#: A page that costs nothing, and that only those see whom Placement lets in.
_NO_PROVIDER = "/resource_providers/00000000-0000-0000-0000-000000000000"
#: The page whose answer is left to be read, for it is large.
_LARGE = "/allocation_candidates"
#: Tries at a call that the network broke; each call may safely arrive twice.
_CONNECT_RETRIES = 2

#: The newest microversion that anything here asks for.
NEEDED_VERSION = _TYPES_VERSION

#: Roles to name where nobody checks who calls, for what only services may do.
_AS_SERVICE = {"X-Roles": "admin,service"}

Allocations = Mapping[str, Mapping[str, int]]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Holding:
    """What a consumer holds (provider UUID → class → amount), whose it is, and the generation to change it by."""

    allocations: dict[str, dict[str, int]]
    project_id: str
    user_id: str
    generation: int
    consumer_type: str


_STOCKS = msgspec.json.Decoder(Stocks)
_CANDIDATES = msgspec.json.Decoder(Candidates)


class PlacementClient:
    """A thread-safe client for one Placement service."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._http = _adapter(conf)
        self._is_trusted = not conf.placement.noauth_token

    def newest_version(self) -> str:
        """Return the newest microversion that Placement speaks, once it has taken our credentials."""
        try:
            version = str(self._send("GET", "/", allow=(200,))["versions"][0]["max_version"])
        except (IndexError, KeyError, TypeError, ValueError) as exc:
            raise errors.Unavailable("What answers instead of Placement is something else.", is_named=True) from exc
        if self._status("GET", _NO_PROVIDER, allow=(200, 401, 403, 404)) in (401, 403):
            raise errors.Forbidden("Placement does not let the user of [placement] in.")
        return version

    def candidates(self, query: Mapping[str, object]) -> Candidates:
        """Return the ways to place a request; raises Invalid with Placement's words."""
        return self._asked_for_candidates(query, _CANDIDATES)

    def stocks(self, query: Mapping[str, object]) -> Stocks:
        """Return the same as ``candidates``, and what the providers are like."""
        return self._asked_for_candidates(query, _STOCKS)

    def _asked_for_candidates(self, query: Mapping[str, object], decoder: msgspec.json.Decoder[_T]) -> _T:
        response = self._request("GET", _LARGE, params=query, allow=(200, 400))
        if response.status_code == 400:
            raise errors.Invalid(" ".join(response.json()["errors"][0]["detail"].split()))
        try:
            # At once: by itself requests would read a megabyte in a hundred pieces.
            return decoder.decode(response.raw.read(decode_content=True))
        except urllib3.exceptions.HTTPError as exc:
            raise errors.Unavailable("Placement does not answer.", cause=str(exc), is_named=True) from exc
        except msgspec.MsgspecError as exc:
            raise errors.Unavailable("What answers instead of Placement is something else.", is_named=True) from exc

    def claim(self, consumer: str, allocations: Allocations, *, project_id: str, user_id: str) -> bool:
        """Give a consumer that has nothing its ``allocations``; False when there is no room, or it has something.

        Raises Unavailable while others change the same so often that Placement cannot tell.
        """
        for attempt in range(_CLAIM_TRIES):
            # The real Placement keeps a consumer, of generation 0, to whom it then could give nothing.
            generation = 0 if attempt % 2 else None
            try:
                self.hold(consumer, allocations, generation, project_id=project_id, user_id=user_id)
            except errors.Invalid as exc:
                LOG.warning("Nothing can be claimed there any more: %s", exc)
                return False
            except errors.Conflict as exc:
                if exc.code != "placement.concurrent_update" or self.allocations(consumer):
                    return False
                time.sleep(random.uniform(0.0, _CLAIM_PAUSE_S))
            else:
                return True
        raise errors.Unavailable("Placement cannot decide: too many claim the same.")

    def allocations(self, consumer: str) -> dict[str, dict[str, int]]:
        """Return provider UUID → class → amount of a consumer; empty when it has nothing."""
        answer = self._send("GET", f"/allocations/{consumer}", allow=(200,))
        return {provider: entry["resources"] for provider, entry in answer["allocations"].items()}

    def holding(self, consumer: str) -> Holding | None:
        """Return what a consumer holds, whole; None when it has nothing."""
        answer = self._send("GET", f"/allocations/{consumer}", allow=(200,), version=_TYPES_VERSION)
        if not answer["allocations"]:
            return None
        return Holding(
            allocations={provider: entry["resources"] for provider, entry in answer["allocations"].items()},
            project_id=answer["project_id"],
            user_id=answer["user_id"],
            generation=int(answer["consumer_generation"]),
            consumer_type=answer["consumer_type"],
        )

    def hold(
        self, consumer: str, allocations: Allocations, generation: int | None, *, project_id: str, user_id: str
    ) -> None:
        """Make a consumer hold exactly ``allocations``; ``generation`` is the one seen, None: it has nothing yet.

        Raises Conflict with Placement's words: code ``placement.concurrent_update`` when ``generation`` is stale, else
        there is no room. Raises Invalid when there is no such provider or class.
        """
        body = {
            "allocations": {provider: {"resources": dict(amounts)} for provider, amounts in allocations.items()},
            "project_id": project_id,
            "user_id": user_id,
            "consumer_generation": generation,
        }
        _refuse(self._request("PUT", f"/allocations/{consumer}", json=body, allow=(204, 400, 409)))

    def hold_together(
        self, wanted: Mapping[str, tuple[Allocations, int | None]], *, project_id: str, user_id: str
    ) -> None:
        """Make several consumers hold exactly what is wanted, all at once or not at all.

        ``wanted`` is consumer → what it shall hold, maybe nothing, and the generation seen. Raises as ``hold`` does.
        """
        body = {
            consumer: {
                "allocations": {provider: {"resources": dict(amounts)} for provider, amounts in allocations.items()},
                "project_id": project_id,
                "user_id": user_id,
                "consumer_generation": generation,
            }
            for consumer, (allocations, generation) in wanted.items()
        }
        _refuse(self._request("POST", "/allocations", json=body, allow=(204, 400, 409)))

    def release(self, consumer: str) -> None:
        """Take from a consumer all it has."""
        self._status("DELETE", f"/allocations/{consumer}", allow=(204, 404))

    def providers(self) -> list[str]:
        """Return the UUID of every provider; Placement knows no pages."""
        answer = self._send("GET", "/resource_providers", allow=(200,))
        return [provider["uuid"] for provider in answer["resource_providers"]]

    def roots(self) -> dict[str, str]:
        """Return every provider's UUID → that of the root of its tree."""
        answer = self._send("GET", "/resource_providers", allow=(200,))
        return {provider["uuid"]: provider["root_provider_uuid"] for provider in answer["resource_providers"]}

    def holders(self, provider: str) -> dict[str, dict[str, int]] | None:
        """Return consumer → class → amount of a provider; None when there is no such provider."""
        response = self._request("GET", f"/resource_providers/{provider}/allocations", allow=(200, 404))
        if response.status_code == 404:
            return None
        return {consumer: entry["resources"] for consumer, entry in response.json()["allocations"].items()}

    def consumers(self, provider: str) -> list[str] | None:
        """Return who holds something of a provider; None when there is no such provider."""
        response = self._request("GET", f"/resource_providers/{provider}/allocations", allow=(200, 404))
        return None if response.status_code == 404 else list(response.json()["allocations"])

    def aggregates(self, provider: str) -> tuple[set[str], int] | None:
        """Return the aggregates a provider is in and its generation; None when there is no such provider."""
        response = self._request("GET", f"/resource_providers/{provider}/aggregates", allow=(200, 404))
        if response.status_code == 404:
            return None
        answer = response.json()
        return set(answer["aggregates"]), int(answer["resource_provider_generation"])

    def set_aggregates(self, provider: str, aggregates: Iterable[str], generation: int) -> None:
        """Write the aggregates a provider is in; raises Conflict when ``generation`` is stale."""
        body = {"aggregates": sorted(aggregates), "resource_provider_generation": generation}
        self._replace(f"/resource_providers/{provider}/aggregates", json=body)

    def remove_provider(self, provider: str) -> bool:
        """Delete a provider, which may be gone already; False while something of it is claimed or it has children."""
        return self._status("DELETE", f"/resource_providers/{provider}", allow=(204, 404, 409)) != 409

    def tree(self, root: str) -> list[dict[str, Any]]:
        """Return the providers of a tree, each with ``uuid``, ``name``, ``generation``, ``parent_provider_uuid``."""
        answer = self._send("GET", "/resource_providers", params={"in_tree": root}, allow=(200,))
        return list(answer["resource_providers"])

    def provider_called(self, name: str) -> str | None:
        """Return the UUID of the provider of that name; None when there is none."""
        answer = self._send("GET", "/resource_providers", params={"name": name}, allow=(200,))
        return next((provider["uuid"] for provider in answer["resource_providers"]), None)

    def add_provider(self, uuid: str, name: str, parent: str | None = None) -> int:
        """Make a provider, return its generation; raises Conflict when its name or UUID is another's."""
        body = {"uuid": uuid, "name": name} | ({} if parent is None else {"parent_provider_uuid": parent})
        made = self._send("POST", "/resource_providers", json=body, allow=(200, 409))
        if "uuid" not in made:
            raise errors.Conflict(f"Placement already knows a provider called {name}, with another UUID or place")
        return int(made["generation"])

    def held(self, provider: str) -> dict[str, dict[str, int]]:
        """Return consumer → class → amount, what is held of a provider."""
        answer = self._send("GET", f"/resource_providers/{provider}/allocations", allow=(200,))
        return {consumer: entry["resources"] for consumer, entry in answer["allocations"].items()}

    def ensure_class(self, name: str) -> None:
        """Make a custom resource class if it is missing."""
        self._status("PUT", f"/resource_classes/{name}", allow=(201, 204))

    def ensure_trait(self, name: str) -> None:
        """Make a custom trait if it is missing."""
        self._status("PUT", f"/traits/{name}", allow=(201, 204))

    def reshape(
        self,
        inventories: Mapping[str, tuple[int, Mapping[str, Mapping[str, object]]]],
        holdings: Mapping[str, Holding],
    ) -> None:
        """Set inventories (provider UUID → generation, by class) and what consumers hold, all at once or not at all.

        Raises Conflict when a generation is stale, or somebody holds what would go.
        """
        body = {
            "inventories": {
                uuid: {"resource_provider_generation": generation, "inventories": by_class}
                for uuid, (generation, by_class) in inventories.items()
            },
            "allocations": {
                consumer: {
                    "allocations": {uuid: {"resources": amounts} for uuid, amounts in holding.allocations.items()},
                    "project_id": holding.project_id,
                    "user_id": holding.user_id,
                    "consumer_generation": holding.generation,
                }
                for consumer, holding in holdings.items()
            },
        }
        response = self._request(
            "POST", "/reshaper", json=body, allow=(204, 409), headers={} if self._is_trusted else _AS_SERVICE
        )
        if response.status_code == 409:
            raise errors.Conflict("The tree changed while it was reshaped", code=_code(response))

    def inventories(self, provider: str) -> tuple[dict[str, dict[str, Any]], int]:
        """Return class → inventory, and the provider's generation."""
        answer = self._send("GET", f"/resource_providers/{provider}/inventories", allow=(200,))
        return answer["inventories"], int(answer["resource_provider_generation"])

    def set_inventories(self, provider: str, inventories: Mapping[str, Mapping[str, object]], generation: int) -> int:
        """Replace a provider's inventories, return its new generation.

        Raises Conflict when ``generation`` is stale, or somebody holds what would go.
        """
        body = {"inventories": inventories, "resource_provider_generation": generation}
        return self._replace(f"/resource_providers/{provider}/inventories", json=body)

    def traits(self, provider: str) -> tuple[set[str], int]:
        """Return a provider's traits and its generation."""
        answer = self._send("GET", f"/resource_providers/{provider}/traits", allow=(200,))
        return set(answer["traits"]), int(answer["resource_provider_generation"])

    def set_traits(self, provider: str, traits: Iterable[str], generation: int) -> int:
        """Replace a provider's traits, return its new generation; raises Conflict when ``generation`` is stale."""
        body = {"traits": sorted(traits), "resource_provider_generation": generation}
        return self._replace(f"/resource_providers/{provider}/traits", json=body)

    def _replace(self, path: str, *, json: object) -> int:
        response = self._request("PUT", path, json=json, allow=(200, 409))
        if response.status_code == 409:
            raise errors.Conflict(f"{path} changed meanwhile", code=_code(response))
        return int(response.json()["resource_provider_generation"])

    def _status(self, method: str, path: str, *, json: object = None, allow: tuple[int, ...]) -> int:
        return int(self._request(method, path, json=json, allow=allow).status_code)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        allow: tuple[int, ...],
        version: str = _VERSION,
    ) -> dict[str, Any]:
        response = self._request(method, path, params=params, json=json, allow=allow, version=version)
        answer: dict[str, Any] = response.json()
        return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        allow: tuple[int, ...],
        version: str = _VERSION,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        options: dict[str, Any] = {"stream": True} if path == _LARGE else {}
        if json is not None:
            options["json"] = json
        options["headers"] = dict(headers or {})
        if version != _VERSION:
            options["headers"]["OpenStack-API-Version"] = f"placement {version}"
        if params is not None:
            options["params"] = params
        try:
            response = self._http.request(path, method, raise_exc=False, **options)
        except ks_errors.MissingAuthPlugin as exc:
            raise errors.Unavailable(
                "[placement] has no credentials: set auth_type and what it needs.", is_named=True
            ) from exc
        except ks_errors.ClientException as exc:
            raise errors.Unavailable("Placement does not answer.", cause=str(exc), is_named=True) from exc
        if response.status_code >= 500:
            raise errors.Unavailable(
                "Placement does not answer.", status=response.status_code, body=response.text[:500], is_named=True
            )
        if response.status_code not in allow:
            raise errors.NovaLiteError(
                "Placement refused a request of ours.", status=response.status_code, path=path, body=response.text[:500]
            )
        return response


def _refuse(response: Any) -> None:
    """Raise what Placement says against a claim, Conflict or Invalid, if it does."""
    if response.status_code != 204:
        refused = response.json()["errors"][0]
        kind = errors.Conflict if response.status_code == 409 else errors.Invalid
        raise kind(" ".join(refused["detail"].split()), code=refused.get("code"))


def _code(response: Any) -> str | None:
    """Return what kind of error Placement says it is."""
    told = response.json().get("errors") or [{}]
    code: str | None = told[0].get("code")
    return code


def _adapter(conf: cfg.ConfigOpts) -> Adapter:
    """Return the HTTP client ``[placement]`` describes: with credentials, or with the token of a noauth2 service."""
    if conf.placement.noauth_token:
        session = Session(session=LeanSession(), timeout=conf.placement.timeout or _TIMEOUT_S)
        headers = {"X-Auth-Token": conf.placement.noauth_token}
    else:
        auth = ks_loading.load_auth_from_conf_options(conf, "placement")
        session = ks_loading.load_session_from_conf_options(
            conf, "placement", auth=auth, session=LeanSession(), timeout=conf.placement.timeout or _TIMEOUT_S
        )
        headers = {}
    return Adapter(
        session,
        service_type="placement",
        interface=conf.placement.valid_interfaces,
        region_name=conf.placement.region_name,
        endpoint_override=conf.placement.endpoint_override,
        default_microversion=_VERSION,
        additional_headers={**headers, "OpenStack-API-Version": f"placement {_VERSION}"},
        connect_retries=_CONNECT_RETRIES,
        connect_retry_delay=0.1,
    )
