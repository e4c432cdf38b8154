"""Keeps modules and functions short enough to be read at a sitting: `python scripts/sizes.py PATH...`.

A module has at most 300 lines, a function at most 40, with its signature. The options of a command are its help page
and may be as many as it needs: of a function with `Annotated` parameters only what follows the signature counts.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_OF_A_MODULE = 300
MOST_OF_A_FUNCTION = 40

ROOT = Path(__file__).parents[1]
# To be split when they are next changed; a file that has become short enough has to leave this list.
LONGER: frozenset[str] = frozenset()
_GENERATED = "packages/asr_contract/src/streamingstack"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(source: str) -> Iterator[str]:
    """What is too long in a module with this source: `N lines, at most 300`, or `NAME has N lines, at most 40`."""
    lines = len(source.splitlines())
    if lines > MOST_OF_A_MODULE:
        yield f"{lines} lines, at most {MOST_OF_A_MODULE}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and (length := length_of(node)) > MOST_OF_A_FUNCTION:
            yield f"{node.name} has {length} lines, at most {MOST_OF_A_FUNCTION}"


def length_of(function: Function) -> int:
    """Lines from its `def`, or from its first statement where its parameters are a command's options."""
    first = function.body[0].lineno if _has_options(function) else function.lineno
    assert function.end_lineno is not None
    return function.end_lineno - first + 1


def _has_options(function: Function) -> bool:
    given = [argument.annotation for argument in (*function.args.args, *function.args.kwonlyargs)]
    return any(isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Annotated" for kind in given)


def judged(root: Path, paths: Sequence[Path], longer: frozenset[str]) -> list[str]:
    """One line for each thing that is wrong in the Python files at and below `paths`."""
    found: list[str] = []
    seen: set[str] = set()
    for file in sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))):
        name = file.resolve().relative_to(root).as_posix()
        if name.startswith(_GENERATED):
            continue
        seen.add(name)
        wrong = [f"{name}: {what}; split it" for what in too_long(file.read_text())]
        if name not in longer:
            found += wrong
        elif not wrong:
            found.append(f"{name}: short enough now; take it off the list in scripts/sizes.py")
    found += [f"{name}: not there; take it off the list in scripts/sizes.py" for name in sorted(longer - seen)]
    return found


def main() -> int:
    """Judge the files at and below the arguments."""
    wrong = judged(ROOT, [Path(path) for path in sys.argv[1:]], LONGER)
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
