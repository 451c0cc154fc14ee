"""Child processes with their output in a file, and waiting for conditions instead of sleeping."""
import os
import signal
import subprocess
import time


class HarnessError(Exception):
    """Something outside the test's own assertions went wrong; the text says what and where to look."""


# Whoever waits for a state waits at least so long: the machine may be busy with something else, and who does not wait in vain
# does not wait longer for it.
PATIENCE = 60


def wait_until(condition, seconds, what, interval=0.05, alive=None):
    """Polls `condition` until it returns something true and returns that; after `seconds`, or PATIENCE, fails and names `what`.

    `what` may be a callable: it is called at the end, to tell what was seen last. `alive` is a `Child` that must not
    end meanwhile.
    """
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if alive is not None and alive.returncode() is not None:
            raise HarnessError(f"{alive.name} ended with status {alive.returncode()} while waiting for {_text(what)}\n{alive.tail()}")
        if time.monotonic() > deadline:
            raise HarnessError(f"not within {seconds} s: {_text(what)}")
        time.sleep(interval)


def _text(what):
    return what() if callable(what) else what


class Child:
    """One process this harness started; it is ended by its process id, and its output can be read at any time."""

    def __init__(self, command, log_path, env=None, name=None, stdin=subprocess.DEVNULL, **options):
        self.command = [str(word) for word in command]
        self.name = name or os.path.basename(self.command[0])
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=stdin, env=env, **options)

    @property
    def pid(self):
        return self.process.pid

    def returncode(self):
        return self.process.poll()

    def output(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode(errors="replace")

    def tail(self, lines=40):
        return "\n".join(self.output().splitlines()[-lines:])

    def stop(self, seconds=15, how=signal.SIGTERM):
        """Asks the process to end, waits, kills it if it will not; returns its status (negative: a signal ended it)."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def kill(self):
        return self.stop(how=signal.SIGKILL)


def run(command, env=None, timeout=60, check=True, stdin=None):
    """Runs a command to its end. Returns the finished process, output as text; fails with its error text if `check`."""
    command = [str(word) for word in command]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, input=stdin, errors="replace")
    if check and done.returncode:
        words = " ".join(command)
        raise HarnessError(f"{words[:400]}\n  status {done.returncode}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done


def processor_seconds(pid):
    """Processor time of a process's threads that are there, by the kernel's own account."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as text:
            total += int(text.read().split()[0])
    return total / 1e9


def resident_bytes(pid):
    """Resident memory of a process; hugepages are not part of it."""
    with open(f"/proc/{pid}/statm") as text:
        return int(text.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def ensure_hugepages(free_pages):
    """Makes sure that so many 2 MiB pages are free, and that they can be had as files. Returns whether they are."""
    base = "/sys/kernel/mm/hugepages/hugepages-2048kB"
    try:
        free = _number(f"{base}/free_hugepages")
        if free < free_pages:
            with open(f"{base}/nr_hugepages", "w") as pages:
                pages.write(str(_number(f"{base}/nr_hugepages") + free_pages - free))
        if not os.path.ismount("/dev/hugepages"):
            os.makedirs("/dev/hugepages", exist_ok=True)
            subprocess.run(["mount", "-t", "hugetlbfs", "hugetlbfs", "/dev/hugepages"], check=True)
        return _number(f"{base}/free_hugepages") >= free_pages
    except (OSError, subprocess.CalledProcessError):
        return False


def _number(path):
    with open(path) as file:
        return int(file.read())
