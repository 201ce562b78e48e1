"""Messages that program bindings in bulk."""

import struct

import pytest
from perf.dataplane.bindings import BINDINGS_PER_MESSAGE, DELETE, ENSURE, binding_messages
from perf.dataplane.frames import MobileNodes

NODES = MobileNodes(1000)


@pytest.mark.parametrize("operation", [ENSURE, DELETE])
def test_every_binding_is_in_one_message(operation):
    messages = list(binding_messages(NODES, range(1000), 1, operation))
    counts = [struct.unpack_from("!I", message)[0] for message in messages]
    assert sum(counts) == 1000
    assert max(counts) == BINDINGS_PER_MESSAGE


def test_binding_ids_begin_at_one():
    (message,) = binding_messages(NODES, range(1), 1, ENSURE)
    assert struct.unpack_from("!Q", message, 4) == (1,)
