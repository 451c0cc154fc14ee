"""The daemon as the field's test suites start it: by their name for it, with dummy ports and test controls."""
import os
import subprocess

from .process import run, wait_until
from .switch import find_binaries


class Suite:
    """A daemon by the name of the field's, as its suites have it."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.env = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder, OVS_SYSCONFDIR=folder)
        name = f"{folder}/ovs-vswitchd"
        os.symlink(f"{find_binaries()}/apusd", name)
        command = [name, "--enable-dummy", "--disable-system", "--disable-system-route", "--detach", "--no-chdir", "--pidfile", "--log-file",
                   "-vvconn", "-vofproto_dpif", "-vunixctl", *options]
        self.started = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=30, cwd=folder)
        self.pid = None
        if self.started.returncode == 0:
            with open(f"{folder}/ovs-vswitchd.pid") as file:
                self.pid = int(file.read())

    def appctl(self, *words, check=True):
        done = run(["ovs-appctl", "-t", "ovs-vswitchd", *words], env=self.env, check=check)
        return done.stdout if check else done

    def vsctl(self, *words):
        return run(["ovs-vsctl", *words], env=self.env).stdout

    def ofctl(self, *words):
        return run(["ovs-ofctl", *words], env=self.env).stdout

    def bridge(self, *ports):
        self.vsctl("--", "add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy", "other-config:datapath-id=fedcba9876543210",
                   "other-config:hwaddr=aa:55:aa:55:00:00", "protocols=[OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15]",
                   "fail-mode=secure")
        for number in ports:
            self.vsctl("add-port", "br0", f"p{number}", "--", "set", "Interface", f"p{number}", "type=dummy", f"ofport_request={number}")

    def log(self):
        with open(f"{self.folder}/ovs-vswitchd.log") as file:
            return file.read()

    def stop(self):
        if self.pid and os.path.exists(f"/proc/{self.pid}"):
            self.appctl("exit")
            wait_until(lambda: not os.path.exists(f"/proc/{self.pid}"), 15, "the daemon ends")
