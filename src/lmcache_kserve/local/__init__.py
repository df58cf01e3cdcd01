"""Runs what the chart renders as processes of this machine: no cluster, no container runtime, no root.

Pods become groups of processes, volumes become folders, Services become addresses on the loopback interface. Device
plugins, host paths and image entrypoints have no counterpart here: they are refused before anything starts.
"""
