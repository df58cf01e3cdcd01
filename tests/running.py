"""Runs of the command as a user makes them: a process of its own, with the real engine."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from lmcache_kserve.local.process import owner_of
from lmcache_kserve.verdict import CHECKS

SERVER = frozenset({"cache-server-outage"})
"""The check that mode multiprocess has more."""

ASKED_FOR = frozenset({"scale-out"})
"""The check that runs with an option of its own only."""

ALL = frozenset(check.id for check in CHECKS) - SERVER - ASKED_FOR
"""Ids of the checks that `demo` makes unasked in mode in-process, with a backend that the release runs."""

LONG_PROMPTS = ("--prompt-tokens", "9000")
"""For ways on which a hit takes long to arrive where cores are few: it pays the more, the longer the prompt."""

COMMAND = [sys.executable, "-m", "lmcache_kserve", "demo"]

HEED_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command as a terminal does: whoever starts the tests in the background passes an ignored SIGINT on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of `demo` ended."""

    code: int
    output: str
    report: dict[str, Any] | None

    @property
    def words(self) -> str:
        """The output without the line breaks of a narrow terminal."""
        return " ".join(self.output.split())

    @property
    def passed(self) -> set[str]:
        """Ids of the checks that passed."""
        return {check["id"] for check in (self.report or {}).get("checks", ()) if check["passed"]}

    def check(self, check_id: str) -> dict[str, Any]:
        """The check of that id."""
        checks = (self.report or {}).get("checks", ())
        return next(check for check in checks if check["id"] == check_id)


Demo = Callable[..., Outcome]


def processes_of_runs() -> list[psutil.Process]:
    """Every process on this machine that a run of the harness started."""
    return [process for process in psutil.process_iter() if owner_of(process) and process.pid != os.getpid()]
