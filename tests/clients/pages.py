#!/usr/bin/env python3
"""Follows a page about a client from an empty folder: pages.py PAGE URL.

A block of `console` is run. Any other block is a file, if the paragraph before it ends with a file's name in a code span.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

LOCAL = 'http://127.0.0.1:8080/graphql'
CONNECTOR = 'pcon_github'


def sections(page: str) -> list[str]:
    """The parts of the page that begin in an empty folder."""
    parts = re.split(r'^## ', page, flags=re.MULTILINE)
    return [part for part in parts if 'in an empty folder:' in part]


def follow(section: str, url: str, folder: pathlib.Path) -> str:
    """Returns what the last block of commands printed."""
    output = ''
    local = section.replace(LOCAL, url).replace(LOCAL.removesuffix('graphql'), url.removesuffix('graphql'))
    for before, language, text in re.findall(r'(.*?)^```(\w+)\n(.*?)^```$', local, flags=re.MULTILINE | re.DOTALL):
        name = re.search(r'`([\w./-]+\.\w+)`(?: [a-z ]+)?:\s*\Z', before)
        if language == 'console':
            command = ['bash', '-euo', 'pipefail', '-c', text]
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=900, check=True)
            output = done.stdout
        elif name:
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return output


def main() -> None:
    path, url = sys.argv[1:]
    found = sections(pathlib.Path(path).read_text())
    if not found:
        sys.exit(f'{path} has no part that begins in an empty folder')
    for section in found:
        with tempfile.TemporaryDirectory() as folder:
            output = follow(section, url, pathlib.Path(folder))
        if CONNECTOR not in output:
            sys.exit(f'{path}: the client did not list {CONNECTOR}:\n{output}')


main()
