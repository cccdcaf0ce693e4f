"""The bench: our server beside its peers, in one run (`make bench`). How to read it: `README.md` in this folder.

__main__   the command line
plan       how much of everything
works      what is measured, in which order
load       the client side of each measurement
target     what stands behind the proxies (a process of its own)
wire       the client's half of the protocol, for the load
ancestors  the old programs among those (old_wire: what they speak)
ports      two thousand ports in one process
crowd      thousands of connections in one process
systems    the programs that are compared
process    starting, pinning, reading and ending them
figures    medians, ratios, goals
report     the page
names      targets that have names, and name servers that are slow or dead (name_target)
udp_*      the same over UDP: works, states (what a server keeps), start (who takes part), load, target, wire
datagrams  many datagrams for one system call
parts      single parts of ours, without a server (rules: access lists; users: many of them on one port)
costs      what each feature costs a connection (`--profile`)
"""
