"""The native kernel's unit tests in C++, under the sanitizers: native/test.cpp, built and run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[1] / "native"
PROGRAMS = ("snnrun_tests", "snnrun_tests_of_threads")


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)


def required(*command):
    """The output of a command that has to succeed."""
    done = run(*map(str, command))
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"
    return done.stdout


def test_the_headers_pass_their_unit_tests_under_the_sanitizers(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("there is no C++ compiler")
    # XLA's headers are not needed for the tests
    required("cmake", "-S", NATIVE, "-B", tmp_path, "-DSNNRUN_TESTS=ON", f"-DJAXLIB_INCLUDE={tmp_path}")
    targets = required("cmake", "--build", tmp_path, "--target", "help")
    programs = [name for name in PROGRAMS if re.search(rf"\b{name}\b", targets)]
    if not programs:
        pytest.skip("the compiler has neither the address nor the thread sanitizer, or programs built with them do not run here")
    required("cmake", "--build", tmp_path, "--parallel", "2", "--target", *programs)
    required("ctest", "--test-dir", tmp_path, "--parallel", "2", "--output-on-failure", "--timeout", "120")
