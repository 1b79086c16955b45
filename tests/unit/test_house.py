"""The house around the code: what the README tells, the layers, the top level, and CI's own rules."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import sensorflow

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    *("pyproject.toml", "sensorflow", "sensors", "pipelines", "tests", "README.md", "bench", "docs"),
    *("Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "sensorflow.toml"),
}
#: Layers whose place is kept for what a later issue builds.
NOT_BUILT_YET = {"alerts"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def make_commands(document: str) -> list[str]:
    """Return the targets of the `make` lines in a document's code blocks."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return [target for block in blocks for target in re.findall(r"^make (\w+)", block, flags=re.MULTILINE)]


def test_the_version_is_written_once_and_in_the_package() -> None:
    settings = project()
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "sensorflow.__version__"}
    assert "version" not in settings["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", sensorflow.__version__)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_that_is_told_is_a_target(document: str) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    told = make_commands(document)
    assert {"demo", "test"} <= set(told)
    assert set(told) <= targets


def test_every_test_that_the_page_of_rules_names_is_there() -> None:
    named = re.findall(r"`([\w/.]+)::(\w+)`", (ROOT / "tests" / "RULES.md").read_text())
    files = {file: (ROOT / "tests" / file).read_text() for file, _ in named}
    assert len(named) > 200
    assert [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", files[file], flags=re.MULTILINE)
    ] == []


def test_each_row_of_what_peers_get_wrong_has_its_test() -> None:
    text = (ROOT / "tests" / "unit" / "test_product_rows.py").read_text()
    _, *rows = re.split(r"^# (\d+)$", text, flags=re.MULTILINE)
    assert rows[::2] == [str(number) for number in range(1, 21)]
    assert all("def test_" in tests for tests in rows[1::2])


