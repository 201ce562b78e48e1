/* SPDX-License-Identifier: Apache-2.0 */

/* mag-uplink-ip6: unicast packets from access links. RFC 5213 section 6.10.5, packets from a mobile
   node: what has a binding goes into the tunnel to its LMA, whatever the destination. */

#include <mag/mag_uplink.h>

static_always_inline int
mag_is_gateway_address (const mag_main_t *mm, const ip6_address_t *address)
{
  const ip6_address_t *own;

  vec_foreach (own, mm->gateway_addresses)
    if (ip6_address_is_equal (own, address))
      return 1;
  return 0;
}

/* The binding that the packet goes straight across to, ~0 if there is none: its node is on this
   gateway and may be served without the LMA (RFC 5213 section 6.10.3). */
static_always_inline u32
mag_uplink_local_destination (const mag_main_t *mm, const ip6_header_t *ip)
{
  u32 index =
    mag_prefix_lookup (mm, __atomic_load_n (&mm->lengths, __ATOMIC_ACQUIRE), &ip->dst_address,
		       mag_prefix_hash (&ip->dst_address));

  if (index == ~0 || !(mm->bindings[index].flags & MAG_BINDING_F_LOCAL_ROUTING))
    return ~0;
  return index;
}

static void
mag_uplink_deliver_locally (vlib_main_t *vm, vlib_buffer_t *b, ip6_header_t *ip, u32 length,
			    u32 index, mag_verdict_t *v)
{
  mag_main_t *mm = &mag_main;
  const mag_binding_t *to = &mm->bindings[index];

  if (!mag_fits_access_link (b, to, length, v) || !mag_decrement_hop_limit (b, ip, v))
    return;
  vlib_increment_combined_counter (&mm->down_counters, vm->thread_index, to->counter_index, 1,
				   length);
  vlib_node_increment_counter (vm, mag_uplink_ip6_node.index, MAG_ERROR_DELIVERED_LOCALLY, 1);
  mag_deliver (b, to, &v->next);
  v->outcome = MAG_OUTCOME_DELIVERED;
}

/* Whether the packet is all there; cuts off what is more than the packet, drops if it is less. */
static int
mag_uplink_is_whole (vlib_main_t *vm, vlib_buffer_t *b, u32 length, mag_verdict_t *v)
{
  if (b->flags & (VNET_BUFFER_F_GSO | VNET_BUFFER_F_OFFLOAD))
    {
      mag_verdict_drop (v, MAG_ERROR_OFFLOAD_NOT_SUPPORTED);
      return 0;
    }
  if (length > vlib_buffer_length_in_chain (vm, b))
    {
      mag_verdict_drop (v, MAG_ERROR_BAD_LENGTH);
      return 0;
    }
  mag_trim (vm, b, length);
  return 1;
}

/* A packet without a binding: regular IPv6 where the link offers it, reported and dropped elsewhere.
   Regular routing takes it towards the destination's LMA; a node here that has local routing is
   reached directly (RFC 5213 section 6.10.5). */
static void
mag_uplink_unbound (vlib_main_t *vm, vlib_buffer_t *b, ip6_header_t *ip, mag_verdict_t *v)
{
  u32 sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  const mag_access_t *access = mag_access_get (sw_if_index);
  u64 mac = mag_source_mac (b);

  mag_event_post (vm, sw_if_index, (u8 *) &mac, &ip->src_address, 0);
  if (!access || access->regular_fib_index == ~0)
    {
      mag_verdict_drop (v, MAG_ERROR_UNKNOWN_SOURCE);
      return;
    }
  u32 to = mag_uplink_local_destination (&mag_main, ip);
  if (to != ~0)
    {
      if (mag_uplink_is_whole (vm, b, mag_ip6_length (ip), v))
	mag_uplink_deliver_locally (vm, b, ip, mag_ip6_length (ip), to, v);
      return;
    }
  vnet_buffer (b)->sw_if_index[VLIB_TX] = access->regular_fib_index;
  v->outcome = MAG_OUTCOME_REGULAR;
  vnet_feature_next_u16 (&v->next, b);
}

