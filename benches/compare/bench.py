"""Compares the release build with REST endpoints written by hand (benches/rest) and with fixed bytes, on Linux.

`script/bench` starts it. All servers use copies of one database, on SQLite and on PostgreSQL. They are measured in
turns, round by round, so that other load on the machine affects all of them. Only the ratios are meaningful. Before a
row is measured, the service's response is compared with those of REST, value by value.

`script/measure` starts `footprint`, which shares the processes.

This file has the command's flags, and the builds that it measures.
"""
import argparse
import os
import pathlib
import tempfile

from . import tables
from .common import BINARY, TARGET, build, log, run
from .databases import databases
from .load import find_wrk
from .operations import TITLES, created
from .search import searches
from .servers import SECRET

USERS = 50
ROWS = [*TITLES, 'writes', 'growth', 'one', 'pooled', 'searches']


class Build:
    """A binary of the service, given as `PATH` or `NAME=PATH`."""

    def __init__(self, text):
        name, _, path = text.rpartition('=')
        self.name, self.path = name or 'service', pathlib.Path(path).resolve()

    def caches(self):
        """Returns the flags for each state of the response cache. Older builds have none, so they are always cold."""
        if '--answer-cache-mb' in run(self.path, '--help'):
            return {'cold': ['--answer-cache-mb', '0'], 'hot': []}
        return {'cold': []}

    def load(self, url, file):
        log(f'importing {file.name}')
        run(self.path, 'import', '--database-url', url, '--organization', 'acme', file)

    def token(self, user, folder):
        return run(
            self.path, 'token', '--user', user, '--organization', 'acme', '--scope', 'connectors:write', '--expires-in', '1d',
            '--database-url', f'sqlite://{folder}/none.db', env={**os.environ, 'CONNECTORS_JWT_SECRET': SECRET}).strip()


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        if not options.binary:
            build()
        self.builds = options.binary or [Build(str(BINARY))]
        if options.only != ['searches']:
            build('-p', 'benches', '--bin', 'rest')
        self.rest = TARGET / 'release/rest'
        users = [f'user-{user}' for user in range(USERS)]
        self.creates = [created(user, self.builds[0].token(user, folder)) for user in users]


def listed(*allowed):
    def parse(text):
        chosen = text.split(',')
        for word in chosen:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f'{word} is none of {", ".join(allowed)}')
        return chosen
    return parse


def parse_options():
    parser = argparse.ArgumentParser(description='Measures the release build beside REST endpoints and fixed bytes.')
    parser.add_argument('--only', type=listed(*ROWS), default=ROWS, metavar='ROW,…',
                        help=f'what is measured, of {", ".join(ROWS)}')
    parser.add_argument('--on', type=listed('sqlite', 'postgres'), default=['sqlite', 'postgres'], metavar='DATABASE,…',
                        help='sqlite, postgres')
    parser.add_argument('--sizes', type=lambda text: [int(size) for size in text.split(',')], default=[tables.SMALL],
                        metavar='COUNT,…', help=f'connectors in the catalogue (default {tables.SMALL}); growth has its own')
    parser.add_argument('--cache', type=listed('cold', 'hot'), default=['cold', 'hot'], metavar='cold,hot',
                        help='without the response cache, and with it as it is by default')
    parser.add_argument('--seconds', type=int, default=3, help='of a round (default 3)')
    parser.add_argument('--rounds', type=int, default=5, help='of each, in turns (default 5)')
    parser.add_argument('--connections', type=int, default=32, help='that are kept open (default 32)')
    parser.add_argument('--binary', type=Build, action='append', metavar='[NAME=]PATH',
                        help='measures this build instead of a new one; several are measured in turns, and beside the first')
    return parser.parse_args()


def main():
    options = parse_options()
    find_wrk()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, pathlib.Path(folder))
        print(f'{options.connections} connections, {options.rounds} rounds of {options.seconds} s in turns, medians, '
              f'{os.cpu_count()} cores with what asks and PostgreSQL on them.')
        for database in databases(options.on, bench.folder):
            for count in options.sizes:
                tables.operations(bench, database, count)
            if 'growth' in options.only:
                tables.growth(bench, database)
            if 'pooled' in options.only and database.name == 'PostgreSQL':
                tables.pooled(bench, database)
            if 'one' in options.only and database.name == 'SQLite':
                tables.one_connection(bench, database)
        if 'searches' in options.only and not searches(bench, options.sizes):
            raise SystemExit(1)
