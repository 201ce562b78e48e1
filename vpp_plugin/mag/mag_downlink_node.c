/* SPDX-License-Identifier: Apache-2.0 */

/* mag-downlink-ip6: packets from the core. RFC 5213 section 6.10.5, packets from the tunnel: what
   comes from an LMA is decapsulated and sent to the node whose prefix holds the inner destination.
 */

#include <mag/mag_dp.h>

static_always_inline int
mag_is_from_lma (const mag_lma_t *lma, const ip6_header_t *outer)
{
  return ip6_address_is_equal (&outer->src_address, &lma->outer.dst_address) &&
	 ip6_address_is_equal (&outer->dst_address, &lma->outer.src_address);
}

/* The LMA that the packet is from, ~0 if from none to its Proxy-CoA. */
static u32
mag_downlink_find_lma (const ip6_header_t *outer)
{
  mag_main_t *mm = &mag_main;
  clib_bihash_kv_16_8_t kv = {
    .key = { outer->src_address.as_u64[0], outer->src_address.as_u64[1] },
  };

  if (clib_bihash_search_inline_16_8 (&mm->lma_by_address, &kv) ||
      !mag_is_from_lma (&mm->lmas[kv.value], outer))
    return ~0;
  return kv.value;
}

static int
mag_is_proxy_care_of_address (const ip6_address_t *address)
{
  const ip6_address_t *own;

  vec_foreach (own, mag_main.proxy_care_of_addresses)
    if (ip6_address_is_equal (own, address))
      return 1;
  return 0;
}

/* Takes the outer header off; 0 if the packet is done with. Anything may come here. */
static int
mag_downlink_decapsulate_slow (vlib_main_t *vm, vlib_buffer_t *b, mag_verdict_t *v)
{
  static const u32 errors[] = {
    [MAG_TUNNEL_PACKET_BAD_HEADER] = MAG_ERROR_BAD_TUNNEL_HEADER,
    [MAG_TUNNEL_PACKET_BAD_LENGTH] = MAG_ERROR_BAD_LENGTH,
    [MAG_TUNNEL_PACKET_BAD_INNER_HEADER] = MAG_ERROR_BAD_INNER_HEADER,
    [MAG_TUNNEL_PACKET_BAD_ECN] = MAG_ERROR_BAD_ECN,
  };
  u32 offset;

  if (b->flags & (VNET_BUFFER_F_GSO | VNET_BUFFER_F_OFFLOAD))
    {
      mag_verdict_drop (v, MAG_ERROR_OFFLOAD_NOT_SUPPORTED);
      return 0;
    }
  if ((b->flags & VLIB_BUFFER_NEXT_PRESENT) && vlib_buffer_chain_linearize (vm, b) == 0)
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_LENGTH);
      return 0;
    }
  mag_tunnel_packet_t found =
    mag_open_tunnel_packet (vlib_buffer_get_current (b), b->current_length,
			    vlib_buffer_length_in_chain (vm, b), &offset);
  if (found != MAG_TUNNEL_PACKET_GOOD)
    {
      mag_verdict_drop (v, errors[found]);
      return 0;
    }
  vlib_buffer_advance (b, offset);
  mag_trim (vm, b, mag_ip6_length (vlib_buffer_get_current (b)));
  return 1;
}

/* Every rule, in order. Returns the inner length of what was delivered, 0 for all else. */
static __clib_noinline u32
mag_downlink_slow (vlib_main_t *vm, vlib_buffer_t *b, mag_verdict_t *v, u32 *lma_index)
{
  mag_main_t *mm = &mag_main;
  ip6_header_t *outer = vlib_buffer_get_current (b);
  int is_tunnel_packet = mag_is_tunnel_packet (outer, b->current_length);

  v->binding_index = ~0;
  *lma_index = is_tunnel_packet ? mag_downlink_find_lma (outer) : ~0;
  if (*lma_index == ~0)
    {
      if (is_tunnel_packet && mag_is_proxy_care_of_address (&outer->dst_address))
	{
	  mag_verdict_drop (v, MAG_ERROR_UNKNOWN_TUNNEL_PEER);
	  return 0;
	}
      v->outcome = MAG_OUTCOME_PASSED;
      vnet_feature_next_u16 (&v->next, b);
      return 0;
    }
  if (!mag_downlink_decapsulate_slow (vm, b, v))
    return 0;

  ip6_header_t *ip = vlib_buffer_get_current (b);
  u32 length = mag_ip6_length (ip);
  v->binding_index =
    mag_prefix_lookup (mm, mm->lengths, &ip->dst_address, mag_prefix_hash (&ip->dst_address));
  if (v->binding_index == ~0)
    {
      mag_verdict_drop (v, MAG_ERROR_UNKNOWN_INNER_DESTINATION);
      return 0;
    }
  const mag_binding_t *binding = &mm->bindings[v->binding_index];
  if (!mag_fits_access_link (b, binding, length, v) || !mag_decrement_hop_limit (b, ip, v))
    return 0;
  vlib_increment_combined_counter (&mm->down_counters, vm->thread_index, binding->counter_index, 1,
				   length);
  mag_deliver (b, binding, &v->next);
  v->outcome = MAG_OUTCOME_DELIVERED;
  return length;
}

/* What most packets are: whole, from a known LMA to a bound node, nothing to change but hop limit.
 */
