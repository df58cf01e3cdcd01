"""The hook in processes of its own: what it proves is the state of the import system."""

import subprocess
import sys
import textwrap

import pytest

FAKE_LMCACHE = """
    import enum, importlib.abc, importlib.machinery, sys, types

    class Fake(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        sources = {}
        def find_spec(self, name, path, target=None):
            if name not in self.sources:
                return None
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        def exec_module(self, module):
            exec(self.sources[module.__name__], module.__dict__)

    Fake.sources = {"lmcache": "", "lmcache.v1": "", "lmcache.v1.gpu_connector": FACTORY}
    Fake.sources |= {"lmcache.integration": "", "lmcache.integration.vllm": ""}
    Fake.sources["lmcache.integration.vllm.utils"] = DEVICE
    sys.meta_path.insert(0, Fake())
    sys.modules["torch"] = types.SimpleNamespace(cpu="torch.cpu")
    ours = types.ModuleType("lmcache_cpu_connector.connector")
    ours.PagedCpuConnector = lambda config, metadata: ("ours", config, metadata)
    sys.modules["lmcache_cpu_connector.connector"] = ours
"""
SIGNATURE = "def CreateGPUConnector(config, metadata, engine, layout_hints=None):\n"  # since LMCache 0.4.4
WITHOUT_CPU = SIGNATURE + "    raise RuntimeError('No supported cpu connector found.')"
WITH_CPU = SIGNATURE + "    return 'one of its own'"
BROKEN = SIGNATURE + "    raise RuntimeError('out of memory')"
FIND = "from lmcache.integration.vllm.utils import get_vllm_torch_dev\n"
ASKS_THE_DEVICE = (
    "    print(*get_vllm_torch_dev())\n    raise RuntimeError('No supported connector found for the current platform.')"
)
OF_0_4_2 = FIND + SIGNATURE.replace(", layout_hints=None", "") + ASKS_THE_DEVICE
OF_0_4_4 = SIGNATURE + "    " + FIND + ASKS_THE_DEVICE
OF_0_3_9 = "class VLLMPagedMemGPUConnectorV2: pass"
DEVICE_SIGNATURE = "def get_vllm_torch_dev():\n"
WITHOUT_DEVICE = DEVICE_SIGNATURE + "    raise RuntimeError('Unsupported device platform for LMCache engine.')"


def run(code: str, factory: str | None = WITHOUT_CPU, device: str = "") -> str:
    """Standard output of a fresh Python that runs `code`, with a fake LMCache unless `factory` is None."""
    fake = [f"FACTORY, DEVICE = {factory!r}, {device!r}", textwrap.dedent(FAKE_LMCACHE)] if factory is not None else []
    program = "\n".join([*fake, f"import sys; sys.path[:0] = {sys.path!r}", textwrap.dedent(code)])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


REGISTER = "import lmcache_cpu_connector.hook as h; h.register()\n"
CREATE = """
from lmcache.v1.gpu_connector import CreateGPUConnector
print(CreateGPUConnector("config", "metadata", "vllm", layout_hints={}))
"""
CREATE_0_4_2 = CREATE.replace(", layout_hints={}", "")


def test_registering_imports_neither_lmcache_nor_torch() -> None:
    loaded = run(
        """
        from lmcache_cpu_connector.hook import register
        register()
        print(sorted({name.partition(".")[0] for name in sys.modules} & {"lmcache", "torch", "vllm", "triton"}))
        """,
        factory=None,
    )

    assert loaded == "[]"


def test_lmcache_without_a_cpu_connector_gets_this_one() -> None:
    assert run(REGISTER + CREATE) == "('ours', 'config', 'metadata')"


def test_a_factory_imported_before_the_plugin_gets_this_one_too() -> None:
    code = "import lmcache.v1.gpu_connector\n" + REGISTER + CREATE

    assert run(code) == "('ours', 'config', 'metadata')"


