"""The set-up: the lists of packages agree, and start.py never takes half an environment for a whole one."""
import ast
import errno
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LEARNERS = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["lab"]]
TESTERS = [Requirement(line) for line in PROJECT["optional-dependencies"]["test"]]
REQUIREMENTS = LEARNERS + TESTERS


def load_start():
    spec = importlib.util.spec_from_file_location("start", ROOT / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the three lists in step --------------------------------------------------------------------------------


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    found = [re.fullmatch(r"([\w.-]+)==([\w.+]+)", line).groups() for line in lines]
    assert len(dict(found)) == len(found), "a name stands twice in constraints.txt"
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_requirement_is_a_range_with_one_tested_version_in_it(requirement):
    version = pins()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert load_start().is_met(str(requirement).replace(" ", ""), lambda name: version)
    operators = sorted(bound.operator for bound in requirement.specifier)
    assert operators in ([">="], ["<", ">="]), "start.py --here reads lower and upper bounds only"


def test_torch_and_torchvision_begin_together():
    ranges = {requirement.name: str(requirement.specifier) for requirement in REQUIREMENTS}
    # torchvision 0.26.0 asks for exactly torch 2.11.0
    assert (ranges["torch"], ranges["torchvision"]) == (">=2.11", ">=0.26")


def test_python_versions_agree_everywhere():
    start = load_start()
    wanted = SpecifierSet(PROJECT["requires-python"])
    minors = [minor for minor in range(20) if f"3.{minor}" in wanted]
    assert minors == list(range(start.OLDEST[1], start.NEWEST[1] + 1))
    conda = next(line for line in conda_environment() if str(line).startswith("python"))
    assert SpecifierSet(conda.removeprefix("python")) == wanted
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"{start.OLDEST} <= sys.version_info[:2] <= {start.NEWEST}" in ci
    for minor in minors:
        assert f"3.{minor}" in start.WRONG_PYTHON


def conda_environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def test_conda_installs_what_start_py_installs():
    start = load_start()
    [pip_lines] = [line["pip"] for line in conda_environment() if isinstance(line, dict)]
    editable = start.pip_install(["lab"])[-1]
    assert pip_lines == ["--constraint constraints.txt", f"--editable {editable}"]
    others = [line for line in conda_environment() if not isinstance(line, dict)]
    assert [re.match(r"\w+", line).group() for line in others] == ["python", "pip"]


def test_learners_do_not_install_the_tests():
    assert not {requirement.name for requirement in LEARNERS} & {requirement.name for requirement in TESTERS}


# --- start.py with pip played by the test -------------------------------------------------------------------


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py as a module, at work in an empty course; its pip is `start.pip`, for the test to replace."""
    module = load_start()
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "course_lib").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start_here.ipynb").write_text("{}")
    folder = tmp_path / ".venv"
    for name, value in {"ROOT": str(tmp_path), "VENV": str(folder),
                        "STAMP": str(folder / "noise-to-image.json"), "IMPORTS": ["sys"]}.items():
        monkeypatch.setattr(module, name, value)

    def run_module(python, name, arguments, locks, what):
        if name == "venv":
            venv.create(arguments[0], with_pip=False)
        else:
            module.calls.append((python, arguments))
            module.pip()

    module.calls = []
    module.pip = lambda: None
    monkeypatch.setattr(module, "run_module", run_module)
    monkeypatch.setattr(module, "open_lab", lambda options: 0)
    monkeypatch.setattr(module, "run_tests", lambda options, arguments: 0)
    module.folder = folder
    return module


def broken_off(start, kind=None):
    def pip():
        raise kind or start.Failure(start.explain("Network is unreachable", "Installing"))
    return pip


def test_the_stamp_is_whole_only_after_the_install(start):
    seen = []
    start.pip = lambda: seen.append(start.read_stamp())
    assert start.main([]) == 0
    assert seen == [{"whole": False}]
    assert start.read_stamp()["whole"] is True
    [(python, arguments)] = start.calls
    assert python == start.venv_python()
    assert arguments[-4:] == ["--editable", ".[lab]", "--constraint", "constraints.txt"]


def test_a_second_run_calls_no_pip(start):
    start.main([])
    assert start.main([]) == 0
    assert len(start.calls) == 1


def test_lab_asks_nothing_and_saves_its_widgets(start):
    start.main([])
    settings = json.loads((start.folder / "share/jupyter/lab/settings/overrides.json").read_text())
    assert settings == {"@jupyterlab/apputils-extension:notification":
                        {"fetchNews": "false", "checkForUpdates": False},
                        "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}


@pytest.mark.parametrize("kind, status, words", [
    (None, 1, "network"),
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "the disk is full"),
    (KeyboardInterrupt(), 130, "Stopped"),
])
def test_an_install_that_breaks_off_leaves_nothing(start, capsys, kind, status, words):
    start.pip = broken_off(start, kind)
    assert start.main([]) == status
    sentence = capsys.readouterr().err.strip()
    assert words in sentence and "`python start.py`" in sentence and len(sentence.splitlines()) == 1
    assert [path.name for path in start.folder.parent.iterdir() if path.name.startswith(".venv")] == []


@pytest.mark.parametrize("stamp", ['{"whole": false}', '{"whole": tr', "", "[]"])
def test_a_half_made_environment_is_made_anew(start, stamp):
    start.folder.mkdir()
    (start.folder / "noise-to-image.json").write_text(stamp)
    (start.folder / "half").touch()
    assert start.main([]) == 0
    assert not (start.folder / "half").exists()
    assert start.read_stamp()["whole"] is True


def test_somebody_elses_environment_is_kept(start, capsys):
    start.folder.mkdir()
    (start.folder / "theirs").touch()
    assert start.main([]) == 0
    assert "not made by start.py" in capsys.readouterr().out
    assert (start.folder.parent / ".venv.kept1" / "theirs").exists()
    assert start.read_stamp()["whole"] is True


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_update_in_place(start, name):
    start.main([])
    (start.folder / "old").touch()
    with open(start.folder.parent / name, "a") as file:
        file.write("\n# changed\n")
    assert start.main([]) == 0
    assert len(start.calls) == 2 and (start.folder / "old").exists()
    assert start.main([]) == 0
    assert len(start.calls) == 2


def test_the_tests_add_what_they_need_and_a_learner_keeps_it(start):
    start.main([])
    assert start.main(["test"]) == 0
    assert [arguments[-3] for _, arguments in start.calls] == [".[lab]", ".[lab,test]"]
    assert start.main([]) == 0 and start.main(["test"]) == 0
    assert len(start.calls) == 2


@pytest.mark.parametrize("changed", [False, True])
def test_an_update_that_breaks_off(start, changed):
    """Until pip changes something, the old environment counts and the next run tries again; then no more."""
    start.main([])
    (start.folder / "old").touch()
    packages = Path(start.ask("sysconfig.get_path('purelib')"))
    assert packages.is_relative_to(start.folder)
    os.utime(packages, (0, 0))  # installed long ago
    fail = broken_off(start)

    def pip():
        if changed:
            (packages / "half").touch()
        fail()

    start.pip = pip
    assert start.main(["test"]) == 1
    assert start.read_stamp()["whole"] is not changed
    start.pip = lambda: None
    assert start.main(["test"]) == 0
    assert (start.folder / "old").exists() is not changed


def test_a_moved_or_copied_folder_gets_its_own_environment(start, tmp_path_factory):
    start.main([])
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    start.write_stamp(dict(start.read_stamp(), folder=str(elsewhere)))
    (start.folder / "old").touch()
    assert start.main([]) == 0
    assert not (start.folder / "old").exists()


def test_an_environment_whose_python_is_gone_or_another_is_made_anew(start):
    start.main([])
    os.remove(start.venv_python())
    assert start.main([]) == 0
    start.write_stamp(dict(start.read_stamp(), python="3.10"))
    assert start.main([]) == 0
    assert len(start.calls) == 3


def test_no_room_is_said_before_anything_is_made(start, monkeypatch, capsys):
    monkeypatch.setattr(start.shutil, "disk_usage", lambda path: SimpleNamespace(free=3e8))
    assert start.main([]) == 1
    assert "0.3 GB free" in capsys.readouterr().err and not start.folder.exists()


def test_a_python_without_venv(start, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert start.main([]) == 1
    assert f"python3.{sys.version_info.minor}-venv" in capsys.readouterr().err and not start.folder.exists()


def test_packages_that_do_not_import_are_not_taken_for_whole(start, monkeypatch, capsys):
    monkeypatch.setattr(start, "IMPORTS", ["no_such_library"])
    assert start.main([]) == 1
    assert "No module named 'no_such_library'" in capsys.readouterr().err
    assert not start.folder.exists()


@pytest.mark.parametrize("name", ["notebooks/00_start_here.ipynb", "constraints.txt"])
def test_an_incomplete_checkout(start, capsys, name):
    (start.folder.parent / name).unlink()
    assert start.main([]) == 1
    assert f"{name} is missing" in capsys.readouterr().err and not start.folder.exists()


# --- the sentences ------------------------------------------------------------------------------------------


RETRY = "WARNING: Retrying (Retry(total=0)) after connection broken by '%s': /simple/torch/\n"
NO_MATCH = ("ERROR: Could not find a version that satisfies the requirement torch>=2.11 (from versions: %s)\n"
            "ERROR: No matching distribution found for torch>=2.11")
UNREACHABLE = "the network or the package index cannot be reached"


@pytest.mark.parametrize("words, phrase", [
    (RETRY % "NewConnectionError('Failed to establish a new connection: [Errno -3]')" + NO_MATCH % "none",
     UNREACHABLE),
    ("ReadTimeoutError: HTTPSConnectionPool(host='files.example'): Read timed out.", UNREACHABLE),
    (NO_MATCH % "none", "check the connection"),
    (NO_MATCH % "2.0.0, 2.2.2", "no version of torch fits this machine"),
    ("The conflict is caused by:\n    noise-to-image depends on torch>=2.11\nERROR: ResolutionImpossible",
     "no version of torch fits this machine"),
    ("ERROR: Could not install packages: [Errno 28] No space left on device", "the disk is full"),
    (RETRY % "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407'))", "proxy"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "PIP_CERT"),
    ("ERROR: Could not install packages: [Errno 13] Permission denied: '/usr/lib/x'", "may not be written"),
    ("error: externally-managed-environment", "leave out --here"),
    ("HINT: This error might have occurred since Windows Long Path support is not enabled.", "long paths"),
    ("ImportError: No module named pip", "has no pip"),
    ("something {nobody} foresaw", "something {nobody} foresaw"),
])
def test_what_pip_says_becomes_one_sentence(words, phrase):
    sentence = load_start().explain(words, "Installing")
    assert phrase in sentence and "run `python start.py` again" in sentence
    assert sentence.startswith("Installing failed: ") and sentence.endswith(".") and "\n" not in sentence


def test_a_pip_that_the_system_ended():
    assert "the memory ran out" in load_start().explain("", "Installing", status=-9)


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 13), (3, 14, 0)])
def test_another_python_gets_one_sentence(tmp_path, version):
    shutil.copy(ROOT / "start.py", tmp_path)
    code = f"import runpy, sys; sys.version_info = {version}; runpy.run_path('start.py', run_name='__main__')"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in run.stderr and len(run.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["start.py"]


def test_the_syntax_is_old_enough_for_that_sentence():
    tree = ast.parse((ROOT / "start.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal))
        if isinstance(node, ast.FunctionDef):
            assert not (node.args.kwonlyargs or node.args.posonlyargs or node.returns)
            assert not any(argument.annotation for argument in node.args.args)
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.Call):  # in 2.7, print(a, b) and print(a, file=b) are something else
            assert getattr(node.func, "id", "") != "print" or (len(node.args) == 1 and not node.keywords)


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "80.5", ""])
def test_a_bad_port(capsys, value):
    with pytest.raises(SystemExit) as stop:
        load_start().main([f"--port={value}"])
    assert stop.value.code == 2
    assert f"a port is a number from 1 to 65535, and this is {value!r}" in capsys.readouterr().err


def test_what_follows_test_goes_to_pytest():
    options, arguments = load_start().parse(["--here", "test", "-k", "scheduler", "--port"])
    assert options.here and options.command == "test" and arguments == ["-k", "scheduler", "--port"]


# --- the active environment ---------------------------------------------------------------------------------


@pytest.mark.parametrize("requirement, version, met", [
    ("torch>=2.11", "2.9.1", False), ("torch>=2.11", "2.11.0+cpu", True), ("torch>=2.11", "3.0", True),
    ("jupyterlab>=4.4,<5", "4.10.1", True), ("jupyterlab>=4.4,<5", "5.0.0", False),
    ("numpy>=2.0", "2", True), ("ipykernel>=7.4", "6.17.1", False),
])
def test_is_met(requirement, version, met):
    assert load_start().is_met(requirement, lambda name: version) is met


@pytest.mark.parametrize("colab, wanted", [(False, ".[lab]"), (True, ".")])
def test_here_installs_ranges_and_leaves_venv_alone(start, monkeypatch, colab, wanted):
    """On Colab the front end and its kernel are Colab's own, so neither is asked for."""
    if colab:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    else:
        monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.setattr(start, "is_installed_here", lambda extras: False)
    assert start.main(["--here"]) == 0
    [(python, arguments)] = start.calls
    assert python == sys.executable and arguments[-1] == wanted and "--constraint" not in arguments
    assert not start.folder.exists()


def test_here_calls_no_pip_when_all_is_there(start, monkeypatch):
    versions = pins()
    origin = json.dumps({"url": start.folder.parent.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.setattr("importlib.metadata.version", lambda name: versions[canonicalize_name(name)])
    monkeypatch.setattr("importlib.metadata.distributions",
                        lambda **which: [SimpleNamespace(read_text=lambda file: origin)])
    assert start.main(["--here"]) == 0 and start.calls == []
    versions["anywidget"] = "0.9.20"
    assert start.main(["--here"]) == 0 and len(start.calls) == 1


# --- running the tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code, ok, words", [
    ("def test_a(): pass\ndef test_b(): pass", True, "2 passed"),
    ("def test_a(): pass\ndef test_b(): assert 0", False, "1 passed, 1 failed"),
    ("import pytest\npytest.skip('no Chromium', allow_module_level=True)", True, "1 skipped"),
    ("", False, "none found"),
    ("import os\ndef test_a(): pass\ndef teardown_module(): __import__('atexit').register(os._exit, 3)", False,
     "1 passed, and yet pytest ended with 3"),
])
def test_a_stage_counts_its_tests(tmp_path, monkeypatch, code, ok, words):
    start = load_start()
    monkeypatch.setattr(start, "ROOT", str(tmp_path))
    (tmp_path / "test_it.py").write_text(code)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:nbval -p no:anyio -p no:playwright\n")
    outcome = start.run_stage(sys.executable, "stage", ["test_it.py"], dict(os.environ))
    assert outcome == (ok, f"stage {words}")


@pytest.mark.parametrize("results, status", [([True] * 3, 0), ([True, False, True], 1)])
def test_all_stages_run_and_one_failure_fails_all(monkeypatch, capsys, results, status):
    start = load_start()
    outcomes = iter(results)
    monkeypatch.setattr(start, "run_stage", lambda python, name, *rest: (next(outcomes), name))
    assert start.run_tests(SimpleNamespace(here=True), []) == status
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("FAILED" if status else "Passed")
    assert last.endswith("unit tests; notebooks; browser tests.")


# --- start.py as it is, with a real venv and a real pip -----------------------------------------------------

BACKEND = '''
import os, pathlib, time, zipfile

METADATA = """Metadata-Version: 2.1
Name: noise-to-image
Version: 0
Provides-Extra: lab
Provides-Extra: test
"""
WHEEL = """Wheel-Version: 1.0
Generator: test
Root-Is-Purelib: true
Tag: py3-none-any
"""

def build_editable(directory, config_settings=None, metadata_directory=None):
    if "PIP_HANGS" in os.environ:
        pathlib.Path("hanging").touch()
        parent = os.getppid()
        for _ in range(600):  # a minute, or as long as pip is there: the test leaves nothing behind
            if os.getppid() == parent:
                time.sleep(0.1)
    name = "noise_to_image-0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        wheel.writestr("noise_to_image.pth", os.getcwd())
        for file, text in [("METADATA", METADATA + pathlib.Path("needs.txt").read_text()),
                           ("WHEEL", WHEEL), ("RECORD", "")]:
            wheel.writestr("noise_to_image-0.dist-info/" + file, text)
    return name
'''


def run_start(folder, *arguments, python=sys.executable):
    return subprocess.run([python, "start.py", *arguments], cwd=folder, env=offline(),
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)


def python_of(folder):
    start = load_start()
    start.VENV = str(folder / ".venv")
    return start.venv_python()


def offline(**variables):
    """The environment's variables, with every package index out of reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
                   "PIP_RETRIES": "1", "PIP_NO_CACHE_DIR": "1"} | variables


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course that installs without a network, its large packages empty, its folder's name with a blank."""
    folder = tmp_path_factory.mktemp("a course")
    shutil.copy(ROOT / "start.py", folder)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    (folder / "constraints.txt").touch()
    (folder / "needs.txt").touch()
    (folder / "backend.py").write_text(BACKEND)
    for name in load_start().IMPORTS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    (folder / "jupyterlab" / "__main__.py").write_text("import sys\nprint('LAB', *sys.argv[1:], sep='\\n')\n")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "00_start_here.ipynb").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def first_run(course):
    """The first run that is left to finish; where the system can kill, after one that was killed half-way."""
    if os.name != "nt":
        nothing = subprocess.DEVNULL
        killed = subprocess.Popen([sys.executable, "start.py"], cwd=course, env=offline(PIP_HANGS="1"),
                                  stdin=nothing, stdout=nothing, stderr=nothing)
        patience = time.monotonic() + 300
        while not (course / "hanging").exists():
            assert killed.poll() is None and time.monotonic() < patience
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert json.loads((course / ".venv" / "noise-to-image.json").read_text()) == {"whole": False}
        (course / ".venv" / "half").touch()
    return run_start(course, "--no-browser", "--port", "9000")


