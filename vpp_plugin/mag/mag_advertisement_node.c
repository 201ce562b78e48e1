/* SPDX-License-Identifier: Apache-2.0 */

/* mag-neighbor-advertisement: VPP's answers to Neighbor Solicitations on their way out.

   VPP sets the Router flag only where it sends Router Advertisements itself. On access links the
   agent sends them; without the flag a node takes the gateway for a host that was a router, and its
   default route away (RFC 4861 sections 4.4, 7.2.5). */

#include <vnet/ethernet/ethernet.h>
#include <vnet/ip/icmp6.h>
#include <mag/mag_dp.h>

#define MAG_ROUTER_FLAG 0x8000 /* in the first 16 bits behind the checksum */

static_always_inline void
mag_advertisement_set_router (vlib_buffer_t *b)
{
  ip6_header_t *ip = vlib_buffer_get_current (b) + ethernet_buffer_header_size (b);
  icmp46_header_t *icmp = (icmp46_header_t *) (ip + 1);
  u16 *flags = (u16 *) (icmp + 1);

  if (ip->protocol != IP_PROTOCOL_ICMP6 || icmp->type != ICMP6_neighbor_advertisement ||
      (*flags & clib_host_to_net_u16 (MAG_ROUTER_FLAG)))
    return;
  *flags |= clib_host_to_net_u16 (MAG_ROUTER_FLAG);
  /* RFC 1624 */
  u32 sum = (u16) ~clib_net_to_host_u16 (icmp->checksum) + MAG_ROUTER_FLAG;
  icmp->checksum = clib_host_to_net_u16 (~((sum & 0xffff) + (sum >> 16)));
}

VLIB_NODE_FN (mag_neighbor_advertisement_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;

  vlib_get_buffers (vm, from, bufs, n);
  for (u32 i = 0; i < n; i++)
    if (mag_access_get (vnet_buffer (bufs[i])->sw_if_index[VLIB_TX]))
      mag_advertisement_set_router (bufs[i]);
  vlib_buffer_enqueue_to_single_next (vm, node, from, 0, n);
  return n;
}

VLIB_REGISTER_NODE (mag_neighbor_advertisement_node) = {
  .name = "mag-neighbor-advertisement",
  .vector_size = sizeof (u32),
  .n_next_nodes = 1,
  .next_nodes = { [0] = "interface-output" },
};
