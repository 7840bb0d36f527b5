"""Metadata of images, as old clients reach it through this API."""

import pytest

from tests.functional.compute_api.cloud import IMAGE_ID, Client, Cloud

_METADATA = f"/images/{IMAGE_ID}/metadata"


@pytest.fixture
def old(cloud: Cloud) -> Client:
    return cloud.client(version="2.38")


def test_metadata_comes_and_goes(old: Client) -> None:
    assert old.get(_METADATA).json == {"metadata": {"hw_machine_type": "q35"}}
    added = old.post(_METADATA, {"metadata": {"a": "1", "b": "2"}})
    assert (added.status_code, added.json) == (200, {"metadata": {"hw_machine_type": "q35", "a": "1", "b": "2"}})
    assert old.put(f"{_METADATA}/a", {"meta": {"a": "3"}}).json == {"meta": {"a": "3"}}
    assert old.get(f"{_METADATA}/a").json == {"meta": {"a": "3"}}
    assert old.delete(f"{_METADATA}/a").status_code == 204
    assert old.delete(f"{_METADATA}/a").status_code == 404
    assert old.get(f"{_METADATA}/a").status_code == 404
    assert old.put(_METADATA, {"metadata": {"c": "4"}}).json == {"metadata": {"c": "4"}}
    assert old.get(_METADATA).json == {"metadata": {"c": "4"}}


def test_bad_metadata_is_refused(cloud: Cloud, old: Client) -> None:
    assert old.put(f"{_METADATA}/a", {"meta": {"b": "1"}}).status_code == 400
    assert old.post(_METADATA, {"metadata": {"": "1"}}).status_code == 400
    cloud.conf.set_override("metadata_items", 2, group="quota")
    assert old.post(_METADATA, {"metadata": {"a": "1"}}).status_code == 200
    assert old.post(_METADATA, {"metadata": {"b": "1"}}).status_code == 403
    nowhere = "/images/99999999-9999-4999-8999-999999999999/metadata"
    assert old.get(nowhere).status_code == 404
    assert old.put(nowhere, {"metadata": {}}).status_code == 404


def test_from_2_39_on_clients_ask_the_image_service(cloud: Cloud) -> None:
    assert cloud.client(version="2.39").get(_METADATA).status_code == 404