def test_the_first_run_installs_and_becomes_jupyterlab(course, first_run):
    assert first_run.returncode == 0, first_run.stderr
    said, opened = first_run.stdout.split("LAB\n")
    assert re.findall(r"\[(\d)/3\]", said) == ["1", "2", "3"] and "Successfully installed" in said
    arguments = opened.split("\n")[:-1]
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    assert arguments == [
        f"--ServerApp.root_dir={course}", "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
        "--no-browser", "--port=9000"] + (["--allow-root"] if as_root else [])


def test_what_a_killed_run_left_is_gone(course, first_run):
    assert not (course / ".venv" / "half").exists()
    assert list(course.glob(".venv.*")) == []


def test_the_second_run_opens_at_once(course, first_run):
    run = run_start(course)
    assert run.returncode == 0 and "LAB" in run.stdout and "[1/" not in run.stdout
    assert "--no-browser" not in run.stdout


def test_an_update_without_a_network(course, first_run):
    (course / "needs.txt").write_text("Requires-Dist: no-such-package-anywhere\n")
    (course / "constraints.txt").write_text("# changed\n")
    run = run_start(course)
    assert run.returncode == 1 and "LAB" not in run.stdout
    assert run.stderr.strip().splitlines()[-1] == (
        "Installing failed: the network or the package index cannot be reached; check the connection and run "
        "`python start.py` again.")
    (course / "needs.txt").write_text("")
    run = run_start(course)
    assert run.returncode == 0 and re.findall(r"\[(\d)/2\]", run.stdout) == ["1", "2"] and "LAB" in run.stdout


def test_here_refuses_the_courses_own_environment(course, first_run):
    run = run_start(course, "--here", python=python_of(course))
    assert run.returncode == 1 and "leave out --here" in run.stderr


def test_here_installs_once(course, first_run, tmp_path):
    """Another checkout, in the environment of the first, which stands for somebody's active one."""
    other = tmp_path / "another course"
    shutil.copytree(course, other, ignore=shutil.ignore_patterns(".venv*"))
    with open(other / "pyproject.toml", "a") as file:
        file.write('[project]\nname = "noise-to-image"\nversion = "0"\ndependencies = ["pip>=20"]\n'
                   "optional-dependencies = {lab = [], test = []}\n")
    (other / "noise_to_image.egg-info").mkdir()
    (other / "noise_to_image.egg-info" / "PKG-INFO").write_text("Name: noise-to-image\nVersion: 0\n")
    runs = [run_start(other, "--here", python=python_of(course)) for _ in range(2)]
    assert ["Successfully installed" in run.stdout for run in runs] == [True, False], runs[0].stderr
    assert all(f"LAB\n--ServerApp.root_dir={other}\n" in run.stdout for run in runs)
    assert not (other / ".venv").exists()
