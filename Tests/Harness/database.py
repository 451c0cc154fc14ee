"""A database server on its own, `apusd --no-switch`, and database files for it."""
import json
import os

from .jsonrpc import JsonRpc
from .process import Child, run, wait_until
from .switch import find_binaries


class DatabaseServer:
    """One `apusd --no-switch`."""

    def __init__(self, directory, databases, *options, env=None):
        self.directory = str(directory)
        words = [word for database in databases for word in ("--db", database)]
        self.command = [f"{find_binaries()}/apusd", "--no-switch", "--rundir", self.directory, *words, *options]
        self.env = dict(os.environ, OVS_RUNDIR=self.directory, **(env or {}))
        self.child = None
        self.start()

    def start(self):
        if os.path.exists(self.path("out")):
            os.unlink(self.path("out"))
        self.child = Child(self.command, self.path("out"), env=self.env, name="apusd")
        wait_until(lambda: "|ready" in self.child.output(), 20, "apusd is ready", alive=self.child)

    @property
    def socket(self):
        return self.path("db.sock")

    def path(self, name):
        return os.path.join(self.directory, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.child.stop() == 0, self.child.tail()

    def appctl(self, *words):
        done = run(["ovs-appctl", "-t", self.path(f"apusd.{self.child.pid}.ctl"), *words], check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    def connect(self, seconds=20):
        return JsonRpc(self.socket, seconds)

    def transact(self, socket, *operations, database="mydb"):
        with JsonRpc(self.path(socket)) as connection:
            return connection.call("transact", [database, *operations])


def create(directory, name, schema):
    path = os.path.join(str(directory), name)
    with open(path + ".schema", "w") as file:
        json.dump(schema, file)
    run(["ovsdb-tool", "create", path, path + ".schema"])
    return path
