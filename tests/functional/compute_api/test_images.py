"""Images, as old clients reach them through this API."""

import dataclasses

import pytest

from tests.functional.compute_api.cloud import BIG_IMAGE_ID, IMAGE_ID, QUEUED_IMAGE_ID, Client, Cloud

_NOWHERE = "99999999-9999-4999-8999-999999999999"
_SERVER = "12345678-1234-4234-8234-123456789abc"


@pytest.fixture
def old(cloud: Cloud) -> Client:
    return cloud.client(version="2.35")


def test_images_are_listed_shown_and_deleted(cloud: Cloud, old: Client) -> None:
    names = {image["id"]: image["name"] for image in old.get("/images").json["images"]}
    assert names == {IMAGE_ID: "tiny", BIG_IMAGE_ID: "big", QUEUED_IMAGE_ID: "empty"}
    image = old.get(f"/images/{IMAGE_ID}").json["image"]
    assert {name: value for name, value in image.items() if name != "links"} == {
        "id": IMAGE_ID,
        "name": "tiny",
        "status": "ACTIVE",
        "progress": 100,
        "minDisk": 0,
        "minRam": 0,
        "created": "2026-01-01T10:00:00Z",
        "updated": "2026-01-02T10:00:00Z",
        "OS-EXT-IMG-SIZE:size": 8 << 20,
        "metadata": {"hw_machine_type": "q35"},
    }
    assert [link["rel"] for link in image["links"]] == ["self", "bookmark", "alternate"]
    assert image["links"][0]["href"].endswith(f"/v2.1/images/{IMAGE_ID}")
    assert image["links"][2]["href"] == f"http://images.example/images/{IMAGE_ID}"
    assert image in old.get("/images/detail").json["images"]
    assert old.delete(f"/images/{IMAGE_ID}").status_code == 204
    assert old.get(f"/images/{IMAGE_ID}").status_code == 404
    assert old.delete(f"/images/{IMAGE_ID}").status_code == 404


def test_an_image_without_its_file_is_being_saved(old: Client) -> None:
    image = old.get(f"/images/{QUEUED_IMAGE_ID}").json["image"]
    assert (image["status"], image["progress"]) == ("SAVING", 25)


def test_an_image_names_the_server_it_was_made_of(cloud: Cloud, old: Client) -> None:
    properties = {"instance_uuid": _SERVER, "auto_disk_config": "True"}
    cloud.images.images[IMAGE_ID] = dataclasses.replace(cloud.images.show(IMAGE_ID), properties=properties)
    image = old.get(f"/images/{IMAGE_ID}").json["image"]
    assert image["server"]["id"] == _SERVER
    assert image["server"]["links"][0]["href"].endswith(f"/servers/{_SERVER}")
    assert image["OS-DCF:diskConfig"] == "AUTO"
    found = old.get("/images", server=f"http://compute.example/servers/{_SERVER}").json["images"]
    assert [each["id"] for each in found] == [IMAGE_ID]


def test_lists_are_narrowed_and_cut_into_pages(old: Client) -> None:
    def ids(**query: str) -> list[str]:
        return [image["id"] for image in old.get("/images", **query).json["images"]]

    assert ids(name="tiny") == [IMAGE_ID]
    assert ids(status="ACTIVE") == [BIG_IMAGE_ID, IMAGE_ID]
    assert ids(**{"property-hw_machine_type": "q35"}) == [IMAGE_ID]
    page = old.get("/images/detail", limit="2").json
    assert [image["id"] for image in page["images"]] == [QUEUED_IMAGE_ID, BIG_IMAGE_ID]
    [link] = page["images_links"]
    assert link["href"].endswith(f"/v2.1/images/detail?limit=2&marker={BIG_IMAGE_ID}")
    rest = old.get("/images/detail", limit="2", marker=BIG_IMAGE_ID).json
    assert [image["id"] for image in rest["images"]] == [IMAGE_ID]
    assert "images_links" not in rest


@pytest.mark.parametrize("query", [{"limit": "-1"}, {"limit": "many"}, {"marker": _NOWHERE}])
def test_bad_pages_are_refused(old: Client, query: dict[str, str]) -> None:
    assert old.get("/images", **query).status_code == 400


@pytest.mark.parametrize("path", ["/images", "/images/detail", f"/images/{IMAGE_ID}"])
def test_from_2_36_on_clients_ask_the_image_service(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
