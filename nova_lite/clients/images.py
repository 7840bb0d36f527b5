"""Images over HTTP, as the API and the compute hosts need them.

The API asks with the user's own token, so that the image service decides what they may see and make; a host downloads
and uploads with the credentials of ``[glance]``.
"""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from keystoneauth1 import exceptions as ks_errors
from keystoneauth1 import loading as ks_loading
from keystoneauth1 import noauth
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from oslo_config import cfg

from nova_lite import errors
from nova_lite.clients.sessions import LeanSession
from nova_lite.model.image import Image

#: Seconds one answer may take, where the configuration says nothing.
_TIMEOUT_S = 30.0
#: Tries at a call that the network broke; reading twice does no harm.
_CONNECT_RETRIES = 2
#: A file that was partly read cannot be sent again from where it stands: whoever uploads begins anew.
_ONCE: Mapping[str, Any] = {"connect_retries": 0, "status_code_retries": 0, "allow_reauth": False, "redirect": False}
#: Images looked through at most for those with certain properties.
_MAX_LIKE = 1000
#: What reading an answer of another kind than expected raises.
_NONSENSE = (AttributeError, KeyError, TypeError, ValueError)
#: Bytes handed on at once while downloading.
_CHUNK = 1 << 20

#: The type of a list of changes.
_PATCH = "application/openstack-images-v2.1-json-patch"

#: What an image is made of besides the properties its owner gave it.
# fmt: off
_ATTRIBUTES = frozenset((
    "checksum", "container_format", "created_at", "direct_url", "disk_format", "file", "id", "locations",
    "member_status", "min_disk", "min_ram", "name", "os_hash_algo", "os_hash_value", "os_hidden", "owner",
    "protected", "schema", "self", "size", "status", "stores", "tags", "updated_at", "virtual_size", "visibility",
))
# fmt: on


