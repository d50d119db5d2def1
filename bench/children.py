"""Child processes of the benchmark: each bounded in time, ended by its own pid, never left behind."""

import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """A child could not do its part; the text says which one and what it printed last."""


def run_json(command, seconds=120):
    """Runs a command that prints one JSON object as its last line; returns it. Raises Failed."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Failed(f"{command[0]} does not exist: build it first") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: no end after {seconds} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip() or done.stdout.strip())[-400:]
        raise Failed(f"{' '.join(command)}: exit {done.returncode}: {last}")
    try:
        return json.loads(lines[-1])
    except json.JSONDecodeError:
        raise Failed(f"{' '.join(command)}: the last line is no JSON: {lines[-1][:200]}") from None


class Service:
    """A child that prints a first line when it is ready and runs until SIGTERM. Use it with `with`."""

    def __init__(self, command, ready_seconds=10):
        command = [str(part) for part in command]
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise Failed(f"{command[0]} does not exist: build it first") from None
        ready, _, _ = select.select([self.process.stdout], [], [], ready_seconds)
        self.first_line = self.process.stdout.readline().strip() if ready else ""
        if not self.first_line:
            end(self.process)
            raise Failed(f"{' '.join(command)}: not ready after {ready_seconds} s")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)


def end(process, seconds=15):
    """Asks a child to end and, when it does not, kills it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def free_port():
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class StandIn:
    """The stand-in server: nginx with its own prefix under `folder`. Use it with `with`; `url` is where it answers."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "nginx"
        self.folder.mkdir()
        if os.geteuid() == 0:
            self.folder.chmod(0o755)
        self.process = None

    def __enter__(self):
        for _ in range(3):
            port = free_port()
            self.url = f"http://127.0.0.1:{port}/step"
            if self._start(port):
                return self
        raise Failed(f"nginx did not start: {self._log()}")

    def __exit__(self, *_):
        end(self.process)

    def _start(self, port):
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not binary:
            raise Failed("nginx is not installed (Debian package: nginx-light)")
        text = (HERE / "nginx.conf").read_text()
        config = self.folder / "nginx.conf"
        config.write_text(text.replace("@PREFIX@", str(self.folder)).replace("@PORT@", str(port)))
        self.process = subprocess.Popen(
            [binary, "-e", self.folder / "error.log", "-p", self.folder, "-c", config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 5
        while self.process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                time.sleep(0.02)
        end(self.process)
        return False

    def _log(self):
        log = self.folder / "error.log"
        return log.read_text()[-400:] if log.exists() else "no log"


def wrk(url, seconds, connections=64):
    """Posts the small hook for some seconds; returns wrk's figures with `per_s`. Raises Failed on any refusal."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "hook.lua", url]
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=seconds + 30)
    except FileNotFoundError:
        raise Failed("wrk is not installed (Debian package: wrk)") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"wrk {url}: no end") from None
    found = [line[5:] for line in done.stdout.splitlines() if line.startswith("json ")]
    if not found:
        raise Failed(f"wrk {url}: {(done.stderr or done.stdout)[-300:]}")
    figures = json.loads(found[0])
    if figures["refused"] or figures["socket_errors"] or not figures["requests"]:
        raise Failed(f"wrk {url}: {figures}")
    figures["per_s"] = figures["requests"] / figures["seconds"]
    return figures