/* Larger than the tunnel lets pass. 1: may go on, in fragments if it must (RFC 2473 section 7.1).
 */
static int
mag_uplink_fits_tunnel (vlib_buffer_t *b, u32 length, u32 tunnel_mtu, mag_verdict_t *v)
{
  if (length <= clib_max (tunnel_mtu, IP6_MIN_MTU_OCTETS))
    return 1;
  mag_verdict_icmp_error (b, v, ICMP6_packet_too_big, 0, clib_max (tunnel_mtu, IP6_MIN_MTU_OCTETS),
			  MAG_ERROR_PACKET_TOO_BIG);
  return 0;
}

/* Encapsulation with what only few packets need: an own limit, outer fragments. */
static void
mag_uplink_encapsulate_slow (vlib_main_t *vm, vlib_buffer_t *b, ip6_header_t *ip, u32 length,
			     const mag_lma_t *configured, mag_verdict_t *v)
{
  mag_lma_t lma = *configured;
  u32 limit_offset = mag_find_encapsulation_limit (ip, clib_min (length, b->current_length));
  u32 tunnel_mtu = lma.tunnel_mtu;
  u32 path_mtu = lma.tunnel_mtu + lma.overhead;

  if (limit_offset)
    {
      u8 limit = ((u8 *) ip)[limit_offset];
      if (limit == 0)
	{
	  mag_verdict_icmp_error (b, v, ICMP6_parameter_problem,
				  ICMP6_parameter_problem_erroneous_header_field, limit_offset,
				  MAG_ERROR_ENCAPSULATION_LIMIT_REACHED);
	  return;
	}
      lma.limit_header = mag_limit_header (limit - 1);
      lma.outer.protocol = IP_PROTOCOL_IP6_DESTINATION_OPTIONS;
      lma.overhead = sizeof (ip6_header_t) + sizeof (mag_limit_header_t);
      tunnel_mtu = path_mtu - lma.overhead;
    }
  if (!mag_uplink_fits_tunnel (b, length, tunnel_mtu, v) || !mag_decrement_hop_limit (b, ip, v))
    return;
  /* VPP routes fragments as if they were not ours */
  if (length > tunnel_mtu && lma.outer.hop_limit < 255)
    lma.outer.hop_limit++;
  mag_encapsulate (b, &lma, length, mag_first_word (ip),
		   mag_entropy (mag_prefix_hash (&ip->src_address), ip), 0, &v->next);
  v->outcome = MAG_OUTCOME_ENCAPSULATED;
  if (length > tunnel_mtu)
    {
      vnet_buffer (b)->sw_if_index[VLIB_TX] = lma.core_fib_index;
      ip_frag_set_vnet_buffer (b, path_mtu, MAG_FRAGMENT_NEXT_LOOKUP, 0);
      v->next = MAG_NEXT_FRAGMENT;
      vlib_node_increment_counter (vm, mag_uplink_ip6_node.index, MAG_ERROR_FRAGMENTED, 1);
    }
}

/* Every rule, in order; the short way in mag_uplink_inline does the same for packets that need none
   but the last. Returns the inner length of what was encapsulated, 0 for all else. */
