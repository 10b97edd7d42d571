"""Finds a PostgreSQL server: the one that CONNECTORS_TEST_POSTGRES names (the URL of a role that may create databases), else the
one that listens on 127.0.0.1:5432, else one that is started in a temporary folder, if PostgreSQL is installed.
"""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from .common import run


@contextlib.contextmanager
def find_postgres():
    """The server's URL, or None. A server that was started is stopped at the end."""
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
    """The folder of the newest version's programs, or None."""
    versions = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin'), key=lambda path: float(path.parent.name))
    found = shutil.which('initdb', path=os.pathsep.join([*map(str, reversed(versions)), os.environ['PATH']]))
    return pathlib.Path(found).parent if found else None


@contextlib.contextmanager
def started(installed):
    """A server in a temporary folder, on a free port."""
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
