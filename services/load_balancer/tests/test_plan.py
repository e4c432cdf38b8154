"""From settings and facts to nginx's options."""

from pathlib import Path

import pytest
from load_balancer.picker import other_backends
from load_balancer.plan import choose_dialect, make_options, render_generation, resolvers_of
from load_balancer.settings import BalancerSettings
from stack_model.nginx import BalancerRoute, Dialect

SETTINGS = BalancerSettings(routes_file=Path("routes.yaml"), workers=2, streams_per_worker=4096)


def options(limit=1 << 20, **changes):
    facts = {"resolvers": ["127.0.0.1"], "picker_port": None, "user": None, "open_file_limit": limit}
    return make_options(SETTINGS.model_copy(update=changes), Dialect.STATIC, **facts)


@pytest.mark.parametrize(
    ("wanted", "version", "dialect"),
    [
        ("auto", (1, 22, 1), Dialect.STATIC),
        ("auto", (1, 27, 2), Dialect.STATIC),
        ("auto", (1, 27, 3), Dialect.RESOLVE),
        ("auto", (1, 31, 3), Dialect.RESOLVE),
        ("static", (1, 31, 3), Dialect.STATIC),
        ("resolve", (1, 28, 0), Dialect.RESOLVE),
    ],
)
def test_the_dialect_follows_nginxs_version_unless_told(wanted, version, dialect):
    assert choose_dialect(wanted, version) is dialect


@pytest.mark.parametrize(
    ("wanted", "version", "reason"),
    [("auto", (1, 18, 0), "nginx 1.18.0 is too old"), ("resolve", (1, 22, 1), "needs nginx 1.27.3 or newer")],
)
def test_a_dialect_that_this_nginx_cannot_speak_is_refused(wanted, version, reason):
    with pytest.raises(ValueError, match=reason):
        choose_dialect(wanted, version)


def test_every_stream_has_two_connections_and_their_files():
    assert options().worker_connections >= 2 * 4096
    assert options().open_files > options().worker_connections


@pytest.mark.parametrize("limit", [1024, 4096, 4097, 8703])
def test_open_files_stay_within_the_machines_limit(limit):
    assert options(limit).open_files <= limit


def test_several_addresses_are_listened_on():
    assert options(listen_host="127.0.0.1, [::1]").listen == ("127.0.0.1", "[::1]")


def test_the_generation_changes_with_the_routes_alone():
    one = [BalancerRoute(name="a", backends=("127.0.0.1:1",))]
    other = [BalancerRoute(name="a", backends=("127.0.0.1:2",))]
    text, generation = render_generation(one, options())
    assert render_generation(one, options())[1] == generation
    assert render_generation(other, options())[1] != generation
    assert f'add_header x-config-generation "{generation}"' in text


def test_name_servers_are_read_as_nginx_writes_them():
    text = "# local\nsearch example\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver\noptions edns0\n"
    assert resolvers_of(text) == ["127.0.0.53", "[fe80::1]"]


@pytest.mark.parametrize(
    ("addresses", "avoided", "others"),
    [
        (["a:1", "b:1"], "a:1", ["b:1"]),
        (["a:1"], "a:1", ["a:1"]),
        ([], "a:1", []),
        (["a:1", "b:1"], "", ["a:1", "b:1"]),
        (["a:1", "b:1", "c:1"], "c:1,a:1", ["b:1"]),
        (["a:1", "b:1"], "z:1, b:1", ["a:1"]),
        (["a:1", "b:1"], "a:1,b:1", ["a:1", "b:1"]),
        (["a:1", "b:1"], "-", ["a:1", "b:1"]),
    ],
)
def test_an_avoided_backend_is_picked_only_where_there_is_no_other(addresses, avoided, others):
    assert other_backends(addresses, avoided) == others
