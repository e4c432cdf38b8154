"""Every rule broken, against the types and against a real API server; and both of one mind about anything else."""

import base64
import copy
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from e2e_cluster import tools
from e2e_cluster.api_server import ApiServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stack_model.api import Rule, SpecModel, StackError, load_stack, read_stack
from stack_model.crd import NAME, PLURAL, definition, definition_yaml, structural_schema

pytest_plugins = ["e2e_cluster.testing"]

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
Document = dict[str, Any]
SHA = "0" * 64

WHOLE: Document = {
    "apiVersion": "streamingstack.dev/v1alpha1",
    "kind": "StreamingStack",
    "metadata": {"name": "demo"},
    "spec": {
        "license": {"secretName": "license"},
        "gateway": {
            "auth": {"mode": "Keys", "secretName": "api-keys"},
            "maxSessionSeconds": 600,
            "sessions": {"targetPerPod": 24, "maxPerPod": 48},
            "defaultSpeechModel": "u3-pro",
            "autoscaling": {"minReplicas": 2, "maxReplicas": 20},
            "expose": {
                "type": "HTTPRoute",
                "hostnames": ["stt.example.com"],
                "parentRefs": [{"name": "public", "namespace": "ingress", "sectionName": "https"}],
                "annotations": {"example.com/team": "speech"},
            },
            "resources": {"requests": {"cpu": 1, "memory": "2Gi"}},
            "pods": {
                "labels": {"team": "speech"},
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "dedicated", "value": "speech", "effect": "NoExecute", "tolerationSeconds": 9}],
                "affinity": {"nodeAffinity": {"anything": [1, {"goes": True}]}},
                "env": [{"name": "LOGGING_LEVEL", "value": "debug"}],
            },
        },
        "licenseProxy": {
            "checkInEndpoint": "https://license.example.com",
            "usage": {"endpoint": "https://usage.example.com/v1", "apiKeySecretName": "usage-key"},
            "storage": {"size": "1Gi", "storageClassName": "fast"},
        },
        "models": [
            {
                "name": "u3-pro",
                "routeAliases": ["universal-3-5-pro"],
                "speechModels": ["u3-pro", "universal-3-5-pro"],
                "source": "hf://owner/model@v1",
                "gpu": {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S"}, "runtimeClassName": "nvidia"},
                "streams": {"targetPerPod": 28, "maxPerPod": 40},
                "autoscaling": {"minReplicas": 1, "maxReplicas": 4},
            },
            {
                "name": "en-default",
                "speechModels": ["universal-streaming-english"],
                "files": [{"path": "model.bin", "parts": ["https://models.example.com/a"], "sha256": SHA}],
            },
        ],
        "networkIsolation": {"egressCidrs": ["192.0.2.0/24"], "proxyUrl": "http://proxy.example.com:3128"},
        "images": {"registry": "registry.example.com/speech", "pullSecrets": ["registry"]},
        "observability": {"podMonitor": {"labels": {"release": "prometheus"}}},
    },
}


