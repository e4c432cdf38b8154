"""Which pods a stream names as those to avoid."""

from streaming_gateway.link.troubled import Pods


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_trouble_is_remembered_for_a_while_by_route_the_newest_first() -> None:
    clock = Clock()
    pods = Pods(clock)
    pods.troubled("en", "a")
    clock.now += 10
    pods.troubled("en", "b")
    assert pods.avoid("en", ()) == ("b", "a")
    assert pods.avoid("ml", ()) == ()
    clock.now += 6
    assert pods.avoid("en", ()) == ("b",)
    clock.now += 10
    assert pods.avoid("en", ()) == ()


def test_a_pod_that_is_heard_again_is_avoided_no_more() -> None:
    pods = Pods(Clock())
    pods.troubled("en", "a")
    pods.heard("en", "a")
    assert pods.avoid("en", ()) == ()


def test_who_refused_the_session_itself_comes_first_and_nobody_twice() -> None:
    pods = Pods(Clock())
    pods.troubled("en", "a")
    pods.troubled("en", "b")
    assert pods.avoid("en", ("c", "a", "")) == ("c", "a", "b")


def test_a_hedge_avoids_whoever_was_silent_since_the_slow_stream_began() -> None:
    clock = Clock()
    pods = Pods(clock)
    pods.heard("en", "frozen")
    pods.heard("en", "alive")
    clock.now += 1
    began = clock.now
    pods.heard("en", "alive")
    assert pods.avoid("en", (), began) == ("frozen",)
    clock.now += 1
    assert pods.avoid("en", (), clock.now) == ("frozen",), "somebody has to take the stream"
    pods.heard("ml", "frozen")
    assert pods.avoid("ml", (), clock.now + 1) == ("frozen",), "there may be others that are not known yet"
    assert pods.avoid("en", ()) == ()


def test_a_load_balancer_that_names_no_pods_changes_nothing() -> None:
    pods = Pods(Clock())
    pods.troubled("en", "")
    pods.heard("en", "")
    assert pods.avoid("en", ("",), 1e12) == ()
