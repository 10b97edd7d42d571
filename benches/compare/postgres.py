"""Finds a PostgreSQL server. The first of these is used:

- the server at the URL in CONNECTORS_TEST_POSTGRES, whose role may create databases;
- the server that listens on 127.0.0.1:5432;
- a new server in a temporary folder, if PostgreSQL is installed.
"""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

from .common import run


@contextlib.contextmanager
def find_postgres():
    """Yields the server's URL, or None. A server that this function started is stopped at the end."""
    url = os.environ.get('CONNECTORS_TEST_POSTGRES') or listening()
    installed = None if url else installation()
    if installed:
        with started(installed) as url:
            yield url
    else:
        yield url


def listening():
    url = 'postgres://postgres@127.0.0.1:5432/postgres'
    environment = {**os.environ, 'PGCONNECT_TIMEOUT': '3'}
    if shutil.which('psql') and not subprocess.run(
            ['psql', '-wqc', '', url], env=environment, capture_output=True).returncode:
        return url
    return None


def installation():
    """Returns the folder of the newest version's programs, or None."""
    versions = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'), key=lambda path: float(path.parent.name))
    found = shutil.which('initdb', path=os.pathsep.join([*map(str, reversed(versions)), os.environ['PATH']]))
    return pathlib.Path(found).parent if found else None


@contextlib.contextmanager
def started(installed):
    """Starts a server in a temporary folder, on a free port."""
    data = tempfile.mkdtemp()
    user = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root.
        shutil.chown(data, 'postgres')
        user = {'user': 'postgres', 'cwd': data}
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    run(installed / 'initdb', '-D', data, '-A', 'trust', '-U', 'postgres', **user)
    control = [installed / 'pg_ctl', '-D', data, '-w']
    # A pipe would stay open as long as the server runs.
    subprocess.run(
        [*control, '-l', f'{data}/log', '-o',
         f'-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}', 'start'],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
    try:
        yield f'postgres://postgres@127.0.0.1:{port}/postgres'
    finally:
        run(*control, '-m', 'immediate', 'stop', **user)
        shutil.rmtree(data)


@contextlib.contextmanager
def pooler(url):
    """Starts PgBouncer with pool_mode = transaction. Yields its URL, or None if it is not installed."""
    program = shutil.which('pgbouncer', path=os.pathsep.join([os.environ['PATH'], '/usr/sbin']))
    if not program:
        yield None
        return
    folder = pathlib.Path(tempfile.mkdtemp())
    server = urllib.parse.urlsplit(url)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    (folder / 'users').write_text(f'"{server.username}" "{server.password or ""}"\n')
    (folder / 'pgbouncer.ini').write_text(f'''[databases]
* = host={server.hostname} port={server.port or 5432}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 8
''')
    user = {}
    if os.geteuid() == 0:  # PgBouncer does not run as root.
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, 'postgres')
        user = {'user': 'postgres', 'cwd': folder}
    process = subprocess.Popen([program, '-q', folder / 'pgbouncer.ini'], stderr=subprocess.DEVNULL, **user)
    try:
        until = time.monotonic() + 10
        while socket.socket().connect_ex(('127.0.0.1', port)) and time.monotonic() < until:
            time.sleep(0.05)
        password = f':{server.password}' if server.password else ''
        yield server._replace(netloc=f'{server.username}{password}@127.0.0.1:{port}').geturl()
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)
