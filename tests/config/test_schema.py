"""The JSON Schema: every key is in it, with the limits of the table."""

from __future__ import annotations

from typing import Any

from shadesocks.config.foreign import FOREIGN
from shadesocks.config.schema import json_schema
from shadesocks.config.setting import Place
from shadesocks.config.settings import LISTS, TABLE


def properties_of(place: Place) -> dict[str, Any]:
    schema: dict[str, Any] = json_schema()
    if place is not Place.TOP:
        schema = schema["$defs"]["server" if place is Place.SERVER else "local"]
    assert schema["additionalProperties"] is False
    properties: dict[str, Any] = schema["properties"]
    return properties


def find(properties: dict[str, Any], path: str) -> dict[str, Any]:
    *groups, last = path.split(".")
    for group in groups:
        properties = properties[group]["properties"]
    found: dict[str, Any] = properties[last]
    return found


def test_every_key_is_in_it() -> None:
    for setting in TABLE:
        for place in setting.places:
            for key in (setting.path, *setting.aliases):
                assert find(properties_of(place), key)["description"] == setting.help
    for place, key in FOREIGN:
        assert find(properties_of(place), key)["deprecated"] is True
    assert LISTS.keys() <= properties_of(Place.TOP).keys()


def test_limits() -> None:
    top = properties_of(Place.TOP)
    assert top["keep_alive"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 32767}
    assert top["keep_alive"]["default"] == 15
    assert top["server_port"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 65535}
    assert top["bad_handshake"]["enum"] == ["silent", "reset", "fin"]
    assert "aes-256-gcm" in top["method"]["enum"]
    assert "rc4-md5" in top["method"]["enum"]
    assert "sm4-gcm" not in top["method"]["enum"]
    assert top["inbound_send_buffer_size"]["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    assert find(top, "log.level")["enum"][-1] == 3


def test_a_server_of_a_list_may_be_a_link() -> None:
    top = properties_of(Place.TOP)
    for key in ("servers", "shadowsocks"):
        entry, link = top[key]["items"]["anyOf"]
        assert (entry, link["type"]) == ({"$ref": "#/$defs/server"}, "string")
    assert top["locals"]["items"] == {"$ref": "#/$defs/local"}


def test_lists_may_be_written_as_one() -> None:
    top = properties_of(Place.TOP)
    for key in ("dns", "nameserver", "forbidden_ip", "forbidden_port", "outbound_proxy"):
        one, several = top[key]["anyOf"]
        assert several == {"type": "array", "items": one}
        assert "default" not in top[key]
    assert top["forbidden_port"]["anyOf"][0]["type"] == ["integer", "string"]
    server, local = properties_of(Place.SERVER), properties_of(Place.LOCAL)
    assert server["outbound_proxy"] == top["outbound_proxy"]
    assert ("acl" in server, "acl" in local, "dns" in server, "outbound_fwmark" in local) == (True, True, False, False)
