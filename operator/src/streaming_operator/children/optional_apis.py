"""Kinds that a cluster may or may not serve: their names as `Inputs.apis` has them, and their classes."""

from lightkube.generic_resource import create_namespaced_resource

HTTP_ROUTE = "gateway.networking.k8s.io/v1/HTTPRoute"
SCALED_OBJECT = "keda.sh/v1alpha1/ScaledObject"
POD_MONITOR = "monitoring.coreos.com/v1/PodMonitor"
BACKEND_CONFIG = "cloud.google.com/v1/BackendConfig"

HTTPRoute = create_namespaced_resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
ScaledObject = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
PodMonitor = create_namespaced_resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")
BackendConfig = create_namespaced_resource("cloud.google.com", "v1", "BackendConfig", "backendconfigs")
