"""Generates the gRPC stubs from `protos/` whenever this package is built, so that no generated file is committed."""

from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateStubs(BuildHookInterface):  # type: ignore[misc]
    """Runs protoc over every .proto of the repository into `src/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate messages, type stubs and services; raises RuntimeError when protoc refuses a file."""
        from grpc_tools import protoc

        here = Path(self.root)
        protos = here.parent.parent / "protos"
        if not protos.is_dir():
            return
        well_known = str(resources.files("grpc_tools") / "_proto")
        sources = [str(path) for path in sorted(protos.rglob("*.proto"))]
        out = here / "src"
        outputs = [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
        status = protoc.main(["protoc", f"-I{protos}", f"-I{well_known}", *outputs, *sources])
        if status != 0:
            raise RuntimeError(f"protoc failed on {sources}")
