"""A release on a cluster, as a target of the proof."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER, SERVER_CONTAINER
from lmcache_kserve.cluster.api import Api, NotFoundError
from lmcache_kserve.cluster.backend import ClusterBackend
from lmcache_kserve.cluster.pod import Pod, problems, read_invocation
from lmcache_kserve.cluster.release import Release
from lmcache_kserve.cluster.replica import GONE_TIMEOUT_S, POLL_S, READY_TIMEOUT_S, ClusterCacheServer, ClusterReplica
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.arguments import served_model_name
from lmcache_kserve.lmcache.logs import started_versions
from lmcache_kserve.lmcache.settings import LMCacheSettings, read_server_settings, read_settings
from lmcache_kserve.waiting import Pending, wait_for


class ClusterTarget:
    """A release on a cluster.

    Use it as a context manager: whatever happens inside, a stopped backend is scaled back, and every forwarded port is
    closed. Predictor pods are only deleted; KServe decides how many run.
    """

    def __init__(self, api: Api, release: str) -> None:
        """Find the release and see that it can be measured.

        Raises:
            HarnessError: there is no such release, it is not ready, or the account may not read it.
        """
        self._api = api
        self._release = Release.find(api, release)
        self._pods = self._release.ready_pods()
        self._chart_version = self._release.chart_version()
        self._server_secrets: Sequence[str] = ()
        self._invocations = [read_invocation(api, pod, PREDICTOR_CONTAINER) for pod in self._pods]
        self._servers = [self._find_server(pod) for pod in self._pods]
        self._settings = self._read_settings()
        self._backend = self._find_backend()
        self._replicas: list[ClusterReplica] = []
        self._versions: Mapping[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the ways into the pods.

        Raises:
            HarnessError: the cluster refuses them.
        """
        with ExitStack() as stack:
            if self._backend:
                stack.callback(self._backend.close)
            found = zip(self._pods, self._invocations, self._servers, strict=True)
            for number, (pod, invocation, server) in enumerate(found):
                replica = ClusterReplica(self._api, f"predictor-{number}", pod, invocation, server)
                stack.callback(replica.close)
                replica.forward.check()
                self._replicas.append(replica)
            self._versions = self._read_versions()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Undo what was done to the release, and close the ways into it."""
        self._stack.close()

    @property
    def kind(self) -> str:
        """`cluster`."""
        return "cluster"

    @property
    def model_name(self) -> str:
        """The served model name."""
        return served_model_name(self._invocations[0].arguments)

    @property
    def mode(self) -> str:
        """The value of `lmcache.mode`, or `none` when LMCache is off."""
        return self._release.mode

    @property
    def chunk_size(self) -> int:
        """LMCache's chunk size in tokens."""
        return self._settings.chunk_size

    @property
    def replicas(self) -> Sequence[ClusterReplica]:
        """The predictor's replicas."""
        return self._replicas

    @property
    def backend(self) -> ClusterBackend | None:
        """The remote backend, or None without one."""
        return self._backend

    @property
    def cache_server(self) -> ClusterCacheServer | None:
        """The LMCache server of the last replica in mode multiprocess, else None."""
        if self.mode != "multiprocess":
            return None
        return ClusterCacheServer(self._api, self._release, self._replicas[-1])

    @property
    def backend_type(self) -> str:
        """The value of `remoteBackend.type`."""
        return self._release.backend_type

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions and images of what runs, by name."""
        with suppress(HarnessError):  # a log that cannot be read is reported by the check of the logs
            return {**self._versions, **started_versions(self._replicas[0].logs())}
        return self._versions

    @property
    def secrets(self) -> Sequence[str]:
        """Every value of the Secrets that the environment of the predictor and of its LMCache server refers to."""
        return sorted(
            {secret for invocation in self._invocations for secret in invocation.secrets} | set(self._server_secrets)
        )

    def kill_replica(self, index: int) -> None:
        """Delete a replica's pod without grace; return when the cluster has forgotten it.

        The kubelet ends its processes within two seconds.
        """
        pod = self._replicas[index].pod
        with suppress(NotFoundError):
            self._api.delete_pod(pod.name, uid=pod.uid)
        wait_for(
            lambda: pod.uid not in {other.uid for other in self._release.pods()},
            timeout=GONE_TIMEOUT_S,
            delay=POLL_S,
            describe=f"pod {pod.name} to end",
        )

    def restart_replica(self, index: int) -> None:
        """Delete a replica's pod if it is still there, and wait for the new pod of KServe's Deployment.

        Raises:
            HarnessError: no new pod becomes ready.
        """
        replica = self._replicas[index]
        self.kill_replica(index)
        known = {other.pod.uid for other in self._replicas}

        def replaced() -> Pod | Pending:
            new = [pod for pod in self._release.pods() if pod.uid not in known]
            ready = next((pod for pod in new if pod.ready), None)
            words = "; ".join(problems(new)) or ", ".join(pod.state for pod in new) or "there is no new pod"
            return ready or Pending(words)

        pod = wait_for(
            replaced,
            timeout=READY_TIMEOUT_S,
            delay=POLL_S,
            describe=f"a ready pod in place of {replica.pod.name}",
        )
        invocation = read_invocation(self._api, pod, PREDICTOR_CONTAINER)
        replica.take(pod, invocation, self._find_server(pod))

    def _find_server(self, pod: Pod) -> Pod | None:
        """The pod with the LMCache server of a predictor's pod, in mode multiprocess."""
        return self._release.cache_server(pod) if self.mode == "multiprocess" else None

    def _find_backend(self) -> ClusterBackend | None:
        if self.backend_type == "none":
            return None
        return ClusterBackend(
            api=self._api,
            type=self.backend_type,
            mode=self.mode,
            labels=self._release.backend_labels(),
            settings=self._settings,
            neighbour=self._neighbour,
        )

    def _neighbour(self) -> tuple[str, str]:
        """A pod and its container that reach the backend."""
        replica = self._replicas[0]
        if replica.server:
            return replica.server.name, SERVER_CONTAINER
        return replica.pod.name, PREDICTOR_CONTAINER

    def _read_settings(self) -> LMCacheSettings:
        """Read the settings of the first replica, where its mode keeps them.

        Raises:
            HarnessError: mode multiprocess without a server on the replica's node.
        """
        pod, invocation, server = self._pods[0], self._invocations[0], self._servers[0]
        if self.mode != "multiprocess":
            return read_settings(invocation.arguments, invocation.environment, config_file=invocation.config_file)
        if server is None:
            raise HarnessError(
                f"pod {pod.name} has no LMCache server on its node {pod.node}: does the DaemonSet run there? "
                "(lmcache.multiprocess.daemonset)"
            )
        told = read_invocation(self._api, server, SERVER_CONTAINER)
        self._server_secrets = told.secrets
        return read_server_settings(invocation.arguments, told.arguments, told.environment)

    def _read_versions(self) -> dict[str, str]:
        replica = self._replicas[0]
        versions = {
            "chart": self._chart_version,
            "kubernetes": self._api.server_version(),
            "predictor image": str(replica.pod.container(PREDICTOR_CONTAINER)["image"]),
        }
        if self._backend and (image := self._backend.image()):
            versions[f"{self.backend_type} image"] = image
        return versions
