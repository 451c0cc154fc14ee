"""The same random requests to two OVSDB servers: what they answer must be the same.

The reference is Debian's ovsdb-server. Schemas, rows, transactions, conditions, mutations and monitors are made from a seed, valid
ones mostly, and broken ones in every way that a small change can break them. Rows get their UUIDs from the requests, so that
both servers name them alike; what still differs by nature (versions of rows, the order of rows in an answer) is normalised.

    python3 -m Tests.Harness.ovsdb_differential --seeds 50 --start 1
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import uuid

from .jsonrpc import JsonRpc
from .process import Child, run, wait_until
from .switch import find_binaries

ATOMS = ("integer", "real", "boolean", "string", "uuid")
STRINGS = ("", "a", "b", "ab", "one", "two words", "\u00e9", "0", "true", "x" * 20, "q\"q", "back\\slash", "line\nend")
INTEGERS = (-5, -1, 0, 1, 2, 3, 5, 7, 10, 100, 2**31, -(2**63), 2**63 - 1)
REALS = (-1.5, 0, 0.5, 1, 2.25, 3, 1e10, 1e-3)


class Generator:
    """Random schemas and requests."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rows = {}
        self.schema = self.make_schema()

    def chance(self, probability):
        return self.random.random() < probability

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    # Schemas

    def make_schema(self):
        pick = self.random
        names = ["A", "B", "C", "D"][: pick.randint(1, 4)]
        tables = {}
        for name in names:
            columns = {f"c{number}": self.make_column(names) for number in range(pick.randint(1, 6))}
            columns["name"] = {"type": "string"}
            columns["n"] = {"type": "integer"}
            table = {"columns": columns}
            if self.chance(0.6):
                table["isRoot"] = True
            if self.chance(0.2):
                table["maxRows"] = pick.randint(1, 4)
            if self.chance(0.4):
                table["indexes"] = [["name"]] if self.chance(0.7) else [["name", "n"]]
            tables[name] = table
        return {"name": "db", "version": "1.2.3", "tables": tables}

    def make_base(self, tables, kind=None):
        pick = self.random
        kind = kind or pick.choice(ATOMS)
        base = {"type": kind}
        if kind == "integer" and self.chance(0.4):
            if self.chance(0.5):
                base["minInteger"] = pick.choice((-2, 0, 1))
            if self.chance(0.5):
                base["maxInteger"] = pick.choice((3, 5, 100))
        elif kind == "real" and self.chance(0.3):
            base["minReal"] = pick.choice((-1, 0, 0.25))
            if self.chance(0.5):
                base["maxReal"] = pick.choice((2, 3.5))
        elif kind == "string" and self.chance(0.3):
            base["minLength"] = pick.choice((0, 1, 2))
            if self.chance(0.5):
                base["maxLength"] = pick.choice((3, 5))
        elif kind == "uuid" and self.chance(0.8):
            base["refTable"] = pick.choice(tables)
            if self.chance(0.5):
                base["refType"] = pick.choice(("strong", "weak"))
        if len(base) == 1 and kind in ("integer", "string") and self.chance(0.3):
            base["enum"] = ["set", [1, 2, 3] if kind == "integer" else ["a", "b", "two words"]]
        return base if len(base) > 1 or self.chance(0.5) else kind

    def make_column(self, tables):
        pick = self.random
        shape = pick.choice(("scalar", "scalar", "optional", "set", "set", "map"))
        base = self.make_base(tables)
        if shape == "scalar":
            kind = base if isinstance(base, str) else {"key": base}
        elif shape == "optional":
            kind = {"key": base, "min": 0}
        elif shape == "set":
            kind = {"key": base, "min": pick.choice((0, 0, 1)), "max": pick.choice((2, 3, "unlimited", "unlimited"))}
        else:
            kind = {"key": base, "value": self.make_base(tables), "min": pick.choice((0, 0, 0, 1)), "max": pick.choice((3, "unlimited"))}
        column = {"type": kind}
        if self.chance(0.1):
            column["mutable"] = False
        if self.chance(0.1):
            column["ephemeral"] = True
        return column

    @staticmethod
    def parts(column):
        """Key type, value type or None, least and most elements."""
        kind = column["type"]
        if isinstance(kind, str):
            kind = {"key": kind}
        whole = lambda base: {"type": base} if isinstance(base, str) else base
        most = kind.get("max", 1)
        value = whole(kind["value"]) if "value" in kind else None
        return whole(kind["key"]), value, kind.get("min", 1), 5 if most == "unlimited" else most

    # Values

    def atom(self, base, wild=False):
        pick = self.random
        kind = pick.choice(ATOMS) if wild and self.chance(0.3) else base["type"]
        if not wild and "enum" in base:
            return pick.choice(base["enum"][1])
        if kind == "integer":
            if wild:
                return pick.choice(INTEGERS)
            low, high = base.get("minInteger", -3), base.get("maxInteger", 7)
            return pick.randint(low, max(low, min(high, low + 8)))
        if kind == "real":
            if wild:
                return pick.choice(REALS)
            return pick.choice((base.get("minReal", 0.5), min(base.get("maxReal", 9), base.get("minReal", 1) + 0.5)))
        if kind == "boolean":
            return self.chance(0.5)
        if kind == "string":
            if wild:
                return pick.choice(STRINGS)
            text = pick.choice(STRINGS)
            text = text[: base.get("maxLength", 30)]
            return text + "z" * (base.get("minLength", 0) - len(text))
        table = base.get("refTable", pick.choice(sorted(self.schema["tables"])))
        known = self.rows.get(table, [])
        if wild and self.chance(0.2):
            return pick.choice((["uuid", "nonsense"], ["named-uuid", "never"], ["named-uuid", "0bad"], ["uuid"], ["uuid", 5], "text"))
        if known and self.chance(0.9 if not wild else 0.6):
            return ["uuid", pick.choice(known)]
        if self.names and self.chance(0.5):
            return ["named-uuid", pick.choice(self.names)]
        return ["uuid", self.uuid() if wild or "refTable" not in base or base.get("refType") == "weak" or not known else pick.choice(known)]

    def value(self, column, wild=False, loose=False):
        key, value, least, most = self.parts(column)
        if not wild and value is None and least == 1 and most == 1:
            return self.atom(key)
        if wild and self.chance(0.3):
            return self.random.choice((5, "x", None, True, 1.5, ["set"], ["set", 5], ["map", []], ["map", [[1]]], [], {}, ["set", []], ["bag", []]))
        count = self.random.randint(0 if loose else least, most + (2 if wild else 0)) if most > 1 or wild else self.random.randint(least, 1)
        if value is not None:
            pairs = []
            for _ in range(count):
                one = self.atom(key, wild and self.chance(0.3))
                if wild or one not in [pair[0] for pair in pairs]:
                    pairs.append([one, self.atom(value, wild and self.chance(0.3))])
            return ["map", pairs]
        atoms = []
        for _ in range(count):
            one = self.atom(key, wild and self.chance(0.3))
            if wild or one not in atoms:
                atoms.append(one)
        if len(atoms) == 1 and self.chance(0.5):
            return atoms[0]
        return ["set", atoms]

    # Parts of operations

    def table(self):
        return self.random.choice(sorted(self.schema["tables"]))

    def columns_of(self, table):
        return self.schema["tables"][table]["columns"]

    def condition(self, table, wild=False):
        clauses = []
        for _ in range(self.random.choice((0, 1, 1, 1, 2))):
            roll = self.random.random()
            known = self.rows.get(table)
            if roll < 0.3 and known:
                clauses.append(["_uuid", self.random.choice(("==", "==", "!=", "includes", "excludes")), ["uuid", self.random.choice(known)]])
            elif roll < 0.4:
                clauses.append(self.chance(0.7))
            elif roll < 0.6:
                clauses.append(["n", self.random.choice(("==", "<", "<=", ">", ">=", "!=")), self.random.randint(0, 4)])
            else:
                name = self.random.choice(sorted(self.columns_of(table)))
                function = self.random.choice(("==", "!=", "includes", "excludes", "<", ">="))
                clauses.append([name, function, self.value(self.columns_of(table)[name], wild=False, loose=function in ("includes", "excludes"))])
        if wild and self.chance(0.5):
            clauses.append(self.random.choice((
                ["nosuch", "==", 1], ["n", "=", 1], ["n", "==", "x"], ["n", "=="], 5, None, "x", ["n", "<", ["set", []]], ["name", "<", "a"],
                ["n", "==", 1.5], ["n", "==", 3.0], ["_uuid", "==", "x"], ["_uuid", "==", ["named-uuid", "unknown"]], ["_version", "==", ["uuid", self.uuid()]],
                ["n", "includes", ["set", [1, 2]]], ["n", "excludes", ["set", []]], ["n", 5, 1], {}, [])))
        return clauses

    def row(self, table, wild=False, few=False):
        columns = self.columns_of(table)
        names = sorted(columns)
        chosen = [name for name in names if self.chance(0.3 if few else 0.8)]
        row = {name: self.value(columns[name]) for name in chosen}
        if "n" in row:
            row["n"] = self.random.randint(0, 4)
        if "name" in row:
            row["name"] = self.random.choice("abcdefgh")
        if wild:
            name = self.random.choice(names)
            row[name] = self.value(columns[name], wild=True)
            if self.chance(0.15):
                # One mistake at a time: which of two is found first is nobody's business.
                row = {self.random.choice(("nosuch", "_uuid", "_version")): 5}
        return row

    def mutation(self, table, wild=False):
        columns = self.columns_of(table)
        name = self.random.choice(sorted(columns))
        key, value, least, most = self.parts(columns[name])
        if wild:
            mutator = self.random.choice(("+=", "-=", "*=", "/=", "%=", "insert", "delete", "xor", "insert"))
            argument = self.random.choice((0, 1, -1, 2, 2**62, 0.5, 1e300, "x", ["set", []], ["set", [1, 2]], self.value(columns[name], wild=True)))
            return self.random.choice(([name, mutator, argument], [name, mutator, argument], [name, mutator, argument],
                                       ["nosuch", mutator, 1], [name, mutator], 5, ["_uuid", "insert", ["uuid", self.uuid()]], [5, 5, 5]))
        if most > 1 or least == 0 or value is not None:
            if self.chance(0.6) or value is not None and self.chance(0.5):
                return [name, "insert", self.value(columns[name], loose=True)]
            if value is not None and self.chance(0.5):
                return [name, "delete", ["set", [self.atom(key)]]]
            return [name, "delete", self.value(columns[name], loose=True)]
        if key["type"] in ("integer", "real"):
            return [name, self.random.choice(("+=", "-=", "*=", "/=", "%=") if key["type"] == "integer" else ("+=", "-=", "*=", "/=")),
                    self.random.choice((1, 2, 3))]
        return ["n", "+=", 1]

    # Operations

    def operation(self, wild):
        table = self.table()
        kind = self.random.choice(("insert",) * 6 + ("update",) * 4 + ("mutate",) * 5 + ("delete", "select", "select", "select", "wait", "comment", "commit", "assert", "abort"))
        if kind == "abort" and self.chance(0.7):
            kind = "insert"
        columns = sorted(self.columns_of(table))
        if kind == "insert":
            operation = {"op": kind, "table": table, "row": self.row(table, wild), "uuid": self.uuid()}
            if self.chance(0.3):
                operation["uuid-name"] = self.random.choice(("r1", "r2", "r3"))
                self.names.append(operation["uuid-name"])
            self.fresh.append((table, operation["uuid"]))
            if wild and self.chance(0.2):
                operation["uuid"] = self.random.choice(("x", self.random.choice(self.rows.get(table) or ["y"])))
        elif kind == "update":
            operation = {"op": kind, "table": table, "where": self.condition(table, wild and self.chance(0.4)), "row": self.row(table, wild, few=True)}
        elif kind == "mutate":
            operation = {"op": kind, "table": table, "where": self.condition(table, wild and self.chance(0.4)),
                         "mutations": [self.mutation(table, wild) for _ in range(self.random.choice((0, 1, 1, 1, 2)))]}
        elif kind == "delete":
            operation = {"op": kind, "table": table, "where": self.condition(table, wild)}
        elif kind == "select":
            operation = {"op": kind, "table": table, "where": self.condition(table, wild)}
            if self.chance(0.6):
                operation["columns"] = self.random.sample(columns + ["_uuid"], self.random.randint(0, len(columns)))
                if wild and self.chance(0.3):
                    operation["columns"].append(self.random.choice(("nosuch", 5, columns[0], None)))
        elif kind == "wait":
            names = self.random.sample(columns, self.random.randint(1, len(columns)))
            operation = {"op": kind, "timeout": 0, "table": table, "where": self.condition(table, wild and self.chance(0.3)), "columns": names,
                         "until": self.random.choice(("==", "!=") + (("<",) if wild else ())),
                         "rows": [{name: self.value(self.columns_of(table)[name]) for name in names if self.chance(0.8)} for _ in range(self.random.randint(0, 2))]}
            if wild and self.chance(0.2):
                operation["timeout"] = self.random.choice((-1, "x", 1.5))
        elif kind == "comment":
            operation = {"op": kind, "comment": "a remark" if not wild else self.random.choice(("x", 5, None))}
        elif kind == "commit":
            operation = {"op": kind, "durable": False if not wild else self.random.choice((True, False, 5, None))}
        elif kind == "assert":
            operation = {"op": kind, "lock": self.random.choice(("held", "other", "0bad") if wild else ("held",))}
        else:
            operation = {"op": "abort"}
        if wild and self.chance(0.15):
            self.damage(operation)
        return operation

    def damage(self, operation):
        roll = self.random.random()
        keys = sorted(operation)
        if roll < 0.35:
            del operation[self.random.choice(keys)]
        elif roll < 0.7:
            operation[self.random.choice(keys)] = self.random.choice((5, None, "text", [], {}, True, -1, 1.5, "two words"))
        else:
            operation[self.random.choice(("extra", "where2", "comment", "durable"))] = 1

    def transaction(self):
        """Operations, and the rows they insert if all goes well."""
        self.names, self.fresh = [], []
        count = self.random.choice((1, 1, 2, 3, 5))
        bad = self.random.randrange(count) if self.chance(0.4) else -1
        operations = [self.operation(number == bad) for number in range(count)]
        if self.chance(0.02):
            operations.append(self.random.choice((5, None, [], "x")))
        return operations

    def committed(self, result):
        if all(isinstance(one, dict) and "error" not in one for one in result):
            for table, row in self.fresh:
                self.rows.setdefault(table, []).append(row)
                del self.rows[table][:-12]

    # Monitors

    def monitor_requests(self, conditional, wild):
        requests = {}
        for table in self.random.sample(sorted(self.schema["tables"]), 1 if wild else self.random.randint(1, len(self.schema["tables"]))):
            columns = sorted(self.columns_of(table))
            request = {"columns": self.random.sample(columns, self.random.randint(0, len(columns)))}
            if self.chance(0.3):
                request["select"] = {name: self.chance(0.5) for name in ("initial", "insert", "delete", "modify") if self.chance(0.5)}
            if conditional and self.chance(0.6):
                request["where"] = self.condition(table, wild)
            if wild:
                roll = self.random.random()
                if roll < 0.3:
                    request["columns"].append(self.random.choice(("nosuch", 5, columns[0])))
                elif roll < 0.5:
                    request[self.random.choice(("select", "where", "extra", "columns"))] = self.random.choice((5, None, [], {}, {"insert": 5}, {"extra": True}))
            requests[table] = [request] if self.chance(0.7) or wild else request
        if wild and self.chance(0.2):
            requests = self.random.choice((5, [], {"nosuch": {}}, {self.table(): 5}, {self.table(): [5]}))
        return requests


