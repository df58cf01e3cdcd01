"""The only door to the Kubernetes API: requests in one namespace, and what their failures mean for a user.

Objects stay the plain mappings that the server sent: the client's typed models drop fields that they do not know, and
refuse objects that lack a field. The client is used for the kubeconfig, with all its ways to authenticate.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from lmcache_kserve.cluster.channels import Exec, Tunnel
from lmcache_kserve.errors import HarnessError

ROLE = "docs/verify-role.yaml"
_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 30.0
_EXEC_TIMEOUT_S = 30.0
_LOG_CHUNK_BYTES = 65536

Object = Mapping[str, Any]


class NotFoundError(HarnessError):
    """The object, or the kind of object, does not exist."""


class ForbiddenError(HarnessError):
    """The account may not do this."""


class ConflictError(HarnessError):
    """Another object has the name by now."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: `prefix` of its paths, `group` and `name` as RBAC writes them."""

    prefix: str
    group: str
    name: str


PODS = Resource("/api/v1", "", "pods")
CONFIG_MAPS = Resource("/api/v1", "", "configmaps")
SECRETS = Resource("/api/v1", "", "secrets")
DEPLOYMENTS = Resource("/apis/apps/v1", "apps", "deployments")
STATEFUL_SETS = Resource("/apis/apps/v1", "apps", "statefulsets")
INFERENCE_SERVICES = Resource("/apis/serving.kserve.io/v1beta1", "serving.kserve.io", "inferenceservices")
SERVING_RUNTIMES = Resource("/apis/serving.kserve.io/v1alpha1", "serving.kserve.io", "servingruntimes")


@dataclass(frozen=True, slots=True)
class _Call:
    """One request: what RBAC calls it, and where it goes."""

    verb: str
    resource: Resource
    namespace: str
    name: str | None = None
    subresource: str | None = None

    @property
    def path(self) -> str:
        parts = [self.resource.prefix, "namespaces", self.namespace, self.resource.name, self.name, self.subresource]
        return "/".join(part for part in parts if part)

    def __str__(self) -> str:
        kind = f"{self.resource.name}/{self.subresource}" if self.subresource else self.resource.name
        group = f" of the group {self.resource.group}" if self.resource.group else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {kind}{group}{name} in namespace {self.namespace}"