def at(document: Document, path: str) -> tuple[Any, Any]:
    """The container of the field at a dotted path, made where it is not there, and the field's key in it."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node: Any = document
    for step in steps:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    return node, last


def changed(changes: Document, base: Document = WHOLE) -> Document:
    """`base` with fields set, or taken out where the value is Ellipsis."""
    document = copy.deepcopy(base)
    for path, value in changes.items():
        node, key = at(document, path)
        if value is ...:
            node.pop(key, None)
        else:
            node[key] = value
    return document


VENDOR = {f"spec.images.overrides.{part}": "registry.example.com/x:1" for part in ("gateway", "licenseProxy")}

# What breaks each rule, by the beginning of its message.
BROKEN: dict[str, Document] = {
    "metadata.name: begin with a letter": {"metadata.name": "1demo"},
    "metadata.name: use at most 38": {"metadata.name": "d" * 39},
    "spec.models[].name: together": {"metadata.name": "d" * 30, "spec.models.0.name": "m" * 29},
    "models[].routeAliases: a route leads": {"spec.models.1.routeAliases": ["u3-pro"]},
    "models[].routeAliases: the model's own": {"spec.models.1.routeAliases": ["en-default"]},
    "models[].speechModels: a speech model": {
        "spec.models.1.speechModels": ["u3-pro"],
    },
    "models[].speechModels: begin every name": {"spec.models.1.speechModels": ["universal-streaming-english", "u3-x"]},
    "models[]: set source, or files": {"spec.models.1.files": ...},
    "models[]: set source or files, not both": {"spec.models.1.source": "pvc://models/en"},
    "models[].image: with images.flavour: Vendor": {"spec.images.flavour": "Vendor", **VENDOR},
    "images.overrides: flavour: Vendor": {
        "spec.images.flavour": "Vendor",
        "spec.models.0.image": "registry.example.com/x:1",
        "spec.models.1.image": "registry.example.com/x:1",
    },
    "models[].streams.targetPerPod must not": {"spec.models.0.streams": {"maxPerPod": 5}},
    "models[].autoscaling.minReplicas must not": {"spec.models.0.autoscaling": {"minReplicas": 9}},
    "gateway.defaultSpeechModel:": {"spec.gateway.defaultSpeechModel": "universal-streaming-multilingual"},
    "gateway.auth.secretName:": {"spec.gateway.auth.mode": "AnyNonEmpty"},
    "gateway.sessions.targetPerPod must not": {"spec.gateway.sessions": {"targetPerPod": 49}},
    "gateway.autoscaling.minReplicas must not": {"spec.gateway.autoscaling": {"maxReplicas": 1}},
    "gateway.expose.parentRefs:": {"spec.gateway.expose": {"type": "HTTPRoute"}},
    "gateway.expose.ingressClassName and": {"spec.gateway.expose.ingressClassName": "contour"},
    "gateway.expose.hostnames:": {"spec.gateway.expose": {"type": "Ingress", "tls": {"secretName": "tls"}}},
    "licenseProxy.usage.apiKeySecretName:": {"spec.licenseProxy.usage": {"apiKeySecretName": "usage-key"}},
    "tls.internal.secretName:": {"spec.tls": {"internal": {"secretName": "tls"}}},
    "observability.tracing.endpoint:": {"spec.observability": {"tracing": {"endpoint": "http://otel.example.com"}}},
    "syncApi.enabled:": {"spec.syncApi": {"enabled": True}},
    "tolerations: set key": {"spec.gateway.pods.tolerations": [{"value": "x"}]},
    "tolerations: value": {"spec.models.0.gpu.tolerations": [{"key": "x", "operator": "Exists", "value": "x"}]},
    "tolerations: tolerationSeconds": {"spec.loadBalancer.pods.tolerations": [{"key": "x", "tolerationSeconds": 1}]},
    "env: NVIDIA_VISIBLE_DEVICES": {
        "spec.models.0.pods": {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}
    },
    "pods.labels:": {"spec.modelStore.pods": {"labels": {"app.kubernetes.io/name": "x"}}},
}

# What breaks a bound that is no rule, with a word of the types' refusal; the API server names the field.
OUT_OF_BOUNDS: dict[str, tuple[Document, str]] = {
    "spec.gateway.maxSessionSeconds": ({"spec.gateway.maxSessionSeconds": 10_801}, "10800"),
    "spec.gateway.expose.hostnames[0]": ({"spec.gateway.expose.hostnames": ["STT"]}, "DNS name"),
    "spec.gateway.resources.requests.cpu": ({"spec.gateway.resources.requests.cpu": "lots"}, "amount"),
    "spec.license.secretName": ({"spec.license.secretName": "A_B"}, "name of an object"),
    "spec.licenseProxy.checkInEndpoint": ({"spec.licenseProxy.checkInEndpoint": "https://me:key@x"}, "user, password"),
    "spec.models[0].engine": ({"spec.models.0.engine": "NemoBuffered"}, "Whisper"),
    "spec.models[0].source": ({"spec.models.0.source": "hf://owner/model"}, "hf://owner/model@revision"),
    "spec.licenseProxy.usage.endpoint": ({"spec.licenseProxy.usage.endpoint": "https://a:99999"}, "names a host"),
    "spec.models[1].files[0].parts[0]": ({"spec.models.1.files.0.parts": ["https://[/x"]}, "https://host/path"),
    "spec.models[1].files[0].path": ({"spec.models.1.files.0.path": "../x"}, "inside the model's folder"),
    "spec.models[1].files[0].sha256": ({"spec.models.1.files.0.sha256": "0" * 63}, "sha256"),
    "spec.models[1]": ({"spec.models.1.name": "u3-pro", "metadata.name": "d"}, "appears twice"),
    "spec.networkIsolation.egressCidrs[0]": ({"spec.networkIsolation.egressCidrs": ["192.0.2.0/33"]}, "range"),
    "spec.networkIsolation.proxyUrl": ({"spec.networkIsolation.proxyUrl": "http://p:70000"}, "1 to 65535"),
    "spec.images.registry": ({"spec.images.registry": "https://registry.example.com"}, "no scheme"),
    "spec.gatway": ({"spec.gatway": {}}, "gatway"),
}


# What the definition offers and every version so far refuses: the field as `kubectl explain` names it, the change that
# asks for it, and the remedy that the refusal names.
UNSERVED: dict[str, tuple[Document, str]] = {
    "models.engine": ({"spec.models.0.engine": "NemoBuffered"}, "Whisper"),
    "tls.internal.secretName": ({"spec.tls": {"internal": {"secretName": "tls"}}}, "leave it out"),
    "observability.tracing.endpoint": (
        {"spec.observability": {"tracing": {"endpoint": "http://otel.example.com"}}},
        "leave it out",
    ),
    "syncApi.enabled": ({"spec.syncApi": {"enabled": True}}, "leave it out"),
}


def explained(field: str) -> str:
    """What `kubectl explain` says of a field of `spec`."""
    node = structural_schema()["properties"]["spec"]
    for name in field.split("."):
        node = node.get("items", node)["properties"][name]
    return str(node["description"])


def all_rules() -> Iterator[Rule]:
    """Every rule of every type."""
    types: list[type[SpecModel]] = [SpecModel]
    while types:
        found = types.pop()
        types += found.__subclasses__()
        yield from found.rules if found is not SpecModel else ()


def rule_of(beginning: str) -> Rule:
    (rule,) = {rule.message: rule for rule in all_rules() if rule.message.startswith(beginning)}.values()
    return rule


def test_every_rule_is_broken_by_a_test() -> None:
    assert {rule_of(beginning).message for beginning in BROKEN} == {rule.message for rule in all_rules()}


def test_the_whole_object_breaks_no_rule() -> None:
    assert read_stack(WHOLE).spec.models[1].files[0].path == "model.bin"


@pytest.mark.parametrize("beginning", BROKEN)
def test_a_broken_rule_is_refused_by_the_types(beginning: str) -> None:
    with pytest.raises(StackError) as refused:
        read_stack(changed(BROKEN[beginning]))
    assert rule_of(beginning).message in str(refused.value)


@pytest.mark.parametrize("field", OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_the_types(field: str) -> None:
    changes, says = OUT_OF_BOUNDS[field]
    with pytest.raises(StackError, match=says):
        read_stack(changed(changes))


@pytest.mark.parametrize("field", UNSERVED)
def test_a_field_that_is_not_served_yet_says_so_and_its_refusal_names_it_and_the_remedy(field: str) -> None:
    change, remedy = UNSERVED[field]
    assert "not served yet" in explained(field).lower()
    with pytest.raises(StackError) as refused:
        read_stack(changed(change))
    assert field.rpartition(".")[2] in str(refused.value)
    assert remedy in str(refused.value)


def test_no_other_field_claims_that_it_is_not_served_and_no_rule_refuses_one_without_a_word() -> None:
    inside = {field for field in UNSERVED if "." in field}
    around = {"tls", "tls.internal", "observability.tracing", "syncApi"}
    assert set(unserved(structural_schema()["properties"]["spec"])) == inside | around
    refusing = {rule.message.partition(":")[0] for rule in all_rules() if "not served yet" in rule.message}
    assert refusing == inside - {"models.engine"}


def unserved(schema: Document, path: str = "") -> Iterator[str]:
    """The fields below, as `kubectl explain` names them, whose descriptions say that they are not served yet."""
    for name, node in schema.get("items", schema).get("properties", {}).items():
        if "not served yet" in node.get("description", "").lower():
            yield f"{path}{name}"
        yield from unserved(node, f"{path}{name}.")


class Judge:
    """A real API server with our definition; nothing that it judges is stored."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def refusal(self, document: Document) -> str | None:
        """Why the object is refused; None where it is accepted."""
        answer = self.client.post(
            f"/apis/streamingstack.dev/v1alpha1/namespaces/default/{PLURAL}",
            params={"dryRun": "All", "fieldValidation": "Strict", "fieldManager": "rules"},
            json=document,
        )
        if answer.status_code == 201:
            return None
        # Plain text where the kind is not served yet.
        told = answer.headers["Content-Type"].startswith("application/json")
        return str(answer.json()["message"]) if told else answer.text

    def define(self) -> None:
        """Server-side apply of the definition, and wait until it is in force."""
        answer = self.client.patch(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}",
            params={"fieldManager": "rules", "force": "true"},
            content=definition_yaml().encode(),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        assert answer.status_code in (200, 201), answer.text
        newest = changed({"spec.syncApi": {"enabled": True}})
        deadline = time.monotonic() + 60
        while "syncApi.enabled" not in (self.refusal(newest) or "") or self.refusal(WHOLE):
            assert time.monotonic() < deadline, self.refusal(WHOLE)
            time.sleep(0.1)


