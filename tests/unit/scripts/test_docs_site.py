"""The pages of the documentation site: their links, and that every page has its place."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from loading import module_at

REPOSITORY = Path(__file__).resolve().parents[3]
ADDRESS = "https://github.com/OWNER/NAME"
MAIN = f"{ADDRESS}/blob/main"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    module_at(REPOSITORY / "scripts" / "links.py")
    return module_at(REPOSITORY / "scripts" / "docs_site.py")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("README.md", "docs/backends.md", "backends.md"),
        ("README.md", "docs/report.md#checks", "report.md#checks"),
        ("README.md", "docs/images/ttft.svg", "images/ttft.svg"),
        ("README.md", "charts/lmcache-kserve/README.md", "values.md"),
        ("README.md", "#backends", "#backends"),
        ("README.md", "https://example.com/docs/backends.md", "https://example.com/docs/backends.md"),
        ("README.md", "values/cpu.yaml", f"{MAIN}/values/cpu.yaml"),
        ("docs/backends.md", "rates.md", "rates.md"),
        ("docs/backends.md", "../README.md#install", "index.md#install"),
        ("docs/backends.md", "reports/demo.json", f"{MAIN}/docs/reports/demo.json"),
        ("docs/backends.md", "../charts/lmcache-kserve/templates", f"{MAIN}/charts/lmcache-kserve/templates"),
        ("charts/lmcache-kserve/README.md", "../../docs/backends.md", "backends.md"),
    ],
)
def test_a_link_leads_to_the_page_on_the_site_or_to_the_file_at_the_host(
    script: ModuleType, page: str, link: str, expected: str
) -> None:
    assert script.with_links(f"See [it]({link}).", page, REPOSITORY, ADDRESS) == f"See [it]({expected})."


def test_a_link_to_a_file_that_is_not_there_is_refused_by_name(script: ModuleType) -> None:
    with pytest.raises(script.SiteError, match=r"docs/verify\.md links to docs/nope\.md, which does not exist"):
        script.with_links("[it](nope.md)", "docs/verify.md", REPOSITORY, ADDRESS)


def test_every_page_of_the_repository_is_on_the_site(script: ModuleType) -> None:
    listed = subprocess.run(
        [shutil.which("git") or "git", "-C", REPOSITORY, "ls-files", "*.md"], capture_output=True, text=True, check=True
    )
    # Read beside the code that it describes.
    elsewhere = {"images/vllm-cpu/connector/README.md"}
    pages = {file for file in script.layout(REPOSITORY) if file.endswith(".md")}
    assert set(listed.stdout.splitlines()) - elsewhere <= pages


def test_a_page_that_has_gone_leaves_the_site(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "old.md").touch()
    script.lay_out(REPOSITORY, tmp_path, ADDRESS)
    assert (tmp_path / "index.md").read_text(encoding="utf-8").startswith("# ")
    assert not (tmp_path / "old.md").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# A page\n\n[there](index.md#a-page)\n", None),
        ("# A page\n\n[nowhere](index.md#another)\n", "'index.md#another', but there is no such anchor"),
        ("# A page\n\n[nowhere](/another.md)\n", "absolute"),
    ],
)
def test_a_broken_link_ends_the_build(tmp_path: Path, text: str, complaint: str | None) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(text, encoding="utf-8")
    config = f"INHERIT: {REPOSITORY / 'mkdocs.yml'}\ndocs_dir: pages\nsite_dir: site\nnav:\n  - index.md\n"
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    # The command of `make docs` itself: an option more, such as --quiet, takes the warnings from --strict.
    (command,) = re.findall(r"mkdocs (build .*)", (REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    done = subprocess.run(
        [Path(sys.executable).parent / "mkdocs", *shlex.split(command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (complaint is None), done.stderr
    assert (complaint or "") in done.stderr
