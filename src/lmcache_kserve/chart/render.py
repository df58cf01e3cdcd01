"""The chart rendered for a proof: the release under test, and plain vLLM from the same chart to compare it with."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve import resources
from lmcache_kserve.chart import helm_binary, schemas
from lmcache_kserve.chart.contract import COMPONENT_LABEL, TEST_COMPONENT, WARM_UP_COMPONENT
from lmcache_kserve.chart.helm import DEFAULT_KUBE_VERSION, Helm
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.parts import taken_apart
from lmcache_kserve.chart.values_files import require_values_files

RELEASE = "demo"
NAMESPACE = "lmcache-demo"
KSERVE_VERSION = "0.20"
DEFAULT_VALUES = "cpu.yaml"

BASELINE_SETTINGS = (
    "lmcache.enabled=false",
    "remoteBackend.type=none",
    "runtime.prefixCaching=true",
    "predictor.replicas=1",
)
"""What turns the release under test into plain vLLM with its own prefix cache; everything else stays as it is."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders the chart with one set of values.

    Attributes:
        chart: the chart's folder or package.
        helm: the Helm to use.
        values_files: values files, the last wins.
        settings: single values as for helm's --set.
        kserve_version: the KServe whose schemas judge what is rendered.
    """

    chart: Path
    helm: Helm
    values_files: Sequence[Path]
    settings: Sequence[str]
    kserve_version: str = KSERVE_VERSION

    @classmethod
    def for_demo(
        cls,
        *,
        chart: Path | None,
        values_files: Sequence[Path],
        settings: Sequence[str],
        engine_files: Sequence[Path] = (),
        kserve_version: str | None = None,
    ) -> "Renderer":
        """Render the chart that ships here with values/cpu.yaml underneath the given values.

        Args:
            chart: another chart's folder or package.
            values_files: the user's values files.
            settings: the user's single values.
            engine_files: values files of the engine, between values/cpu.yaml and the user's.
            kserve_version: the KServe of the engine; the newest known where its schemas are not here.

        Raises:
            HarnessError: a values file is not one, or no Helm can be found or downloaded.
        """
        require_values_files(values_files)
        known = schemas.KSERVE_VERSIONS
        return cls(
            chart=chart or resources.chart_path(),
            helm=Helm(helm_binary.helm()),
            values_files=(resources.values_path(DEFAULT_VALUES), *engine_files, *values_files),
            settings=settings,
            kserve_version=(schemas.pick(kserve_version, known) or known[-1]) if kserve_version else KSERVE_VERSION,
        )

    def release(self, *extra: str) -> Manifests:
        """Render the release under test; `extra` settings win over the user's.

        Raises:
            HarnessError: the values do not fit, or what they render would not be admitted by a cluster.
        """
        manifests = self.helm.template(
            self.chart,
            release=RELEASE,
            namespace=NAMESPACE,
            values_files=self.values_files,
            set_values=(*self.settings, *extra),
        )
        schemas.validate(manifests, kubernetes_version=DEFAULT_KUBE_VERSION, kserve_version=self.kserve_version)
        return manifests

    def baseline(self, *extra: str) -> Manifests:
        """Render plain vLLM from the same values.

        Raises:
            HarnessError: as for `release`.
        """
        return self.release(*BASELINE_SETTINGS, *extra)

    def values_digest(self) -> str:
        """SHA-256 over the values files and the single values, in their order: equal for runs of equal values."""
        digest = hashlib.sha256()
        for path in self.values_files:
            digest.update(path.read_bytes())
        digest.update(json.dumps(list(self.settings)).encode())
        return digest.hexdigest()

    def digest(self) -> str:
        """SHA-256 over what runs: the rendered objects, without passwords, helm.sh/chart, helm test and warm-up.

        Raises:
            HarnessError: as for `release`.
        """
        digest = hashlib.sha256()
        for manifest in self.release():
            metadata = manifest["metadata"]
            aside = metadata.get("labels", {}).get(COMPONENT_LABEL) in {TEST_COMPONENT, WARM_UP_COMPONENT}
            if aside or manifest["kind"] == "Secret":
                continue
            text = json.dumps(manifest, sort_keys=True)
            digest.update(re.sub(r'"(?:checksum/[a-z-]*password|helm\.sh/chart)": "[^"]*"', "", text).encode() + b"\0")
        return digest.hexdigest()

    def versions(self) -> dict[str, str]:
        """Versions of the chart and of Helm."""
        with taken_apart(self.chart) as parts:
            return {"chart": str(parts.metadata["version"]), "helm": self.helm.version}