class Api:
    """One namespace of a cluster."""

    def __init__(self, client: Any, namespace: str) -> None:  # noqa: ANN401 - the `read` of its answers has no type hints: strict mypy refuses to call it
        """Take a `kubernetes.client.ApiClient` and the namespace that all requests are for."""
        self._client = client
        self.namespace = namespace

    @classmethod
    def connect(cls, *, namespace: str, kubeconfig: Path | None = None, context: str | None = None) -> "Api":
        """Read a kubeconfig; nothing is sent yet.

        Args:
            namespace: the namespace of the release.
            kubeconfig: the file; by default what KUBECONFIG names, or ~/.kube/config.
            context: the context in it; by default its current one.

        Raises:
            HarnessError: there is no kubeconfig, or it has no such context.
        """
        from kubernetes import client, config  # noqa: PLC0415 - half a second that no other command should pay

        if kubeconfig is not None and not kubeconfig.is_file():
            raise HarnessError(f"there is no kubeconfig {kubeconfig}: correct --kubeconfig")
        configuration = client.Configuration()
        configuration.retries = False  # a retry is decided here, where it is known what may be repeated
        load: Any = config.load_kube_config  # untyped
        try:
            load(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
            )
        except (config.ConfigException, yaml.YAMLError) as error:
            raise HarnessError(
                f"the kubeconfig cannot be used ({error}): set KUBECONFIG, or give --kubeconfig and --context"
            ) from error
        return cls(client.ApiClient(configuration), namespace)

    def list(self, resource: Resource, *, labels: Mapping[str, str]) -> Sequence[Object]:
        """All objects of a kind that carry the labels, by name.

        Raises:
            NotFoundError: the cluster does not know this kind.
            ForbiddenError: the account may not list it.
            HarnessError: the cluster cannot be reached.
        """
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        call = _Call("list", resource, self.namespace)
        items = self._json("GET", call, query={"labelSelector": selector} if selector else {}).get("items", [])
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def get(self, resource: Resource, name: str) -> Object:
        """One object.

        Raises:
            NotFoundError: it does not exist.
            ForbiddenError: the account may not read it.
            HarnessError: the cluster cannot be reached.
        """
        return self._json("GET", _Call("get", resource, self.namespace, name))

    def delete_pod(self, name: str, *, uid: str) -> None:
        """Delete a pod without grace, if it is still the one with this `uid`.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: another pod has its name by now.
            ForbiddenError: the account may not delete it.
            HarnessError: the cluster cannot be reached.
        """
        self._json(
            "DELETE",
            _Call("delete", PODS, self.namespace, name),
            body={"gracePeriodSeconds": 0, "preconditions": {"uid": uid}},
        )

    def scale(self, resource: Resource, name: str, replicas: int) -> None:
        """Set the number of replicas of a Deployment or StatefulSet.

        Raises:
            NotFoundError: it does not exist.
            ForbiddenError: the account may not scale it.
            HarnessError: the cluster cannot be reached.
        """
        self._json(
            "PATCH",
            _Call("patch", resource, self.namespace, name, "scale"),
            body={"spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )

    def server_version(self) -> str:
        """The cluster's version, which everyone who can log in may read.

        Raises:
            HarnessError: the cluster cannot be reached.
        """
        call = _Call("get", Resource("/version", "", "version"), self.namespace)
        return str(self._decode(self._send("GET", "/version", call)).get("gitVersion", "unknown"))

    def follow_log(self, pod: str, container: str, *, since: str | None) -> Iterator[str]:
        """The lines of a container's log with the kubelet's time in front, as they come, until it ends.

        A quiet log ends after half a minute; the caller asks again from the last line on.

        Args:
            pod: the pod's name.
            container: the container's name.
            since: RFC 3339 time of the first line wanted, to the second; None for all.

        Raises:
            NotFoundError: the pod does not exist.
            ForbiddenError: the account may not read logs.
            HarnessError: the container has not started, or the cluster cannot be reached.
        """
        from urllib3.exceptions import HTTPError, ReadTimeoutError  # noqa: PLC0415 - commands without a cluster should not wait for the import

        call = _Call("get", PODS, self.namespace, pod, "log")
        query = {"container": container, "follow": "true", "timestamps": "true"}
        response = self._send("GET", call.path, call, query=query | ({"sinceTime": since} if since else {}))
        held = b""
        try:
            for data in response.response.stream(_LOG_CHUNK_BYTES):
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
        except ReadTimeoutError:
            return
        except HTTPError as error:
            raise HarnessError(f"the log of {pod} broke off: {error}") from error
        finally:
            response.response.close()

    def tunnel(self, pod: str, port: int) -> Tunnel:
        """Open a connection to a port of a pod.

        Raises:
            NotFoundError: the pod does not exist.
            ForbiddenError: the account may not forward ports.
            HarnessError: there is no connection.
        """
        call = _Call("get and create", PODS, self.namespace, pod, "portforward")
        url, headers = self._websocket(call, [("ports", str(port))])
        return Tunnel(self._opened(call, lambda: Tunnel.open(self._client.configuration, url, headers)))

    def execute(self, pod: str, container: str, command: Sequence[str]) -> str:
        """Run a command in a container and return its standard output.

        Raises:
            NotFoundError: the pod does not exist.
            ForbiddenError: the account may not run commands.
            HarnessError: the command failed, or there is no connection.
        """
        call = _Call("get and create", PODS, self.namespace, pod, "exec")
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        url, headers = self._websocket(call, [*query, *(("command", word) for word in command)])
        run = Exec(self._opened(call, lambda: Exec.open(self._client.configuration, url, headers)))
        return run.output(what=f"{command[0]} in {pod}", timeout=_EXEC_TIMEOUT_S)

    def _websocket(self, call: _Call, query: Sequence[tuple[str, str]]) -> tuple[str, Mapping[str, str]]:
        _, url, headers, _, _ = self._client.param_serialize(
            "GET", call.path, query_params=list(query), auth_settings=["BearerToken"]
        )
        return url, headers

    @staticmethod
    def _opened(call: _Call, connect: Any) -> Any:  # noqa: ANN401 - it opens a WebSocket, whose `shutdown` has no type hints: strict mypy refuses to call it
        from websocket import WebSocketBadStatusException, WebSocketException  # noqa: PLC0415 - commands without a cluster should not wait for the import

        try:
            return connect()
        except WebSocketBadStatusException as error:
            raise _failure(error.status_code, error.resp_body or b"", call) from error
        except (WebSocketException, OSError) as error:
            raise HarnessError(f"cannot {call}: {error}") from error

    def _json(self, method: str, call: _Call, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - they go on to `_send` unread, whatever their types
        return self._decode(self._send(method, call.path, call, **options))

    @staticmethod
    def _decode(response: Any) -> dict[str, Any]:  # noqa: ANN401 - a RESTResponse, whose `read` has no type hints: strict mypy refuses to call it
        decoded: dict[str, Any] = json.loads(response.read())
        return decoded

    def _send(  # noqa: PLR0913 - the parts of a request, by name
        self,
        method: str,
        path: str,
        call: _Call,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - a RESTResponse, whose `read` has no type hints: strict mypy refuses to call it
        """Send a request and return its response; the caller reads the body."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - commands without a cluster should not wait for the import

        headers = {"Accept": "application/json, */*"} | ({"Content-Type": content_type} if body is not None else {})
        for last in (method != "GET", True):
            request = self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=dict(headers),
                body=dict(body) if body is not None else None,
                auth_settings=["BearerToken"],
            )
            try:
                response = self._client.call_api(*request, _request_timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S))
            except HTTPError as error:
                # The server may have closed a kept connection in this instant; reading again harms nothing.
                if last:
                    raise self._unreachable(error) from error
                continue
            break
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _failure(response.status, response.read(), call)
        return response

    def _unreachable(self, error: Exception) -> HarnessError:
        return HarnessError(f"cannot reach the cluster at {self._client.configuration.host}: {error}")


def _failure(status: int, body: bytes, call: _Call) -> HarnessError:
    """What an error response means."""
    message = _message(body)
    if status == HTTPStatus.UNAUTHORIZED:
        return HarnessError("the cluster does not accept the credentials of the kubeconfig: log in again")
    if status == HTTPStatus.FORBIDDEN:
        error: HarnessError = ForbiddenError(f"not allowed to {call}: {ROLE} is a Role that suffices")
    elif status == HTTPStatus.NOT_FOUND:
        error = NotFoundError(f"cannot {call}: it does not exist")
    elif status == HTTPStatus.CONFLICT:
        error = ConflictError(f"cannot {call}: {message}")
    else:
        error = HarnessError(f"cannot {call}: HTTP {status}")
    if message:
        error.add_note(message)
    return error


def _message(body: bytes) -> str:
    """The server's own words: the message of a Status object, or the text."""
    text = body.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
