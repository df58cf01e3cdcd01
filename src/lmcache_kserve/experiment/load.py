"""Load from `lmcache bench engine`, the load generator that comes with LMCache, in the engine's environment.

Source: LMCache 0.5.6, `lmcache/cli/commands/bench/engine_bench`: its options, and the columns of bench_results.csv.
"""

import csv
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.engine.find import Engine
from lmcache_kserve.engine.setup import foreign_free_environment
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import CHAT, DOCUMENTS, LONG_DOCUMENT, Cell, Request
from lmcache_kserve.lmcache.arguments import api_key
from lmcache_kserve.target import Replica

ANSWER_TOKENS = 8
DOCUMENTS_OF_PROMPT = 4
"""Documents of a prompt of the workload that shuffles them."""
CHAT_SHARE = 4
"""A chat's system prompt takes one part of so many of a prompt, the history all others."""
CHAT_INPUT_TOKENS = 16

_NEEDED = ("--no-warmup", "--ignore-eos", "--ldqa-max-output-length")
_RESULTS = "bench_results.csv"
_TIMEOUT_S = 1800.0
_HELP_TIMEOUT_S = 120.0
_LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class LoadTool:
    """The tool, in the environment of an engine.

    Attributes:
        engine: where it is installed.
        directory: a folder for its files.
    """

    engine: Engine
    directory: Path

    @property
    def program(self) -> Path:
        """The command line of LMCache."""
        return self.engine.bin_dir / "lmcache"

    def check(self) -> None:
        """See that this release of LMCache has the options that a comparison needs.

        Raises:
            HarnessError: it has not.
        """
        said = self._run(["--help"], timeout_s=_HELP_TIMEOUT_S).stdout
        if missing := [option for option in _NEEDED if option not in said]:
            raise HarnessError(
                f"`lmcache bench engine` of LMCache {self.engine.versions.get('lmcache')} has no "
                f"{' and no '.join(missing)}: choose an --engine with LMCache 0.5.6 or later"
            )

    def run(self, cell: Cell, replica: Replica, *, model: str, seed: int, words: int = 0) -> tuple[Request, ...]:
        """Put a cell's load on a replica once, without a pass of the tool's own that fills the cache before.

        Args:
            cell: the load.
            replica: what is asked.
            model: the served model name.
            seed: of what the tool draws.
            words: for shuffled documents, words of each; the tool's tokenizer makes one token of a word.

        Raises:
            HarnessError: the tool failed, or sent nothing.
        """
        shutil.rmtree(self.directory / "out", ignore_errors=True)
        (self.directory / "out").mkdir(parents=True)
        arguments = [
            f"--engine-url={replica.openai_url}",
            f"--model={model}",
            f"--seed={seed}",
            "--output-dir=out",
            *arguments_of(cell, words=words),
        ]
        done = self._run(arguments, key=api_key(replica.arguments, replica.environment), timeout_s=_TIMEOUT_S)
        file = self.directory / "out" / _RESULTS
        # The tool ends with 1 where a request failed, and its results say which.
        if not file.exists():
            lines = (done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]
            error = HarnessError(f"`lmcache bench engine` ended with code {done.returncode} and left no results")
            error.add_note("\n".join(lines))
            raise error
        with file.open(newline="", encoding="utf-8") as rows:
            requests = read(rows)
        if not requests:
            raise HarnessError(f"`lmcache bench engine` sent no request for {cell}")
        return requests

    def _run(self, arguments: Sequence[str], *, timeout_s: float, key: str = "") -> "subprocess.CompletedProcess[str]":
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = foreign_free_environment() | {"HF_HUB_OFFLINE": "1", "NO_PROXY": "*", "no_proxy": "*"}
        if key:
            environment["OPENAI_API_KEY"] = key
        try:
            return subprocess.run(
                [str(self.program), "bench", "engine", *arguments],
                env=environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HarnessError(f"`lmcache bench engine` did not end within {timeout_s:.0f} s") from None
        except OSError as error:
            raise HarnessError(f"cannot start {self.program}: {os.strerror(error.errno or 0)}") from error


def arguments_of(cell: Cell, *, words: int = 0) -> list[str]:
    """The tool's options for a cell.

    A working set is a number of GB there, and of tokens in a GB: one GB stands for the whole set. Documents come in
    turn (`tile`). So a cache that evicts what was used longest ago finds nothing of a working set that is larger.
    """
    shared = [
        f"--workload={cell.workload}",
        "--no-interactive",
        "--no-warmup",
        "--quiet",
        "--ignore-eos",
        "--kv-cache-volume=1",
        f"--tokens-per-gb-kvcache={cell.documents * cell.prompt_tokens}",
    ]
    match cell.workload:
        case "long-doc-qa":
            return [
                *shared,
                f"--ldqa-document-length={cell.prompt_tokens}",
                f"--ldqa-query-per-document={queries(cell)}",
                "--ldqa-shuffle-policy=tile",
                f"--ldqa-num-inflight-requests={cell.concurrency:.0f}",
                f"--ldqa-max-output-length={ANSWER_TOKENS}",
            ]
        case "multi-round-chat":
            system = cell.prompt_tokens // CHAT_SHARE
            return [
                *shared,
                f"--mrc-shared-prompt-length={system}",
                f"--mrc-chat-history-length={cell.prompt_tokens - system}",
                f"--mrc-user-input-length={CHAT_INPUT_TOKENS}",
                f"--mrc-output-length={ANSWER_TOKENS}",
                f"--mrc-qps={cell.concurrency:g}",
                # The tool sends the first request at once, and none from the last moment on.
                f"--mrc-duration={(cell.documents * queries(cell) - 0.5) / cell.concurrency:g}",
            ]
        case _:
            return [
                *shared,
                f"--ldp-num-contexts={DOCUMENTS_OF_PROMPT}",
                f"--ldp-context-length={words}",
                "--ldp-system-prompt-length=0",
                f"--ldp-num-permutations={cell.documents}",
                f"--ldp-num-inflight-requests={cell.concurrency:.0f}",
                f"--ldp-max-output-length={ANSWER_TOKENS}",
            ]


FEWEST_REQUESTS = 12


def queries(cell: Cell) -> int:
    """Requests for each document or history in a round: so many that a round has `FEWEST_REQUESTS` or more."""
    return 1 if cell.workload == DOCUMENTS else -(-FEWEST_REQUESTS // cell.documents)


def fills(cell: Cell) -> bool:
    """Whether a round comes first that only fills the caches: where every round asks for the same prompts.

    Shuffled documents are new in each round. What a round finds then comes from its own earlier requests.
    """
    return cell.workload in {LONG_DOCUMENT, CHAT}


def read(rows: Iterable[str]) -> tuple[Request, ...]:
    """Read bench_results.csv, in the order in which the requests were sent.

    Raises:
        HarnessError: it has not the columns of LMCache 0.5.6.
    """
    try:
        found = [
            Request(
                name=row["request_id"],
                ttft_s=float(row["ttft"]),
                total_s=float(row["request_latency"]),
                prompt_tokens=int(row["num_input_tokens"]),
                answer_tokens=int(row["num_output_tokens"]),
                sent_s=float(row["submit_time"]),
                error="" if row["successful"] == "True" else row["error"] or "no reason given",
            )
            for row in csv.DictReader(rows)
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise HarnessError(f"`lmcache bench engine` wrote a {_RESULTS} of another form: {error!r}") from error
    return tuple(sorted(found, key=lambda request: (request.sent_s, request.name)))
