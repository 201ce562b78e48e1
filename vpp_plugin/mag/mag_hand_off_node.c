/* SPDX-License-Identifier: Apache-2.0 */

/* mag-downlink-hand-off-ip6: spreads tunnel packets over the workers by inner destination.

   Takes the place of mag-downlink-ip6 on the arc; the packets go there, on this worker or another,
   with their place on the arc kept. Both are siblings, so that place means the same to both. */

#include <mag/mag_dp.h>

static_always_inline u16
mag_hand_off_worker (const mag_main_t *mm, const vlib_buffer_t *b, u16 own_thread)
{
  const ip6_header_t *outer = vlib_buffer_get_current ((vlib_buffer_t *) b);
  u32 offset = mag_inner_offset (outer, b->current_length);

  if (PREDICT_FALSE (offset == 0 || mm->n_workers < 2))
    return own_thread;
  const ip6_header_t *inner = (const ip6_header_t *) ((const u8 *) outer + offset);
  /* not the hash's low bits: they choose the bucket */
  return mm->first_worker +
	 ((mag_prefix_hash (&inner->dst_address) >> 16) & 0xffff) % mm->n_workers;
}

VLIB_NODE_FN (mag_downlink_hand_off_ip6_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  const mag_main_t *mm = &mag_main;
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u32 away[VLIB_FRAME_SIZE], here[VLIB_FRAME_SIZE];
  u16 threads[VLIB_FRAME_SIZE];
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors, n_away = 0, n_here = 0;

  vlib_get_buffers (vm, from, bufs, n);
  for (u32 i = 0; i < n; i++)
    {
      if (i + 4 < n)
	CLIB_PREFETCH (bufs[i + 4]->data, 2 * CLIB_CACHE_LINE_BYTES, LOAD);
      u16 thread = mag_hand_off_worker (mm, bufs[i], vm->thread_index);
      if (PREDICT_FALSE (bufs[i]->flags & VLIB_BUFFER_IS_TRACED))
	{
	  mag_verdict_t v = { .binding_index = ~0,
			      .error = MAG_NO_ERROR,
			      .next = thread,
			      .outcome = MAG_OUTCOME_HANDED_OFF };
	  mag_trace (vm, node, bufs[i], vlib_buffer_get_current (bufs[i]), mag_source_mac (bufs[i]),
		     &v);
	}
      if (thread == vm->thread_index)
	here[n_here++] = from[i];
      else
	{
	  threads[n_away] = thread;
	  away[n_away++] = from[i];
	}
    }

  if (n_here)
    vlib_buffer_enqueue_to_single_next (vm, node, here, MAG_NEXT_DOWNLINK, n_here);
  if (n_away)
    {
      u32 n_sent =
	vlib_buffer_enqueue_to_thread (vm, node, mm->hand_off_queue, away, threads, n_away, 1);
      vlib_node_increment_counter (vm, node->node_index, MAG_ERROR_HAND_OFF_CONGESTED,
				   n_away - n_sent);
    }
  return n;
}

VLIB_REGISTER_NODE (mag_downlink_hand_off_ip6_node) = {
  .name = "mag-downlink-hand-off-ip6",
  .vector_size = sizeof (u32),
  .format_trace = format_mag_trace,
  .n_errors = MAG_N_ERROR,
  .error_counters = mag_error_counters,
  .sibling_of = "mag-uplink-ip6",
};
