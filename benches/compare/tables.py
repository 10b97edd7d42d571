"""The tables: which servers, operations and sizes are measured beside each other."""
from contextlib import closing

from .common import log
from .comparison import Comparison
from .load import WRITES_A_SECOND
from .measure import Entry, interleaved
from .operations import TITLES
from .postgres import pooler
from .report import by_cpu, by_rate, head, heading, line
from .servers import Service

SMALL, LARGE = 20_000, 200_000


def operations(bench, database, count):
    """A row each operation, and a list with writes beside it."""
    asked = [operation for operation in TITLES if operation in bench.options.only]
    writes = 'writes' in bench.options.only
    if not asked and not writes:
        return
    first = bench.builds[0].name
    several = [f'to {first}', 'by CPU'] if len(bench.builds) > 1 else []
    ratios = [*several, 'to REST', 'by CPU', 'to fixed bytes']
    with closing(Comparison(bench, database, count, ['cold', 'hot', 'rest', 'fixed'])) as comparison:
        if asked:
            head(f'{database.name}, {count:,} connectors', ratios)
        for operation in asked:
            size = comparison.verify(operation)
            # Fixed bytes have the size of the list's.
            servers = {key: server for key, server in comparison.servers.items() if key != 'fixed' or operation == 'list'}
            results = dict(zip(servers, interleaved(
                [Entry(comparison, server, operation) for server in servers.values()], bench.options)))
            heading(TITLES[operation] + (f' ({size:,} bytes)' if size else ''), ratios)
            for key, found in results.items():
                base = results.get((first, key[1])) if isinstance(key, tuple) else None
                rest = results['rest'] if key != 'fixed' else None
                line(servers[key].name, found, *([by_rate(found, base), by_cpu(found, base)] if several else []),
                     by_rate(found, rest), by_cpu(found, rest), by_rate(found, results.get('fixed')))
        if writes:
            with_writes(bench, comparison)


def with_writes(bench, comparison):
    hot = [server for key, server in comparison.servers.items() if key[1] == 'hot']
    if not hot:
        log('\n!!! SKIPPED: writes beside a hot list: there is no answer cache\n')
        return
    comparison.verify('list')
    head(f'{comparison.database.name}, {comparison.count:,} connectors, list, {WRITES_A_SECOND} writes a second beside it',
         ['to without'])
    pairs([[Entry(comparison, server, 'list', writes) for writes in (False, True)] for server in hot], bench.options,
          lambda entry: entry.server.name + (', with writes' if entry.writes else ''), [by_rate])


def growth(bench, database):
    """The same operations on the large catalogue and on the small one."""
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
    """The same operations through PgBouncer and on direct connections, without the answer cache."""
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
    """Search on one connection: the time that the slowest answers take."""
    with closing(Comparison(bench, database, LARGE, ['cold', 'rest'])) as comparison:
        comparison.verify('search')
        head(f'{database.name}, {LARGE:,} connectors, search, one connection', ['to REST', 'by CPU'])
        entries = [Entry(comparison, server, 'search') for server in comparison.servers.values()]
        results = dict(zip(comparison.servers, interleaved(entries, bench.options, connections=1)))
        for key, found in results.items():
            line(comparison.servers[key].name, found, by_rate(found, results['rest']), by_cpu(found, results['rest']))
