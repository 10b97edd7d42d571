"""The size of the release build, the time to its first answer, and its memory, on SQLite."""
import argparse
import http.client
import json
import statistics
import tempfile
import time

from .common import BINARY, build
from .processes import Listening

STARTS = 10
REQUESTS = 1000
BODY = json.dumps({'query': '{ personalConnectors { totalCount nodes { id name type status } } }'})


class Service(Listening):
    """The service on a database, and a connection with an earlier response."""

    def __init__(self, folder):
        began = time.perf_counter()
        super().__init__('service', [
            BINARY, '--listen', '127.0.0.1:0', '--database-url', f'sqlite://{folder}/connectors.db', '--log', 'warn'])
        self.connection = http.client.HTTPConnection(self.address)
        self.ask()
        self.answered_after = time.perf_counter() - began

    def ask(self):
        self.connection.request('POST', '/graphql', BODY, {'content-type': 'application/json'})
        answer = json.load(self.connection.getresponse())
        assert answer['data']['personalConnectors']['totalCount'] > 0, answer

    def stop(self):
        assert super().stop() == 0


def first_answer(folder):
    """Returns the milliseconds from exec to the first response."""
    service = Service(folder)
    service.stop()
    return service.answered_after * 1000


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    build()
    with tempfile.TemporaryDirectory() as temporary:
        fresh = [first_answer(f'{temporary}/{start}') for start in range(STARTS)]
        existing = [first_answer(f'{temporary}/0') for _ in range(STARTS)]
        service = Service(f'{temporary}/0')
        time.sleep(1)
        at_rest = service.resident_mib()
        for _ in range(REQUESTS):
            service.ask()
        time.sleep(1)
        after = service.resident_mib()
        service.stop()

    print('| | |\n|---|---|')
    print(f'| binary, stripped | {BINARY.stat().st_size / 1024**2:.1f} MiB |')
    print(f'| from exec to the first answer, new database | {statistics.median(fresh):.0f} ms |')
    print(f'| from exec to the first answer, database there | {statistics.median(existing):.0f} ms |')
    print(f'| memory (`VmRSS`) after the first answer | {at_rest:.0f} MiB |')
    print(f'| memory after {REQUESTS:,} more | {after:.0f} MiB |')
