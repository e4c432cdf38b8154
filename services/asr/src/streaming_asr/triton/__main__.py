"""Triton in a container: `python -m streaming_asr.triton` becomes tritonserver, configured by its environment."""

import os
import secrets
import sys

from service_kit.settings import load_settings

from streaming_asr.triton.launch import TritonMissingError, find_triton, prepare_backends, triton_command
from streaming_asr.triton.repository import repository_for
from streaming_asr.triton.settings import TritonSettings


def main() -> None:
    """Never returns: this process is Triton afterwards. Exits 2 with one line where the environment is wrong."""
    settings = load_settings(TritonSettings)
    try:
        files = find_triton(settings.root)
        backends = prepare_backends(files, settings.state)
        models = repository_for(settings.device, settings.model_repository, settings.state / "model_repository")
        command = triton_command(settings.plan(models, secrets.token_hex(16)), files, backends, os.environ)
        os.execve(command.argv[0], command.argv, command.environment)  # noqa: S606 - no shell is wanted
    except (OSError, ValueError, TritonMissingError) as failure:
        sys.stderr.write(f"cannot start Triton: {failure}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
