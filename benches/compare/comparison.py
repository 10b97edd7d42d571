"""Starts servers on copies of one catalogue, and compares their responses before they are measured."""
import json
import secrets
import subprocess

from .catalogue import objects_file, public_ids
from .operations import DEEP_PAGES, WORDS
from .servers import EmbeddedRest, Fixed, Rest, Service


class Comparison:
    """The servers of these kinds: `cold` and `hot` of each build, `rest`, `embedded` (on SQLite) and `fixed`."""

    def __init__(self, bench, database, count, kinds):
        self.bench, self.database, self.count = bench, database, count
        self.servers, self.copies = {}, []
        self.ids = None
        try:
            self.start(kinds)
        except BaseException:
            self.close()
            raise

    def start(self, kinds):
        bench, first = self.bench, self.bench.builds[0]
        self.database.base(self.count, lambda url: first.load(url, objects_file(self.count)))
        urls = [self.copy(build, number) for number, build in enumerate(bench.builds)]
        for build, url in zip(bench.builds, urls):
            for cache, flags in build.caches().items():
                if cache in kinds and cache in bench.options.cache:
                    self.servers[build.name, cache] = Service(f'{build.name}, {cache}', build.path, url, flags, bench.folder)
        if 'rest' in kinds:
            self.servers['rest'] = Rest(bench.rest, urls[0], bench.folder)
        if 'embedded' in kinds and self.database.name == 'SQLite':
            self.servers['embedded'] = EmbeddedRest(bench.rest, urls[0], bench.folder)
        if 'fixed' in kinds:
            data = next(iter(self.servers.values())).ask('list', {})[1]
            self.servers['fixed'] = Fixed(bench.rest, data, bench.folder)

    def copy(self, build, number):
        """Returns the URL of a database for a build, with a schema that the build knows."""
        name = f'{self.count}_{number}'
        url = self.database.copy(self.count, name)
        self.copies.append(url)
        migrated = subprocess.run([build.path, 'migrate', '--database-url', url], capture_output=True)
        if migrated.returncode:
            # The copy has the schema of another build, which this one does not know.
            self.database.remove(url)
            url = self.database.empty(name)
            build.load(url, objects_file(self.count))
            self.database.settle(url)
        return url

    def close(self):
        for server in self.servers.values():
            server.stop()
        for url in self.copies:
            self.database.remove(url)

    def values(self, operation):
        """Returns the values of an operation's requests, which are sent in turn."""
        if operation == 'by-id':
            self.ids = self.ids or public_ids(self.count, 2000)
            return [{'id': id} for id in self.ids]
        if operation == 'search':
            return [{'word': word} for word in WORDS]
        if operation == 'deep':
            return [{'place': place} for place in range(DEEP_PAGES)]
        if operation == 'mutation':
            return self.bench.creates
        return [{}]

    def requests(self, server, operation):
        """Returns a file of the requests for wrk."""
        file = self.bench.folder / f'{secrets.token_hex(4)}.txt'
        lines = ['\t'.join(server.request(operation, values)) for values in self.values(operation)]
        file.write_text(''.join(line + '\n' for line in lines))
        return file

    def agree(self, operation, values):
        """Ends the run if the servers' answers differ. Each server keeps its own cursor as the place `here`."""
        answers = [(server, server.ask(operation, values)[0]) for server in self.answering(operation)]
        (first, expected), *others = answers
        for server, answer in others:
            for key in expected:
                if key != 'cursor' and answer[key] != expected[key]:
                    raise SystemExit(
                        f'{self.database.name}, {self.count}, {operation}: {server.name} and {first.name} differ in {key}:\n'
                        f'{json.dumps(answer[key])[:1500]}\n{json.dumps(expected[key])[:1500]}')
        for server, answer in answers:
            server.cursors['here'] = answer.get('cursor')
        return expected

    def answering(self, operation):
        """Returns the servers that answer an operation from the database."""
        return [server for server in self.servers.values()
                if not isinstance(server, Fixed) and (operation != 'mutation' or server.success)]

    def verify(self, operation):
        """Sends the operation's requests to all servers. Returns a response's size; None for a mutation."""
        if operation == 'mutation':
            for server in self.answering(operation):
                values = self.bench.creates[0]
                new = {**values['new'], 'name': f'verified {secrets.token_hex(8)}'}
                node = server.ask(operation, {**values, 'new': new})[0]['nodes'][0]
                assert new.items() <= node.items(), node
            return None
        if operation == 'deep':
            self.walk()
        asked = self.values(operation)[:20]
        for values in asked:
            assert self.agree(operation, values)['nodes'], (operation, values)
        return len(self.answering(operation)[0].ask(operation, asked[0])[1])

    def walk(self):
        """Goes to the middle of the list, and keeps the cursors of the pages from there."""
        total = self.agree('totals', {})['total']
        at, values = 0, {}
        while at < total // 2:
            at += len(self.agree('list', {**values, 'first': 100})['nodes'])
            values = {'place': 'here'}
        for place in range(DEEP_PAGES):
            for server in self.answering('list'):
                server.cursors[place] = server.cursors['here']
            self.agree('list', {'place': place})
