"""The scripts that the chart mounts into the predictor's pod, run as the pod runs them."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from rendering import CHART

LAUNCHER = CHART / "files" / "launcher.py"
WAIT = CHART / "files" / "wait_for_backend.py"
URL = "redis://cache.models.svc:6379/0?socket_timeout=2"
PASSWORD = "p@ss/w%rd:\"é'\\ x+y"  # noqa: S105 (has what a URL must encode and what quotes escape)
PATIENCE_S = 30


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **(variables or {})}


def with_password(password: str = PASSWORD, **variables: str) -> dict[str, str]:
    return environment(
        {
            "REMOTE_BACKEND_URL": URL,
            "REMOTE_BACKEND_PASSWORD": password,
            "LAUNCHER_REDACT": "REMOTE_BACKEND_PASSWORD",
            **variables,
        }
    )


def launch(
    program: str, variables: Mapping[str, str] | None = None, arguments: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a Python program through the launcher to its end."""
    return subprocess.run(
        [sys.executable, LAUNCHER, "--", sys.executable, "-c", program, *arguments],
        env=with_password() if variables is None else variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def running(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A program behind the launcher; the test's parameter is its source."""
    with subprocess.Popen(
        [sys.executable, LAUNCHER, "--", sys.executable, "-c", request.param],
        env=with_password(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A signal must reach the launcher alone, as the kubelet sends it.
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# The server compares with what it must find, so that the launcher has no secret to mask in the answer.
COMPARE = "import os, sys; print(all(os.environ.get(a) == b for a, b in zip(sys.argv[1::2], sys.argv[2::2])))"


@pytest.mark.parametrize("own", [None, "/image/modules"])
def test_the_server_can_import_what_lies_beside_the_launcher_and_what_it_could_before(own: str | None) -> None:
    variables = environment({} if own is None else {"PYTHONPATH": own})
    expected = os.pathsep.join(filter(None, [str(LAUNCHER.parent), own]))
    assert launch(COMPARE, variables, ("PYTHONPATH", expected)).stdout == "True\n"


@pytest.mark.parametrize("password", ["plain", PASSWORD, "100%", "a b", "#?&=", "ünïcode"])
def test_the_server_gets_the_url_with_the_password_percent_encoded(password: str) -> None:
    url = f"redis://:{quote(password, safe='')}@cache.models.svc:6379/0?socket_timeout=2"
    assert launch(COMPARE, with_password(password), ("LMCACHE_REMOTE_URL", url)).stdout == "True\n"


def test_a_user_name_goes_into_the_url_too() -> None:
    url = "redis://lm%40cache:secret@cache.models.svc:6379/0?socket_timeout=2"
    variables = with_password("secret", REMOTE_BACKEND_USERNAME="lm@cache")
    assert launch(COMPARE, variables, ("LMCACHE_REMOTE_URL", url)).stdout == "True\n"


def test_a_password_from_a_file_loses_its_last_line_break() -> None:
    url = "redis://:secret@cache.models.svc:6379/0?socket_timeout=2"
    assert launch(COMPARE, with_password("secret\n"), ("LMCACHE_REMOTE_URL", url)).stdout == "True\n"


def test_without_credentials_the_url_stays_as_it_is() -> None:
    variables = environment({"REMOTE_BACKEND_URL": URL})
    assert launch(COMPARE, variables, ("LMCACHE_REMOTE_URL", URL)).stdout == "True\n"


def test_the_server_does_not_see_the_parts_of_the_url() -> None:
    program = "import os; print(sorted(name for name in os.environ if name.startswith('REMOTE_BACKEND_')))"
    assert launch(program, with_password(REMOTE_BACKEND_USERNAME="lmcache")).stdout == "['REMOTE_BACKEND_URL']\n"


@pytest.mark.parametrize(
    "spelling",
    [PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD), repr(PASSWORD)],
    ids=["raw", "quoted", "quoted wholly", "quoted as form", "repr"],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_password_is_masked_in_every_spelling_and_on_both_streams(spelling: str, stream: str) -> None:
    program = f"import sys; sys.{stream}.write('before ' + sys.argv[1] + ' after\\n')"
    done = launch(program, arguments=(spelling,))
    expected = "before '***' after\n" if spelling == repr(PASSWORD) else "before *** after\n"
    assert getattr(done, stream) == expected


def test_the_url_that_lmcache_prints_is_masked() -> None:
    done = launch("import os; print('Creating connector for URL:', os.environ['LMCACHE_REMOTE_URL'])")
    assert done.stdout == "Creating connector for URL: redis://:***@cache.models.svc:6379/0?socket_timeout=2\n"


# Writes its argument byte by byte, each after the launcher has taken the one before out of the pipe.
IN_PIECES = """
import fcntl, os, struct, sys, termios
for byte in sys.argv[1].encode():
    os.write(1, bytes([byte]))
    while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, bytes(4)))[0]:
        pass
"""


def test_a_secret_written_in_pieces_is_masked() -> None:
    assert launch(IN_PIECES, arguments=(f"{PASSWORD}!\n",)).stdout == "***!\n"


def test_a_secret_across_the_pieces_of_an_endless_line_is_masked() -> None:
    # More than the launcher holds back, and nothing but secrets, so that every cut goes through one.
    program = "import sys; sys.stdout.write(sys.argv[1] * 350_000)"
    assert launch(program, with_password("secret"), ("secret",)).stdout == "***" * 350_000


def test_a_longer_secret_is_not_left_half_masked_by_a_shorter_one() -> None:
    variables = with_password("abc", HF_TOKEN="abcdef", LAUNCHER_REDACT="REMOTE_BACKEND_PASSWORD,HF_TOKEN")  # noqa: S106 - no server has this password
    assert launch("import sys; print(sys.argv[1])", variables, ("abcdef abc",)).stdout == "*** ***\n"


def test_other_secrets_are_masked_but_kept_for_the_server() -> None:
    variables = with_password(HF_TOKEN="hf_0123", LAUNCHER_REDACT="REMOTE_BACKEND_PASSWORD, HF_TOKEN")  # noqa: S106 - no server has this password
    assert launch(COMPARE, variables, ("HF_TOKEN", "hf_0123")).stdout == "True\n"
    assert launch("import os; print(os.environ['HF_TOKEN'])", variables).stdout == "***\n"


def test_a_secret_that_is_not_set_masks_nothing() -> None:
    variables = environment({"LAUNCHER_REDACT": "HF_TOKEN,REMOTE_BACKEND_PASSWORD,"})
    assert launch("print('as it is')", variables).stdout == "as it is\n"


def test_bytes_that_are_no_text_pass_unchanged() -> None:
    done = subprocess.run(
        [sys.executable, LAUNCHER, "--", sys.executable, "-c", "import os; os.write(1, bytes(range(256)))"],
        env=with_password(),
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == bytes(range(256))


def test_the_last_traceback_arrives_whole() -> None:
    done = launch("import sys; sys.stdout.write('no line break'); raise SystemExit('x' * 100_000)")
    assert done.stdout == "no line break"
    assert done.stderr == "x" * 100_000 + "\n"


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_is_the_servers(code: int) -> None:
    assert launch(f"raise SystemExit({code})").returncode == code


def test_a_server_ended_by_a_signal_is_reported_as_a_shell_does() -> None:
    assert launch("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == 128 + signal.SIGKILL


def test_a_command_that_does_not_exist_is_named() -> None:
    done = subprocess.run(
        [sys.executable, LAUNCHER, "--", "/nowhere/server"],
        env=with_password(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        127,
        "launcher: cannot start /nowhere/server: No such file or directory\n",
    )


def test_a_command_that_is_no_program_is_named(tmp_path: Path) -> None:
    file = tmp_path / "server"
    file.write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, LAUNCHER, "--", file],
        env=with_password(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (126, f"launcher: cannot start {file}: Permission denied\n")


def test_a_url_without_a_scheme_is_refused_without_showing_anything() -> None:
    done = launch("print('started')", with_password(REMOTE_BACKEND_URL="cache:6379"))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "launcher: REMOTE_BACKEND_URL is no URL\n")


@pytest.mark.parametrize("arguments", [[], ["--"], ["server"]])
def test_a_command_line_without_a_command_shows_how_it_is_used(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, LAUNCHER, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


SAYS_GOODBYE = """
import signal, sys
def leave(number, _):
    print("leaving after", signal.Signals(number).name)
    sys.exit(7)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, leave)
print("started")
while True:
    signal.pause()
"""


@pytest.mark.parametrize("running", [SAYS_GOODBYE], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_reaches_the_server_and_its_last_words_are_kept(
    running: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    running.send_signal(number)
    rest, _ = running.communicate(timeout=PATIENCE_S)
    assert (rest, running.returncode) == (f"leaving after {number.name}\n", 7)


@pytest.mark.parametrize("running", ["import signal; print('started'); signal.pause()"], indirect=True)
def test_a_server_that_a_forwarded_signal_kills_ends_with_its_number(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    running.terminate()
    assert running.wait(timeout=PATIENCE_S) == 128 + signal.SIGTERM


@pytest.mark.parametrize("running", ["import signal; print('50 %', end='\\r'); signal.pause()"], indirect=True)
def test_a_progress_bar_is_shown_while_it_moves(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        assert selector.select(timeout=PATIENCE_S)
    assert os.read(running.stdout.fileno(), 100) == b"50 %\r"


def test_a_descendant_that_keeps_the_output_open_does_not_hold_up_the_end() -> None:
    # Patient as the launcher is, a test is not: the same program with less patience.
    program = (
        "import importlib.util, os, sys\n"
        f"spec = importlib.util.spec_from_file_location('launcher', {str(LAUNCHER)!r})\n"
        "launcher = importlib.util.module_from_spec(spec); spec.loader.exec_module(launcher)\n"
        "launcher.DRAIN_S = 0.1\n"
        "code = launcher.main(); sys.stdout.flush(); os._exit(code)\n"
    )
    server = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0); raise SystemExit(3)"
    reader, writer = os.pipe()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", program, "--", sys.executable, "-c", server],
            env=with_password(),
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.wait(timeout=PATIENCE_S) == 3
    finally:
        # The descendant reads the end of its input and leaves too.
        os.close(writer)
        os.close(reader)


def wait(endpoint: str, seconds: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, WAIT, endpoint, seconds],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
def test_the_wait_ends_when_the_backend_accepts(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host.strip("[]"), 0))
        except OSError:
            assert family == socket.AF_INET6, "this machine has no IPv6 loopback, which is all that may be missing"
            return
        listener.listen()
        endpoint = f"{host}:{listener.getsockname()[1]}"
        done = wait(endpoint, "30")
    assert (done.returncode, done.stdout) == (0, f"{endpoint} accepts connections\n")


def test_the_wait_gives_up_without_failing() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
        done = wait(endpoint, "0")
    assert (done.returncode, done.stdout) == (
        0,
        f"{endpoint} does not accept connections after 0 s: starting without it\n",
    )


def test_a_name_that_does_not_resolve_counts_as_not_there() -> None:
    assert wait("no-such-host.invalid:6379", "0").returncode == 0


SHOW_SETTINGS = "import os; print(os.environ.get('LMCACHE_REMOTE_URL'), os.environ['LMCACHE_EXTRA_CONFIG'])"


def test_the_password_goes_where_the_settings_ask_for_it_and_is_hidden_there() -> None:
    settings = '{"valkey_password": "%REMOTE_BACKEND_PASSWORD%", "valkey_username": "me", "threads": 8}'
    program = (
        "import json, os; found = json.loads(os.environ['LMCACHE_EXTRA_CONFIG'])\n"
        "print(found['valkey_password'] == os.environ['EXPECTED'], found['valkey_username'], found['threads'])\n"
        "print(os.environ['LMCACHE_EXTRA_CONFIG'])"
    )
    done = launch(program, with_password(LMCACHE_EXTRA_CONFIG=settings, EXPECTED=PASSWORD))
    first, second = done.stdout.splitlines()
    assert first == "True me 8", done.stderr
    assert '"valkey_password": "***"' in second


def test_a_url_beside_such_a_setting_gets_no_password() -> None:
    settings = '{"account_key": "%REMOTE_BACKEND_PASSWORD%"}'
    done = launch(SHOW_SETTINGS, with_password(LMCACHE_EXTRA_CONFIG=settings))
    assert done.stdout.split(" ", 1)[0] == URL


def test_a_user_name_goes_where_it_is_asked_for() -> None:
    settings = '{"user": "%REMOTE_BACKEND_USERNAME%"}'
    done = launch(SHOW_SETTINGS, with_password(LMCACHE_EXTRA_CONFIG=settings, REMOTE_BACKEND_USERNAME="cache"))
    assert '{"user": "cache"}' in done.stdout


@pytest.mark.parametrize("settings", ['{"a": 1, "b": "%OTHER%"}', "[1]", '{"note": "the %REMOTE_BACKEND_PASSWORD%"}'])
def test_other_settings_stay_as_they_are_and_the_url_is_completed(settings: str) -> None:
    done = launch(SHOW_SETTINGS, with_password(LMCACHE_EXTRA_CONFIG=settings))
    url, _, shown = done.stdout.strip().partition(" ")
    assert shown == settings
    assert url.startswith("redis://:***@")


def test_settings_that_are_no_json_are_said() -> None:
    done = launch(SHOW_SETTINGS, with_password(LMCACHE_EXTRA_CONFIG="{"))
    assert done.returncode == 2
    assert done.stderr.startswith("launcher: ")
