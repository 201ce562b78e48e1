/* SPDX-License-Identifier: Apache-2.0 */

/* mag-mobility-ip6: what ::/0 of a mobility table leads to. Packets that the gateway makes for
   nodes, and any other that was routed in such a table. Few, and all of them by the same lookup. */

#include <mag/mag_dp.h>

static void
mag_mobility_one (vlib_main_t *vm, vlib_buffer_t *b, ip6_header_t *ip, mag_verdict_t *v)
{
  mag_main_t *mm = &mag_main;
  u32 length = mag_ip6_length (ip);

  v->binding_index =
    mag_prefix_lookup (mm, mm->lengths, &ip->dst_address, mag_prefix_hash (&ip->dst_address));
  if (v->binding_index == ~0)
    {
      mag_verdict_drop (v, MAG_ERROR_UNKNOWN_INNER_DESTINATION);
      return;
    }
  const mag_binding_t *binding = &mm->bindings[v->binding_index];
  if (!mag_fits_access_link (b, binding, length, v))
    return;
  if (!(b->flags & VNET_BUFFER_F_LOCALLY_ORIGINATED) && !mag_decrement_hop_limit (b, ip, v))
    return;
  vlib_increment_combined_counter (&mm->down_counters, vm->thread_index, binding->counter_index, 1,
				   length);
  mag_deliver (b, binding, &v->next);
  v->outcome = MAG_OUTCOME_DELIVERED;
}

VLIB_NODE_FN (mag_mobility_ip6_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors, n_delivered = 0;

  vlib_get_buffers (vm, from, bufs, n);
  for (u32 i = 0; i < n; i++)
    {
      ip6_header_t *ip = vlib_buffer_get_current (bufs[i]);
      mag_verdict_t v = { .error = MAG_NO_ERROR };
      mag_mobility_one (vm, bufs[i], ip, &v);
      n_delivered += v.outcome == MAG_OUTCOME_DELIVERED;
      nexts[i] = mag_packet_done (vm, node, bufs[i], ip, 0, &v);
    }
  vlib_node_increment_counter (vm, node->node_index, MAG_ERROR_DELIVERED_BY_TABLE, n_delivered);
  vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
  return n;
}

VLIB_REGISTER_NODE (mag_mobility_ip6_node) = {
  .name = "mag-mobility-ip6",
  .vector_size = sizeof (u32),
  .format_trace = format_mag_trace,
  .n_errors = MAG_N_ERROR,
  .error_counters = mag_error_counters,
  .sibling_of = "mag-uplink-ip6",
};
