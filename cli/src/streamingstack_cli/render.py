"""`streamingstack render`: what a stack would run, as text."""

import json
from enum import StrEnum

import yaml
from stack_model.catalogue import dump_models, gateway_models
from stack_model.nginx import BalancerOptions, Dialect, render_nginx
from stack_model.nginx_routes import local_routes

from streamingstack_cli.compose import compose_project
from streamingstack_cli.prepare import LocalStack, Wishes, planned, ports_of, read_stack
from streamingstack_cli.processes import LOOPBACK, child_file


class Target(StrEnum):
    """What is rendered."""

    KUBERNETES = "kubernetes"
    LOCAL = "local"
    NGINX = "nginx"
    GATEWAY = "gateway"
    COMPOSE = "compose"


def rendered(target: Target, wishes: Wishes) -> str:
    """The text; raises CommandError."""
    if target is Target.COMPOSE:
        return compose_project(wishes.stack_file).compose_yaml
    if target is Target.KUBERNETES:
        return _kubernetes(wishes)
    if target is Target.LOCAL:
        return _local(planned(wishes))
    return _nginx(wishes) if target is Target.NGINX else _gateway(wishes)


def _kubernetes(wishes: Wishes) -> str:
    """Every object as YAML documents, as the operator would make them on a cluster with every optional API."""
    # Imported here: it brings every kind of Kubernetes, and the other targets need none.
    from streaming_operator.render import documents

    return documents(read_stack(wishes.stack_file))


def _local(local: LocalStack) -> str:
    """One YAML document: every process with its command, what it adds to the environment, and its readiness."""
    processes = [
        {
            "name": process.name,
            "command": list(process.argv),
            "environment": child_file(process, local.layout)["environment"],
            "ready": {str(process.readiness.probe): process.readiness.target},
            "startupSeconds": process.startup_seconds,
            "restarts": process.restarts,
        }
        for process in local.processes
    ]
    return str(yaml.safe_dump({"state": str(local.layout.state.root), "processes": processes}, sort_keys=False))


def _nginx(wishes: Wishes) -> str:
    stack = read_stack(wishes.stack_file)
    ports = ports_of(stack, wishes)
    options = BalancerOptions(
        dialect=Dialect.STATIC,
        listen=(LOOPBACK,),
        grpc_port=ports.balancer,
        health_port=ports.balancer_health,
    )
    return render_nginx(local_routes(stack, first_port=ports.models[0].recognizer).routes, options)


def _gateway(wishes: Wishes) -> str:
    models = dump_models(gateway_models(read_stack(wishes.stack_file)))
    return json.dumps(json.loads(models), indent=2) + "\n"
