"""Set up Noise to Image and open it: everything that a learner needs, with Python's standard library only.

    python start.py               make .venv beside this file, install the course, open JupyterLab
    python start.py --no-browser  the same, printing the address instead of opening a browser
    python start.py --port 9000   the same, on that port
    python start.py --here        the same in the environment that is active (conda, Colab), without .venv
    python start.py test          install what the tests need and run them all: unit, notebooks, browser
    python start.py test -k NAME  the unit tests only, with all that follows `test` handed to pytest

The install happens once; later runs go straight to JupyterLab. An install that breaks off is never taken
for a whole one: .venv counts only when its stamp, written last, says that it is whole.
"""
# The syntax stays readable to any Python since 2.7, so that an old one can say which Python is needed.
import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "noise-to-image.json")
FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"
NEEDED = ["pyproject.toml", "constraints.txt", "course_lib", FIRST_NOTEBOOK]
OLDEST, NEWEST = (3, 11), (3, 13)
IMPORTS = ["torch", "torchvision", "matplotlib", "anywidget", "jupyterlab", "course_lib"]
GIGABYTE = 1e9
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9",  # nobody listens there
              "no_proxy": "", "NO_PROXY": ""}
LEAST_FREE = 2 * GIGABYTE  # less cannot hold even the smallest build of PyTorch with JupyterLab

# pip and venv run inside this wrapper, which interrupts them as soon as start.py is gone, even when it was
# killed: a pip left behind would go on writing into an environment that the next run is building anew.
WATCHED = """
import _thread, os, runpy, signal, sys, threading, time
def leave_with_parent():
    os.read(0, 1)  # returns when the other end is closed
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
    time.sleep(10)  # for pip to remove its temporary files
    os._exit(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
threading.Thread(target=leave_with_parent, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Failure(Exception):
    """What failed and what to do about it, in one sentence."""


def main(arguments):
    """Do what the command line asks; returns the exit status."""
    options, pytest_arguments = parse(arguments)
    try:
        check_python()
        check_checkout()
        set_up(options)
        if options.command == "test":
            return run_tests(options, pytest_arguments)
        return open_lab(options)
    except Failure as failure:
        print_error(str(failure))
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        print_error(explain(str(error), "The set-up"))
        return 1
    except KeyboardInterrupt:
        print_error("Stopped: `python start.py` starts again, clean, and fetches no finished download twice.")
        return 130


def parse(arguments):
    """The options, and what goes on to pytest."""
    parser = argparse.ArgumentParser(
        prog="start.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["test"], help="run the tests instead of JupyterLab")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    parser.add_argument("--port", type=port, metavar="N", help="JupyterLab's port (8888 unless taken)")
    parser.add_argument("--here", action="store_true", help="use the active environment instead of .venv")
    end = arguments.index("test") + 1 if "test" in arguments else len(arguments)
    return parser.parse_args(arguments[:end]), arguments[end:]


def port(text):
    if not (text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535, and this is %r" % text)
    return int(text)


def print_error(sentence):
    sys.stdout.flush()
    sys.stderr.write("\n%s\n" % sentence)


def say(text):
    print(text)
    sys.stdout.flush()


# --- before anything is installed ---------------------------------------------------------------------------


WRONG_PYTHON = "Noise to Image needs Python 3.11, 3.12 or 3.13, and this is Python %s: %s."


def check_python():
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    raise Failure(WRONG_PYTHON % (platform.python_version(), better_python()))


def better_python():
    """How to run start.py with a Python that fits: one that is on this machine, if any."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        command = ["py", "-3.%d" % minor] if os.name == "nt" else ["python3.%d" % minor]
        try:
            with open(os.devnull, "w") as nothing:
                works = subprocess.call(command + ["-c", ""], stdout=nothing, stderr=nothing) == 0
        except OSError:
            works = False
        if works:
            return "this machine has one that fits, so run `%s start.py`" % " ".join(command)
    return "install one of them from https://www.python.org/downloads/ and run start.py with it"


def check_checkout():
    for name in NEEDED:
        if not os.path.exists(os.path.join(ROOT, name)):
            raise Failure("%s is missing: run `git checkout %s`, or get the course again." % (name, name))


# --- the environment ----------------------------------------------------------------------------------------


def set_up(options):
    """Make sure that the course is installed."""
    extras = ["lab", "test"] if options.command == "test" else ["lab"]
    if options.here:
        install_here(extras)
        return
    with lock() as locks:
        stamp = read_stamp()
        if not is_sound(stamp):
            build(extras, locks)
        elif not is_current(stamp, extras):
            update(stamp, extras, locks)


