"""The operator's test modules go by their own names: as `operator.tests.*` they would hide the standard library's."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATOR = "operator/tests"


def test_no_module_of_the_operators_tests_has_the_name_of_another_on_the_path() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert OPERATOR in options["pythonpath"]
    own = {path.stem for path in (ROOT / OPERATOR).glob("*.py")}
    others = [path for folder in options["pythonpath"] if folder != OPERATOR for path in (ROOT / folder).glob("*.py")]
    assert [path.relative_to(ROOT) for path in others if path.stem in own] == []