def test_the_readme_shows_the_demos_terminal() -> None:
    (picture,) = re.findall(r"!\[The demo's terminal: [^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert "week_in_review" in (ROOT / picture).read_text()


def test_every_layer_of_the_import_contract_is_there() -> None:
    (contract,) = (c for c in project()["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    assert contract["exhaustive"] is True
    named = {name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")}
    package = ROOT / "sensorflow"
    missing = {n for n in named if not (package / f"{n}.py").is_file() and not (package / n).is_dir()}
    assert missing <= NOT_BUILT_YET


def test_the_top_level_holds_only_what_belongs_there() -> None:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    names = {entry.name for entry in ROOT.iterdir() if not entry.name.startswith(".")}
    strangers = {n for n in names - TOP_LEVEL if not any(fnmatch(n, pattern) for pattern in ignored)}
    assert strangers == set()


def naps(file: Path) -> list[str]:
    """Return where a file sleeps; `asyncio.sleep(0)` only lets others go first."""
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    sleeps = (call for call in calls if ast.unparse(call.func).split(".")[-1] == "sleep")
    return [f"{file}:{call.lineno}" for call in sleeps if [ast.unparse(a) for a in call.args] != ["0"]]


def test_no_test_sleeps() -> None:
    assert [place for file in sorted((ROOT / "tests").rglob("*.py")) for place in naps(file)] == []


def run_in(folder: Path, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, untouched by the `make` that may run this test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=folder, env=inherited | env, capture_output=True, text=True, check=False, timeout=60
    )


def run_pytest(folder: Path, test: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run one test file under this project's conftest."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "conftest.py")
    (folder / "test_it.py").write_text(test)
    return run_in(
        folder, sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", ".",
        CI=ci, PYTHONPATH=str(ROOT),
    )  # fmt: skip


NEEDY = """
import pytest
def test_of_the_moon(): pytest.skip("needs a moon")
@pytest.mark.skipif(True, reason="only on other planets")
def test_of_mars(): pass
def test_of_the_earth(): pass
"""


def test_a_test_skipped_for_want_of_something_fails_ci_by_name(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, NEEDY, ci="true")
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_of_the_moon: needs a moon" in ended.stdout
    assert "test_of_mars" not in ended.stdout
    assert "1 passed, 2 skipped" in ended.stdout.splitlines()[-1]


def test_outside_ci_a_test_may_be_skipped(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, NEEDY, ci="").returncode == pytest.ExitCode.OK


def test_a_module_skipped_for_want_of_something_fails_ci(tmp_path: Path) -> None:
    module = "import pytest\npytest.skip('needs a moon', allow_module_level=True)\n"
    ended = run_pytest(tmp_path, module, ci="true")
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "needs a moon" in ended.stdout


def fresh_copy_of_ci(folder: Path, readme: str, *commands: str) -> Path:
    """Make a project whose `make` only says what it is asked for, and commands of `bin` that do no more."""
    (folder / "bin").mkdir()
    for name in commands:
        (folder / "bin" / name).write_text(f'#!/bin/sh\necho did {name} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "README.md").write_text(readme)
    (folder / "Makefile").write_text(
        "test lint:\n\t@echo did $@ ci=$(CI)\ndemo:\n\t@echo did demo $(ARGS)\n.PHONY: test lint demo\n"
    )
    return folder / ".ci" / "run"


needs_bash_and_make = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("make")), reason="needs bash and make"
)


@needs_bash_and_make
def test_ci_runs_the_test_command_of_the_readme_then_lint_then_demo(tmp_path: Path) -> None:
    readme = "# x\n\nmake test no=1\n\n```sh\nmake demo  # a\nmake test  # b\n```\n"
    run = fresh_copy_of_ci(tmp_path, readme, "chromium")
    ended = run_in(tmp_path, run, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert ended.returncode == 0, ended.stderr
    did = [line for line in ended.stdout.splitlines() if line.startswith("did ")]
    assert did == ["did test ci=true", "did lint ci=true", "did demo --once"]


@needs_bash_and_make
def test_ci_installs_a_browser_where_there_is_none(tmp_path: Path) -> None:
    run = fresh_copy_of_ci(tmp_path, "```\nmake test\n```\n", "apt-get")
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "bin" / "id").chmod(0o755)
    for name in ("awk", "bash", "dirname", "echo", "env", "make", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    ended = run_in(tmp_path, run, PATH=f"{tmp_path}/bin")
    assert ended.returncode == 0, ended.stderr
    assert "did apt-get -qq update\n" in ended.stdout
    assert "install chromium" in ended.stdout.partition("did test")[0]


@needs_bash_and_make
def test_ci_fails_where_the_readme_tells_no_test_command(tmp_path: Path) -> None:
    run = fresh_copy_of_ci(tmp_path, "# x\n\nmake test\n")
    ended = run_in(tmp_path, run)
    assert ended.returncode == 1
    assert "make test" in ended.stderr


@needs_bash_and_make
def test_an_old_python_is_refused_in_words(tmp_path: Path) -> None:
    old = tmp_path / "python2"
    # Runs the recipe's own check, told that it is an old Python.
    pretend = "import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    ended = run_in(tmp_path, "make", "demo", f"PYTHON={old}")
    assert ended.returncode != 0
    assert "python2 is Python 3.9; sensorflow needs 3.11 or newer" in ended.stderr
    assert not (tmp_path / ".venv").exists()


def dangers(file: Path) -> list[str]:
    """Return where a file takes code or objects out of text or bytes, or hands text to a shell."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            found += [(node.lineno, name) for name in names if name.split(".")[0] in _UNSAFE_MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            shells = any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in node.keywords)
            if name in _UNSAFE_CALLS or shells:
                found.append((node.lineno, name))
    return [f"{file.relative_to(ROOT)}:{line}: {name}" for line, name in found]


_UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "yaml", "multiprocessing"}
_UNSAFE_CALLS = {
    *("eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput"),
    *("create_subprocess_shell", "asyncio.create_subprocess_shell"),
}


def test_nothing_that_came_from_outside_is_made_code_or_an_object() -> None:
    files = sorted((ROOT / "sensorflow").rglob("*.py"))
    assert [danger for file in files for danger in dangers(file)] == []


def test_the_search_for_dangers_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "bad.py"
    file.write_text("import pickle\nfrom shelve import open\neval('1')\nsubprocess.run('x', shell=True)\n")
    assert dangers(file) == [
        "bad.py:1: pickle",
        "bad.py:2: shelve",
        "bad.py:3: eval",
        "bad.py:4: subprocess.run",
    ]
