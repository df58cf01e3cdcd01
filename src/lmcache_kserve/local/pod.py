"""One pod as a group of processes: its init containers run first, its containers run side by side."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lmcache_kserve.chart.environment import Configuration, expand, resolve_environment
from lmcache_kserve.chart.manifests import sidecars
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.probes import Readiness
from lmcache_kserve.local.process import OWNER_VARIABLE, ContainerProcess, Log, owner, temporary_folder
from lmcache_kserve.local.programs import Programs
from lmcache_kserve.local.rewrite import Addresses, Rewriter
from lmcache_kserve.local.volumes import Volumes
from lmcache_kserve.target import LOOPBACK
from lmcache_kserve.waiting import WaitTimeoutError, wait_for

_COMPILED = (("TORCHINDUCTOR_CACHE_DIR", ""), ("XDG_CACHE_HOME", "vllm/modelinfos"))
"""Where an engine keeps what it compiles and finds out when it starts: a variable, and a folder below its value.

Both are written under a lock or by a rename, so that several engines may share them. vLLM's torch_compile_cache is not,
and stays with the pod. Source: torch 2.13 `_inductor/codecache.py`, vLLM 0.32 `model_executor/models/registry.py`."""

_LAUNCHER = "/launcher.py"
"""The chart's; what it starts stands behind `--`."""
_INIT_TIMEOUT_S = 600.0
_WATCH_S = 0.5
_RESTART_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class Release:
    """What the pods of one release share.

    Attributes:
        namespace: its namespace.
        directory: the folder of this run.
        configuration: its ConfigMaps and Secrets.
        addresses: where its Services answer on this machine.
        programs: the programs that a cluster would take from images.
        compiled: where engines keep what they compile, from run to run.
        closing: set when the run ends, so that no thread starts another process.
    """

    namespace: str
    directory: Path
    configuration: Configuration
    addresses: Addresses
    programs: Programs
    compiled: Path
    closing: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a container is started as a local process: everything resolved and rewritten.

    Attributes:
        arguments: its command line, the program first.
        environment: its environment.
        rewriter: what moved paths, addresses and ports to this machine.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    rewriter: Rewriter


