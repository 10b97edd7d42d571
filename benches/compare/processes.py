"""Processes: CPU time and memory from /proc, and a server that prints its address when it listens."""
import os
import pathlib
import subprocess

TICKS = os.sysconf('SC_CLK_TCK')


def stat(pid):
    """Returns the fields of /proc/PID/stat (proc(5)) from the third, the state. The second, a name, may have spaces."""
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()


def parent(pid):
    return stat(pid)[1]


def cpu_seconds(pid, of_children=False):
    """Returns the CPU seconds of the process, or of its children that have ended."""
    user, system = stat(pid)[13:15] if of_children else stat(pid)[11:13]
    return (int(user) + int(system)) / TICKS


class Listening:
    """A process that listens. Its errors go to a log file, or to the terminal."""

    def __init__(self, name, command, log=None, **environment):
        self.name = name
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log and open(log, 'w'), text=True,
            env={**os.environ, 'CONNECTORS_MONITOR': 'false', **environment})
        line = self.process.stdout.readline()
        if 'http://' not in line:
            raise SystemExit(f'{name} did not start:\n{log.read_text() if log else line}')
        self.address = line.split('http://')[1].split('/')[0].strip()

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def resident_mib(self):
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(status.split('VmRSS:')[1].split()[0]) / 1024

    def stop(self):
        """Stops the process. Returns the exit status."""
        self.process.terminate()
        return self.process.wait()
