"""A release on a Kubernetes cluster, seen from outside with a kubeconfig.

Only `api` talks to the API server. The other modules work on the plain objects that the server returns.
"""
