"""Load on a server: wrk's requests, and writes at the same time."""
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time

from .common import ROOT, run
from .operations import UNIQUE

WRITES_A_SECOND = 20


def find_wrk():
    """Installs wrk if it can. The run ends if there is none."""
    if shutil.which('wrk'):
        return
    if os.geteuid() or not shutil.which('apt-get'):
        raise SystemExit('wrk makes the requests, and is not installed: https://github.com/wg/wrk')
    for command in (['update', '-q'], ['install', '-qy', '--no-install-recommends', 'wrk']):
        subprocess.run(['apt-get', *command], check=True, stdout=sys.stderr)


def wrk(server, operation, requests, seconds, connections):
    """Sends the requests of a file in turn. Returns the values that benches/wrk.lua prints."""
    command = [
        'wrk', '-t1', f'-c{connections}', f'-d{seconds}s', '--timeout', '30s', '-s', ROOT / 'benches/wrk.lua',
        f'http://{server.address}', '--', requests, secrets.token_hex(6) + '-']
    if operation == 'mutation':
        command.append(server.success)
    out = run(*command)
    return json.loads(out[out.index('JSON ') + 5:].splitlines()[0])


class Writer(threading.Thread):
    """Creates connectors at a constant rate until it is stopped."""

    def __init__(self, server, values):
        super().__init__()
        self.server, self.values, self.stopped, self.written = server, values, threading.Event(), 0
        self.connection = server.connect()

    def run(self):
        began = time.perf_counter()
        while not self.stopped.wait(max(0, began + self.written / WRITES_A_SECOND - time.perf_counter())):
            *request, body = self.server.request('mutation', self.values)
            _, data = self.server.send(self.connection, [*request, body.replace(UNIQUE, secrets.token_hex(8))])
            self.server.read('mutation', json.loads(data))
            self.written += 1

    def stop(self):
        """Stops the thread. Returns the number of connectors that it created."""
        self.stopped.set()
        self.join()
        return self.written