static __clib_noinline u32
mag_uplink_slow (vlib_main_t *vm, vlib_buffer_t *b, mag_verdict_t *v)
{
  mag_main_t *mm = &mag_main;
  ip6_header_t *ip = vlib_buffer_get_current (b);
  u32 sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  u32 length = mag_ip6_length (ip);

  if (mag_is_gateway_address (mm, &ip->dst_address) || mag_is_link_local (&ip->dst_address))
    {
      mag_uplink_to_gateway (vm, b, ip, v);
      return 0;
    }
  if (mag_is_link_local (&ip->src_address))
    {
      mag_verdict_drop (v, MAG_ERROR_LINK_LOCAL_SOURCE);
      return 0;
    }
  if (v->binding_index == ~0)
    {
      mag_uplink_unbound (vm, b, ip, v);
      return 0;
    }

  const mag_binding_t *binding = &mm->bindings[v->binding_index];
  if (!mag_uplink_check_sender (vm, b, v))
    return 0;
  if (!mag_uplink_is_whole (vm, b, length, v))
    return 0;
  if (mag_is_anycast_address (v->binding_index, &ip->dst_address))
    {
      v->outcome = MAG_OUTCOME_TO_GATEWAY;
      if (mag_anycast_answer (vm, b, v->binding_index, &v->next))
	return 0;
      vnet_buffer (b)->ip.fib_index = vec_elt (ip6_main.fib_index_by_sw_if_index, sw_if_index);
      v->next = MAG_NEXT_LOCAL;
      return 0;
    }
  u32 to = (binding->flags & MAG_BINDING_F_LOCAL_ROUTING) ? mag_uplink_local_destination (mm, ip) :
							    ~0;
  if (to != ~0)
    {
      mag_uplink_deliver_locally (vm, b, ip, length, to, v);
      if (v->outcome == MAG_OUTCOME_DELIVERED)
	vlib_increment_combined_counter (&mm->up_counters, vm->thread_index, binding->counter_index,
					 1, length);
      return 0;
    }
  mag_uplink_encapsulate_slow (vm, b, ip, length, pool_elt_at_index (mm->lmas, binding->lma_index),
			       v);
  if (v->outcome != MAG_OUTCOME_ENCAPSULATED)
    return 0;
  vlib_increment_combined_counter (&mm->up_counters, vm->thread_index, binding->counter_index, 1,
				   length);
  return length;
}

/* What most packets are: bound, from the right node, to somewhere beyond the link. */
static_always_inline int
mag_uplink_is_plain (const mag_main_t *mm, const vlib_buffer_t *b, const ip6_header_t *ip,
		     const mag_binding_t *binding, const mag_lma_t *lma, u64 mac, u32 length)
{
  u64 high = ip->dst_address.as_u64[0];
  int to_gateway = high == mm->gateway_high[0] | high == mm->gateway_high[1] |
		   high == mm->gateway_high[2] | high == mm->gateway_high[3];
  int local = mag_is_link_local (&ip->dst_address) | mag_is_link_local (&ip->src_address) |
	      (ip->dst_address.as_u64[0] == ip->src_address.as_u64[0]) |
	      (ip->dst_address.as_u64[1] == 0);
  int options = ip->protocol == IP_PROTOCOL_IP6_HOP_BY_HOP_OPTIONS |
		ip->protocol == IP_PROTOCOL_IP6_DESTINATION_OPTIONS;
  int wrong_sender = (binding->sw_if_index != vnet_buffer (b)->sw_if_index[VLIB_RX]) |
		     !mag_is_right_mac (binding, mac);
  int wrong_size = (length > b->current_length) | (length > lma->tunnel_mtu);

  return !(to_gateway | local | options | wrong_sender | wrong_size | (ip->hop_limit <= 1) |
	   ((b->flags & MAG_UNUSUAL_BUFFER_FLAGS) != 0));
}

static_always_inline void
mag_uplink_hash (vlib_buffer_t **b, u64 *hashes, u32 n)
{
  mag_main_t *mm = &mag_main;

  for (u32 i = 0; i < n; i++)
    {
      if (i + 4 < n)
	vlib_prefetch_buffer_data (b[i + 4], LOAD);
      const ip6_header_t *ip = vlib_buffer_get_current (b[i]);
      hashes[i] = mag_prefix_hash (&ip->src_address);
      clib_bihash_prefetch_bucket_8_8 (&mm->prefixes_64, hashes[i]);
    }
}

