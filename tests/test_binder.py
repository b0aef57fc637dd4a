"""What Binder builds from, as far as it can be checked without Binder."""

import re
import subprocess
import sys

import pytest

from course_lib.runtime import ROOT

BUILD, ENVIRONMENT = (ROOT / "binder" / name for name in ("postBuild", "environment.yml"))


def test_the_python_is_one_that_the_course_supports():
    [version] = re.findall(r"^  - python =3\.(\d+)$", ENVIRONMENT.read_text(encoding="utf-8"), flags=re.M)
    assert 11 <= int(version) <= 13


@pytest.mark.skipif(sys.platform == "win32", reason="Binder's own system is Linux")
def test_the_build_is_a_script_that_bash_understands():
    assert BUILD.stat().st_mode & 0o111, "Binder runs postBuild only if it may be executed"
    assert subprocess.run(["bash", "-n", BUILD]).returncode == 0
    text = BUILD.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash") and text.count("--constraint constraints.txt") == 2 and '".[lab]"' in text


def test_the_public_address_is_one_placeholder():
    text = (ROOT / "notebooks" / "instructor" / "in_the_room.md").read_text(encoding="utf-8")
    addresses = re.findall(r"(?:github\.com|/gh|/github)/(<owner>/<repository>|[\w-]+/[\w-]+)", text)
    assert len(addresses) >= 4 and set(addresses) == {"<owner>/<repository>"}
