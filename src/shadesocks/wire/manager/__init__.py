"""The manager protocol of old programs: commands for ports, their answers, and what passed (protocol §17).

command                  a datagram to a `Command`
dialect                  what a dialect is
python go libev rust     the four of them
answers                  answers, lists and statistics to datagrams
signed                   commands that are known to come from somebody who has a secret
"""

from __future__ import annotations

from typing import Final

from .go import GO
from .libev import LIBEV
from .python import PYTHON
from .rust import RUST

DIALECTS: Final = {dialect.name: dialect for dialect in (PYTHON, GO, LIBEV, RUST)}
"""By the words of `manager_dialect`."""