static_always_inline void
mag_uplink_find (vlib_main_t *vm, vlib_buffer_t **b, const u64 *hashes, u32 *indices, u32 n)
{
  mag_main_t *mm = &mag_main;
  const mag_prefix_lengths_t *lengths = __atomic_load_n (&mm->lengths, __ATOMIC_ACQUIRE);

  for (u32 i = 0; i < n; i++)
    {
      const ip6_header_t *ip = vlib_buffer_get_current (b[i]);
      if (PREDICT_TRUE (lengths->n == 0))
	indices[i] = mag_prefix_probe_64 (mm, &ip->src_address, hashes[i]);
      else
	indices[i] = mag_prefix_lookup (mm, lengths, &ip->src_address, hashes[i]);
      if (PREDICT_TRUE (indices[i] != ~0))
	CLIB_PREFETCH (&mm->bindings[indices[i]], CLIB_CACHE_LINE_BYTES, LOAD);
    }
}

VLIB_NODE_FN (mag_uplink_ip6_node)
(vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  mag_main_t *mm = &mag_main;
  vlib_buffer_t *bufs[VLIB_FRAME_SIZE];
  u16 nexts[VLIB_FRAME_SIZE];
  u64 hashes[VLIB_FRAME_SIZE];
  u32 indices[VLIB_FRAME_SIZE];
  u32 *from = vlib_frame_vector_args (frame), n = frame->n_vectors;
  u32 now = vlib_time_now (vm);
  mag_total_t total = { .counters = &mm->lma_up_counters, .lma_index = ~0 };
  int may_go_straight = !adj_are_counters_enabled ();

  vlib_get_buffers (vm, from, bufs, n);
  mag_uplink_hash (bufs, hashes, n);
  mag_uplink_find (vm, bufs, hashes, indices, n);

  for (u32 i = 0; i < n; i++)
    {
      vlib_buffer_t *b = bufs[i];
      ip6_header_t *ip = vlib_buffer_get_current (b);
      mag_verdict_t v = { .binding_index = indices[i], .error = MAG_NO_ERROR };
      u64 mac = mag_source_mac (b);
      u32 octets = 0;

      if (i + 8 < n && indices[i + 8] != ~0)
	vlib_prefetch_combined_counter (&mm->up_counters, vm->thread_index,
					mm->bindings[indices[i + 8]].counter_index);
      if (PREDICT_TRUE (v.binding_index != ~0))
	{
	  mag_binding_t *binding = &mm->bindings[v.binding_index];
	  const mag_lma_t *lma = &mm->lmas[binding->lma_index];
	  u32 length = mag_ip6_length (ip);

	  if (PREDICT_TRUE (mag_uplink_is_plain (mm, b, ip, binding, lma, mac, length)) &&
	      (PREDICT_TRUE (binding->flags == 0) || mag_uplink_local_destination (mm, ip) == ~0))
	    {
	      octets = length;
	      if (PREDICT_FALSE (binding->last_seen != now))
		binding->last_seen = now;
	      vlib_increment_combined_counter (&mm->up_counters, vm->thread_index,
					       binding->counter_index, 1, length);
	      b->current_length = length;
	      ip->hop_limit--;
	      mag_encapsulate (b, lma, length, mag_first_word (ip), mag_entropy (hashes[i], ip),
			       may_go_straight, &v.next);
	      v.outcome = MAG_OUTCOME_ENCAPSULATED;
	    }
	}
      if (PREDICT_FALSE (octets == 0))
	octets = mag_uplink_slow (vm, b, &v);
      if (PREDICT_TRUE (octets != 0))
	mag_total_add (vm, &total, mm->bindings[v.binding_index].lma_index, octets);
      nexts[i] = mag_packet_done (vm, node, b, ip, mac, &v);
    }

  mag_frame_done (vm, node, frame, nexts, MAG_ERROR_ENCAPSULATED, &total);
  return n;
}

VLIB_REGISTER_NODE (mag_uplink_ip6_node) = {
  .name = "mag-uplink-ip6",
  .vector_size = sizeof (u32),
  .format_trace = format_mag_trace,
  .n_errors = MAG_N_ERROR,
  .error_counters = mag_error_counters,
  .n_next_nodes = MAG_N_NEXT,
  .next_nodes = {
#define _(s, n) [MAG_NEXT_##s] = n,
    foreach_mag_next
#undef _
  },
};
