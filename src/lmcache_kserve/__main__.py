"""`python -m lmcache_kserve`."""

from lmcache_kserve.cli import main

main()
