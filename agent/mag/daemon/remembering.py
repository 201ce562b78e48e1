"""What of the bindings of an earlier run may go on: policy and configuration of today decide."""

from collections.abc import Collection, Iterable

from mag.protocol.restoration import RememberedBinding
from mag.protocol.stored_binding import StoredBinding
from mag.services.policy_store import PolicyStore


async def remembered(
    bindings: Iterable[StoredBinding], policy: PolicyStore, access_interfaces: Collection[str]
) -> list[RememberedBinding]:
    """Each binding with its node's profile of today."""
    return [
        RememberedBinding(
            binding,
            await policy.profile(binding.mn_id, binding.attachment.mn_link_layer_id),
            has_link=binding.attachment.access_interface in access_interfaces,
        )
        for binding in bindings
    ]
