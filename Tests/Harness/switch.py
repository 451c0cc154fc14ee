"""A switch under test: Apus, or Debian's Open vSwitch with DPDK as the reference.

Both are driven by the same clients over the same sockets, so that what a test expects of Apus can be held against
the reference first. Each instance has a run directory of its own, short enough for a socket's path.
"""
import json
import os
import re
import shutil
import signal
import tempfile

from .jsonrpc import JsonRpc, select
from .process import Child, HarnessError, ensure_hugepages, run, wait_until

OVS_DPDK = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def find_binaries():
    """The folder of the built binaries: $APUS_BIN, else the release build, else the debug build."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.environ.get("APUSD"):
        return os.path.dirname(os.path.abspath(os.environ["APUSD"]))
    for folder in (os.environ.get("APUS_BIN"), f"{root}/.build/release", f"{root}/.build/debug"):
        if folder and os.access(f"{folder}/apusd", os.X_OK):
            return os.path.abspath(folder)
    raise HarnessError("no apusd: build it with make release, or name the folder of the binaries in APUS_BIN")


class Switch:
    """One running switch. `start`, use, `stop`; `kill9` and `start` again on the same directory."""

    # how many times the usual to wait for clients, on a machine that may be busy with something else
    patience = 1

    def __init__(self, kind="apus", binaries=None, directory=None, other_config=None, arguments=(), hugepages=False, memory=512, log_level="info"):
        self.kind = kind
        self.binaries = binaries or (find_binaries() if kind == "apus" else None)
        self.directory = directory or tempfile.mkdtemp(prefix="ap", dir="/tmp")
        self.own_directory = directory is None
        self.other_config = dict(other_config or {})
        self.arguments = list(arguments)
        self.hugepages, self.memory = hugepages, memory
        self.log_level = log_level
        self.env = dict(os.environ, OVS_RUNDIR=self.directory, OVS_LOGDIR=self.directory, OVS_DBDIR=self.directory)
        self.daemon = None
        self.database_server = None
        self.statuses = []

    # Life

    def start(self, wait=True):
        if self.kind == "ovs":
            self._start_ovs()
        else:
            self._start_apus(wait)
        return self

    def _start_apus(self, wait):
        command = [f"{self.binaries}/apusd", "--rundir", self.directory, "--log-level", self.log_level, *self.arguments]
        self.daemon = Child(command, self.path("apusd.out"), env=self.env, name="apusd")
        if not wait:
            return
        wait_until(self._answers, 20, f"{self.directory}/db.sock answers", alive=self.daemon)
        options = dict(self.other_config)
        if self.hugepages:
            ensure_hugepages(self.memory // 2 + 128)
            options.setdefault("dpdk-socket-mem", str(self.memory))
            options.setdefault("dpdk-extra", f"--no-pci --file-prefix={os.path.basename(self.directory)}")
            options.setdefault("dpdk-init", "true")
        self.set_other_config(options)

    def _answers(self):
        try:
            with JsonRpc(self.db_socket, 2) as connection:
                return "Open_vSwitch" in connection.call("list_dbs", [])
        except (OSError, HarnessError):
            return False

    def _start_ovs(self):
        pages = self.memory // 2 + 128
        if not ensure_hugepages(pages):
            raise HarnessError(f"OVS-DPDK needs {pages} free hugepages of 2 MiB, and they cannot be had here")
        if not os.path.exists(self.path("conf.db")):
            run(["ovsdb-tool", "create", self.path("conf.db"), OVS_SCHEMA])
        self.database_server = Child(
            ["ovsdb-server", self.path("conf.db"), f"--remote=punix:{self.db_socket}", f"--pidfile={self.path('ovsdb-server.pid')}"],
            self.path("ovsdb-server.out"), env=self.env)
        wait_until(self._answers, 20, f"{self.db_socket} answers", alive=self.database_server)
        # Ports by net_pcap and vhost need no PCI; a prefix of its own keeps two switches on one machine apart.
        options = {"pmd-cpu-mask": "0x2", "dpdk-lcore-mask": "0x1", "dpdk-socket-mem": str(self.memory),
                   "dpdk-extra": f"--no-pci --file-prefix={os.path.basename(self.directory)}", "dpdk-init": "true"}
        options.update(self.other_config)
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *[f"other_config:{key}=\"{value}\"" for key, value in options.items()])
        self.daemon = Child([OVS_DPDK, f"unix:{self.db_socket}", f"--pidfile={self.path('ovs-vswitchd.pid')}",
                             f"--unixctl={self.path(f'ovs-vswitchd.{os.getpid()}.ctl')}"], self.path("ovs-vswitchd.out"), env=self.env)
        self.unixctl_override = self.path(f"ovs-vswitchd.{os.getpid()}.ctl")
        wait_until(lambda: self.get("Open_vSwitch", ".", "dpdk_initialized") == "true", 30, "OVS initialised DPDK", alive=self.daemon)

    def stop(self):
        """Ends the daemon by SIGTERM; returns its exit status. The directory stays until `remove`."""
        status = None
        if self.daemon:
            if self.kind == "ovs":
                # Its tap devices are persistent: ended by a signal, it leaves them behind.
                run(["ovs-appctl", "-t", self.unixctl_socket, "exit", "--cleanup"], env=self.env, check=False)
            status = self.daemon.stop(20 * self.patience)
            self.statuses.append(status)
            self.daemon = None
        if self.database_server:
            self.database_server.stop()
            self.database_server = None
        return status

    def kill9(self):
        """Ends the daemon (and the reference's database) as a crash would."""
        for child in (self.daemon, self.database_server):
            if child:
                child.kill()
        self.daemon = self.database_server = None

    def remove(self):
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.remove()

    def log(self):
        text = ""
        for name in ("ovsdb-server.out", "ovs-vswitchd.out", "apusd.out"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as log:
                    text += f"--- {name}\n{log.read()}"
        return text

    # Paths

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def db_socket(self):
        return self.path("db.sock")

    @property
    def unixctl_socket(self):
        if self.kind == "ovs":
            return self.unixctl_override
        return self.path(f"apusd.{self.daemon.pid}.ctl")

    # Clients

    def vsctl(self, *words, check=True, timeout=20):
        """Debian's ovs-vsctl, which waits for the switch. Returns its output without the last newline; with check=False all of it."""
        seconds = timeout * self.patience
        done = run(["ovs-vsctl", f"--timeout={seconds}", f"--db=unix:{self.db_socket}", *words], env=self.env, check=check, timeout=seconds + 10)
        return done.stdout.rstrip("\n") if check else done

    def get(self, table, record, column):
        return self.vsctl("--no-wait", "get", table, record, column)

    def set_other_config(self, options):
        if options:
            self.vsctl("set", "Open_vSwitch", ".", *[f"other_config:{key}=\"{value}\"" for key, value in options.items()])

    def ofctl(self, *words, bridge="br0", check=True, version=None, timeout=60, stdin=None):
        """Debian's ovs-ofctl: the first word that is no option is the command, the bridge's socket follows it."""
        options = [word for word in words if str(word).startswith("-") and word != "-"]
        rest = [word for word in words if word not in options]
        if version:
            options = ["-O", version, *options]
        command = ["ovs-ofctl", *options, rest[0], f"unix:{self.path(bridge + '.mgmt')}", *rest[1:]]
        done = run(command, env=self.env, check=check, timeout=timeout * self.patience, stdin=stdin)
        return done.stdout if check else done

    def appctl(self, *words, check=True):
        done = run(["ovs-appctl", "-t", self.unixctl_socket, *words], env=self.env, check=check)
        return done.stdout if check else done

    def ovsdb_client(self, command, *words, check=True, options=()):
        done = run(["ovsdb-client", *options, command, f"unix:{self.db_socket}", *words], env=self.env, check=check)
        return done.stdout if check else done

    def apusctl(self, *words, check=True, timeout=30):
        done = run([f"{self.binaries}/apusctl", "--rundir", self.directory, *words], env=self.env, check=check, timeout=timeout * self.patience)
        return done.stdout if check else done

    def apusctl_json(self, *words):
        return json.loads(self.apusctl("--json", *words))

    def rpc(self):
        return JsonRpc(self.db_socket)

    def rows(self, table, where=(), columns=None):
        return select(self.db_socket, table, where, columns)

    def interface(self, name):
        rows = self.rows("Interface", [["name", "==", name]])
        if len(rows) != 1:
            raise HarnessError(f"{len(rows)} rows of Interface are named {name}")
        return rows[0]

    # Configuration

    def add_bridge(self, name="br0", secure=False):
        words = ["add-br", name, "--", "set", "bridge", name, "datapath_type=netdev"]
        if secure:
            words.append("fail_mode=secure")
        self.vsctl(*words)
        wait_until(lambda: os.path.exists(self.path(f"{name}.mgmt")), 10, f"{name}.mgmt", alive=self.daemon)

    def add_port(self, name, kind=None, bridge="br0", ofport=None, check=True, **options):
        """Adds a port; an option `n_rxq` becomes options:n_rxq, and `vhost_server_path` options:vhost-server-path."""
        words = ["add-port", bridge, name, "--", "set", "Interface", name]
        if kind:
            words.append(f"type={kind}")
        if ofport:
            words.append(f"ofport_request={ofport}")
        for key, value in options.items():
            key = key if key == "n_rxq" or key.startswith("n_") else key.replace("_", "-")
            words.append(f"options:{key}=\"{value}\"")
        if len(words) == 7 - 1:
            words = words[:3]
        return self.vsctl(*words, check=check)

    def add_pcap_source(self, name, ofport, capture, infinite=True, bridge="br0"):
        """A dpdk port that receives a capture; for ever when `infinite`."""
        devargs = f"net_pcap{name},rx_pcap={capture}" + (",infinite_rx=1" if infinite else "")
        self.add_port(name, "dpdk", bridge=bridge, ofport=ofport, dpdk_devargs=devargs)

    def add_null_sink(self, name, ofport, bridge="br0"):
        self.add_port(name, "dpdk", bridge=bridge, ofport=ofport, dpdk_devargs=f"net_null{name},no-rx=1,size=64")

    # Reading

    def port_stats(self, bridge="br0"):
        """OpenFlow port statistics by port number or name: {'1': {'rx_packets': ..., 'tx_drop': ...}}."""
        stats = {}
        text = self.ofctl("dump-ports", bridge=bridge, version="OpenFlow13")
        for found in re.finditer(r"port\s+\"?([^\s:\"]+)\"?: rx (.*?)\n\s+tx (.*?)(?:\n|$)", text):
            name, rx, tx = found.groups()
            entry = {}
            for side, part in (("rx", rx), ("tx", tx)):
                for key, value in re.findall(r"(\w+)=(\d+|\?)", part):
                    entry[f"{side}_{ {'pkts': 'packets', 'errs': 'errors'}.get(key, key) }"] = None if value == "?" else int(value)
            stats[name] = entry
        return stats

    def flow_packets(self, match, bridge="br0", version=None):
        """The packet counters of the flows that a match selects, added up."""
        text = self.ofctl("dump-flows", match, bridge=bridge, version=version)
        return sum(int(value) for value in re.findall(r"n_packets=(\d+)", text))

    def statistics(self, name):
        return self.interface(name)["statistics"]

    def wait_link(self, name, up=True, seconds=20):
        """Waits until the switch sees the guest at a vhost-user port come (or go)."""
        wanted = "up" if up else "down"
        wait_until(lambda: self.interface(name)["link_state"] == wanted, seconds, f"link_state of {name} is {wanted}", alive=self.daemon)

    def signal(self, number=signal.SIGTERM):
        self.daemon.process.send_signal(number)