class Images:
    """A thread-safe client of one image service; connects on first use."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._lock = threading.Lock()
        self._adapter: Adapter | None = None

    def show(self, image_id: str, token: str | None = None) -> Image:
        """Return an image as the owner of ``token`` sees it, or as the service does; raises NotFound, Unavailable."""
        return _read(self._call("GET", _path(image_id), image_id, **self._as_user(token)))

    def create(self, image: Image, token: str | None = None) -> Image:
        """Make ``image``, whose file is still to come, as the owner of ``token`` or as the service.

        Its formats may be empty. One that is there already as it is wanted was made by a try whose answer was lost.
        Raises Conflict when another is there, Forbidden with the image service's words, Unavailable.
        """
        body: dict[str, Any] = {
            **image.properties,
            "id": image.id,
            "name": image.name,
            "min_disk": image.min_disk_gib,
            "min_ram": image.min_ram_mib,
        }
        if image.disk_format:
            body |= {"disk_format": image.disk_format, "container_format": "bare"}
        try:
            return _read(self._call("POST", "/images", image.id, json=body, **self._as_user(token)))
        except errors.Conflict:
            try:
                known = self.show(image.id, token)
            except errors.NotFound:
                known = None
            if known is None or (known.status, known.name) != ("queued", image.name):
                raise
            return known

    def activate(self, image_id: str, token: str | None = None) -> None:
        """Have an image that waits for its file be one without data, as the owner of ``token`` or as the service.

        Its formats must be set. Raises NotFound, Forbidden, Unavailable.
        """
        as_user = self._as_user(token)
        headers = {**as_user.pop("headers", {}), "Content-Type": "application/octet-stream"}
        self._call("PUT", f"{_path(image_id)}/file", image_id, data=b"", headers=headers, **as_user).close()

    def upload(self, image_id: str, disk_format: str, path: Path) -> None:
        """Give an image that waits for it its file; nothing when it has one already.

        Raises NotFound when the image is gone, Forbidden, Unavailable.
        """
        if self.show(image_id).status == "active":
            return
        formats = {"disk_format": disk_format, "container_format": "bare"}
        changes = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in formats.items()]
        headers = {"Content-Type": _PATCH}
        self._call("PATCH", _path(image_id), image_id, json=changes, headers=headers).close()
        with path.open("rb") as file:
            headers = {"Content-Type": "application/octet-stream"}
            try:
                self._call("PUT", f"{_path(image_id)}/file", image_id, data=file, headers=headers, **_ONCE).close()
            except errors.Conflict as exc:
                raise errors.Unavailable(f"Image {image_id} is still taking the file of an earlier attempt.") from exc

    def delete(self, image_id: str, token: str | None = None) -> None:
        """Remove an image; none is no error. Raises Forbidden, Unavailable."""
        try:
            self._call("DELETE", _path(image_id), image_id, **self._as_user(token)).close()
        except errors.NotFound:
            return

    def like(self, **properties: str) -> list[Image]:
        """Return the images that have these properties, newest first."""
        params = {**properties, "sort": "created_at:desc", "limit": str(_MAX_LIKE)}
        response = self._call("GET", "/images", "", params=params)
        try:
            return [_image(found) for found in response.json()["images"]]
        except _NONSENSE as exc:
            raise errors.Unavailable("The image service answers nonsense.") from exc

    def find(self, params: Mapping[str, str], marker: str | None, token: str | None = None) -> tuple[list[Image], bool]:
        """Return the newest images that fit ``params``, those after ``marker``, and whether there are more.

        As the owner of ``token`` sees them. Raises Invalid for parameters that the image service refuses, Unavailable.
        """
        asked = {**params, "sort": "created_at:desc"} | ({"marker": marker} if marker else {})
        try:
            response = self._call("GET", "/images", "", params=asked, **self._as_user(token))
        except errors.NotFound:
            raise errors.Invalid("The image service knows no such filter or marker.") from None
        try:
            answer = response.json()
            return [_image(found) for found in answer["images"]], "next" in answer
        except _NONSENSE as exc:
            raise errors.Unavailable("The image service answers nonsense.") from exc

    def change_properties(
        self, image_id: str, old: Mapping[str, str], new: Mapping[str, str], token: str | None = None
    ) -> Image:
        """Have an image with properties ``old`` get ``new`` ones, as the owner of ``token``, and return it.

        Raises NotFound, Forbidden with the image service's words, Unavailable.
        """
        changes: list[dict[str, str]] = [
            {"op": "add", "path": _pointer(name), "value": value}
            for name, value in new.items()
            if old.get(name) != value
        ]
        changes += [{"op": "remove", "path": _pointer(name)} for name in old if name not in new]
        if not changes:
            return self.show(image_id, token)
        options = self._as_user(token)
        headers = {**options.pop("headers", {}), "Content-Type": _PATCH}
        return _read(self._call("PATCH", _path(image_id), image_id, json=changes, headers=headers, **options))

    def endpoint(self) -> str:
        """Return the image service's URL without a version; raises Unavailable."""
        return self._endpoint(self._image_api())

    def download(self, image_id: str) -> Iterator[bytes]:
        """Yield the image's file in pieces; raises NotFound, or Unavailable also half way.

        Whether it is the right file is for the caller to check, by what ``show`` says of it.
        """
        headers = {"Accept": "application/octet-stream"}
        response = self._call("GET", f"{_path(image_id)}/file", image_id, stream=True, headers=headers)
        try:
            if response.status_code == 204:
                raise errors.NotFound(f"Image {image_id} has no data")
            yield from response.iter_content(_CHUNK)
        except (requests.RequestException, OSError) as exc:
            raise errors.Unavailable("The image service broke off.", image=image_id, cause=str(exc)) from exc
        finally:
            response.close()

    def _as_user(self, token: str | None) -> dict[str, Any]:
        """Return what has a call made with the user's ``token``, where the image service asks for tokens."""
        if token is None or self._conf.glance.anonymous:
            return {}
        return {"authenticated": False, "headers": {"X-Auth-Token": token}}

    def _call(self, method: str, path: str, image_id: str, **options: Any) -> requests.Response:
        options = {"connect_retries": _CONNECT_RETRIES, "connect_retry_delay": 0.1, **options}
        adapter = self._image_api()
        url = f"{self._endpoint(adapter)}/v2{path}"
        try:
            response: requests.Response = adapter.request(url, method, raise_exc=False, **options)
        except ks_errors.ClientException as exc:
            raise errors.Unavailable("The image service does not answer.", cause=str(exc)) from exc
        if response.status_code == 404 or (method == "GET" and response.status_code in (400, 403)):
            response.close()
            raise errors.NotFound(f"Image {image_id} could not be found.")
        if response.status_code == 409:
            raise errors.Conflict(f"Image {image_id} is in no state for this.", body=response.text[:200])
        if response.status_code in (400, 403, 413):
            raise errors.Forbidden(f"The image service refuses image {image_id}: {response.text[:200]}")
        if response.status_code not in (200, 201, 204):
            body = response.text[:500]
            raise errors.Unavailable("The image service does not answer.", status=response.status_code, body=body)
        return response

    @staticmethod
    def _endpoint(adapter: Adapter) -> str:
        try:
            url = adapter.get_endpoint()
        except ks_errors.ClientException as exc:
            raise errors.Unavailable("The image service does not answer.", cause=str(exc)) from exc
        if not url:
            raise errors.Unavailable("The catalog has no image service.")
        return str(url).rstrip("/").removesuffix("/v2")

    def _image_api(self) -> Adapter:
        """Return the image service's HTTP client, speaking for our service."""
        if self._adapter is None:
            adapter = _adapter(self._conf)
            with self._lock:
                self._adapter = self._adapter or adapter
        return self._adapter


