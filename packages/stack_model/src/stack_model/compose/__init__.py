"""A StreamingStack as a Docker Compose project."""

from stack_model.compose.errors import ComposeError
from stack_model.compose.project import ComposeProject, render_compose

__all__ = ["ComposeError", "ComposeProject", "render_compose"]