class LocalPod:
    """A pod that can be started, ended and started again at the same local ports.

    A container that was ready once and ends by itself is started again, as the kubelet does.
    """

    def __init__(self, plan: PodPlan, *, release: Release, ports: Mapping[int, int]) -> None:
        self.plan = plan
        self._release = release
        self._ports = ports
        self._directory = release.directory / "pods" / plan.name
        self._volumes = Volumes(
            pod=plan,
            directory=self._directory,
            claims=release.directory / "claims",
            configuration=release.configuration,
        )
        logs = release.directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = {
            container["name"]: Log(logs / f"{plan.name}.{container['name']}.log")
            for container in [*plan.spec.get("initContainers", ()), *plan.spec["containers"]]
        }
        self._processes: dict[str, ContainerProcess] = {}
        self._once_ready: set[str] = set()
        self._kept_down: set[str] = set()
        self._changing = threading.Lock()

    @property
    def main(self) -> Mapping[str, Any]:
        """The spec of the first container."""
        container: Mapping[str, Any] = self.plan.spec["containers"][0]
        return container

    @property
    def log(self) -> Log:
        """The log of the first container."""
        return self._logs[self.main["name"]]

    def container_log(self, name: str) -> Log:
        """The log of a container."""
        return self._logs[name]

    @property
    def process(self) -> ContainerProcess:
        """The process of the first container.

        Raises:
            HarnessError: the pod is not running.
        """
        process = self._processes.get(self.main["name"])
        if process is None:
            raise HarnessError(f"pod {self.plan.name} is not running")
        return process

    @property
    def processes(self) -> Mapping[str, ContainerProcess]:
        """The process of each container that was started, as it is now; it may have ended."""
        return self._processes.copy()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes of all its containers."""
        return [pid for process in self.processes.values() for pid in process.pids]

    def local_port(self, container_port: int) -> int:
        """Where one of the pod's ports answers on this machine."""
        return self._ports[container_port]

    def check(self) -> None:
        """See that every container can run on this machine, before anything starts.

        Raises:
            HarnessError: one cannot; the message says why.
        """
        for container in [*self.plan.spec.get("initContainers", ()), *self.plan.spec["containers"]]:
            invocation = self.invocation(container)
            self._release.programs.check(invocation.arguments, container=container["name"])
            named = {invocation.rewriter.names_port(text) for text in self._command(container)}
            for port in container.get("ports", ()):
                if port["containerPort"] not in named:
                    raise HarnessError(
                        f"container {container['name']} of pod {self.plan.name} listens on port "
                        f"{port['containerPort']}, but no argument names it: it cannot be moved to a free port"
                    )

    def read_mounted(self, path: str) -> str:
        """Text of a file that the first container would read at `path`, a path on this machine."""
        self._volumes.write_configuration(self.main, self._rewriter(self.main))
        return Path(path).read_text(encoding="utf-8")

    def start(self) -> None:
        """Run the init containers, start the containers, and wait until all are ready; sidecars stay.

        A container that ends before it is ready is an error the first time. Later its probes' patience decides: a port
        of its last run may not be free yet.

        Raises:
            HarnessError: one failed; its last log lines are in the message.
        """
        staying = sidecars(self.plan.spec)
        for container in self.plan.spec.get("initContainers", ()):
            process = self._launch(container)
            if container in staying:
                self._wait_ready(container)
            elif (code := process.wait(timeout=_INIT_TIMEOUT_S)) != 0:
                raise HarnessError(f"init container {process.name} ended with code {code}\n{process.log.tail()}")
        for container in self.plan.spec["containers"]:
            self._launch(container)
        for container in self.plan.spec["containers"]:
            self._wait_ready(container)

    def stop(self) -> None:
        """End the pod as a deletion does, and remove its files: emptyDirs and configuration."""
        self._end(gracefully=True)

    def kill(self) -> None:
        """End the pod at once, as the loss of its node would."""
        self._end(gracefully=False)

    def kill_container(self, container: Mapping[str, Any]) -> None:
        """End one container at once, until `start_container`; the others go on."""
        with self._changing:
            self._kept_down.add(container["name"])
            if process := self._processes.get(container["name"]):
                process.kill()

    def start_container(self, container: Mapping[str, Any]) -> None:
        """Start a container that `kill_container` ended, and wait until it is ready.

        Raises:
            HarnessError: it does not become ready.
        """
        self._launch(container)
        self._wait_ready(container)

    def invocation(self, container: Mapping[str, Any]) -> Invocation:
        """The command and environment of `container` on this machine."""
        rewriter = self._rewriter(container)
        environment = resolve_environment(
            container,
            configuration=self._release.configuration,
            fields={
                "metadata.name": self.plan.name,
                "metadata.namespace": self._release.namespace,
                "spec.nodeName": "localhost",
                "status.hostIP": LOOPBACK,
                "status.podIP": LOOPBACK,
            },
        )
        environment = {name: rewriter.text(value) for name, value in environment.items()}
        arguments = tuple(rewriter.argument(expand(text, environment)) for text in self._command(container))
        surroundings = {
            "HOME": str(self._directory),
            "HOSTNAME": self.plan.name,
            "LANG": "C.UTF-8",
            "PATH": self._release.programs.path,
            "TMPDIR": rewriter.mounts.get("/tmp") or str(temporary_folder()),  # noqa: S108 - a mount path of the pod
            OWNER_VARIABLE: owner(),
        }
        return Invocation(arguments=arguments, environment={**surroundings, **environment}, rewriter=rewriter)

    def in_place_of(self, container: Mapping[str, Any], program: Sequence[str]) -> Invocation:
        """How another program runs where the one of `container` would: with its files, environment and launcher.

        The launcher hands the backend's credentials on, and masks them in what the program prints.
        """
        invocation = self.invocation(container)
        self._volumes.write_configuration(container, invocation.rewriter)
        words = invocation.arguments
        end = words.index("--") + 1 if any(word.endswith(_LAUNCHER) for word in words) else 0
        return replace(invocation, arguments=(*words[:end], *program))

    def run_in_place_of(
        self, container: Mapping[str, Any], program: Sequence[str], *, environment: Mapping[str, str], timeout: float
    ) -> list[str]:
        """Run another program to its end where the one of `container` would run; see `in_place_of`.

        Args:
            container: one of the pod's, which does not run.
            program: the program and its arguments.
            environment: variables beside those of the container.
            timeout: seconds that it may take.

        Returns:
            The lines that it printed.

        Raises:
            HarnessError: it failed, or did not end in time; the message has its last lines.
        """
        invocation = self.in_place_of(container, program)
        log = self._logs[container["name"]]
        before = len(log.lines())
        process = ContainerProcess(
            f"{program[0]} in {self.plan.name}/{container['name']}",
            invocation.arguments,
            environment={**invocation.environment, **environment},
            directory=self._directory,
            log=log,
        )
        try:
            if code := process.wait(timeout=timeout):
                raise HarnessError(f"{process.name} ended with code {code}\n{log.tail()}")
        finally:
            process.kill()
        return [line.text for line in log.lines()[before:]]

    def _share_compiled(self, environment: Mapping[str, str]) -> None:
        """Let an engine find what another run compiled, by links in the pod's own folders.

        These folders end with the pod. Most of an engine's start on two processors would go into the same files again.
        What is compiled depends on the engine alone.
        """
        for variable, below in _COMPILED:
            place = Path(environment.get(variable, "/")) / below
            if place.is_relative_to(self._directory) and not place.exists():
                shared = self._release.compiled / place.name
                shared.mkdir(parents=True, exist_ok=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(shared)

    def _launch(self, container: Mapping[str, Any], *, instead_of: ContainerProcess | None = None) -> ContainerProcess:
        name = container["name"]
        with self._changing:
            if self._release.closing.is_set():
                raise HarnessError(f"pod {self.plan.name} is not started: the run is ending")
            if instead_of is None:
                self._kept_down.discard(name)
            elif name in self._kept_down or self._processes.get(name) is not instead_of:
                raise HarnessError(f"container {name} of pod {self.plan.name} was ended from here")
            invocation = self.invocation(container)
            self._volumes.write_configuration(container, invocation.rewriter)
            self._share_compiled(invocation.environment)
            process = ContainerProcess(
                f"{self.plan.name}/{name}",
                invocation.arguments,
                environment=invocation.environment,
                directory=self._directory,
                log=self._logs[name],
            )
            self._processes[name] = process
        threading.Thread(target=self._keep, args=(container, process), name=f"keep-{process.name}", daemon=True).start()
        return process

    def _keep(self, container: Mapping[str, Any], process: ContainerProcess) -> None:
        """Start a container again that ends by itself after it was ready once."""
        closing = self._release.closing
        while process.exit_code is None:
            if closing.wait(_WATCH_S):
                return
        if container["name"] not in self._once_ready or closing.wait(_RESTART_DELAY_S):
            return
        process.kill()  # its descendants may still run
        with suppress(HarnessError):  # ended from here
            again = self._launch(container, instead_of=process)
            again.log.append(f"{again.name} ended with code {process.exit_code} and was started again")

    def _wait_ready(self, container: Mapping[str, Any]) -> None:
        name = container["name"]
        readiness = Readiness.of(container)
        invocation = self.invocation(container)

        def failed() -> str | None:
            process = self._processes.get(name)
            if process is None:
                return f"pod {self.plan.name} was ended before {name} was ready"
            if process.exit_code is None or name in self._once_ready:
                return None
            return f"{process.name} ended with code {process.exit_code} before it was ready\n{process.log.tail()}"

        checks = readiness.checks(
            container,
            rewriter=invocation.rewriter,
            environment=invocation.environment,
            directory=self._directory,
        )
        try:
            with checks as ready:
                wait_for(
                    ready,
                    failed=failed,
                    timeout=max(readiness.patience_s, readiness.period_s),
                    delay=readiness.period_s,
                    describe=f"{self.plan.name}/{name} to be ready",
                )
        except WaitTimeoutError as error:
            error.add_note(self._logs[name].tail())
            raise
        self._once_ready.add(name)

    def _end(self, *, gracefully: bool) -> None:
        with self._changing:
            # Sidecars, which were started first, outlive the containers that use them.
            for process in reversed(self._processes.values()):
                process.stop() if gracefully else process.kill()
            self._processes.clear()
            self._volumes.clear()

    def _command(self, container: Mapping[str, Any]) -> list[str]:
        if "command" not in container:
            raise HarnessError(
                f"container {container['name']} of pod {self.plan.name} runs the entrypoint of image "
                f"{container['image']}, which only a container runtime knows: choose values that name the command "
                "(runtime.server=vllm does for the predictor)"
            )
        return [*container["command"], *container.get("args", ())]

    def _rewriter(self, container: Mapping[str, Any]) -> Rewriter:
        self._directory.mkdir(parents=True, exist_ok=True)
        return Rewriter(
            addresses=self._release.addresses,
            mounts=self._volumes.mounts(container),
            ports={port["containerPort"]: self._ports[port["containerPort"]] for port in container.get("ports", ())},
            pod_ports=self._ports,
        )
