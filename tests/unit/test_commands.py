# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Outside programs."""

from __future__ import annotations

import sys
import time

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.commands import run_command
from ansible_collections.goldsmith.images.plugins.module_utils.errors import ToolFailed


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_is_returned():
    assert run_command(python("print('one'); print('two')")) == "one\ntwo\n"


def test_program_gets_no_input_and_the_c_locale():
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ['LC_ALL'], os.environ['EXTRA'])"

    assert run_command(python(code), environment={"EXTRA": "given"}) == "'' C.UTF-8 given\n"


def test_program_reads_what_it_is_given_whatever_bytes_that_are():
    code = "import sys; print(sys.stdin.buffer.read())"

    assert run_command(python(code), stdin=b"a\r\n\xff") == "b'a\\r\\n\\xff'\n"


def test_program_in_a_session_of_its_own_has_no_terminal():
    code = "import os; print(os.getsid(0) == os.getpid())"

    assert run_command(python(code), own_session=True) == "True\n"
    assert run_command(python(code)) == "False\n"


def test_arguments_do_not_pass_through_a_shell():
    assert run_command([*python("import sys; print(sys.argv[1])"), "$HOME; echo *"]) == "$HOME; echo *\n"


def test_output_that_is_no_text_is_read_all_the_same():
    assert run_command(python(r"import sys; sys.stdout.buffer.write(b'\xff')")) == "�"


def test_missing_program_is_named_with_the_role_that_installs_it():
    with pytest.raises(ToolFailed) as caught:
        run_command(["/nowhere/qemu-img", "info"])

    assert str(caught.value) == (
        "the program qemu-img is not installed on this host; role goldsmith.images.image_host installs it"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('to stdout'); sys.exit('to stderr')", "failed with status 1: to stderr (command: "),
        ("import sys; print('to stdout'); sys.exit(3)", "failed with status 3: to stdout (command: "),
        ("raise SystemExit(4)", "failed with status 4: it said nothing (command: "),
    ],
)
def test_failure_is_told_with_the_last_words(code, words):
    with pytest.raises(ToolFailed) as caught:
        run_command(python(code))

    assert words in str(caught.value)
    assert caught.value.error_code == "tool_failed"


def test_long_output_of_a_failure_is_cut_at_its_beginning():
    with pytest.raises(ToolFailed) as caught:
        run_command(python("import sys; sys.exit('x' * 10000 + 'the end')"))

    assert "the end" in str(caught.value)
    assert str(caught.value).count("x") < 2100


def test_program_that_takes_too_long_is_ended():
    start = time.monotonic()
    with pytest.raises(ToolFailed, match=r"did not end within 0.2 s: .*sleep"):
        run_command(python("import time; time.sleep(60)"), timeout=0.2)

    assert time.monotonic() - start < 10
