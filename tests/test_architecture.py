"""The rules of the house, read from the imports themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("phantom", "instrument", "analysis", "validation")


def imports(stage):
    """(module, imported top-level stage, its submodule) of every import in a stage."""
    for path in (ROOT / stage).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                parts = name.split(".")
                if parts[0] in STAGES:
                    yield path.name, parts[0], parts[1] if len(parts) > 1 else ""


def test_phantom_imports_no_other_stage():
    assert not list(imports("phantom"))


def test_instrument_imports_only_phantom():
    assert {stage for _, stage, _ in imports("instrument")} == {"phantom"}


def test_analysis_sees_only_measurement_and_attenuation():
    seen = {(stage, module) for name, stage, module in imports("analysis") if name != "__init__.py"}
    assert seen == {("instrument", "measurement"), ("instrument", "attenuation")}


def test_only_one_module_imports_xraylib():
    found = [path for stage in STAGES for path in (ROOT / stage).rglob("*.py") if "import xraylib" in path.read_text()]
    assert [path.name for path in found] == ["attenuation.py"]


def test_nothing_loads_code_or_the_global_generator():
    for stage in STAGES:
        for path in (ROOT / stage).rglob("*.py"):
            text = path.read_text()
            for word in ("pickle", "eval(", "exec(", "np.random.seed", "np.random.rand", "np.random.normal", "np.random.poisson"):
                assert word not in text, f"{path}: {word}"


@pytest.mark.parametrize("intruder", ["phantom", "instrument", "analysis"])
def test_a_users_own_package_is_named_in_one_line(tmp_path, intruder):
    (tmp_path / intruder).mkdir()
    (tmp_path / intruder / "__init__.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import validation"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert intruder in last
    assert "rename" in last
