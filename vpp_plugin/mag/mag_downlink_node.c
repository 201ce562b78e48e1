/* SPDX-License-Identifier: Apache-2.0 */

/* mag-downlink-ip6: packets from the core. RFC 5213 section 6.10.5, packets from the tunnel: what
   comes from an LMA is decapsulated and sent to the node whose prefix holds the inner destination.
 */

#include <mag/mag_downlink.h>

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

/* 1 if a node that knows no option but padding and the encapsulation limit may go on
   (RFC 8200 section 4.2: skip over unrecognised options whose two top bits are 0). */
static int
mag_are_options_acceptable (const u8 *header, u32 length)
{
  for (u32 o = 2; o < length;)
    {
      if (header[o] == MAG_OPTION_PAD1)
	{
	  o++;
	  continue;
	}
      if (o + 2 > length || o + 2 + header[o + 1] > length || (header[o] & 0xc0))
	return 0;
      o += 2 + header[o + 1];
    }
  return 1;
}

/* Offset of the inner packet behind any Destination Options; 0 if the last of them leads to no IPv6
   packet, ~0 if they are broken or not to be skipped. */
static u32
mag_downlink_walk_headers (const ip6_header_t *outer, u32 available)
{
  const u8 *packet = (const u8 *) outer;
  u8 header = outer->protocol;
  u32 offset = sizeof (*outer);

  while (header == IP_PROTOCOL_IP6_DESTINATION_OPTIONS)
    {
      if (offset + 8 > available)
	return ~0;
      u32 length = 8 * (1 + packet[offset + 1]);
      if (offset + length > available || !mag_are_options_acceptable (packet + offset, length))
	return ~0;
      header = packet[offset];
      offset += length;
    }
  return header == IP_PROTOCOL_IPV6 ? offset : 0;
}

/* Lengths: the outer packet lies within what was received, the inner one within the outer. */
static_always_inline int
mag_are_lengths_right (const ip6_header_t *outer, const ip6_header_t *inner, u32 offset,
		       u32 received)
{
  u32 outer_length = mag_ip6_length (outer);
  return (outer_length <= received) & (offset + mag_ip6_length (inner) <= outer_length);
}

/* Takes the outer header off; 0 if the packet is done with. Anything may come here. */
static int
mag_downlink_decapsulate_slow (vlib_main_t *vm, vlib_buffer_t *b, mag_verdict_t *v)
{
  ip6_header_t *outer = vlib_buffer_get_current (b), *inner;

  if ((b->flags & VLIB_BUFFER_NEXT_PRESENT) && vlib_buffer_chain_linearize (vm, b) == 0)
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_LENGTH);
      return 0;
    }
  outer = vlib_buffer_get_current (b);
  u32 available = clib_min (b->current_length, mag_ip6_length (outer));
  u32 offset = mag_downlink_walk_headers (outer, available);
  if (offset == ~0)
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_TUNNEL_HEADER);
      return 0;
    }
  inner = (ip6_header_t *) ((u8 *) outer + offset);
  if (offset + sizeof (*inner) > available ||
      !mag_are_lengths_right (outer, inner, offset, vlib_buffer_length_in_chain (vm, b)))
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_LENGTH);
      return 0;
    }
  if (mag_first_word (inner) >> 28 != 6)
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_INNER_HEADER);
      return 0;
    }
  if (b->flags & (VNET_BUFFER_F_GSO | VNET_BUFFER_F_OFFLOAD))
    {
      mag_verdict_drop (v, MAG_ERROR_OFFLOAD_NOT_SUPPORTED);
      return 0;
    }
  if (mag_ecn (mag_first_word (outer)) == MAG_ECN_CE)
    {
      if (mag_ecn (mag_first_word (inner)) == MAG_ECN_NOT_ECT)
	{
	  mag_verdict_drop (v, MAG_ERROR_BAD_ECN);
	  return 0;
	}
      inner->ip_version_traffic_class_and_flow_label |=
	clib_host_to_net_u32 (MAG_ECN_CE << MAG_ECN_SHIFT);
    }
  vlib_buffer_advance (b, offset);
  mag_trim (vm, b, mag_ip6_length (inner));
  return 1;
}

/* A tunnel packet to us, by its first header after the outer one. Fragments are VPP's to
   reassemble: they come back here whole. */
static int
mag_is_tunnel_packet (const vlib_buffer_t *b, const ip6_header_t *outer)
{
  if (outer->protocol == IP_PROTOCOL_IPV6)
    return 1;
  if (outer->protocol != IP_PROTOCOL_IP6_DESTINATION_OPTIONS)
    return 0;
  /* a Mobility Header, say, may come behind options too: that is the gateway's */
  return mag_downlink_walk_headers (outer, b->current_length) != 0;
}

/* Every rule, in order. Returns the inner length of what was delivered, 0 for all else. */
static __clib_noinline u32
mag_downlink_slow (vlib_main_t *vm, vlib_buffer_t *b, mag_verdict_t *v, u32 *lma_index)
{
  mag_main_t *mm = &mag_main;
  ip6_header_t *outer = vlib_buffer_get_current (b);

  v->binding_index = ~0;
  *lma_index = ~0;
  if (mag_is_tunnel_packet (b, outer))
    *lma_index = mag_downlink_find_lma (outer);
  if (*lma_index == ~0)
    {
      if (mag_is_tunnel_packet (b, outer) && mag_is_proxy_care_of_address (&outer->dst_address))
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
      offsets[i] = mag_inner_offset (b[i], outer);
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
  mag_total_t total = { .lma_index = ~0 };
  u32 n_decapsulated = 0;

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
	{
	  n_decapsulated++;
	  mag_total_add (vm, &mm->lma_down_counters, &total, lma_index, octets);
	}
      else if (v.error != MAG_NO_ERROR)
	b->error = node->errors[v.error];
      nexts[i] = v.next;
      if (PREDICT_FALSE (b->flags & VLIB_BUFFER_IS_TRACED))
	mag_trace (vm, node, b, offsets[i] ? inner : outer, mac, &v);
    }

  mag_total_flush (vm, &mm->lma_down_counters, &total);
  vlib_node_increment_counter (vm, node->node_index, MAG_ERROR_DECAPSULATED, n_decapsulated);
  vlib_buffer_enqueue_to_next (vm, node, from, nexts, n);
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
