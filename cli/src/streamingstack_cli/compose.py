"""`streamingstack render --target compose`: a Compose project, printed or written into a folder."""

from pathlib import Path

from stack_model.compose import ComposeError, ComposeProject, render_compose

from streamingstack_cli.errors import CommandError
from streamingstack_cli.prepare import read_stack

COMPOSE_FILE = "compose.yaml"
ENV_EXAMPLE = ".env.example"


def compose_project(stack_file: Path) -> ComposeProject:
    """The project of a file's stack; raises CommandError."""
    try:
        return render_compose(read_stack(stack_file))
    except ComposeError as refused:
        raise CommandError(f"{stack_file}: {refused}", 2) from None


def write_compose(stack_file: Path, folder: Path) -> str:
    """Writes both files, made anew; what to do next as lines to print. Raises CommandError."""
    project = compose_project(stack_file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COMPOSE_FILE).write_text(project.compose_yaml)
        (folder / ENV_EXAMPLE).write_text(project.env_example)
    except OSError as failure:
        raise CommandError(f"{failure.filename or folder}: {failure.strerror}; choose another --output") from None
    return (
        f"{folder / COMPOSE_FILE} and {folder / ENV_EXAMPLE} are written.\n"
        f"Put the licence and keys that {ENV_EXAMPLE} names beside them, copy it to .env where something differs, "
        "then run:\n"
        f"  docker compose --project-directory {folder} up --wait\n"
    )
