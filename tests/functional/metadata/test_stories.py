"""Guests of two cells ask who they are; one posts its password; the service forgets, and misses a cell."""

import threading
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.db.repositories import instances
from nova_lite.metadata import app
from nova_lite.metadata.askers import Asker
from nova_lite.metadata.servers import FindsAnywhere, FindsInCell, MetadataService
from nova_lite.metadata.turns import AT_ONCE
from nova_lite.model import ec2_documents
from nova_lite.model.guest_documents import VERSIONS, Told, drive_files
from nova_lite.model.instance import Instance
from nova_lite.testing.cloud import eventually
from tests.functional.compute_api.cloud import CELL1, CELL2, Cloud
from tests.functional.metadata.conftest import Proxy, configured, over, signed
from tests.guests import told


def rename(cloud: Cloud, server: Instance, name: str) -> None:
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.change(session, server.uuid, display_name=name)


def test_guests_of_all_cells_hear_of_themselves(cloud: Cloud, proxy: Proxy) -> None:
    servers = [
        cloud.add_server(cell, display_name=f"in {cell}", key_name="mine", key_data="ssh-rsa AA", user_data="d29yZHM=")
        for cell in (CELL1, CELL2)
    ]
    for server in servers:
        answer = proxy.ask(server, "/openstack/latest/meta_data.json")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert (answer.json["uuid"], answer.json["name"]) == (server.uuid, server.display_name)
        assert answer.json["hostname"] == f"{server.hostname}.novalocal"
        assert proxy.ask(server, "/latest/meta-data/instance-id").text == f"i-{server.uuid[:8]}"
        assert proxy.ask(server, "/latest/meta-data/local-ipv4").text == "10.0.0.4"
        assert proxy.ask(server, "/ec2/latest/meta-data/public-keys/").text == "0=mine"
        user_data = proxy.ask(server, "/openstack/2012-08-10/user_data")
        assert (user_data.content, user_data.headers["content-type"]) == (b"words", "text/plain")
        assert proxy.ask(server, "/openstack").text.split() == [*VERSIONS, "latest"]
        assert proxy.ask(server, "/openstack/latest/vendor_data2.json").json == {"static": {}}
        assert proxy.ask(server, "/openstack/latest/meta_data.json", "HEAD").content == b""