static_always_inline int
mag_downlink_is_plain (const vlib_buffer_t *b, const ip6_header_t *outer, const ip6_header_t *inner,
		       u32 offset, const mag_binding_t *binding, u32 length)
{
  return ((b->flags & MAG_UNUSUAL_BUFFER_FLAGS) == 0) &
	 mag_are_lengths_right (outer, inner, offset, b->current_length) &
	 ((mag_first_word (inner) >> 28) == 6) & (mag_ecn (mag_first_word (outer)) != MAG_ECN_CE) &
	 (inner->hop_limit > 1) & (length <= binding->mtu);
}

static_always_inline void
mag_downlink_hash (vlib_buffer_t **b, u8 *offsets, u64 *hashes, u32 n)
{
  mag_main_t *mm = &mag_main;

  for (u32 i = 0; i < n; i++)
    {
      if (i + 8 < n)
	{
	  vlib_prefetch_buffer_header (b[i + 8], LOAD);
	  /* headers of both packets */
	  CLIB_PREFETCH (b[i + 8]->data, 2 * CLIB_CACHE_LINE_BYTES, LOAD);
	}
      const ip6_header_t *outer = vlib_buffer_get_current (b[i]);
      offsets[i] = mag_inner_offset (outer, b[i]->current_length);
      const ip6_header_t *inner = (const ip6_header_t *) ((const u8 *) outer + offsets[i]);
      hashes[i] = mag_prefix_hash (&inner->dst_address);
      clib_bihash_prefetch_bucket_8_8 (&mm->prefixes_64, hashes[i]);
    }
}

static_always_inline void
mag_downlink_find (vlib_buffer_t **b, const u8 *offsets, const u64 *hashes, u32 *indices, u32 n)
{
  mag_main_t *mm = &mag_main;
  const mag_prefix_lengths_t *lengths = __atomic_load_n (&mm->lengths, __ATOMIC_ACQUIRE);

  for (u32 i = 0; i < n; i++)
    {
      const ip6_header_t *inner = vlib_buffer_get_current (b[i]) + offsets[i];
      indices[i] = ~0;
      if (PREDICT_FALSE (offsets[i] == 0))
	continue;
      if (PREDICT_TRUE (lengths->n == 0))
	indices[i] = mag_prefix_probe_64 (mm, &inner->dst_address, hashes[i]);
      else
	indices[i] = mag_prefix_lookup (mm, lengths, &inner->dst_address, hashes[i]);
      if (PREDICT_TRUE (indices[i] != ~0))
	CLIB_PREFETCH (&mm->bindings[indices[i]], CLIB_CACHE_LINE_BYTES, LOAD);
    }
}

VLIB_NODE_FN (mag_downlink_ip6_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  mag_main_t *mm = &mag_main;
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  u64 hashes[VLIB_FRAME_SIZE];
  u32 indices[VLIB_FRAME_SIZE];
  u8 offsets[VLIB_FRAME_SIZE];
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;
  mag_total_t total = { .counters = &mm->lma_down_counters, .lma_index = ~0 };

  vlib_get_buffers (vm, from, bufs, n);
  mag_downlink_hash (bufs, offsets, hashes, n);
  mag_downlink_find (bufs, offsets, hashes, indices, n);

  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = bufs[i];
      ip6_header_t *outer = vlib_buffer_get_current (b), *inner = (void *) outer + offsets[i];
      mag_verdict_t v = { .binding_index = indices[i], .error = MAG_NO_ERROR };
      u64 mac = PREDICT_FALSE (b->flags & VLIB_BUFFER_IS_TRACED) ? mag_source_mac (b) : 0;
      u32 octets = 0, lma_index = total.lma_index;

      if (i + 8 < n && indices[i + 8] != ~0)
	vlib_prefetch_combined_counter (&mm->down_counters, vm->thread_index,
					mm->bindings[indices[i + 8]].counter_index);
      if (PREDICT_TRUE (v.binding_index != ~0))
	{
	  const mag_binding_t *binding = &mm->bindings[v.binding_index];
	  u32 length = mag_ip6_length (inner);

	  if (PREDICT_FALSE (lma_index == ~0 || !mag_is_from_lma (&mm->lmas[lma_index], outer)))
	    lma_index = mag_downlink_find_lma (outer);
	  if (PREDICT_TRUE (lma_index != ~0 &&
			    mag_downlink_is_plain (b, outer, inner, offsets[i], binding, length)))
	    {
	      octets = length;
	      vlib_increment_combined_counter (&mm->down_counters, vm->thread_index,
					       binding->counter_index, 1, length);
	      inner->hop_limit--;
	      vlib_buffer_advance (b, offsets[i]);
	      b->current_length = length;
	      mag_deliver (b, binding, &v.next);
	      v.outcome = MAG_OUTCOME_DELIVERED;
	    }
	}
      if (PREDICT_FALSE (octets == 0))
	octets = mag_downlink_slow (vm, b, &v, &lma_index);
      if (PREDICT_TRUE (octets != 0))
	mag_total_add (vm, &total, lma_index, octets);
      nexts[i] = mag_packet_done (vm, node, b, offsets[i] ? inner : outer, mac, &v);
    }

  mag_frame_done (vm, node, frame, nexts, MAG_ERROR_DECAPSULATED, &total);
  return n;
}

VLIB_REGISTER_NODE (mag_downlink_ip6_node) = {
  .name = "mag-downlink-ip6",
  .vector_size = sizeof (u32),
  .format_trace = format_mag_trace,
  .n_errors = MAG_N_ERROR,
  .error_counters = mag_error_counters,
  .sibling_of = "mag-uplink-ip6",
};
