"""What old clients know as extensions."""

from tests.functional.compute_api.cloud import Client


def test_extensions_are_listed_and_shown(client: Client) -> None:
    found = {each["alias"]: each for each in client.get("/extensions").json["extensions"]}
    assert found["os-keypairs"]["name"] == "Keypairs"
    assert (found["os-hosts"]["name"], found["os-consoles"]["name"]) == ("Hosts", "Consoles")
    assert client.get("/extensions/os-keypairs").json == {"extension": found["os-keypairs"]}
    assert client.get("/extensions/os-fping").status_code == 404
    assert client.get("/extensions", any="thing").status_code == 400
