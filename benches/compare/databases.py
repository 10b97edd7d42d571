"""SQLite and PostgreSQL: one filled database for each size, kept between runs, and the copies of it that servers use.

Both classes have the same methods:
- `base` fills the database to copy, unless an earlier run did. `copy` and `empty` return the URL of a new database.
- `settle` does what the database would do later in the background.
- `cpu` returns the CPU seconds of the database's own processes, or None if they run on another machine.
"""
import contextlib
import pathlib
import shutil
import urllib.parse

from .catalogue import database_key
from .common import CACHE, RUN, log, run
from .postgres import find_postgres
from .processes import cpu_seconds, parent


class Sqlite:
    name = 'SQLite'

    def __init__(self, folder):
        self.folder = folder

    @staticmethod
    def kept(count):
        return CACHE / f'connectors-{database_key(count)}.db'

    def base(self, count, load):
        kept = self.kept(count)
        if not kept.exists():
            making = kept.with_suffix('.making')
            making.unlink(missing_ok=True)
            load(f'sqlite://{making}')
            making.rename(kept)

    def copy(self, count, name):
        shutil.copyfile(self.kept(count), self.folder / f'{name}.db')
        return self.empty(name)

    def empty(self, name):
        return f'sqlite://{self.folder}/{name}.db'

    @staticmethod
    def remove(url):
        # A killed server leaves its log, which SQLite would apply to the next file with this name.
        for suffix in ('', '-wal', '-shm'):
            pathlib.Path(url.removeprefix('sqlite://') + suffix).unlink(missing_ok=True)

    @staticmethod
    def settle(url):
        pass

    @staticmethod
    def cpu(url):
        """Returns 0, because SQLite runs in the measured processes."""
        return 0.0


class Postgres:
    name = 'PostgreSQL'

    def __init__(self, url):
        self.server = url

    def sql(self, *statements, url=None):
        commands = [part for statement in statements for part in ('-c', statement)]
        return run('psql', '-wqtAX', '-v', 'ON_ERROR_STOP=1', url or self.server, *commands)

    def create(self, name, template=''):
        """Creates a database of this run, and returns its URL."""
        name = f'connectors_benching_{RUN}_{name}'
        self.sql(f'CREATE DATABASE "{name}" {template}')
        # The REST endpoint does not support TLS, which a server may offer.
        return urllib.parse.urlsplit(self.server)._replace(path=f'/{name}', query='sslmode=disable').geturl()

    @staticmethod
    def kept(count):
        return 'connectors_bench_' + database_key(count).replace('-', '_')

    def base(self, count, load):
        kept = self.kept(count)
        there = self.sql(f"SELECT datname FROM pg_database WHERE datname LIKE 'connectors_bench_{count}_%'").split()
        if kept in there:
            return
        for old in there:
            self.sql(f'DROP DATABASE "{old}"')
        url = self.create('making')
        load(url)
        self.settle(url)
        self.sql(f'ALTER DATABASE "{database_of(url)}" RENAME TO "{kept}"')

    def copy(self, count, name):
        # A copy of the files has the same pages as the original.
        return self.create(name, f'TEMPLATE "{self.kept(count)}" STRATEGY file_copy')

    def empty(self, name):
        return self.create(name)

    def remove(self, url):
        self.sql(f'DROP DATABASE IF EXISTS "{database_of(url)}" WITH (FORCE)')

    def settle(self, url):
        """Does the work of autovacuum now, so that it does not run during a round."""
        self.sql('VACUUM ANALYZE', url=url)

    @staticmethod
    def cpu(url):
        """Counts ended parallel workers with the server's first process, which waited for them."""
        database = f' {database_of(url)} '
        seconds, parents = 0.0, set()
        for process in pathlib.Path('/proc').iterdir():
            # A process may end while it is read.
            with contextlib.suppress(OSError):
                if process.name.isdigit():
                    title = (process / 'cmdline').read_bytes().rstrip(b'\0 ').decode(errors='replace') + ' '
                    if title.startswith('postgres:') and database in title:
                        seconds += cpu_seconds(process.name)
                        parents.add(parent(process.name))
        for pid in parents:
            seconds += cpu_seconds(pid, of_children=True)
        return seconds if parents else None


def database_of(url):
    return urllib.parse.urlsplit(url).path[1:]


def databases(names, folder):
    """Yields the databases with these names in turn. Skips a database that is not installed."""
    for name in names:
        if name == 'sqlite':
            yield Sqlite(folder)
        else:
            with find_postgres() as url:
                if url:
                    yield Postgres(url)
                else:
                    log('\n!!! SKIPPED: PostgreSQL: there is none\n')
