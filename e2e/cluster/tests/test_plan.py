"""The plan: no two things share an address, a name or a folder."""

from ipaddress import IPv4Network, ip_network
from itertools import combinations

import pytest
from e2e_cluster.plan import plan

_PRIVATE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_HOME = {"HOME": "/home/u"}


def test_ranges_do_not_overlap_and_are_for_tests_alone() -> None:
    made = plan(environ=_HOME)
    for one, other in combinations((made.network, made.pods, made.services), 2):
        assert not one.overlaps(other)
    for each in (made.network, made.pods, made.services):
        assert each.subnet_of(IPv4Network("198.18.0.0/15"))
        assert not any(each.overlaps(private) for private in _PRIVATE)


def test_every_node_has_an_address_and_pods_of_its_own() -> None:
    made = plan(nodes=4, environ=_HOME)
    assert len({node.address for node in made.nodes} | {made.host}) == 5
    assert all(node.address in made.network and node.pods.subnet_of(made.pods) for node in made.nodes)
    assert not any(one.pods.overlaps(other.pods) for one, other in combinations(made.nodes, 2))
    for attribute in ("state", "run", "cgroup", "link", "namespace", "containerd_socket"):
        assert len({getattr(node, attribute) for node in made.nodes}) == 4


def test_service_addresses_are_in_the_service_range() -> None:
    made = plan(environ=_HOME)
    assert made.dns in made.services
    assert made.api_service in made.services
    assert str(made.dns) == "198.19.0.10"


def test_two_clusters_share_no_folder_but_the_cache() -> None:
    one, other = plan("one", environ=_HOME), plan("other", environ=_HOME)
    assert one.owner != other.owner
    assert one.cache == other.cache
    for attribute in ("state", "run", "memory", "logs"):
        assert getattr(one, attribute) != getattr(other, attribute)


@pytest.mark.parametrize("name", ["a", "local", "abcdefgh"])
def test_names_of_links_fit_the_kernel(name: str) -> None:
    assert all(len(node.link) <= 15 for node in plan(name, nodes=4, environ=_HOME).nodes)


@pytest.mark.parametrize("name", ["", "Local", "a-b", "1a", "ninechars", "ä"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cluster name"):
        plan(name, environ=_HOME)


@pytest.mark.parametrize("nodes", [0, 5])
def test_a_number_of_nodes_that_cannot_be_is_refused(nodes: int) -> None:
    with pytest.raises(ValueError, match="nodes"):
        plan(nodes=nodes, environ=_HOME)


def test_a_folder_too_deep_for_sockets_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="XDG_STATE_HOME"):
        plan(environ={"XDG_STATE_HOME": "/x" * 40})


def test_an_unknown_node_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="node1, node2"):
        plan(environ=_HOME).node("node9")