class Server:
    """One of the two."""

    def __init__(self, kind, directory, schema_file, binaries):
        self.kind = kind
        self.directory = os.path.join(directory, kind)
        os.mkdir(self.directory)
        database = os.path.join(self.directory, "db")
        run(["ovsdb-tool", "create", database, schema_file])
        self.socket = os.path.join(self.directory, "s")
        if kind == "ovs":
            command = ["ovsdb-server", database, f"--remote=punix:{self.socket}", f"--unixctl={self.directory}/ctl", "-vconsole:warn"]
        else:
            command = [f"{binaries}/apusd", "--no-switch", "--db", database, "--remote", f"punix:{self.socket}", "--rundir", self.directory, "--log-level", "warn"]
        self.child = Child(command, os.path.join(self.directory, "out"), env=dict(os.environ, OVS_RUNDIR=self.directory))
        wait_until(self.listens, 60, f"{kind} listens", alive=self.child)

    def listens(self):
        """The name is there before connections are taken."""
        try:
            JsonRpc(self.socket, 20).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.child.stop()

    def connect(self):
        return JsonRpc(self.socket, 20)


def normalized(value):
    """A copy without what differs by nature."""
    if isinstance(value, dict):
        if value.get("error") is not None and value.get("result", 0) is None:
            value = {name: part for name, part in value.items() if name != "result"}
        result = {name: normalized(part) for name, part in value.items() if name != "_version"}
        if isinstance(result.get("rows"), list):
            result["rows"] = sorted(result["rows"], key=lambda row: json.dumps(row, sort_keys=True))
        return result
    if isinstance(value, list):
        return [normalized(part) for part in value]
    return value