@pytest.mark.parametrize("loaded_first", [False, True])
@pytest.mark.parametrize(("factory", "create"), [(OF_0_4_2, CREATE_0_4_2), (OF_0_4_4, CREATE)])
def test_an_lmcache_that_knows_devices_with_gpus_only_gets_the_cpu(
    factory: str,
    create: str,
    loaded_first: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    before = "import lmcache.v1.gpu_connector, lmcache.integration.vllm.utils\n" if loaded_first else ""

    created = run(before + REGISTER + create, factory, WITHOUT_DEVICE)

    assert created.split("\n") == ["torch.cpu cpu", "('ours', 'config', 'metadata')"]


@pytest.mark.parametrize(
    ("device", "found"), [("return 'cuda'", "cuda"), ("raise RuntimeError('no driver')", "RuntimeError no driver")]
)
def test_what_lmcache_finds_of_its_device_stays_what_it_is(device: str, found: str) -> None:
    code = """
        import lmcache_cpu_connector.hook as h; h.register()
        from lmcache.integration.vllm.utils import get_vllm_torch_dev
        try:
            print(get_vllm_torch_dev())
        except RuntimeError as error:
            print("RuntimeError", error)
    """

    assert run(code, device=DEVICE_SIGNATURE + "    " + device) == found


def test_an_lmcache_without_a_factory_stays_as_it_is() -> None:
    code = REGISTER + "import lmcache.v1.gpu_connector as m; print(hasattr(m, 'CreateGPUConnector'))"

    assert run(code, OF_0_3_9) == "False"


def test_lmcache_with_a_cpu_connector_keeps_its_own() -> None:
    assert run(REGISTER + CREATE, WITH_CPU) == "one of its own"


def test_other_failures_of_the_factory_stay_what_they_are() -> None:
    code = """
        import lmcache_cpu_connector.hook as h; h.register()
        from lmcache.v1.gpu_connector import CreateGPUConnector
        try:
            CreateGPUConnector("config", "metadata", "vllm")
        except RuntimeError as error:
            print(error)
    """

    assert run(code, BROKEN) == "out of memory"


def test_registering_again_changes_nothing_and_the_finder_leaves_after_its_work() -> None:
    code = """
        import lmcache_cpu_connector.hook as h
        h.register(); h.register()
        waiting = lambda: [finder.name for finder in sys.meta_path if isinstance(finder, h._ModuleFinder)]
        print(waiting())
        import lmcache.v1.gpu_connector as factory
        created = factory.CreateGPUConnector
        h.register()
        print(waiting(), created is factory.CreateGPUConnector)
    """

    device = "lmcache.integration.vllm.utils"
    assert run(code).split("\n") == [f"['{device}', 'lmcache.v1.gpu_connector']", f"['{device}'] True"]


def test_the_real_lmcache_gets_this_connector_and_keeps_its_own_checks() -> None:
    code = """
        from lmcache_cpu_connector.hook import register
        register()
        import torch
        from lmcache.utils import EngineType
        from lmcache.v1.config import LMCacheEngineConfig
        from lmcache.v1.gpu_connector import CreateGPUConnector
        from lmcache.v1.metadata import LMCacheMetadata
        metadata = LMCacheMetadata("model", 1, 1, 0, 0, torch.bfloat16, (8, 2, 256, 3, 64))
        connector = CreateGPUConnector(LMCacheEngineConfig.from_defaults(), metadata, EngineType.VLLM, layout_hints={})
        print(type(connector).__name__, tuple(connector.get_shape(256)) == tuple(metadata.get_shapes(256)[0]))
        try:
            CreateGPUConnector(LMCacheEngineConfig.from_defaults(enable_blending=True), metadata, EngineType.VLLM)
        except ValueError as error:
            print("enable_blending" in str(error))
    """

    assert run(code, factory=None).split("\n")[-2:] == ["PagedCpuConnector True", "True"]


def test_vllm_finds_the_plugin_through_its_entry_point() -> None:
    code = """
        from importlib.metadata import entry_points
        plugins = entry_points(group="vllm.general_plugins")
        print([plugin.value for plugin in plugins if plugin.name == "lmcache_cpu_connector"])
    """

    assert run(code, factory=None) == "['lmcache_cpu_connector.hook:register']"
