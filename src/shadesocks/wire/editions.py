"""From a method and its keys to the wire format that speaks it: a literal table, no registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..core.errors import LocalProtocolError
from ..crypto.methods import Edition, Method, is_ready
from .aead import AeadShadow
from .aead2022 import Aead2022Shadow
from .plain import PlainShadow
from .shadow import Shadow

_EDITIONS: Final[dict[Edition, Callable[[Method, Sequence[bytes]], Shadow]]] = {
    Edition.PLAIN: lambda _method, _keys: PlainShadow(),
    Edition.AEAD: lambda method, keys: AeadShadow(method, keys[0]),
    Edition.AEAD2022: lambda method, keys: Aead2022Shadow(method, keys[0]),
}


def make_shadow(method: Method, keys: Sequence[bytes]) -> Shadow:
    """Return the method with its key. `keys` are those of `crypto.keys.parse_keys`.

    Raises:
        LocalProtocolError: `bad_method` for a method this version only knows by name,
            `eih_not_supported` for identity keys, which a later version speaks.
    """
    if not is_ready(method):
        raise LocalProtocolError("bad_method", f"{method.name} is not supported by this version")
    if len(keys) > 1:
        raise LocalProtocolError("eih_not_supported", "identity keys are not supported by this version")
    return _EDITIONS[method.edition](method, keys)
