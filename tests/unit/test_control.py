# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Speaking with goldsmith-seed: questions, answers and errors over its socket."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading

import pytest

from ansible_collections.goldsmith.images.plugins.module_utils.errors import Busy, Damaged, NotFound, Unreachable
from ansible_collections.goldsmith.images.plugins.module_utils.swarm.control import (
    LONGEST_QUESTION,
    ControlServer,
    ask,
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "seed.sock")


def raw(path: str, sent: bytes) -> bytes:
    """Return what the server answers to bytes that no client of ours would send."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


def test_answer_comes_back_whatever_is_in_it(path):
    told = {"do": "status", "text": "two\nlines and ü", "numbers": [1, None, 2.5]}
    with ControlServer(path, lambda request: {"got": request}):
        assert ask(told, path=path) == {"got": told}
        assert ask({}, path=path) == {"got": {}}


def test_error_of_the_other_side_is_raised_as_what_it_is(path):
    def refuse(request):
        raise NotFound("there is no version 1.1 of office; publish it first")

    with ControlServer(path, refuse), pytest.raises(NotFound, match=r"^there is no version 1.1 of office; publish it"):
        ask({"do": "fetch"}, path=path)


def test_slow_answer_does_not_keep_others_waiting(path):
    may_end, asked = threading.Event(), threading.Event()

    def answer(request):
        if request["do"] == "wait":
            asked.set()
            assert may_end.wait(30)
        return {"did": request["do"]}

    answers = []
    with ControlServer(path, answer):
        waiting = threading.Thread(target=lambda: answers.append(ask({"do": "wait"}, path=path)))
        waiting.start()
        assert asked.wait(30)
        assert ask({"do": "status"}, path=path) == {"did": "status"}
        assert answers == []
        may_end.set()
        waiting.join(30)
    assert answers == [{"did": "wait"}]


def test_only_the_owner_may_open_the_socket(path):
    with ControlServer(path, lambda request: {}):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_second_server_leaves_the_first_alone(path):
    with ControlServer(path, lambda request: {"who": "first"}):
        with pytest.raises(Busy, match="another goldsmith-seed answers"), ControlServer(path, lambda request: {}):
            pass
        assert ask({}, path=path) == {"who": "first"}


def test_socket_of_a_server_that_died_is_taken_over(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with ControlServer(path, lambda request: {"who": "second"}):
        assert ask({}, path=path) == {"who": "second"}


def test_server_that_ends_leaves_no_socket(path):
    with ControlServer(path, lambda request: {}):
        pass

    assert not os.path.exists(path)
    with pytest.raises(Unreachable, match=r"does not run on this host: nobody answers at .*role goldsmith.images.seed"):
        ask({}, path=path)


def test_server_that_is_silent_is_told_with_the_time(path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(Unreachable, match=r"did not answer within 0.2 s"):
            ask({}, timeout=0.2, path=path)


def test_server_that_fails_breaks_off_and_goes_on(path, capfd):
    def answer(request):
        return {"half": 1 // request["by"]}

    with ControlServer(path, answer):
        with pytest.raises(Unreachable, match="broke off before its answer"):
            ask({"by": 0}, path=path)
        assert ask({"by": 1}, path=path) == {"half": 1}
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize(
    "sent",
    [b"status\n", b"[1]\n", b'{"do": "status"}', b"\xff\n", b"1" * (LONGEST_QUESTION + 1)],
    ids=["no JSON", "no object", "no end", "no text", "too long"],
)
def test_question_that_is_none_is_refused_with_what_came(path, sent):
    with ControlServer(path, lambda request: {"answered": True}):
        answer = json.loads(raw(path, sent))
        assert answer["error_code"] == "damaged"
        assert answer["error"].startswith("the question is not a")
        assert ask({}, path=path) == {"answered": True}


def test_who_says_nothing_gets_nothing(path):
    with ControlServer(path, lambda request: {"answered": True}):
        assert raw(path, b"") == b""


def test_answer_that_is_none_is_damaged(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer():
            connection, _address = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"OK\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Damaged, match=r"the answer of goldsmith-seed at .*b'OK"):
            ask({}, path=path)
        thread.join(30)