def blurred(answer):
    """Without what both may choose: which of several dangling references is named, which of the rows that weak references have
    emptied, and which two of the rows that have equal values in an index."""
    text = json.dumps(answer, sort_keys=True)
    text = re.sub(r'to have identical values .*?"(, |})', r'duplicate"\1', text)
    text = re.sub(r'rows from column \\"\w+\\" in \\"\w+\\" row [-0-9a-f]+ ', "rows ", text)
    return re.sub(r'"details": "Table \w+ column \w+ row [-0-9a-f]+ references nonexistent[^"]*"', '"details": "dangling"', text)


class Difference(Exception):
    """The two answered differently."""


class ReferenceGone(Exception):
    """The reference crashed: nothing can be compared any more."""


class Pair:
    """Both servers with one schema, and the same requests to both."""

    def __init__(self, schema, binaries=None):
        self.directory = tempfile.mkdtemp(prefix="od", dir="/tmp")
        self.schema_file = os.path.join(self.directory, "schema")
        with open(self.schema_file, "w") as file:
            json.dump(schema, file)
        binaries = binaries or find_binaries()
        self.servers = []
        try:
            for kind in ("ovs", "apus"):
                self.servers.append(Server(kind, self.directory, self.schema_file, binaries))
            self.connections = [server.connect() for server in self.servers]
        except BaseException:
            self.close()
            raise
        self.history = []

    def close(self):
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, method, params, same=True):
        """The answers of both, and what they told without being asked until a following echo came back."""
        self.history.append((method, params))
        answers = []
        for connection in self.connections:
            connection.send(method, params, 1)
            connection.send("echo", [], "end")
            reply, told = None, []
            while True:
                message = connection.receive()
                if message is None and self.servers[self.connections.index(connection)].kind == "ovs":
                    raise ReferenceGone(f"{method} {json.dumps(params)}")
                if message is None:
                    raise Difference(f"{self.servers[self.connections.index(connection)].kind} closed the connection at {method} {json.dumps(params)}")
                if message.get("id") == "end" and "method" not in message:
                    break
                if message.get("id") == 1 and "method" not in message:
                    reply = message
                else:
                    told.append(normalized(message))
            answers.append((normalized(reply), sorted(told, key=lambda one: json.dumps(one, sort_keys=True))))
        if same and blurred(answers[0]) != blurred(answers[1]):
            raise Difference(f"{method} {json.dumps(params)}\n  reference {json.dumps(answers[0], sort_keys=True)}\n  answered  {json.dumps(answers[1], sort_keys=True)}")
        return answers


