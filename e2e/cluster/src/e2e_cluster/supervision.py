"""supervisord keeps the cluster's processes running; its configuration is rendered purely."""

import configparser
import contextlib
import http.client
import io
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from e2e_cluster.errors import ClusterError
from e2e_cluster.pki import write_private
from e2e_cluster.plan import ClusterPlan
from e2e_cluster.programs import Program

_START_SECONDS = 20
_STOP_SECONDS = 60


def supervisor_config(plan: ClusterPlan, programs: Sequence[Program]) -> str:
    """supervisord.conf: nothing starts by itself, what was started is started again when it ends."""
    config = configparser.RawConfigParser()
    config["unix_http_server"] = {"file": str(plan.supervisor_socket), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisord"] = {
        "logfile": str(plan.logs / "supervisord.log"),
        "logfile_maxbytes": "5MB",
        "logfile_backups": "1",
        "pidfile": str(plan.run / "supervisord.pid"),
        "childlogdir": str(plan.logs),
        "directory": "/",
        "user": "root",
        "minfds": "1024",
    }
    for program in programs:
        environment = ",".join(f'{name}="{value}"' for name, value in program.environment.items())
        config[f"program:{program.name}"] = {
            "command": shlex.join(program.argv),
            **({"environment": environment} if environment else {}),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": "0",
            "stopwaitsecs": "3",
            "redirect_stderr": "true",
            "stdout_logfile": str(plan.logs / f"{program.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "1",
        }
    for section in config.sections():
        for name, value in config[section].items():
            config[section][name] = value.replace("%", "%%")
    out = io.StringIO()
    config.write(out)
    return out.getvalue()


class Supervisor:
    """The cluster's supervisord."""

    def __init__(self, plan: ClusterPlan) -> None:
        """Nothing is started yet."""
        self._plan = plan

    def prepare(self, programs: Sequence[Program]) -> None:
        """Have a supervisord with these programs; one with others is replaced, which leaves pods running."""
        text = supervisor_config(self._plan, programs)
        path = self._plan.supervisor_config
        same = path.exists() and path.read_text() == text
        if self.running() and same:
            return
        self.shut_down()
        write_private(path, text)
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.running():
            if time.monotonic() > deadline:
                raise ClusterError(f"supervisord did not start; see {self._plan.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether supervisord answers."""
        return self._ask("getPID") is not None

    def states(self) -> dict[str, str]:
        """supervisord's word for each program: RUNNING, STOPPED, BACKOFF, FATAL ...; empty when it does not run."""
        return {row["name"]: row["statename"] for row in self._ask("getAllProcessInfo") or ()}

    def start(self, name: str) -> None:
        """Start a program that does not run."""
        if self.states().get(name) not in ("RUNNING", "STARTING"):
            self._ask("startProcess", name)

    def stop(self, name: str) -> None:
        """Stop a program that runs."""
        if self.states().get(name) in ("RUNNING", "STARTING", "BACKOFF"):
            self._ask("stopProcess", name)

    def shut_down(self) -> None:
        """Stop all programs and supervisord itself; ClusterError where it will not end."""
        self._ask("shutdown")
        deadline = time.monotonic() + _STOP_SECONDS
        while self._alive():
            if time.monotonic() > deadline:
                raise ClusterError(f"supervisord did not stop; see {self._plan.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def _alive(self) -> bool:
        """Whether there is a process that is supervisord, answering or not."""
        try:
            process = psutil.Process(int((self._plan.run / "supervisord.pid").read_text()))
            return str(self._plan.supervisor_config) in process.cmdline()
        except (OSError, ValueError, psutil.NoSuchProcess):
            return False

    def _ask(self, method: str, *arguments: Any) -> Any:
        socket: Path = self._plan.supervisor_socket
        transport = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode == Faults.SHUTDOWN_STATE:
                    return None
                raise ClusterError(f"supervisord: {method} {arguments}: {fault.faultString}") from fault
        return None
