"""What `smoke` runs inside the image: looks at what is installed, then serves a prompt twice, once from the cache.

It comes in through standard input, so it needs nothing but the standard library.
"""

import ctypes
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

USER_ID = 1000
LIBRARIES = ("libnuma.so.1", "libgomp.so.1")
# Clients of backends that load libraries of the system, by the package that brings them; not every processor has it.
CLIENTS = {"mooncake-transfer-engine-non-cuda": "mooncake.store"}
# A CPU server loads none of them; pyproject.toml says which ones vLLM and LMCache declare all the same.
UNWANTED_PACKAGES = ("cuda", "cufile", "cupy", "nvidia", "nvtx", "torchaudio", "torchcodec", "torchvision", "triton")
UNWANTED_PROGRAMS = ("c++", "cc", "clang", "g++", "gcc", "ld", "make", "nvcc", "uv")
UNWANTED_FOLDERS = ("/build", "/opt/uv", "/var/lib/apt/lists/partial")

PORT = 8080
CHUNK_TOKENS = 256
PROMPT = "".join(f"Sentence {number} of a prompt that fills some chunks of the cache. " for number in range(60))
SERVER = [
    *("python3", "-m", "vllm.entrypoints.openai.api_server", "--model=/models/tiny", "--served-model-name=tiny"),
    *(f"--port={PORT}", "--max-model-len=4096", "--dtype=float32", "--enforce-eager"),
    "--no-enable-prefix-caching",  # vLLM's own cache would answer before LMCache does
    *("--kv-transfer-config", json.dumps({"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"})),
]
SETTINGS = {
    "LMCACHE_CHUNK_SIZE": str(CHUNK_TOKENS),
    "LMCACHE_LOCAL_CPU": "true",
    "LMCACHE_LOG_LEVEL": "INFO",
    "LMCACHE_MAX_LOCAL_CPU_SIZE": "1",
    "LMCACHE_TRACK_USAGE": "false",
    "PYTHONHASHSEED": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}
START_TIMEOUT_S = 300
REQUEST_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30


class SmokeError(Exception):
    """The image does not keep a promise; the text says which."""


def main() -> None:
    """Exit with 0, or with a sentence about what is wrong."""
    if faults := [*what_is_wrong(), *what_is_left_over()]:
        sys.exit(f"smoke: {'; '.join(faults)}")
    log = Path.home() / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(SERVER, env=os.environ | SETTINGS, stdout=output, stderr=subprocess.STDOUT)
        try:
            serve_twice(server, log)
        except (SmokeError, OSError) as error:
            sys.exit(f"{log.read_text(errors='replace')}\nsmoke: {error}")
        finally:
            stop(server)


def what_is_wrong() -> Iterator[str]:
    """Promises about user, Python and libraries that the image does not keep."""
    if os.getuid() != USER_ID:
        yield f"the user is {os.getuid()} and not {USER_ID}"
    if sys.prefix == sys.base_prefix:
        yield f"python3 is {sys.executable} and not the engine's"
    for library in LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError as error:
            yield f"a library does not load ({error})"
    for package, module in CLIENTS.items():
        try:
            metadata.version(package)
            importlib.import_module(module)
        except metadata.PackageNotFoundError:
            continue
        except ImportError as error:
            yield f"{module} does not load ({error})"


def what_is_left_over() -> Iterator[str]:
    """What should not be in the image."""
    for package in metadata.distributions():
        if package.name.lower().startswith(UNWANTED_PACKAGES):
            yield f"the package {package.name} is installed"
    for program in UNWANTED_PROGRAMS:
        if found := shutil.which(program):
            yield f"the program {found} is there"
    for folder in UNWANTED_FOLDERS:
        if Path(folder).exists():
            yield f"{folder} is left from the build"


def serve_twice(server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Send one prompt twice: the second time all full chunks are hits, and the answer is the same.

    Raises:
        SmokeError: something else happened.
    """
    say(f"started in {wait_until_healthy(server):.0f} s")
    first, second = complete(), complete()
    tokens = first["usage"]["prompt_tokens"]
    hits = [int(hit) for hit in re.findall(r"LMCache hit tokens: (\d+)", log.read_text(errors="replace"))]
    say(f"hit tokens of {tokens}, first and second time: {hits}")
    expected = [0, tokens // CHUNK_TOKENS * CHUNK_TOKENS]
    if hits != expected:
        raise SmokeError(f"hit tokens are {hits} and not {expected}")
    if (text := first["choices"][0]["text"]) != (cached := second["choices"][0]["text"]):
        raise SmokeError(f"the answer computed is {text!r} and the one from the cache {cached!r}")


def wait_until_healthy(server: "subprocess.Popen[bytes]") -> float:
    """How long the server took to become healthy, in seconds.

    Raises:
        SmokeError: it ended, or was not healthy in time.
    """
    started = time.monotonic()
    while (waited := time.monotonic() - started) < START_TIMEOUT_S:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return waited
        except OSError:
            pass
        try:
            code = server.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
        raise SmokeError(f"the server ended with {code} before it was healthy")
    raise SmokeError(f"the server was not healthy after {START_TIMEOUT_S} s")


def complete() -> dict[str, Any]:
    """The server's answer to the prompt."""
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 8, "temperature": 0, "ignore_eos": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
        return dict(json.load(response))


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server, and let the container's end take what outlives it."""
    server.terminate()
    try:
        server.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()


def say(line: str) -> None:
    """Show progress."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