def content(pair, generator):
    """Compares everything both hold."""
    for table in sorted(generator.schema["tables"]):
        columns = sorted(generator.columns_of(table)) + ["_uuid"]
        pair.ask("transact", ["db", {"op": "select", "table": table, "where": [], "columns": columns}])


def play(seed, steps=60, binaries=None, tolerant=None):
    """Runs one seed. With `tolerant`, differences are collected there and the run goes on while contents agree."""
    generator = Generator(seed)
    with contextlib.suppress(ReferenceGone), Pair(generator.schema, binaries) as pair:
        pair.ask("lock", ["held"])
        pair.ask("get_schema", ["db"])
        monitors = {}
        for step in range(steps):
            try:
                roll = generator.random.random()
                if roll < 0.08:
                    method = generator.random.choice(("monitor", "monitor_cond", "monitor_cond"))
                    wild = generator.chance(0.3)
                    generator.names = []
                    params = ["db", f"m{step}", generator.monitor_requests(method != "monitor", wild)]
                    answers = pair.ask(method, params)
                    if answers[0][0].get("error") is None:
                        monitors[f"m{step}"] = (method, params[2])
                elif roll < 0.12 and monitors:
                    name = generator.random.choice(sorted(monitors))
                    method, requests = monitors[name]
                    if method == "monitor_cond":
                        generator.names = []
                        table = generator.random.choice(sorted(requests))
                        pair.ask("monitor_cond_change", [name, name, {table: [{"where": generator.condition(table, generator.chance(0.2))}]}])
                elif roll < 0.13 and monitors:
                    name = generator.random.choice(sorted(monitors) + ["nosuch"])
                    monitors.pop(name, None)
                    pair.ask("monitor_cancel", [name])
                else:
                    answers = pair.ask("transact", ["db", *generator.transaction()])
                    generator.committed(answers[0][0].get("result") or [None])
            except Difference as difference:
                if tolerant is None:
                    raise
                tolerant.append((seed, step, str(difference)))
                # What the servers hold decides whether going on makes sense.
                try:
                    content(pair, generator)
                except Difference as deeper:
                    tolerant.append((seed, step, "CONTENT " + str(deeper)))
                    return
        content(pair, generator)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    found = []
    for seed in range(options.start, options.start + options.seeds):
        try:
            play(seed, options.steps, tolerant=found)
        except Exception as error:  # Shown with its seed; the others are still worth running.
            found.append((seed, -1, f"{type(error).__name__}: {error}"))
    for seed, step, text in found:
        print(f"seed {seed} step {step}: {text}\n")
    print(f"{len(found)} differences in {options.seeds} seeds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
