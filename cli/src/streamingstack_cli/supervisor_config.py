"""supervisord's configuration, rendered purely."""

import configparser
import io
from collections.abc import Sequence
from pathlib import Path

from streamingstack_cli.layout import Layout
from streamingstack_cli.processes import Process, child_path

_STOP_SECONDS = 10
# A start that ends sooner is a failed one; after this many of them a restarting process counts as broken.
_START_SECONDS = 3
_START_RETRIES = 3


def render_supervisor(processes: Sequence[Process], layout: Layout, socket: Path, *, root: bool) -> str:
    """The configuration's text; the last process is stopped first. `root` says that this user is root."""
    config = configparser.RawConfigParser()
    config.optionxform = str  # type: ignore[assignment,method-assign]
    state = layout.state
    config["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(state.log("supervisord")),
        "logfile_maxbytes": "5MB",
        "logfile_backups": "1",
        "pidfile": str(state.run / "supervisord.pid"),
        "childlogdir": str(state.logs),
        "directory": str(state.root),
        **({"user": "root"} if root else {}),
    }
    for priority, process in enumerate(processes, 1):
        config[f"program:{process.name}"] = _program(process, layout, priority)
    for section in config.sections():
        for name, value in config[section].items():
            config[section][name] = value.replace("%", "%%")
    out = io.StringIO()
    config.write(out)
    return out.getvalue()


def _program(process: Process, layout: Layout, priority: int) -> dict[str, str]:
    child = Path(__file__).with_name("child.py")
    return {
        "command": f"{_quoted(layout.python)} -I {_quoted(child)} {_quoted(child_path(process.name, layout))}",
        "priority": str(priority),
        "autostart": "true",
        "autorestart": "true" if process.restarts else "false",
        "startsecs": str(_START_SECONDS if process.restarts else 0),
        "startretries": str(_START_RETRIES if process.restarts else 0),
        "stopsignal": "TERM",
        "stopwaitsecs": str(_STOP_SECONDS),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(layout.state.log(process.name)),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "1",
    }


def _quoted(word: str | Path) -> str:
    escaped = str(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
