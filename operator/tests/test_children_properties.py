"""What holds for the children of any valid stack."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_factories import containers, inputs, manifests, model, stack
from stack_model.api import Model, StreamingStack
from stack_strategies import stacks
from streaming_operator import names
from streaming_operator.children import build_children
from streaming_operator.facts import Inputs

WORKLOADS = ("Deployment", "StatefulSet")
EVERY_API = frozenset(
    {
        "gateway.networking.k8s.io/v1/HTTPRoute",
        "keda.sh/v1alpha1/ScaledObject",
        "monitoring.coreos.com/v1/PodMonitor",
        "cloud.google.com/v1/BackendConfig",
    }
)
_LEAVING = tuple(
    Model.model_validate(one) for one in (model("leaving"), model("gone", source="pvc://c", routeAliases=["went"]))
)
FACTS = st.builds(
    inputs,
    apis=st.sampled_from([frozenset(), EVERY_API]),
    leaving=st.sampled_from([(), _LEAVING]),
    image_volumes=st.booleans(),
    first_key_hash=st.sampled_from([None, "a" * 64]),
    undelivered_proxies=st.integers(0, 3),
    scaler_address=st.sampled_from([None, "scaler.system.svc:9091"]),
)
quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _workloads(built: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for (kind, _), found in built.items() if kind in WORKLOADS]


@given(stacks(), FACTS)
@quickly
def test_any_valid_stack_is_built_the_same_twice_and_each_name_once(given_: StreamingStack, facts: Inputs) -> None:
    children = build_children(given_, facts)
    keys = [(child.kind, child.name) for child in children]
    assert len(keys) == len(set(keys))
    assert all(len(name) <= 63 for _, name in keys)
    assert json.dumps([child.manifest() for child in children]) == json.dumps(
        [child.manifest() for child in build_children(given_, facts)]
    )


@given(stacks(), FACTS)
@quickly
def test_no_container_names_a_variable_a_mount_or_a_port_twice(given_: StreamingStack, facts: Inputs) -> None:
    for workload in _workloads(manifests(build_children(given_, facts))):
        pod = workload["spec"]["template"]["spec"]
        for container in containers(pod).values():
            for field, key in (("env", "name"), ("volumeMounts", "mountPath"), ("ports", "containerPort")):
                values = [one[key] for one in container.get(field, [])]
                assert len(values) == len(set(values))
            volumes = {one["name"] for one in pod["volumes"]} | {
                one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])
            }
            assert {one["name"] for one in container["volumeMounts"]} <= volumes


@given(stacks(), FACTS)
@quickly
def test_a_selector_is_made_of_our_own_names_and_its_pods_bear_it(given_: StreamingStack, facts: Inputs) -> None:
    own = {names.NAME, names.INSTANCE, names.COMPONENT, names.POOL}
    for workload in _workloads(manifests(build_children(given_, facts))):
        selector = workload["spec"]["selector"]["matchLabels"]
        assert set(selector) <= own
        assert selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()


@given(stacks(), FACTS)
@quickly
def test_every_child_is_marked_as_this_stacks_and_has_neither_namespace_nor_owner(
    given_: StreamingStack, facts: Inputs
) -> None:
    for found in manifests(build_children(given_, facts)).values():
        assert found["metadata"]["labels"][names.STACK] == given_.metadata.name
        assert found["metadata"]["labels"][names.MANAGED_BY] == names.FIELD_MANAGER
        assert not {"namespace", "ownerReferences"} & set(found["metadata"])


@given(stacks(), FACTS)
@quickly
def test_what_an_autoscaler_sizes_says_no_size_and_wishes_one(given_: StreamingStack, facts: Inputs) -> None:
    for child in build_children(given_, facts):
        if child.kind in WORKLOADS and child.replicas is not None:
            assert "replicas" not in child.manifest()["spec"]
        wished = child.kind == "Deployment" and child.name.startswith(
            (names.gateway(given_.metadata.name), f"{given_.metadata.name}-asr-")
        )
        assert (child.replicas is not None) == wished


@given(stacks())
@quickly
def test_the_pods_of_two_stacks_in_one_namespace_are_never_taken_for_each_other(given_: StreamingStack) -> None:
    other = given_.model_copy(update={"metadata": given_.metadata.model_copy(update={"name": "other-one"})})
    if given_.metadata.name == "other-one":
        return
    selectors = [
        workload["spec"]["selector"]["matchLabels"]
        for one in (given_, other)
        for workload in _workloads(manifests(build_children(one, inputs())))
    ]
    assert len({json.dumps(one, sort_keys=True) for one in selectors}) == len(selectors)


def test_the_longest_names_still_fit() -> None:
    long = stack("s" * 38, models=[model("m" * 20)])
    for child in build_children(long, inputs(apis=EVERY_API)):
        assert len(child.name) <= 63
        for value in child.manifest()["metadata"]["labels"].values():
            assert len(value) <= 63


@pytest.mark.parametrize("name", ["gateway", "model-store", "license-proxy", "asr"])
def test_a_model_may_be_called_like_a_part(name: str) -> None:
    children = build_children(stack(models=[model(name)]), inputs())
    keys = [(child.kind, child.name) for child in children]
    assert len(keys) == len(set(keys))