def test_what_it_answers_is_what_a_config_drive_holds(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.instance(cloud.add_server(user_data="d29yZHM=", metadata={"role": "web"}).uuid)
    seen = told(server, domain="novalocal")
    for path, body in drive_files(seen).items():
        if not path.startswith("openstack/"):
            continue
        answer = proxy.ask(server, f"/{path}")
        assert answer.status_code == 200, path
        if path.endswith("/meta_data.json"):
            drawn = {"random_seed"} & orjson.loads(body).keys()
            assert {**answer.json, **dict.fromkeys(drawn)} == {**orjson.loads(body), **dict.fromkeys(drawn)}
        elif "vendor" not in path:
            assert answer.content == body


def test_every_answer_has_a_seed_of_its_own(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    seeds = [proxy.ask(server, "/openstack/latest/meta_data.json").json["random_seed"] for _ in range(2)]
    assert seeds[0] != seeds[1]


def test_anyone_sees_that_it_is_there(proxy: Proxy) -> None:
    for path in ("/", "//", "/ec2/.."):
        answer = proxy.send(path, {})
        assert (answer.status_code, answer.text.split()) == (200, [*ec2_documents.VERSIONS, "latest"])


def test_a_password_is_written_once(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    path = "/openstack/latest/password"
    empty = proxy.ask(server, path)
    assert (empty.status_code, empty.content) == (200, b"")
    for body in (b"x" * 1021, b"\xff", b"a\0b"):
        assert proxy.ask(server, path, "POST", body=body).status_code == 400
    assert proxy.ask(server, path, "DELETE").status_code == 400
    sealed = "s" * 1020
    assert proxy.ask(server, path, "POST", body=sealed).status_code == 200
    assert proxy.ask(server, "/openstack/2013-04-04/password").text == sealed
    assert proxy.ask(server, path, "POST", body="another").status_code == 409
    shown = cloud.client().get(f"/servers/{server.uuid}/os-server-password")
    assert shown.json == {"password": sealed}
    assert cloud.client().delete(f"/servers/{server.uuid}/os-server-password").status_code == 204
    assert over(cloud).ask(server, path, "POST", body="another").status_code == 200


def test_an_empty_password_is_none(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    for _ in range(2):
        assert proxy.ask(server, "/openstack/latest/password", "POST", body=b"").status_code == 200


def test_only_the_password_can_be_written(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = proxy.ask(server, "/openstack/latest/meta_data.json", method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert proxy.ask(server, "/latest/api/token", "PUT").status_code == 404
    assert proxy.ask(server, "/latest/password", "POST", body=b"x").status_code == 404


@pytest.mark.parametrize(("keeps_s", "name"), [(3600, "old"), (0, "new")])
def test_it_remembers_for_as_long_as_it_is_told(cloud: Cloud, keeps_s: int, name: str) -> None:
    proxy = over(cloud, metadata_cache_expiration=keeps_s)
    server = cloud.add_server(display_name="old")
    assert proxy.ask(server, "/openstack/latest/meta_data.json").json["name"] == "old"
    rename(cloud, server, "new")
    assert proxy.ask(server, "/openstack/latest/meta_data.json").json["name"] == name


def test_asking_again_asks_no_database(cloud: Cloud, proxy: Proxy) -> None:
    server = cloud.add_server()
    proxy.ask(server, "/openstack")
    with cloud.counted() as statements:
        assert proxy.ask(server, "/openstack/latest/meta_data.json").status_code == 200
    assert statements == []


def test_servers_that_are_nowhere_are_not_found(cloud: Cloud, proxy: Proxy) -> None:
    waiting = cloud.add_server(None)
    gone = cloud.add_server()
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.mark_deleted(session, gone.uuid)
    for server in (waiting, gone):
        answer = proxy.ask(server, "/openstack")
        assert (answer.status_code, answer.text) == (404, "")


def test_one_that_is_deleted_is_told_no_more_than_it_remembers(cloud: Cloud) -> None:
    now = [1000.0]
    finder = FindsAnywhere(cloud.api_db, cloud.cells, Fanout(cloud.conf, cloud.cells))
    service = MetadataService(configured(metadata_cache_expiration=15), finder, clock=lambda: now[0])
    server = cloud.add_server(display_name="gone soon")
    asker = Asker(server.uuid, server.project_id)
    service.told(asker)
    with cloud.cells.get(CELL1).db.writer() as session:
        instances.mark_deleted(session, server.uuid)
    now[0] += 14.9
    service.told(asker)
    now[0] += 0.2
    with pytest.raises(errors.NotFound):
        service.told(asker)


def test_a_guest_that_floods_is_answered_a_few_requests_at_once(
    cloud: Cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks more at once hears 429; others are answered as ever, and so is that one later."""
    greedy, other = cloud.add_server(), cloud.add_server()
    arrived, leave = threading.Semaphore(0), threading.Event()
    told_as_ever = MetadataService.told

    def told_late(self: MetadataService, asker: Asker) -> Told:
        if asker.instance_uuid == greedy.uuid and not leave.is_set():
            arrived.release()
            assert leave.wait(480)
        return told_as_ever(self, asker)

    monkeypatch.setattr(MetadataService, "told", told_late)
    with ThreadPoolExecutor(AT_ONCE) as guest:
        waiting = [guest.submit(proxy.ask, greedy, "/openstack") for _ in range(AT_ONCE)]
        for _ in waiting:
            assert arrived.acquire(timeout=480)
        refused = proxy.ask(greedy, "/openstack")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert proxy.ask(other, "/openstack").status_code == 200
        # Who is not that guest takes none of its turns, nor learns of them.
        assert proxy.send("/openstack", signed(greedy, x_instance_id_signature="0")).status_code == 403
        leave.set()
        assert [each.result().status_code for each in waiting] == [200] * AT_ONCE
    assert proxy.ask(greedy, "/openstack").status_code == 200


def test_a_silent_cell_is_missed_alone(cloud: Cloud, proxy: Proxy) -> None:
    lost, other = cloud.add_server(CELL1), cloud.add_server(CELL2)
    cloud.break_cell(CELL1)
    answer = proxy.ask(lost, "/openstack")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.text == "An unknown error has occurred. Please try your request again."
    assert proxy.ask(other, "/openstack").status_code == 200


@pytest.mark.parametrize("lost", ["api", "cell1"])
def test_a_database_that_was_away_is_asked_again(cloud: Cloud, proxy: Proxy, lost: str) -> None:
    server = cloud.add_server(CELL1)
    file = cloud.directory / f"{lost}.sqlite"
    (cloud.api_db if lost == "api" else cloud.cells.get(CELL1).db).close()
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    answer = proxy.ask(server, "/openstack")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.text == "An unknown error has occurred. Please try your request again."
    (cloud.api_db if lost == "api" else cloud.cells.get(CELL1).db).close()
    file.rmdir()
    file.with_suffix(".away").rename(file)
    eventually(lambda: proxy.ask(server, "/openstack").status_code == 200, "the metadata service recovers")


def test_one_of_a_cell_knows_its_own_servers(cloud: Cloud) -> None:
    own, other = cloud.add_server(CELL1), cloud.add_server(CELL2)
    proxy = Proxy(configured(local_metadata_per_cell=True), FindsInCell(cloud.cells.get(CELL1).db))
    cloud.break_api()
    assert proxy.ask(own, "/openstack/latest/meta_data.json").json["uuid"] == own.uuid
    assert proxy.ask(own, "/openstack/latest/password", "POST", body="sealed").status_code == 200
    assert proxy.ask(other, "/openstack").status_code == 404


def test_a_vendor_that_must_answer(cloud: Cloud) -> None:
    server = cloud.add_server()
    api: dict[str, object] = {
        "vendordata_providers": ["DynamicJSON"],
        "vendordata_dynamic_targets": ["gone@http://127.0.0.1:1/"],
    }
    assert over(cloud, **api).ask(server, "/openstack/latest/vendor_data2.json").json == {"gone": {}}
    assert over(cloud, **api).ask(server, "/openstack/latest/vendor_data.json").status_code == 404
    fatal = over(cloud, **api, vendordata_dynamic_failure_fatal=True)
    assert fatal.ask(server, "/openstack/latest/vendor_data2.json").status_code == 503
    assert fatal.ask(server, "/openstack/latest/meta_data.json").status_code == 200


def test_a_file_that_is_missing_is_told_to_operators_only(cloud: Cloud) -> None:
    proxy = over(cloud, vendordata_jsonfile_path="/nowhere/at/all.json")
    answer = proxy.ask(cloud.add_server(), "/openstack/latest/vendor_data.json")
    assert answer.status_code == 500
    assert "nowhere" not in answer.text


def test_without_proxies_no_server_is_found(cloud: Cloud) -> None:
    conf = configured()
    conf.set_override("service_metadata_proxy", False, group="neutron")
    proxy = Proxy(conf, FindsInCell(cloud.cells.get(CELL1).db))
    assert proxy.ask(cloud.add_server(), "/openstack").status_code == 404
    assert proxy.send("/", {}).status_code == 200


def test_without_a_secret_it_does_not_start(cloud: Cloud) -> None:
    conf = configured()
    conf.set_override("metadata_proxy_shared_secret", "", group="neutron")
    with pytest.raises(errors.Misconfigured, match="metadata_proxy_shared_secret"):
        app.build(conf, FindsInCell(cloud.cells.get(CELL1).db))