def _path(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"


def _pointer(name: str) -> str:
    """Return where a property stands in an image's document."""
    return f"/{name.replace('~', '~0').replace('/', '~1')}"


def _read(response: requests.Response) -> Image:
    try:
        return _image(response.json())
    except _NONSENSE as exc:
        raise errors.Unavailable("The image service answers nonsense.") from exc


def _adapter(conf: cfg.ConfigOpts) -> Adapter:
    service_type = conf.glance.service_type or "image"
    session = _session(conf)
    try:
        found: Adapter = ks_loading.load_adapter_from_conf_options(
            conf, "glance", session=session, service_type=service_type
        )
    except TypeError as exc:
        raise errors.Misconfigured(f"[glance]: {exc}") from exc
    return found


def _session(conf: cfg.ConfigOpts) -> Session:
    timeout = conf.glance.timeout or _TIMEOUT_S
    if conf.glance.anonymous:
        if not conf.glance.endpoint_override:
            raise errors.Misconfigured("[glance] anonymous needs endpoint_override")
        nobody = noauth.NoAuth(endpoint=conf.glance.endpoint_override)
        return Session(auth=nobody, session=LeanSession(), timeout=timeout)
    try:
        auth = ks_loading.load_auth_from_conf_options(conf, "glance")
        session: Session = ks_loading.load_session_from_conf_options(
            conf, "glance", auth=auth, session=LeanSession(), timeout=timeout
        )
    except (ks_errors.MissingRequiredOptions, ks_errors.NoMatchingPlugin, cfg.Error) as exc:
        raise errors.Misconfigured(f"[glance]: {exc}") from exc
    if auth is None:
        raise errors.Misconfigured("[glance] has no credentials: set auth_type and what it needs")
    return session


def _image(found: Mapping[str, Any]) -> Image:
    properties = {name: value for name, value in found.items() if name not in _ATTRIBUTES and isinstance(value, str)}
    return Image(
        id=found["id"],
        name=found.get("name") or "",
        status=found["status"],
        disk_format=found.get("disk_format") or "",
        size=int(found.get("size") or 0),
        min_disk_gib=int(found.get("min_disk") or 0),
        min_ram_mib=int(found.get("min_ram") or 0),
        checksum=found.get("checksum"),
        hash_algo=found.get("os_hash_algo"),
        hash_value=found.get("os_hash_value"),
        virtual_size=found.get("virtual_size"),
        owner=found.get("owner"),
        created_at=found.get("created_at"),
        updated_at=found.get("updated_at"),
        properties=properties,
    )
