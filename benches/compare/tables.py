"""The tables: the servers, operations and sizes that each table compares."""
from contextlib import closing

from .common import log
from .comparison import Comparison
from .load import WRITES_A_SECOND
from .measure import Entry, interleaved
from .operations import TITLES
from .postgres import pooler
from .report import by_cpu, by_rate, head, heading, line, with_goal
from .servers import Service

SMALL, LARGE = 20_000, 200_000
# Columns with ratios to other servers: a title, the server's key, and the ratio.
COLUMNS = [
    ('to REST on sqlx', 'rest', by_rate), ('by CPU', 'rest', by_cpu),
    ('to REST on rusqlite', 'embedded', by_rate), ('by CPU', 'embedded', by_cpu),
    ('to fixed bytes', 'fixed', by_rate),
]
# The least values of ratios, by database, operation, state of the response cache, server, and ratio.
GOALS = {
    ('PostgreSQL', 'by-id', 'cold', 'rest', by_cpu): 0.85,
    ('SQLite', 'by-id', 'cold', 'embedded', by_cpu): 0.6,
    ('SQLite', 'list', 'cold', 'embedded', by_cpu): 0.8,
    ('SQLite', 'list', 'hot', 'fixed', by_rate): 0.8,
    ('PostgreSQL', 'list', 'hot', 'fixed', by_rate): 0.8,
}


def operations(bench, database, count):
    """Measures each operation in a row, and a list during writes."""
    asked = [operation for operation in TITLES if operation in bench.options.only]
    writes = 'writes' in bench.options.only
    if not asked and not writes:
        return
    with closing(Comparison(bench, database, count, ['cold', 'hot', 'rest', 'embedded', 'fixed'])) as comparison:
        first = bench.builds[0].name
        several = [(f'to {first}', None, by_rate), ('by CPU', None, by_cpu)] if len(bench.builds) > 1 else []
        columns = [*several, *(column for column in COLUMNS if column[1] in comparison.servers)]
        ratios = [title for title, *_ in columns]
        if asked:
            head(f'{database.name}, {count:,} connectors', ratios)
        for operation in asked:
            size = comparison.verify(operation)
            answering = comparison.answering(operation)
            # The fixed bytes have the size of the list's response.
            servers = {key: server for key, server in comparison.servers.items()
                       if server in answering or (key, operation) == ('fixed', 'list')}
            results = dict(zip(servers, interleaved(
                [Entry(comparison, server, operation) for server in servers.values()], bench.options)))
            heading(TITLES[operation] + (f' ({size:,} bytes)' if size else ''), ratios)
            for key, found in results.items():
                cache = key[1] if isinstance(key, tuple) else None
                cells = (with_goal(ratio(found, results.get(base or (first, cache))),
                                   GOALS.get((database.name, operation, cache, base, ratio)))
                         for _, base, ratio in columns)
                line(servers[key].name, found, *cells)
        if writes:
            with_writes(bench, comparison)


def with_writes(bench, comparison):
    hot = [server for key, server in comparison.servers.items() if key[1] == 'hot']
    if not hot:
        log('\n!!! SKIPPED: writes beside a hot list: there is no response cache\n')
        return
    comparison.verify('list')
    head(f'{comparison.database.name}, {comparison.count:,} connectors, list, {WRITES_A_SECOND} writes a second beside it',
         ['to without'])
    pairs([[Entry(comparison, server, 'list', writes) for writes in (False, True)] for server in hot], bench.options,
          lambda entry: entry.server.name + (', with writes' if entry.writes else ''), [by_rate])


def growth(bench, database):
    """Measures the same operations on the large catalogue and on the small one."""
    kinds = ['cold', 'rest']
    ratios = ['large to small', 'by CPU']
    with (closing(Comparison(bench, database, SMALL, kinds)) as small,
          closing(Comparison(bench, database, LARGE, kinds)) as large):
        head(f'{database.name}, {LARGE:,} connectors beside {SMALL:,}', ratios)
        for operation in ('list', 'deep', 'totals'):
            for comparison in (small, large):
                comparison.verify(operation)
            heading(TITLES[operation], ratios)
            pairs([[Entry(comparison, comparison.servers[key], operation) for comparison in (small, large)] for key in small.servers],
                  bench.options, lambda entry: f'{entry.server.name}, {entry.comparison.count:,}', [by_rate, by_cpu])


def pooled(bench, database):
    """Measures the same operations through PgBouncer and on direct connections, without the response cache."""
    build = bench.builds[0]
    kinds = ['cold']
    with closing(Comparison(bench, database, SMALL, kinds)) as comparison, pooler(comparison.copies[0]) as url:
        if not url:
            log('\n!!! SKIPPED: through PgBouncer: it is not installed\n')
            return
        direct = comparison.servers[build.name, 'cold']
        through = comparison.servers['pooled'] = Service(
            f'{build.name}, through PgBouncer', build.path, url, build.caches()['cold'], bench.folder)
        ratios = ['to direct', 'by CPU']
        head(f'{database.name}, {SMALL:,} connectors, through PgBouncer', ratios)
        for operation in ('list', 'by-id', 'totals', 'mutation'):
            comparison.verify(operation)
            heading(TITLES[operation], ratios)
            pairs([[Entry(comparison, server, operation) for server in (direct, through)]], bench.options,
                  lambda entry: entry.server.name, [by_rate, by_cpu])


def pairs(entries, options, name, ratios):
    """Measures pairs of entries. The second of each pair has ratios to the first."""
    rounds = iter(interleaved([entry for pair in entries for entry in pair], options))
    for first, second in entries:
        base, found = next(rounds), next(rounds)
        line(name(first), base, *('' for _ in ratios))
        line(name(second), found, *(ratio(found, base) for ratio in ratios))


def one_connection(bench, database):
    """Measures searches on one connection, to show the time of the slowest responses."""
    with closing(Comparison(bench, database, LARGE, ['cold', 'rest'])) as comparison:
        comparison.verify('search')
        head(f'{database.name}, {LARGE:,} connectors, search, one connection', ['to REST on sqlx', 'by CPU'])
        entries = [Entry(comparison, server, 'search') for server in comparison.servers.values()]
        results = dict(zip(comparison.servers, interleaved(entries, bench.options, connections=1)))
        for key, found in results.items():
            line(comparison.servers[key].name, found, by_rate(found, results['rest']), by_cpu(found, results['rest']))
