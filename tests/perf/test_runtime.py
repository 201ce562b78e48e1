"""`show runtime`, read."""

import pytest
from perf.dataplane.runtime import NodeRuntime, parse_runtime, path_cost

SHOWN = """\
Thread 0 vpp_main (lcore 0)
Time .3, 10.000000 sec internal node vector rate 0.00 loops/sec 1517507.76
  vector rates in 0.0000e0, out 0.0000e0, drop 0.0000e0, punt 0.0000e0
             Name                 State         Calls          Vectors        Suspends
api-rx-from-ring                "running"                0               0              10\
          2.39e6            0.00
dhcp6-pd-reply-publisher-proce"event wait"               0               0               1\
          3.95e3            0.00
---------------
Thread 1 vpp_wk_0 (lcore 1)
Time .3, 10.000000 sec internal node vector rate 256.00 loops/sec 2884826.23
ip6-input                        active                 20            5120               0\
          1.05e1          256.00
ip6-lookup                       active                 10            2560               0\
          3.22e1          256.00
pg-input                        disabled                10            2560               0\
          2.11e1          256.00
pg5-tx                           active                 10            2560               0\
          5.18e0          256.00
unix-epoll-input                 polling                 7               0               0\
          9.99e2            0.00
"""


def test_runtime_of_two_threads_is_read_thread_by_thread():
    threads = parse_runtime(SHOWN)
    assert [node.name for node in threads[0]] == [
        "api-rx-from-ring",
        "dhcp6-pd-reply-publisher-proce",
    ]
    assert threads[1][0] == NodeRuntime("ip6-input", 20, 5120, 10.5)


def test_runtime_without_threads_is_empty():
    assert parse_runtime("nothing of the kind\n") == {}


def test_path_cost_counts_a_node_as_often_as_packets_pass_it():
    cost = path_cost(parse_runtime(SHOWN)[1], "pg5")
    assert cost.nodes == pytest.approx({"ip6-input": 21.0, "ip6-lookup": 32.2, "pg5-tx": 5.18})
    assert cost.clocks_per_packet == pytest.approx(58.38)


def test_path_cost_leaves_out_generator_and_idle_nodes():
    cost = path_cost(parse_runtime(SHOWN)[1], "pg5")
    assert "pg-input" not in cost.nodes
    assert "unix-epoll-input" not in cost.nodes
    assert (cost.generated, cost.delivered, cost.vectors_per_call) == (2560, 2560, 256.0)


def test_packets_that_leave_elsewhere_are_not_delivered():
    assert path_cost(parse_runtime(SHOWN)[1], "pg4").delivered == 0


def test_thread_without_traffic_has_no_path_cost():
    with pytest.raises(ValueError, match="sent nothing"):
        path_cost(parse_runtime(SHOWN)[0], "pg5")
