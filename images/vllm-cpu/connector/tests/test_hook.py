"""The hook in processes of its own: what it proves is the state of the import system."""

import subprocess
import sys
import textwrap

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
    sys.meta_path.insert(0, Fake())
    ours = types.ModuleType("lmcache_cpu_connector.connector")
    ours.PagedCpuConnector = lambda config, metadata: ("ours", config, metadata)
    sys.modules["lmcache_cpu_connector.connector"] = ours
"""
SIGNATURE = "def CreateGPUConnector(config, metadata, engine, layout_hints=None):\n"
WITHOUT_CPU = SIGNATURE + "    raise RuntimeError('No supported cpu connector found.')"
WITH_CPU = SIGNATURE + "    return 'one of its own'"
BROKEN = SIGNATURE + "    raise RuntimeError('out of memory')"


def run(code: str, factory: str | None = WITHOUT_CPU) -> str:
    """Standard output of a fresh Python that runs `code`, with a fake LMCache unless `factory` is None."""
    fake = f"FACTORY = {factory!r}\n" + textwrap.dedent(FAKE_LMCACHE) if factory is not None else ""
    program = "\n".join([fake, f"import sys; sys.path[:0] = {sys.path!r}", textwrap.dedent(code)])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


REGISTER = "import lmcache_cpu_connector.hook as h; h.register()\n"
CREATE = """
from lmcache.v1.gpu_connector import CreateGPUConnector
print(CreateGPUConnector("config", "metadata", "vllm", layout_hints={}))
"""


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
        waiting = lambda: sum(isinstance(finder, h._FactoryFinder) for finder in sys.meta_path)
        print(waiting())
        import lmcache.v1.gpu_connector as factory
        created = factory.CreateGPUConnector
        h.register()
        print(waiting(), created is factory.CreateGPUConnector)
    """

    assert run(code).split("\n") == ["1", "0 True"]


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