@pytest.fixture(scope="session")
def judge(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    pair = tmp_path_factory.mktemp("judge") / "client.pem"
    pair.write_bytes(base64.b64decode(user["client-key-data"]) + base64.b64decode(user["client-certificate-data"]))
    context.load_cert_chain(pair)
    with httpx2.Client(base_url=cluster["server"], verify=context, trust_env=False, timeout=30) as client:
        judge = Judge(client)
        judge.define()
        yield judge


@pytest.mark.cluster
def test_the_api_server_takes_the_definition_as_it_is_in_the_repository(judge: Judge) -> None:
    stored = judge.client.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}").json()
    conditions = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
    ours = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    theirs = stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert theirs["properties"].keys() == ours["properties"].keys()


@pytest.mark.cluster
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_example(judge: Judge, example: Path) -> None:
    assert judge.refusal(yaml.safe_load(example.read_text())) is None


@pytest.mark.cluster
@pytest.mark.parametrize("beginning", BROKEN)
def test_a_broken_rule_is_refused_by_the_api_server(judge: Judge, beginning: str) -> None:
    assert rule_of(beginning).message in (judge.refusal(changed(BROKEN[beginning])) or "")


@pytest.mark.cluster
@pytest.mark.parametrize("field", UNSERVED)
def test_the_api_server_refuses_what_is_not_served_yet_with_field_and_remedy(judge: Judge, field: str) -> None:
    change, remedy = UNSERVED[field]
    refusal = judge.refusal(changed(change)) or ""
    assert field.rpartition(".")[2] in refusal
    assert remedy in refusal


