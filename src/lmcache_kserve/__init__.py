"""Renders, runs and proves KV-cache offloading with LMCache on KServe."""
