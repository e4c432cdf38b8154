"""Ports of a stack that runs on one machine, and what its models listen for."""

from typing import Any

import pytest
from stack_model.api import Model, StreamingStack
from stack_model.languages import languages_of
from stack_model.local import ModelPorts, PortsError, local_ports


def stack_of(count: int, **spec: Any) -> StreamingStack:
    models = [
        {"name": f"m{number}", "speechModels": [f"universal-streaming-{number}"], "source": "file:///m"}
        for number in range(count)
    ]
    return StreamingStack.model_validate(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": "test"},
            "spec": {"models": models, **spec},
        }
    )


def test_the_usual_ports_count_up_in_the_order_of_the_models() -> None:
    ports = local_ports(stack_of(3))
    assert (ports.gateway, ports.gateway_metrics, ports.license_proxy) == (8080, 9090, 8082)
    assert (ports.balancer, ports.balancer_health) == (50050, 8081)
    assert [model.recognizer for model in ports.models] == [50051, 50052, 50053]
    assert ports.models[2] == ModelPorts(50053, 9093, 8030, 8031, 8032)


def test_an_offset_shifts_every_port_so_that_two_stacks_share_none() -> None:
    names = ["m0", "m1"]
    plain, shifted = (local_ports(stack_of(2), offset).named(names) for offset in (0, 100))
    assert shifted == {port + 100: what for port, what in plain.items()}
    assert not plain.keys() & shifted.keys()


def test_the_sync_api_has_ports_of_its_own_where_it_runs() -> None:
    assert local_ports(stack_of(2)).sync_api is None
    ports = local_ports(stack_of(7, syncApi={"enabled": True}), 100)
    assert (ports.sync_api, ports.sync_api_metrics) == (8183, 9189)
    assert len(ports.named([f"m{number}" for number in range(7)])) == 5 + 2 + 5 * 7


def test_the_gateways_port_can_be_set_alone() -> None:
    assert local_ports(stack_of(1), 100, 9999).gateway == 9999
    assert local_ports(stack_of(1), 100, 9999).balancer == 50150


@pytest.mark.parametrize(
    ("models", "offset", "gateway", "says"),
    [
        (1, 0, 50051, "share a port"),
        (8, 0, None, "at most seven"),
        (1, 20000, None, "outside 1024-65535"),
        (1, 0, 80, "port 80 .gateway. is outside"),
    ],
)
def test_impossible_ports_are_refused_with_the_remedy(models: int, offset: int, gateway: int | None, says: str) -> None:
    with pytest.raises(PortsError, match=says):
        local_ports(stack_of(models), offset, gateway)


@pytest.mark.parametrize(
    ("speech_model", "count"),
    [("universal-streaming-english", 0), ("universal-streaming-multilingual", 6), ("universal-3-5-pro", 19)],
)
def test_languages_follow_the_speech_model(speech_model: str, count: int) -> None:
    languages = languages_of(Model(name="m", speech_models=[speech_model], source="file:///m"))
    assert len(languages) == len(set(languages)) == count