def venv_python():
    return os.path.join(VENV, *(["Scripts", "python.exe"] if os.name == "nt" else ["bin", "python"]))


def ask(expression):
    """What an expression about sys or sysconfig is worth in .venv's Python, as text."""
    question = [venv_python(), "-I", "-c", "import sys, sysconfig; print(%s)" % expression]
    return subprocess.check_output(question, stderr=subprocess.DEVNULL).decode().strip()


VERSION = "'%d.%d' % sys.version_info[:2]"


def read_stamp():
    """What .venv says about itself: {} where there is no .venv, or none that start.py made."""
    try:
        with open(STAMP) as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp):
    with open(STAMP + ".new", "w") as file:
        json.dump(stamp, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(STAMP + ".new", STAMP)


def is_sound(stamp):
    """True for a whole environment of this very folder whose Python still runs: a virtual environment cannot
    be moved, and a system upgrade may take its Python away or put another version in its place."""
    try:
        return (stamp.get("whole") is True and os.path.samefile(stamp["folder"], ROOT)
                and ask(VERSION) == stamp["python"])
    except (OSError, subprocess.CalledProcessError):
        return False


def is_current(stamp, extras):
    """True when a sound environment holds these extras, as pyproject.toml and constraints.txt are now."""
    return stamp["requirements"] == requirements_hash() and set(extras) <= set(stamp["extras"])


def requirements_hash():
    digest = hashlib.sha256()
    for name in ["pyproject.toml", "constraints.txt"]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


@contextlib.contextmanager
def lock():
    """One install at a time: a second start.py waits here. Yields the descriptors that pip inherits, so that
    the lock outlives a killed start.py for as long as its pip does. Windows needs none: there, files in use
    cannot be moved away."""
    try:
        import fcntl
    except ImportError:
        yield ()
        return
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start.py is at work here: waiting for it to finish.")
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems know no locks
        yield (folder,)
    finally:
        os.close(folder)


def build(extras, locks):
    """Make .venv from nothing; whatever goes wrong, nothing half-made stays."""
    check_venv_module()
    clear()
    check_space()
    start = time.time()
    say("Setting up Noise to Image in .venv: this happens once.")
    os.mkdir(VENV)
    try:
        write_stamp({"whole": False})
        stage(1, "Make the environment", start)
        # inside some other virtual environment, its base is the Python to make .venv from
        base = getattr(sys, "_base_executable", None) or sys.executable
        run_module(base, "venv", [VENV], locks, "Making .venv")
        stage(2, "Download and install (%s)" % download_size(), start)
        install(extras, locks)
        stage(3, "Check that everything imports", start)
        check_imports(locks)
        settle_lab()
        finish(extras)
    except BaseException:
        with contextlib.suppress(Failure, OSError):  # what cannot be removed now, the next run removes
            remove(VENV)
        raise
    say("Ready, after %.0f s.\n" % (time.time() - start))


def update(stamp, extras, locks):
    """Bring a sound .venv up to date in place."""
    extras = sorted(set(extras) | set(stamp["extras"]))
    start = time.time()
    say("Updating .venv: what the course needs has changed, or the tests need more.")
    packages = ask("sysconfig.get_path('purelib')")
    before = os.stat(packages).st_mtime_ns
    write_stamp(dict(stamp, whole=False))
    stage(1, "Download and install what is new", start, of=2)
    try:
        install(extras, locks)
    except BaseException:
        # pip downloads all before it changes anything: if it came no further, .venv is as good as it was
        if os.stat(packages).st_mtime_ns == before:
            write_stamp(stamp)
        raise
    stage(2, "Check that everything imports", start, of=2)
    check_imports(locks)
    settle_lab()
    finish(extras)
    say("Ready, after %.0f s.\n" % (time.time() - start))


def finish(extras):
    write_stamp({"whole": True, "folder": ROOT, "python": ask(VERSION), "extras": extras,
                 "requirements": requirements_hash()})


def stage(number, what, start, of=3):
    say("[%d/%d] %s ... (%.0f s so far)" % (number, of, what, time.time() - start))


def download_size():
    if sys.platform.startswith("linux"):
        return "about 3 GB with PyTorch for NVIDIA cards, 6 GB on disk; some minutes"
    return "some hundred MB; some minutes"


def check_venv_module():
    try:
        import ensurepip
        import venv
        return ensurepip, venv
    except ImportError:
        raise Failure("This Python came without its venv module: install it (on Debian and Ubuntu, `sudo apt "
                      "install python%d.%d-venv`) and run `python start.py` again." % sys.version_info[:2])


def clear():
    """Make room for a new .venv. One that start.py made goes away; anything else is somebody's own, and is
    kept under another name."""
    remove(VENV + ".removing")  # left by a run that was killed while removing
    if not os.path.lexists(VENV):
        return
    if os.path.exists(STAMP) or (os.path.isdir(VENV) and not os.listdir(VENV)):
        say("Removing an environment that is not whole, or no longer fits.")
        remove(VENV)
        return
    number = 1
    while os.path.lexists("%s.kept%d" % (VENV, number)):
        number += 1
    os.rename(VENV, "%s.kept%d" % (VENV, number))
    say("The .venv here was not made by start.py: it is now .venv.kept%d; delete it if you need it no more."
        % number)


def remove(folder):
    """Remove a folder: renamed first, so that one half removed is never found under its old name."""
    if not os.path.isdir(folder):
        return
    aside = VENV + ".removing"
    if folder != aside:
        shutil.rmtree(aside, ignore_errors=True)
        try:
            os.rename(folder, aside)
        except PermissionError:
            raise Failure("%s is in use or protected: close JupyterLab and every terminal that uses it, then "
                          "run `python start.py` again." % folder)
    shutil.rmtree(aside, ignore_errors=True)


def check_space():
    free = shutil.disk_usage(ROOT).free
    if free < LEAST_FREE:
        raise Failure("The disk has %.1f GB free, too little for PyTorch and JupyterLab (%s): make room and "
                      "run `python start.py` again." % (free / GIGABYTE, download_size()))


def settle_lab():
    """Two defaults of JupyterLab, inside .venv only.

    Its question about news would cover the first notebook. And a notebook is saved with its widgets, so that
    on the next day, before any cell is run, the labs stand there as they were, not as "model not found".
    """
    folder = os.path.join(VENV, "share", "jupyter", "lab", "settings")
    os.makedirs(folder, exist_ok=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    with open(os.path.join(folder, "overrides.json"), "w") as file:
        json.dump({"@jupyterlab/apputils-extension:notification": news,
                   "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}, file)


# --- pip ----------------------------------------------------------------------------------------------------


def install(extras, locks):
    """Install the course into .venv, at the versions tested."""
    arguments = pip_install(extras) + ["--constraint", "constraints.txt"]
    run_module(venv_python(), "pip", arguments, locks, "Installing")


def pip_install(extras):
    course = ".[%s]" % ",".join(extras) if extras else "."
    return ["install", "--no-input", "--disable-pip-version-check", "--editable", course]


def check_imports(locks):
    """Import the large packages once: a library that the system lacks shows here, not in chapter 1."""
    command = [venv_python(), "-I", "-c", "import " + ", ".join(IMPORTS)]
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        universal_newlines=True, errors="replace", pass_fds=locks)
    words = child.communicate()[1].strip()
    if child.returncode:
        advice = "run `python start.py` again"
        if os.name == "nt" and "DLL" in words:
            advice = "install https://aka.ms/vs/17/release/vc_redist.x64.exe and " + advice
        raise Failure("The packages are installed but do not all import (%s): %s." % (
            words.splitlines()[-1] if words else "no reason given", advice))


def run_module(python, module, arguments, locks, what):
    """Run `python -m module` in the course's folder, for all to see; raises Failure when it fails."""
    child = subprocess.Popen(
        [python, "-c", WATCHED, module] + arguments, cwd=ROOT,
        env=None if python == sys.executable else environment(), stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True, errors="replace", pass_fds=locks,
        start_new_session=True)  # so that Ctrl-C reaches it once only, through the wrapper
    words = []
    try:
        for line in child.stderr:  # stdout goes straight to the terminal, where pip draws its progress bar
            sys.stderr.write(line)
            sys.stderr.flush()
            words.append(line)
        status = child.wait()
    finally:
        child.stdin.close()  # interrupts it, if it has not ended by itself
        child.wait()
    if status:
        raise Failure(explain("".join(words), what, status))


def environment():
    """The variables for whatever runs in .venv: as if it were activated, nothing of another Python."""
    variables = dict(os.environ, VIRTUAL_ENV=VENV, PIP_USER="0")
    variables["PATH"] = os.path.dirname(venv_python()) + os.pathsep + variables.get("PATH", "")
    for name in ["PYTHONHOME", "PYTHONPATH"]:
        variables.pop(name, None)
    return variables


NETWORK = ("NewConnectionError|NameResolutionError|Failed to establish a new connection|Max retries exceeded|"
           "[Tt]ime-?out|timed out|Connection (refused|reset|aborted|broken)|IncompleteRead|RemoteDisconnect|"
           "[Nn]ame resolution|Network is unreachable|HTTP error 5|5\\d\\d (Server|Service)")
UNFIT = ("no version of {package} fits this machine and environment ({machine})",
         "use a 64-bit Python of 3.11 to 3.13 on a system that PyTorch supports, without --here, and {again}")
REASONS = [  # what pip's words contain, what has happened, what to do
    ("No space left|Errno 28|Errno 122|[Dd]isk quota|not enough space|WinError 112",
     "the disk is full ({free})", "free some GB and {again}"),
    ("Long Path", "Windows refuses such long paths",
     "move the course to a short path such as C:\\course, or enable long paths, and {again}"),
    ("externally-managed", "this Python belongs to the operating system",
     "leave out --here, or activate an environment of your own, and {again}"),
    ("ProxyError|Tunnel connection failed|HTTP error 407", "the network's proxy refused the download",
     "set the variable HTTPS_PROXY to your proxy's address and {again}"),
    ("CERTIFICATE_VERIFY_FAILED|SSLError", "the connection's certificate was not accepted",
     "set the variable PIP_CERT to your network's certificate file and {again}"),
    ("from versions: (?!none)",) + UNFIT,
    (NETWORK, "the network or the package index cannot be reached", "check the connection and {again}"),
    ("from versions: none", "the package index offers no {package}",
     "check the connection, and that this Python is a 64-bit one, and {again}"),
    ("No matching distribution|ResolutionImpossible",) + UNFIT,
    ("DO NOT MATCH THE HASHES", "a download arrived damaged", "{again}"),
    ("Errno 13|Permission denied|Access is denied|WinError 5\\b|Read-only file system|Errno 30",
     "something may not be written ({last})", "put the course in a folder of your own and {again}"),
    ("No module named '?pip", "this Python has no pip", "install pip in it and {again}"),
    ("MemoryError|Killed", "the memory ran out", "close other programs and {again}"),
    ("", "status {status}, {last}", "{again}, and if it stays so, open an issue with the lines above"),
]


def explain(words, what, status=1):
    """One sentence: what failed, and what to do."""
    if status < 0:
        words += "Killed"
    for pattern, reason, advice in REASONS:
        if re.search(pattern, words):
            break
    package = re.search(r"(?:No matching distribution found for|depends on) ([A-Za-z][\w.-]*)", words)
    facts = {
        "again": "run `python start.py` again", "free": free_space(), "status": status,
        "package": package.group(1) if package else "a package",
        "last": (words.strip().splitlines() or ["no message"])[-1],
        "machine": "Python %s, %s %s" % (platform.python_version(), platform.system(), platform.machine())}
    return "%s failed: %s; %s." % (what, reason.format(**facts), advice.format(**facts))


def free_space():
    places = [ROOT, tempfile.gettempdir()]
    return ", ".join("%.1f GB free in %s" % (shutil.disk_usage(p).free / GIGABYTE, p) for p in places)


# --- the active environment ---------------------------------------------------------------------------------


def install_here(extras):
    """Install what is missing into the environment that runs start.py."""
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        raise Failure("The active environment is the course's own .venv: leave out --here.")
    if on_colab():
        extras = [e for e in extras if e != "lab"]  # Colab is the front end, with a kernel of its own
    if is_installed_here(extras):
        return
    say("Installing what is missing into %s." % sys.prefix)
    start = time.time()
    run_module(sys.executable, "pip", pip_install(extras), (), "Installing")
    say("Ready, after %.0f s.\n" % (time.time() - start))


def on_colab():
    return "COLAB_RELEASE_TAG" in os.environ


def is_installed_here(extras):
    """True when this checkout is installed and every requirement's version lies in its range."""
    import importlib.metadata as metadata
    import pathlib
    import tomllib
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    requirements = project["dependencies"] + [r for e in extras for r in project["optional-dependencies"][e]]
    # installed packages only, not the description that a build leaves beside start.py
    places = [place for place in sys.path if os.path.abspath(place) != ROOT]
    courses = metadata.distributions(name=project["name"], path=places)
    origins = [json.loads(course.read_text("direct_url.json") or "{}").get("url") for course in courses]
    try:
        return (pathlib.Path(ROOT).as_uri() in origins
                and all(is_met(requirement, metadata.version) for requirement in requirements))
    except metadata.PackageNotFoundError:
        return False


def is_met(requirement, version_of):
    """True when the installed version lies in a range like "torch>=2.11" or "jupyterlab>=4.4,<5"."""
    name, ranges = re.match(r"([\w.-]+)(.*)", requirement).groups()
    installed = numbers(version_of(name))
    for bound in ranges.split(","):
        operator, version = re.match(r"(>=|<)([\d.]+)$", bound).groups()
        if (installed >= numbers(version)) != (operator == ">="):
            return False
    return True


def numbers(version):
    """The release numbers, to compare: "2.11.0+cpu" gives (2, 11, 0)."""
    found = [int(part) for part in re.match(r"\d+(\.\d+)*", version).group().split(".")]
    return tuple(found + [0] * (4 - len(found)))


# --- JupyterLab and the tests -------------------------------------------------------------------------------


def open_lab(options):
    """Become JupyterLab, with the first notebook open."""
    if options.here and on_colab():
        say("The course is installed: restart the runtime, then open the notebooks in Colab.")
        return 0
    python, variables = python_and_variables(options)
    command = [python, "-m", "jupyterlab", "--ServerApp.root_dir=" + ROOT,
               # a default address, not a file to run: so the printed address leads to the notebook too
               "--LabApp.default_url=/lab/tree/" + FIRST_NOTEBOOK]
    if options.no_browser:
        command.append("--no-browser")
    if options.port:
        command.append("--port=%d" % options.port)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    say("Opening JupyterLab on %s; Ctrl-C here stops it." % FIRST_NOTEBOOK)
    os.chdir(ROOT)
    if os.name != "nt":
        os.execve(python, command, variables)
    child = subprocess.Popen(command, env=variables)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            pass  # JupyterLab had it too, and asks whether to stop


def python_and_variables(options):
    return (sys.executable, dict(os.environ)) if options.here else (venv_python(), environment())


def run_tests(options, pytest_arguments):
    """Run the unit tests, the notebooks and the browser tests; with arguments for pytest, only the first."""
    stages = [
        ("unit tests", ["tests", "--ignore=tests/browser"] + pytest_arguments, {"MPLBACKEND": "Agg"}),
        ("notebooks", ["notebooks", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=90",
                       "-p", "tests.notebook_seconds"], NO_NETWORK),
        ("browser tests", ["tests/browser"], {}),
    ]
    python, variables = python_and_variables(options)
    variables["HF_HUB_OFFLINE"] = "1"  # diffusers is a reference here; nothing may be fetched
    start = time.time()
    results = []
    for name, arguments, more in stages[:1] if pytest_arguments else stages:
        say("\n== %s" % name)
        results.append(run_stage(python, name, arguments, dict(variables, **more)))
    passed = all(ok for ok, _ in results)
    say("\n%s in %.0f s: %s." % ("Passed" if passed else "FAILED", time.time() - start,
                                 "; ".join(counts for _, counts in results)))
    return 0 if passed else 1


def run_stage(python, name, arguments, variables):
    """Run pytest once; returns whether it passed, and its counts in words."""
    import xml.etree.ElementTree as ElementTree
    handle, report = tempfile.mkstemp(suffix=".xml")
    os.close(handle)
    try:
        command = [python, "-m", "pytest", "--junitxml=" + report] + arguments
        status = subprocess.call(command, cwd=ROOT, env=variables)
        try:
            suite = ElementTree.parse(report).getroot().find("testsuite")
        except ElementTree.ParseError:  # no report: pytest never came to its tests
            return False, "%s: none ran (pytest ended with %d)" % (name, status)
    finally:
        os.remove(report)
    total, failed, skipped = [int(suite.get(key)) for key in ["tests", "failures", "skipped"]]
    failed += int(suite.get("errors"))
    counts = [(total - failed - skipped, "passed"), (failed, "failed"), (skipped, "skipped")]
    words = ", ".join("%d %s" % count for count in counts if count[0]) or "none found"
    # pytest calls it a fault (5) when no test is left because whole files skipped themselves
    passed = status == 0 or (status == 5 and skipped > 0)
    if total and not failed and not passed:  # a notebook that took too long, a crash at the very end
        words += ", and yet pytest ended with %d" % status
    return passed, "%s %s" % (name, words)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to stop: clean up as for Ctrl-C
    sys.exit(main(sys.argv[1:]))
