"""Compares the release build with REST endpoints written by hand (benches/rest) and with fixed bytes, on Linux.

`script/bench` starts it. All servers answer on copies of one database, on SQLite and on PostgreSQL. They are measured in turns,
round by round, so that other load on the machine affects all of them; the ratios are what counts. Before a row is measured, the
service's answer is compared with those of REST, value by value.

`script/measure` starts `footprint`, which shares the processes.
"""
