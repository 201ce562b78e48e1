/* SPDX-License-Identifier: Apache-2.0 */

/* mag-uplink-multicast-ip6: multicast packets from access links go on, to the gateway or nowhere.

   A bound node's packets count as a sign of life, and VPP's neighbor discovery, which answers only
   sources that it finds on the link, is told that this one is: no prefix of a node is configured on
   the interface. Questions for the gateway's address in its prefix are answered here. */

#include <mag/mag_uplink.h>

VLIB_NODE_FN (mag_uplink_multicast_ip6_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  const mag_main_t *mm = &mag_main;
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;

  vlib_get_buffers (vm, from, bufs, n);
  for (u32 i = 0; i < n; i++)
    {
      const ip6_header_t *ip = vlib_buffer_get_current (bufs[i]);
      mag_verdict_t v = { .error = MAG_NO_ERROR };
      v.binding_index =
	mag_prefix_lookup (mm, mm->lengths, &ip->src_address, mag_prefix_hash (&ip->src_address));
      u64 mac = mag_source_mac (bufs[i]);
      mag_uplink_to_gateway (vm, bufs[i], ip, &v);
      if (v.outcome == MAG_OUTCOME_TO_GATEWAY && v.binding_index != ~0)
	mag_anycast_answer (vm, bufs[i], v.binding_index, &v.next);
      nexts[i] = mag_packet_done (vm, node, bufs[i], ip, mac, &v);
    }
  vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
  return n;
}

VLIB_REGISTER_NODE (mag_uplink_multicast_ip6_node) = {
  .name = "mag-uplink-multicast-ip6",
  .vector_size = sizeof (u32),
  .format_trace = format_mag_trace,
  .n_errors = MAG_N_ERROR,
  .error_counters = mag_error_counters,
  .sibling_of = "mag-uplink-ip6",
};
