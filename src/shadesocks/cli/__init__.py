"""Floor 7, a face: the commands. Reads words, starts services, prints sentences; knows no protocol.

    doors     what is called under which name: `shadesocks`, `sslocal`, links of old programs' names
    programs  the group `shadesocks`
    family/   the old programs: their flags, usage and exit codes     as_name  symlinks   how to call them
    exits     exit codes, and what becomes of every error
    command   a click command whose usage and examples are literals
    flags     the flags of `server` and `local`, made from the table of settings
    serve     `server` and `local`     up  connect  url  genkey  check   one command a file
    run       one service from its start to its signal
    servers   what runs here, and how its servers are     running   how it is found and asked
    selfcheck 1 MiB through a client and a server inside this process
    screen    stderr with a status line on its last row;  logs  records as lines on it
    status  qr  links  place     what the commands print, and what they need to know for it

Every command imports what it needs when it is called: `shadesocks server`
must be listening within a quarter of a second.
"""

from .doors import main, sslocal, ssmanager, ssserver, ssurl

__all__ = ["main", "sslocal", "ssmanager", "ssserver", "ssurl"]
