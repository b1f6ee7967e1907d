"""What is said of a worker that died or had to be stopped."""

import signal

from gradlint.core.target import Target
from gradlint.worker import crash

TARGET = Target(path="/x/model.py", name="Net", line=5)
TRACE = """Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/x/model.py", line 11 in __init__
  File "/x/model.py", line 20 in make
"""


def test_the_innermost_line_of_the_checked_file_is_named() -> None:
    place = crash.place(TRACE, TARGET)
    assert (place.path, place.line, place.context) == ("/x/model.py", 11, "__init__")


def test_the_class_line_where_no_better_is_known() -> None:
    assert crash.place("", TARGET).line == 5


def test_how_it_ended() -> None:
    killed = crash.died(TARGET, "build", -signal.SIGSEGV, TRACE, "warming up\nterminate called\n\n")
    assert killed.message == (
        "building the model killed the process (SIGSEGV); the last it printed was: terminate called"
    )
    assert killed.stage == "build"
    left = crash.died(TARGET, "import", 3, "", "")
    assert left.message == "importing the file ended the process (exit status 3)"


def test_limits_name_the_option_that_raises_them() -> None:
    late = crash.timed_out(TARGET, "feed", 60, TRACE)
    assert late.message == "looking for example inputs took more than 60 s and was stopped"
    assert "--timeout 180" in late.remedy
    fat = crash.too_large(TARGET, "build", 4 * 2**30, TRACE)
    assert fat.message == "building the model needed more than 4 GiB of memory and was stopped"
    assert "--memory 8" in fat.remedy
