"""Runs what the chart renders as processes of this machine: no cluster, no container runtime, no root.

Pods become groups of processes, volumes become folders, Services become addresses on the loopback interface. What has
no such counterpart (device plugins, host paths, image entrypoints) is refused before anything starts.
"""
