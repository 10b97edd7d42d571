"""Compares the release build with a REST endpoint written by hand (benches/rest.rs) and with fixed bytes, on Linux.

`script/bench` starts it. All servers answer on copies of one database, on SQLite and on PostgreSQL. They are measured in turns,
round by round, so that other load on the machine affects all of them; the ratios are what counts. Before a row is measured, the
service's answer is compared with REST's, value by value.

`script/measure` starts `footprint`, which shares the processes.
"""
