"""The load balancer's configuration as text; nginx itself judges it in the load balancer's own tests."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stack_model.api import load_stack
from stack_model.detours import LISTS_UP_TO, detours
from stack_model.nginx import BalancerOptions, BalancerRoute, Dialect, parse_version, render_nginx
from stack_model.nginx_routes import RoutesError, dump_routes, local_routes, parse_routes

EXAMPLES = Path(__file__).parents[3] / "examples"
PAIR = BalancerRoute(name="pair", aliases=("two",), backends=("127.0.0.1:1", "127.0.0.1:2"))
NAMED = BalancerRoute(name="named", backends=("asr.example:50051",))


def upstreams(text: str) -> dict[str, list[str]]:
    """Upstream name -> its servers."""
    blocks = re.findall(r"upstream (\S+) \{(.*?)\n    \}", text, re.DOTALL)
    return {name: re.findall(r"server (\S+)", body) for name, body in blocks}


def body_of(text: str, head: str) -> str:
    """What stands in the braces of the map with this head."""
    found = re.search(rf"map {head} \{{(.*?)\}}", text, re.DOTALL)
    assert found
    return found[1]


def entries(text: str, variable: str) -> dict[str, str]:
    """The lines of the map that sets `variable`, without the default."""
    return dict(re.findall(r'"([^"]*)" "([^"]*)";', body_of(text, rf"[^\n]* \{variable}")))


def test_every_pair_of_route_and_pod_to_avoid_has_an_upstream_without_it() -> None:
    text = render_nginx([PAIR], BalancerOptions())
    assert upstreams(text) == {
        "route_pair": ["127.0.0.1:1", "127.0.0.1:2"],
        "route_pair_any": ["127.0.0.1:1", "127.0.0.1:2"],
        "route_pair_without_0": ["127.0.0.1:2"],
        "route_pair_without_1": ["127.0.0.1:1"],
    }
    assert set(entries(text, "$target").values()) == {"route_pair_any", "route_pair_without_0", "route_pair_without_1"}


@given(st.integers(2, 6), st.data())
def test_a_list_leads_around_what_it_names_and_to_any_where_it_names_all_or_none(
    count: int, data: st.DataObject
) -> None:
    backends = [f"127.0.0.1:{port}" for port in range(1, count + 1)]
    strangers = ["127.0.0.1:11", "1127.0.0.1:1", "-", "127.0.0.1"]
    listed = data.draw(st.lists(st.sampled_from([*backends, *strangers]), min_size=1, unique=True))
    found = detours("route_x", backends)
    text = f"route_x {','.join(listed)}"
    target = next(upstream for pattern, upstream in found.patterns if re.match(pattern, text))
    named = [backend for backend in backends if backend in listed]
    if count > LISTS_UP_TO:
        assert target == "route_x_any" if not named else set(found.upstreams[target]) < set(backends)
        if listed[0] in backends:
            assert listed[0] not in found.upstreams[target], "the first of the list is the worst"
    elif len(named) in (0, count):
        assert target == "route_x_any"
    else:
        assert list(found.upstreams[target]) == [backend for backend in backends if backend not in listed]


def test_without_a_list_a_route_has_its_own_upstream() -> None:
    assert not [
        pattern
        for pattern, _ in detours("route_x", ["127.0.0.1:1", "127.0.0.1:2"]).patterns
        if re.match(pattern, "route_x ")
    ]


def test_names_and_aliases_lead_to_one_route_and_nothing_else_does() -> None:
    text = render_nginx([PAIR, BalancerRoute(name="empty")], BalancerOptions())
    assert entries(text, "$route") == {"pair": "pair", "two": "pair", "empty": "empty"}
    assert entries(text, "$pool") == {"pair": "route_pair"}
    assert 'default "";' in body_of(text, r"\S+ \$route")


def test_names_are_followed_by_resolve_and_addresses_are_not() -> None:
    options = BalancerOptions(dialect=Dialect.RESOLVE, resolvers=("127.0.0.53",))
    text = render_nginx([PAIR, NAMED], options)
    assert "server asr.example:50051 resolve max_fails" in text
    assert "server 127.0.0.1:1 max_fails" in text
    assert "resolver 127.0.0.53 valid=2s;" in text
    assert upstreams(text)["route_named_any"] == ["asr.example:50051"]


@pytest.mark.parametrize(
    ("routes", "options", "reason"),
    [
        ([NAMED], BalancerOptions(), "asr.example:50051: names need nginx 1.27.3"),
        ([NAMED], BalancerOptions(dialect=Dialect.RESOLVE), "asr.example:50051: a name needs a DNS server"),
        ([PAIR, BalancerRoute(name="two")], BalancerOptions(), "name or alias two appears twice"),
    ],
)
def test_what_nginx_could_not_do_is_refused(routes: list[BalancerRoute], options: BalancerOptions, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        render_nginx(routes, options)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_streams_are_never_cut_by_size_or_silence(dialect: Dialect) -> None:
    text = render_nginx([PAIR], BalancerOptions(dialect=dialect))
    for directive in (
        "client_max_body_size 0",
        "client_body_timeout 10h",
        "grpc_read_timeout 10h",
        "grpc_send_timeout 10h",
        "grpc_connect_timeout 1s",
        "http2_max_concurrent_streams 16384",
        "keepalive_requests 1000000000",
        "worker_connections 8448",
    ):
        assert f"{directive};" in text


@given(st.text(max_size=40))
def test_no_backend_can_break_out_of_its_line(backend: str) -> None:
    try:
        route = BalancerRoute(name="a", backends=(backend,))
    except ValidationError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_.\-:\[\]]+", route.backends[0])


@pytest.mark.parametrize("backend", ["127.0.0.1:50051", "[::1]:1", "asr.example:65535", "streaming_asr:50051"])
def test_addresses_and_names_are_taken(backend: str) -> None:
    assert BalancerRoute(name="a", backends=(backend,)).backends == (backend,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("routes: [", "while parsing a flow"),
        ("", "expected a mapping with `routes`, found NoneType"),
        ("{}", "routes: Field required"),
        ("routes: [{name: A}]", "routes.0.name: Value error, use at most 40 lower-case letters"),
        ("routes: [{name: a, bakends: []}]", "routes.0.bakends: Extra inputs are not permitted"),
        ('routes: [{name: a, backends: ["h"]}]', "routes.0.backends: Value error, 'h' is not host:port"),
        ('routes: [{name: a, backends: ["h:0"]}]', "h:0: the port must be between 1 and 65535"),
        ('routes: [{name: a, backends: ["h:1;"]}]', "'h:1;' is not host:port"),
        ('routes: [{name: a, backends: ["h:1", "h:1"]}]', "h:1 appears twice"),
        ("routes: [{name: a}, {name: b, aliases: [a]}]", "name or alias a appears twice"),
    ],
)
def test_a_bad_routes_file_is_refused_with_its_name_and_field(text: str, reason: str) -> None:
    with pytest.raises(RoutesError) as refused:
        parse_routes(text, "routes.yaml")
    assert str(refused.value).startswith("routes.yaml: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_local_routes_count_ports_in_the_order_of_the_models() -> None:
    routes = local_routes(load_stack(EXAMPLES / "all-models.yaml")).routes
    assert [route.backends for route in routes] == [(f"127.0.0.1:{50051 + n}",) for n in range(len(routes))]
    assert {"u3-pro", "universal-3-5-pro"} <= {value for route in routes for value in route.values}


def test_the_routes_file_survives_a_round_trip() -> None:
    routes = local_routes(load_stack(EXAMPLES / "all-models.yaml"), first_port=60051)
    assert parse_routes(dump_routes(routes), "routes.yaml") == routes


@pytest.mark.parametrize(
    ("text", "version"),
    [("nginx version: nginx/1.22.1\n", (1, 22, 1)), ("nginx version: nginx/1.31.3 (x)", (1, 31, 3))],
)
def test_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version
