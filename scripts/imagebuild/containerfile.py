"""What a Containerfile says, as data; pure."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

_ARGUMENT = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    word: str
    text: str
    line: int


@dataclass(frozen=True)
class Stage:
    """One FROM and what follows; `base` has its ARGs resolved, and is a stage's name where there is one."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        """The stage's instructions of this kind."""
        return [instruction for instruction in self.instructions if instruction.word == word]


@dataclass(frozen=True)
class Containerfile:
    """All stages, in order, and the ARGs before them."""

    stages: tuple[Stage, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)

    def stage(self, target: str | None) -> Stage:
        """The stage of this name, the last one where it is None; raises ValueError."""
        if target is None:
            return self.stages[-1]
        for stage in self.stages:
            if stage.name == target:
                return stage
        raise ValueError(f"no stage {target}")

    def reached(self, target: str | None) -> list[Stage]:
        """The stages that building `target` needs, itself last."""
        names = {stage.name: stage for stage in self.stages}
        found: list[Stage] = []

        def visit(stage: Stage) -> None:
            if stage in found:
                return
            for name in (stage.base, *_copied_from(stage)):
                if name in names:
                    visit(names[name])
            found.append(stage)

        visit(self.stage(target))
        return found

    def base(self, target: str | None) -> str:
        """The image from outside that the layers of `target` lie on."""
        stages = {stage.name: stage for stage in self.stages}
        base = self.stage(target).base
        while base in stages:
            base = stages[base].base
        return base

    def bases(self, target: str | None) -> list[str]:
        """The images from outside that building `target` needs."""
        own = {stage.name for stage in self.stages}
        return sorted({stage.base for stage in self.reached(target)} - own)

    def sources(self, target: str | None) -> list[str]:
        """The paths of the repository that building `target` copies."""
        copies = [copy for stage in self.reached(target) for copy in stage.all("COPY")]
        paths = [path for copy in copies if "--from=" not in copy.text for path in _words(copy)[:-1]]
        return sorted({path.rstrip("/") for path in paths})


def parse_containerfile(text: str, build_args: Mapping[str, str] | None = None) -> Containerfile:
    """Read a Containerfile, its ARGs set by `build_args`; raises ValueError where an instruction precedes all FROMs."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            words = instruction.text.split()
            name = words[2] if len(words) == 3 else str(len(stages))
            stages.append(Stage(name, _resolve(words[0], arguments), ()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.instructions, instruction))
        elif instruction.word == "ARG":
            key, _, value = instruction.text.partition("=")
            arguments[key] = (build_args or {}).get(key, value)
        else:
            raise ValueError(f"line {instruction.line}: {instruction.word} before FROM")
    if not stages:
        raise ValueError("no FROM")
    return Containerfile(tuple(stages), arguments)


def _instructions(text: str) -> list[Instruction]:
    found, begun, parts = [], 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not parts and not line.strip()):
            continue
        begun = begun if parts else number
        parts += line.rstrip("\\").strip() + " "
        if not line.endswith("\\"):
            word, _, rest = parts.strip().partition(" ")
            found.append(Instruction(word.upper(), rest.strip(), begun))
            parts = ""
    return found


def _resolve(text: str, arguments: dict[str, str]) -> str:
    return _ARGUMENT.sub(lambda match: arguments.get(match[1] or match[2], ""), text)


def _copied_from(stage: Stage) -> list[str]:
    return [match[1] for copy in stage.all("COPY") if (match := re.search(r"--from=(\S+)", copy.text))]


def _words(copy: Instruction) -> list[str]:
    return [word for word in shlex.split(copy.text) if not word.startswith("--")]
