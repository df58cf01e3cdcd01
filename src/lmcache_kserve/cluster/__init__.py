"""A release on a Kubernetes cluster, seen from outside with a kubeconfig.

`api` is the only door to the API server; everything else works on the plain objects that it returns.
"""
