"""What is too long is named; what is as long as it may be is not."""

from pathlib import Path

import pytest
from sizes import judged, too_long

LINE = "    x = 1\n"


def function(lines: int, name: str = "f", signature: str = "()") -> str:
    return f"def {name}{signature}:\n{LINE * (lines - 1)}"


def annotated(options: int) -> str:
    return "(\n" + "".join(f"    o{number}: Annotated[int, Option()] = 1,\n" for number in range(options)) + ")"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n" * 300, []),
        ("x = 1\n" * 301, ["301 lines, at most 300"]),
        (function(40), []),
        (function(41), ["f has 41 lines, at most 40"]),
        ("async " + function(41), ["f has 41 lines, at most 40"]),
        (f"@wrapped\n{function(40)}", []),
        (f"class C:\n    def m(self):\n{LINE.replace('x', '    x') * 40}", ["m has 41 lines, at most 40"]),
        (function(30) + function(45, "g"), ["g has 45 lines, at most 40"]),
        (function(30, signature="(\n" + "    a,\n" * 30 + ")"), ["f has 61 lines, at most 40"]),
        (function(41, signature=annotated(30)), []),
        (function(42, signature=annotated(30)), ["f has 41 lines, at most 40"]),
    ],
)
def test_lengths(source: str, said: list[str]) -> None:
    assert list(too_long(source)) == said


def test_files_are_named_and_the_list_of_exceptions_holds_no_more_than_it_must(tmp_path: Path) -> None:
    for name, content in (("long.py", function(50)), ("known.py", function(50)), ("mended.py", function(5))):
        (tmp_path / name).write_text(content)
    assert judged(tmp_path, [tmp_path], frozenset({"known.py", "mended.py", "gone.py"})) == [
        "long.py: f has 50 lines, at most 40; split it",
        "mended.py: short enough now; take it off the list in scripts/sizes.py",
        "gone.py: not there; take it off the list in scripts/sizes.py",
    ]
