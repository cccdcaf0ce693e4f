"""The JSON Schema of a configuration, made from the table, for editors that check while one types.

Called by the generator (`python -m shadesocks.config`). It cannot say all that
`load` says (a key's length, who needs what), and knows one spelling of what `load`
takes in several (methods in capitals, null for a key that is not given).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..crypto.methods import ALIASES, METHODS, is_ready
from .foreign import FOREIGN, Foreign
from .setting import Kind, Place, Setting
from .settings import LISTS, TABLE

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, object]

_DIGITS: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
"""Ports and times in quotes: other programs allow them."""
_COMMENTS: Final[Schema] = {"^(_|//)": {"description": "A comment."}}


def json_schema() -> Schema:
    """Return the schema as an object for `json.dumps`."""
    schema = _object(Place.TOP)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    for key, place in LISTS.items():
        item: Schema = {"$ref": f"#/$defs/{_definition(place)}"}
        if place is Place.SERVER:
            item = {"anyOf": [item, {"type": "string", "pattern": "^ss://"}]}
        properties[key] = {"type": "array", "items": item}
    places = (Place.SERVER, Place.LOCAL)
    definitions = {_definition(place): _object(place) for place in places}
    return {"$schema": DRAFT, "title": "Configuration of shadesocks", **schema, "$defs": definitions}


def _definition(place: Place) -> str:
    return place.value.removesuffix("s[]")


def _object(place: Place) -> Schema:
    properties: dict[str, object] = {}
    for setting in TABLE:
        if place in setting.places:
            for key in (setting.path, *setting.aliases):
                _put(properties, key, _setting(setting))
    for (at, key), row in FOREIGN.items():
        if at is place:
            _put(properties, key, _foreign(row))
    return _grouped(properties)


def _put(properties: dict[str, object], path: str, schema: Schema) -> None:
    """Set the schema of a dotted key; the objects between are made."""
    *groups, last = path.split(".")
    for group in groups:
        inner = properties.setdefault(group, _grouped({}))
        assert isinstance(inner, dict)
        properties = inner["properties"]
    properties[last] = schema


def _grouped(properties: dict[str, object]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": _COMMENTS,
        "additionalProperties": False,
    }


def _foreign(row: Foreign) -> Schema:
    return {"description": f"A key of {row.source}; {row.reason}.", "deprecated": True}


def _setting(setting: Setting) -> Schema:
    schema: Schema = {"description": setting.help, **_TYPES.get(setting.kind, {"type": "string"})}
    if setting.kind in (Kind.SECONDS, Kind.NUMBER, Kind.COUNT, Kind.SIZE):
        schema = {"description": setting.help, "anyOf": [_range(setting), _DIGITS]}
    elif setting.kind is Kind.CHOICE:
        schema["enum"] = list(setting.choices)
    elif setting.kind is Kind.LEVEL:
        schema = {"description": setting.help, "enum": [*setting.choices, 0, 1, 2, 3]}
    if setting.default not in (None, ()):
        schema["default"] = setting.default
    return schema


def _range(setting: Setting) -> Schema:
    schema: Schema = {
        "type": "number" if setting.kind in (Kind.SECONDS, Kind.NUMBER) else "integer",
        "minimum": setting.low,
    }
    if setting.high != float("inf"):
        schema["maximum"] = setting.high
    return schema


def _methods() -> Iterable[str]:
    for name, method in METHODS.items():
        if is_ready(method):
            yield name
            yield from (alias for alias, of in ALIASES.items() if of == name)


def _several(item: Schema) -> Schema:
    """Return the schema of one, or of a list."""
    return {"anyOf": [item, {"type": "array", "items": item}]}


def _list_of(*keys: str) -> Schema:
    """Return the schema of a list of objects that have all these keys, and no other."""
    properties: dict[str, object] = {key: {"type": "string"} for key in keys}
    if "server_port" in properties:
        properties["server_port"] = {"type": "integer", "minimum": 1, "maximum": 65535}
    return {"type": "array", "items": {**_grouped(properties), "required": list(keys)}}


_TYPES: Final[dict[Kind, Schema]] = {
    Kind.PORT: {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, _DIGITS]},
    Kind.FLAG: {"type": "boolean"},
    Kind.METHOD: {"enum": list(_methods())},
    Kind.LINK: {"type": "string", "pattern": "^(ss://.*)?$"},
    Kind.HOPS: _several({"type": "string", "pattern": "^((ss|socks5?h?|http)://.*)?$"}),
    Kind.NAME_SERVERS: _several({"type": "string"}),
    Kind.NETWORKS: _several({"type": "string"}),
    Kind.TEXTS: {"type": "array", "items": {"type": "string"}},
    Kind.PORTS: _several({"type": ["integer", "string"]}),
    Kind.URLS: _several({"type": "string", "pattern": "^((https|ssconf|http)://.*)?$"}),
    Kind.NAMES: _several({"type": "string"}),
    Kind.USERS: _list_of("name", "password"),
    Kind.DESTINATIONS: _list_of("name", "password", "server", "server_port"),
}
