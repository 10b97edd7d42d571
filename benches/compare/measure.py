"""Measures the entries in rounds: each round measures every entry once."""
import time
from dataclasses import dataclass

from .common import log
from .comparison import Comparison
from .load import WRITES_A_SECOND, Writer, wrk
from .servers import Server


@dataclass(frozen=True)
class Entry:
    """A line of a table."""
    comparison: Comparison
    server: Server
    operation: str
    # Whether connectors are created meanwhile.
    writes: bool = False

    def cpu(self):
        """Returns the CPU seconds of the server and of the database; None if its processes run on another machine."""
        url = self.server.url
        return self.server.cpu(), self.comparison.database.cpu(url) if url else 0.0


@dataclass(frozen=True)
class Round:
    # Requests per second.
    rate: float
    # Milliseconds.
    p50: float
    p99: float
    # Microseconds of CPU time for each request. `database` is None if its processes run on another machine.
    cpu: float
    database: float | None
    # Responses that were not as expected.
    wrong: int


def interleaved(entries, options, connections=None):
    """Returns the rounds of each entry."""
    requests = [entry.comparison.requests(entry.server, entry.operation) for entry in entries]
    rounds = [[] for _ in entries]
    for number in range(options.rounds + 1):
        for entry, file, results in zip(entries, requests, rounds):
            seconds = options.seconds if number else min(options.seconds, 2)
            result = measure(entry, file, seconds, connections or options.connections)
            if number:  # The first round only warms up.
                results.append(result)
    return rounds


def measure(entry, requests, seconds, connections):
    server = entry.server
    writer = Writer(server, entry.comparison.bench.creates[0]) if entry.writes else None
    before = entry.cpu()
    if writer:
        writer.start()
    found = wrk(server, entry.operation, requests, seconds, connections)
    after = entry.cpu()
    if writer:
        written = writer.stop()
        if written < WRITES_A_SECOND * seconds * 0.9:
            log(f'{server.name}: only {written} writes in {seconds} s')
    come_to_rest(entry)
    count = max(1, found['requests'])
    if found['wrong']:
        log(f'{server.name}, {entry.operation}: {found["wrong"]} of {count} answers were bad')
    cpu, database = (None if None in side else (side[1] - side[0]) / count * 1e6 for side in zip(before, after))
    return Round(found['requests'] / (found['micros'] / 1e6), found['p50'] / 1000, found['p99'] / 1000, cpu, database, found['wrong'])


def come_to_rest(entry):
    """Waits until abandoned work has ended, which would otherwise count in the next entry's round."""
    for _ in range(300):
        before = entry.cpu()
        time.sleep(0.1)
        if sum((b or 0) - (a or 0) for a, b in zip(before, entry.cpu())) < 0.03:
            return
