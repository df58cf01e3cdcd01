"""Before a release exists: how big its cache has to be, how fast, and whether it pays."""