@pytest.mark.cluster
@pytest.mark.parametrize("field", OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_the_api_server(judge: Judge, field: str) -> None:
    assert field in (judge.refusal(changed(OUT_OF_BOUNDS[field][0])) or "")


TEXTS = [
    "", "a", "u3-pro", "en-default", "universal-streaming-english", "1a", "A", "a b", "a\n", "é", "a.b", "-a",
    "a" * 41, "a" * 64, "a" * 254, "500m", "2", "1Gi", "1.5Ki", "-1", "1e3", "0.5", "192.0.2.0/24",
    "192.0.2.0/33", "2001:db8::/32", "192.0.2.0", "::/0", "192.0.2.0/024", "1.2.3/8",
    "https://a.example.com/x", "http://x:80", "https://u:p@x/y", "ftp://x/y", "hf://o/m@r", "hf://o/m",
    "s3://bucket/key", "s3://B/k", "pvc://claim", "pvc://claim/a/b", "image://r/x:1/p", "image://x",
    "pypi://d==1/p", "pypi://d", "file:///m", "file://m", "registry.example.com/x:1", "x@sha256:" + SHA, SHA,
    "*.example.com", "a.*", "HTTPRoute", "Ingress", "None", "Keys", "AnyNonEmpty", "Exists", "Equal",
    "NoExecute", "Vendor", "KEDA", "Whisper", "a/b", "a/../b", ".a", "a/", "vocabulary.txt",
    "NVIDIA_VISIBLE_DEVICES", "A_B",
    "https://h:65535/x", "https://h:65536/x", "https://h:0/x", "https://h:080/x", "https://h:/x", "https://h:abc/x",
    "https://[/x", "https://[::1]:8443/x", "https://[1:2:3:4:5:6:7:8]/x", "https://[::1::2]/x", "https://[12345::]/x",
    "https://h?x/y", "https://h#x/y", "https://a..b/x", "https://-a/x", "https://a_b.c./x", "https://\u2100/x",
]  # fmt: skip


def paths(schema: Document, value: Any, path: str = "spec") -> Iterator[tuple[str, Document]]:
    """Every field of `value`, and every field that it could have, with its schema."""
    yield path, schema
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            yield from paths(inner, value.get(name), f"{path}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(schema["items"], item, f"{path}.{index}")


FIELDS = list(paths(structural_schema()["properties"]["spec"], WHOLE["spec"]))


def values(schema: Document) -> st.SearchStrategy[Any]:
    """What a field may be given: mostly of its type, within its bounds or just beyond them."""
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "None", "", 1])
    match schema.get("type"):
        case "integer":
            least, most = schema["minimum"], schema["maximum"]
            return st.sampled_from([least, most, least - 1, most + 1, (least + most) // 2, 2, 30, "2", True])
        case "boolean":
            return st.sampled_from([True, False, "true", 0])
        case "array":
            return st.lists(values(schema["items"]), max_size=3)
        case "object" if "properties" in schema:
            optional = {name: values(inner) for name, inner in schema["properties"].items()}
            needed = {name: optional.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(needed, optional=optional) | st.sampled_from([{}, [], "x"])
        case "object" if "additionalProperties" in schema:
            keys = st.sampled_from(
                ["team", "example.com/team", "app.kubernetes.io/name", "cpu", "streamingstack.dev/x"]
            )
            return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=3)
        case "object":
            return st.sampled_from([{}, {"any": [1]}, [], "x"])
        case _:
            return st.sampled_from([*TEXTS, 1, 0, True])


@st.composite
def documents(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Document:
    """The whole object with one or two fields given something else, a null, or nothing."""
    changes: Document = {}
    for path, schema in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2)):
        if path != "spec":
            changes[path] = draw(st.one_of(values(schema), st.none(), st.just(...)))
    return with_changes(changes)


def with_changes(changes: Document) -> Document:
    """Those that fit upon each other; a list loses no item while another change still counts on it."""
    document = copy.deepcopy(WHOLE)
    for path, value in sorted(changes.items(), reverse=True):
        try:
            node, key = at(document, path)
        except (KeyError, IndexError, AttributeError, TypeError):
            continue
        if isinstance(node, list):
            node[key : key + 1] = [] if value is ... or value is None else [value]
        elif isinstance(node, dict):
            node.pop(key, None) if value is ... else node.update({key: value})
    return document


@pytest.mark.cluster
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_the_types_and_the_api_server_are_of_one_mind(judge: Judge, document: Document) -> None:
    theirs = judge.refusal(document)
    try:
        read_stack(document)
        ours = None
    except StackError as refused:
        ours = str(refused)
    assert (ours is None) == (theirs is None), f"types: {ours}\nAPI server: {theirs}"


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("spec.models.source", "Folder with the whole model"),
        ("spec.gateway.sessions.maxPerPod", "Beyond this, new sessions are refused."),
        ("spec.networkIsolation.egressCidrs", "every address on port 443"),
        ("status.conditions.reason", "Why, in one word"),
    ],
)
def test_kubectl_explains_each_field(judge: Judge, api_server: ApiServer, field: str, says: str) -> None:
    told = subprocess.run(
        [tools.kubectl(), f"--kubeconfig={api_server.kubeconfig}", "explain", f"{PLURAL}.{field}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert says in " ".join(told.stdout.split())


@pytest.mark.cluster
def test_the_shortest_stack_is_filled_in_by_the_api_server_as_by_the_types(judge: Judge) -> None:
    path = ROOT / "examples/minimal.yaml"
    answer = judge.client.post(
        f"/apis/streamingstack.dev/v1alpha1/namespaces/default/{PLURAL}",
        params={"dryRun": "All"},
        json=yaml.safe_load(path.read_text()),
    )
    assert read_stack(answer.json()).spec == load_stack(path).spec
