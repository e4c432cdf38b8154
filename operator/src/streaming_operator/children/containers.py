"""Parts of a container as the builders need them: environment, ports, probes, mounts, amounts. Pure."""

from collections.abc import Mapping

from lightkube.models.core_v1 import (
    Capabilities,
    ConfigMapVolumeSource,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    EnvVarSource,
    GRPCAction,
    HTTPGetAction,
    KeyToPath,
    Lifecycle,
    LifecycleHandler,
    ObjectFieldSelector,
    Probe,
    ResourceRequirements,
    SecretKeySelector,
    SecretVolumeSource,
    SecurityContext,
    SleepAction,
    Volume,
    VolumeMount,
)
from stack_model.api import Resources

# kube-proxy, ingress controllers and nginx's DNS must have dropped a pod before it stops listening.
PRE_STOP_SECONDS = 10
# What cannot start ends by itself; this is for nodes that are short of CPU just when everything starts.
_STARTUP_SECONDS = 180
TMP = Volume(name="tmp", emptyDir=EmptyDirVolumeSource())
TMP_MOUNT = VolumeMount(name="tmp", mountPath="/tmp")  # noqa: S108 - a volume of the pod's own


def restricted() -> SecurityContext:
    """What the Pod Security level `restricted` asks of a container, and a read-only root file system."""
    return SecurityContext(
        allowPrivilegeEscalation=False,
        capabilities=Capabilities(drop=["ALL"]),
        readOnlyRootFilesystem=True,
    )


# Of an environment variable: itself, or where it is read from.
EnvironmentValue = str | SecretKeySelector | ObjectFieldSelector


def environment(
    values: Mapping[str, EnvironmentValue | None], overrides: Mapping[str, str] | None = None
) -> list[EnvVar] | None:
    """One entry a name, those of `overrides` last and instead of ours; None where there is nothing to say.

    None as a value leaves the variable out.
    """
    merged: dict[str, EnvironmentValue | None] = {**values, **(overrides or {})}
    entries = [_variable(name, value) for name, value in merged.items() if value is not None]
    return entries or None


def _variable(name: str, value: EnvironmentValue) -> EnvVar:
    if isinstance(value, ObjectFieldSelector):
        return EnvVar(name=name, valueFrom=EnvVarSource(fieldRef=value))
    if isinstance(value, SecretKeySelector):
        return EnvVar(name=name, valueFrom=EnvVarSource(secretKeyRef=value))
    return EnvVar(name=name, value=value)


def ports(**numbers: int) -> list[ContainerPort]:
    """Named ports; `_` in a name stands for `-`."""
    return [ContainerPort(name=name.replace("_", "-"), containerPort=number) for name, number in numbers.items()]


def http_probe(path: str, port: int | str, *, period: int = 10, failures: int = 3, timeout: int = 5) -> Probe:
    """GET `path`; `failures` in a row, `period` seconds apart, count."""
    return Probe(
        httpGet=HTTPGetAction(path=path, port=port),
        periodSeconds=period,
        failureThreshold=failures,
        timeoutSeconds=timeout,
    )


def grpc_probe(port: int, *, period: int = 5, failures: int = 2, timeout: int = 5) -> Probe:
    """The standard gRPC health service says SERVING."""
    return Probe(grpc=GRPCAction(port=port), periodSeconds=period, failureThreshold=failures, timeoutSeconds=timeout)


def startup_probe(path: str, port: int | str, seconds: int = _STARTUP_SECONDS, *, period: int = 2) -> Probe:
    """Nothing restarts within `seconds` of the start."""
    return http_probe(path, port, period=period, failures=-(-seconds // period))


def sleep_before_stop(seconds: int = PRE_STOP_SECONDS) -> Lifecycle:
    """Go on as before while the news that this pod leaves travels; counts within the grace period."""
    return Lifecycle(preStop=LifecycleHandler(sleep=SleepAction(seconds=seconds)))


def secret_volume(name: str, secret: str, keys: Mapping[str, str], *, optional: bool = False) -> Volume:
    """Chosen keys of a Secret as files, `keys` being key to file name. Changes arrive in place."""
    source = SecretVolumeSource(secretName=secret, items=_items(keys), optional=optional or None)
    return Volume(name=name, secret=source)


def config_volume(name: str, config_map: str, keys: Mapping[str, str] | None = None) -> Volume:
    """A ConfigMap as files, or chosen keys of it. Changes arrive in place."""
    return Volume(name=name, configMap=ConfigMapVolumeSource(name=config_map, items=_items(keys) if keys else None))


def _items(keys: Mapping[str, str]) -> list[KeyToPath]:
    return [KeyToPath(key=key, path=path) for key, path in keys.items()]


def scratch(name: str, *, size: str | None = None, memory: bool = False) -> Volume:
    """An empty volume that ends with the pod, on disk or in memory."""
    return Volume(name=name, emptyDir=EmptyDirVolumeSource(sizeLimit=size, medium="Memory" if memory else None))


def mount(name: str, path: str, *, read_only: bool = True, sub_path: str | None = None) -> VolumeMount:
    """A volume in a container."""
    return VolumeMount(name=name, mountPath=path, readOnly=read_only or None, subPath=sub_path)


def requirements(resources: Resources) -> ResourceRequirements:
    """As the stack says."""
    return ResourceRequirements(requests=resources.requests or None, limits=resources.limits or None)
