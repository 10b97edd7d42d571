"""Compares searches on SQLite and PostgreSQL, each over one connection and without the response cache."""
import contextlib
import itertools
import json
import statistics
import time

from .catalogue import objects_file
from .common import log
from .databases import Postgres, Sqlite
from .operations import FACETS
from .postgres import find_postgres
from .servers import Service

# The largest allowed ratio of the p50 on PostgreSQL to that on SQLite.
MOST = 3
# SQLite's shorter times count as this one, because PostgreSQL needs a round trip for each statement.
LEAST_MS = 1.0
SEARCHES = {
    'frequent (60 %)': 'team', 'middle (3 %)': 'mail', 'rare (0.1 %)': 'quasar', 'absent': 'nosuchword',
    'two words': 'team mail', 'four words': 'sync every team mail', 'two rare words': 'mail quasar',
}
ORDERS = ['RELEVANCE', 'NAME', 'CREATED_AT']
# The last filter differs each time, so that no count is cached.
QUERY = '''query Search($search: String!, $after: String, $id: ID!) {
  personalConnectors(search: $search, after: $after, first: 20, orderBy: {field: %(order)s}, filter: {%(filter)s}) {
    nodes { id name description status } %(rest)s pageInfo { hasNextPage endCursor }
  }
}'''
PAIRED = 'category: DEVELOPMENT, status: ACTIVE'


class Search:
    """A kind of request. Its requests differ only in their search."""

    def __init__(self, title, order, filter='', rest='', pages=0):
        self.title, self.pages = title, pages
        self.document = QUERY % {
            'order': order, 'rest': rest, 'filter': f'{filter} not: {{id: [$id]}}'}

    def request(self, search, number, after=None):
        # A cursor is valid only with the same filter.
        variables = {'search': search, 'after': after, 'id': f'pcon_none{number if "Count" in self.title else ""}'}
        return {'query': self.document, 'variables': variables}


def kinds():
    for order in ORDERS:
        yield Search(f'{order}, first page', order)
        yield Search(f'{order}, fifth page', order, pages=4)
        yield Search(f'{order}, one category and status', order, PAIRED)
    yield Search('totalCount', 'NAME', rest='totalCount')
    yield Search('totalCount, facets', 'NAME', rest=f'totalCount facets {{ {FACETS} }}')


class Asker:
    """A service on a database, and the connection to it."""

    def __init__(self, service):
        self.service, self.connection = service, service.connect()

    def ask(self, body):
        """Returns the list, and the milliseconds until the response."""
        began = time.perf_counter()
        status, data = self.service.send(self.connection, ('POST', '/graphql', '', json.dumps(body)))
        took = (time.perf_counter() - began) * 1000
        answer = json.loads(data)
        if status != 200 or 'errors' in answer:
            raise SystemExit(f'{self.service.name}: {status} {data[:500]!r}')
        return answer['data']['personalConnectors'], took


def searches(bench, counts):
    """Prints a table for each size. Returns whether all ratios are small enough."""
    with find_postgres() as url:
        if not url:
            log('\n!!! SKIPPED: search on both databases: there is no PostgreSQL\n')
            return True
        databases = [Sqlite(bench.folder), Postgres(url)]
        slow = [line for build, count in itertools.product(bench.builds, counts) for line in compared(bench, build, databases, count)]
    for line in slow:
        log(f'PostgreSQL takes more than {MOST} times as long: {line}')
    return not slow


def compared(bench, build, databases, count):
    """Prints the table of a build and a size. Returns the titles of lines in which PostgreSQL is too slow."""
    slow = []
    with contextlib.ExitStack() as stack:
        askers = []
        for database in databases:
            database.base(count, lambda url: build.load(url, objects_file(count)))
            copy = database.copy(count, f'search_{count}')
            stack.callback(database.remove, copy)
            service = Service(f'{build.name} on {database.name}', build.path, copy, build.caches()['cold'], bench.folder)
            stack.callback(service.stop)
            askers.append(Asker(service))
        print(f'\n{build.name}, {count:,} connectors, search, one connection, p50 in ms\n\n'
              '| | SQLite | PostgreSQL | PostgreSQL to SQLite |\n|---|---|---|---|', flush=True)
        for kind, (name, search) in itertools.product(kinds(), SEARCHES.items()):
            title = f'{kind.title}: {name}'
            sqlite, postgres = (statistics.median(times) for times in measured(askers, kind, search, bench.options.rounds))
            ratio = postgres / max(sqlite, LEAST_MS)
            is_slow = ratio > MOST
            goal = f' (goal {MOST})' if is_slow else ''
            print(f'| {title} | {sqlite:.2f} | {postgres:.2f} | {ratio:.2f}{goal} |', flush=True)
            if is_slow:
                slow.append(f'{count:,}, {title}: {ratio:.2f}')
    return slow


def measured(askers, kind, search, rounds):
    """Returns the times of a search on each database. Ends the run if the databases' responses differ."""
    after = None
    for _ in range(kind.pages):
        page = askers[0].ask(kind.request(search, 0, after))[0]['pageInfo']
        if not page['hasNextPage']:
            break
        after = page['endCursor']
    times = [[] for _ in askers]
    for number in range(2 + 3 * rounds):
        answers = []
        for asker, taken in zip(askers, times):
            answer, took = asker.ask(kind.request(search, number, after))
            answers.append(answer)
            if number >= 2:  # The first ones prepare statements.
                taken.append(took)
        if answers[0] != answers[1]:
            raise SystemExit(f'{kind.title}, {search}: the databases answer differently:\n{answers[0]}\n{answers[1]}'[:3000])
    return times
