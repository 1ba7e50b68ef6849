# SPDX-License-Identifier: GPL-2.0-only
"""A PostgreSQL server with some data, in a namespace, and pg_basebackup. All of it on the run's tmpfs."""

import glob
import os
import pwd
import shutil
import signal
import subprocess

from . import session

ROW_BYTES = 1900  # four rows a page, below the size that is compressed
READY = "ready to accept connections"


def programs():
    """The newest PostgreSQL's directory of programs."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb") + glob.glob("/usr/pgsql-*/bin/initdb")
    found.sort(key=lambda path: [int(n) for n in path.split("/") if n.isdigit()])
    path = found[-1] if found else shutil.which("initdb")
    if not path:
        raise session.Unavailable("PostgreSQL is not installed; see `make deps`")
    return os.path.dirname(os.path.realpath(path))


def server_user():
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise session.Unavailable("there is no user postgres to run the server") from None


class Server:
    def __init__(self, netns, port):
        self.netns, self.port = netns, port
        self.bin, self.user = programs(), server_user()
        self.home = session.FILES + "/postgres"
        self.data = self.home + "/data"
        self.process = None
        os.mkdir(self.home)
        os.chown(self.home, self.user.pw_uid, self.user.pw_gid)

    def _as_server(self, command, text_in=None):
        child = session.start(command, self.netns, self.user, stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.home)
        output, _ = child.communicate(text_in)
        if child.returncode:
            raise session.LabError(f"{os.path.basename(command[0])}: {output.strip()[-300:]}")

    def make(self, megabytes):
        """A new database with so much data. Nothing is synced, and no log is written of the load."""
        self._as_server([f"{self.bin}/initdb", "-D", self.data, "-N", "-A", "trust", "-E", "UTF8",
                         "--no-locale"])
        with open(self.data + "/pg_hba.conf", "a", encoding="ascii") as file:
            file.write("host all all all trust\nhost replication all all trust\n")
        rows = megabytes * 2**20 // 2048
        load = ("CREATE TABLE page AS SELECT n, repeat(md5(n::text), "
                f"{ROW_BYTES // 32}) AS content FROM generate_series(1, {rows}) AS n;\n"
                "CREATE TABLE visit (at timestamptz DEFAULT now(), what text);\n")
        options = {"fsync": "off", "wal_level": "minimal", "max_wal_senders": 0,
                   "shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum": "off"}
        self._as_server([f"{self.bin}/postgres", "--single", "-D", self.data, *_settings(options),
                         "postgres"], load)

    def start(self, bus):
        options = {"listen_addresses": "*", "port": self.port, "fsync": "off",
                   "unix_socket_directories": self.home, "autovacuum": "off"}
        self.process = session.start([f"{self.bin}/postgres", "-D", self.data, *_settings(options)],
                                     self.netns, self.user, stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, cwd=self.home)
        said = []
        bus.add_lines(self.process.stderr, said.append)
        bus.require(lambda: any(READY in line for line in said), 20, "PostgreSQL ready")

    def _psql(self):
        return [f"{self.bin}/psql", "-X", "-q", "-A", "-t", "-h", self.home, "-p", str(self.port),
                "-U", "postgres", "postgres"]

    def query(self, sql):
        return session.call([*self._psql(), "-c", sql], self.netns).strip()

    def keep_writing(self):
        """Visitors, so that there is always a log to stream: some 400 kB/s."""
        writer = session.start(self._psql(), self.netns, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        writer.stdin.write(b"INSERT INTO visit (what) SELECT string_agg(md5(random()::text), '') "
                           b"FROM generate_series(1, 1200) \\watch 0.1\n")
        writer.stdin.flush()
        return writer

    def backup_command(self, host, port, target):
        return [f"{self.bin}/pg_basebackup", "-h", host, "-p", str(port), "-U", "postgres",
                "-D", target, "-X", "stream", "-P", "-c", "fast"]

    def senders(self):
        """(state, bytes of log sent) of each replication connection."""
        rows = self.query("SELECT state, coalesce(pg_wal_lsn_diff(sent_lsn, '0/0'), 0)::bigint "
                          "FROM pg_stat_replication ORDER BY state")
        return [(state, int(sent)) for state, sent in (r.split("|") for r in rows.splitlines())]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)


def _settings(options):
    return [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
