/* SPDX-License-Identifier: Apache-2.0 */

/* What the nodes share: encapsulation, delivery to a node, lengths, ICMPv6 errors, traces. */

#ifndef included_mag_dp_h
#define included_mag_dp_h

#include <vnet/adj/adj.h>
#include <vnet/feature/feature.h>
#include <vnet/ip/icmp6.h>
#include <mag/mag.h>
#include <mag/mag_prefix.h>

/* IP_FRAG_NEXT_IP6_LOOKUP of vnet/ip/ip_frag.h, which is not installed. */
#define MAG_FRAGMENT_NEXT_LOOKUP 3
extern void ip_frag_set_vnet_buffer (vlib_buffer_t *b, u16 mtu, u8 next_index, u8 flags);

#define MAG_NO_ERROR ((u32) ~0)
/* Buffers that the short way through the nodes does not take. */
#define MAG_UNUSUAL_BUFFER_FLAGS                                                                   \
  (VLIB_BUFFER_NEXT_PRESENT | VNET_BUFFER_F_GSO | VNET_BUFFER_F_OFFLOAD)

#define foreach_mag_outcome                                                                        \
  _ (PASSED, "not ours, passed on")                                                                \
  _ (DROPPED, "dropped or answered")                                                               \
  _ (ENCAPSULATED, "encapsulated")                                                                 \
  _ (DELIVERED, "delivered to the node")                                                           \
  _ (TO_GATEWAY, "for the gateway itself")                                                         \
  _ (REGULAR, "no binding, routed as regular IPv6")                                                \
  _ (HANDED_OFF, "handed to worker")

typedef enum
{
#define _(s, n) MAG_OUTCOME_##s,
  foreach_mag_outcome
#undef _
} mag_outcome_t;

/* What became of one packet. */
typedef struct
{
  u16 next;
  u8 outcome;
  u32 binding_index;
  /* An index into the plugin's counters if dropped, MAG_NO_ERROR otherwise. */
  u32 error;
} mag_verdict_t;

typedef struct
{
  u64 binding_id;
  ip6_address_t source;
  ip6_address_t destination;
  u32 sw_if_index;
  u32 length;
  u32 error;
  u16 next;
  u8 outcome;
  u8 mac[6];
} mag_trace_t;

/* The node's source MAC as in mag_binding_t, or anything if the frame has no Ethernet header. */
static_always_inline u64
mag_source_mac (const vlib_buffer_t *b)
{
  static const u8 none[14];
  const u8 *ethernet = (b->flags & VNET_BUFFER_F_L2_HDR_OFFSET_VALID) ?
			 b->data + vnet_buffer (b)->l2_hdr_offset :
			 none;
  return *(u64u *) (ethernet + sizeof (mac_address_t));
}

/* Does with a tunnel packet what ip6-rewrite would, if that is no more than to put the adjacency's
   link-layer header in front: no features on the way out, no counters, no fragments. The adjacency is
   read for each packet, so that it may change at any time. */
static_always_inline int
mag_send_straight (vlib_buffer_t *b, const mag_lma_t *lma, u32 length, u16 *next)
{
  if (PREDICT_FALSE (lma->output_next == MAG_NO_OUTPUT))
    return 0;
  const ip_adjacency_t *adj = adj_get (lma->dpo.dpoi_index);
  const vnet_rewrite_header_t *rewrite = &adj->rewrite_header;
  if (PREDICT_FALSE ((rewrite->flags & VNET_REWRITE_HAS_FEATURES) |
		     (length > rewrite->max_l3_packet_bytes)))
    return 0;
  vnet_rewrite_one_header (adj[0], vlib_buffer_get_current (b), sizeof (ethernet_header_t));
  vlib_buffer_advance (b, -(word) rewrite->data_bytes);
  vnet_buffer (b)->ip.save_rewrite_length = rewrite->data_bytes;
  vnet_buffer (b)->sw_if_index[VLIB_TX] = rewrite->sw_if_index;
  *next = lma->output_next;
  return 1;
}

/* Puts the outer header in front of an inner packet and sends it on: straight out where that is
   possible and may_go_straight, else to the LMA's DPO. */
static_always_inline void
mag_encapsulate (vlib_buffer_t *b, const mag_lma_t *lma, u32 inner_length, u32 inner_word, u32 hash,
		 int may_go_straight, u16 *next)
{
  const u32 overhead = lma->overhead;
  vlib_buffer_advance (b, -(word) overhead);
  ip6_header_t *outer = vlib_buffer_get_current (b);
  const dpo_id_t dpo = lma->dpo;

  if (overhead > sizeof (*outer))
    *(u64u *) (outer + 1) = lma->limit_header.as_u64;
  clib_memcpy_fast (outer, &lma->outer, sizeof (*outer));
  outer->ip_version_traffic_class_and_flow_label |=
    clib_host_to_net_u32 ((inner_word & lma->copy_mask) | (hash & lma->entropy_mask) |
			  mag_outer_ecn (mag_ecn (inner_word)) << MAG_ECN_SHIFT);
  outer->payload_length = clib_host_to_net_u16 (inner_length + overhead - sizeof (*outer));
  b->flags &= ~(VNET_BUFFER_F_L4_HDR_OFFSET_VALID | VNET_BUFFER_F_L4_CHECKSUM_COMPUTED |
		VNET_BUFFER_F_L4_CHECKSUM_CORRECT);
  vnet_buffer (b)->ip.adj_index[VLIB_TX] = dpo.dpoi_index;
  if (PREDICT_TRUE (may_go_straight && mag_send_straight (b, lma, inner_length + overhead, next)))
    return;
  /* ours: its hop limit is not to be decremented, and it may be fragmented */
  b->flags |= VNET_BUFFER_F_LOCALLY_ORIGINATED;
  vnet_buffer (b)->ip.flow_hash = hash;
  *next = dpo.dpoi_next_node;
}

/* A hash of the inner addresses, never 0. */
static_always_inline u32
mag_entropy (u64 source_hash, const ip6_header_t *inner)
{
  u64 x = source_hash ^ inner->src_address.as_u64[1] ^ inner->dst_address.as_u64[0] ^
	  (inner->dst_address.as_u64[1] << 1);
  /* addresses differ in the octets that are the upper bits here: bring them down to be multiplied
   * up */
  x ^= x >> 32;
  return (x * 0x9e3779b97f4a7c15ULL) >> 32 | 1;
}

/* Puts the link-layer header in front of a packet and sends it out. */
static_always_inline void
mag_deliver (vlib_buffer_t *b, const mag_binding_t *binding, u16 *next)
{
  u64u *from = (u64u *) binding->rewrite;
  u64u *to = (u64u *) ((u8 *) vlib_buffer_get_current (b) - MAG_REWRITE_SIZE);

  /* what it overwrites in front of the rewrite is headroom */
  to[0] = from[0];
  to[1] = from[1];
  to[2] = from[2];
  vlib_buffer_advance (b, -(word) binding->rewrite_length);
  vnet_buffer (b)->sw_if_index[VLIB_TX] = binding->sw_if_index;
  b->flags &= ~(VNET_BUFFER_F_L2_HDR_OFFSET_VALID | VNET_BUFFER_F_L3_HDR_OFFSET_VALID |
		VNET_BUFFER_F_L4_HDR_OFFSET_VALID | VNET_BUFFER_F_L4_CHECKSUM_COMPUTED |
		VNET_BUFFER_F_L4_CHECKSUM_CORRECT);
  *next = binding->output_next;
}

static_always_inline void
mag_verdict_drop (mag_verdict_t *v, u32 error)
{
  v->next = MAG_NEXT_DROP;
  v->outcome = MAG_OUTCOME_DROPPED;
  v->error = error;
}

static_always_inline void
mag_verdict_icmp_error (vlib_buffer_t *b, mag_verdict_t *v, u8 type, u8 code, u32 data, u32 error)
{
  icmp6_error_set_vnet_buffer (b, type, code, data);
  mag_verdict_drop (v, error);
  v->next = MAG_NEXT_ICMP_ERROR;
}

/* Makes the chain of buffers end after so many octets; there are at least as many. */
static_always_inline void
mag_trim (vlib_main_t *vm, vlib_buffer_t *b, u32 length)
{
  vlib_buffer_t *first = b;
  u32 left = length;

  if (PREDICT_TRUE ((b->flags & VLIB_BUFFER_NEXT_PRESENT) == 0))
    {
      b->current_length = length;
      return;
    }
  while (left > b->current_length && (b->flags & VLIB_BUFFER_NEXT_PRESENT))
    {
      left -= b->current_length;
      b = vlib_get_buffer (vm, b->next_buffer);
    }
  b->current_length = clib_min (left, b->current_length);
  if (b->flags & VLIB_BUFFER_NEXT_PRESENT)
    {
      b->flags &= ~VLIB_BUFFER_NEXT_PRESENT;
      vlib_buffer_free_one (vm, b->next_buffer);
    }
  first->flags &= ~VLIB_BUFFER_TOTAL_LENGTH_VALID;
}

/* Checks that a link's MTU lets the packet pass; answers and drops otherwise. */
static_always_inline int
mag_fits_access_link (vlib_buffer_t *b, const mag_binding_t *binding, u32 length, mag_verdict_t *v)
{
  if (PREDICT_TRUE (length <= binding->mtu))
    return 1;
  mag_verdict_icmp_error (b, v, ICMP6_packet_too_big, 0, binding->mtu, MAG_ERROR_PACKET_TOO_BIG);
  return 0;
}

/* Decrements the hop limit as a router does; answers and drops if that ends it. */
static_always_inline int
mag_decrement_hop_limit (vlib_buffer_t *b, ip6_header_t *ip, mag_verdict_t *v)
{
  if (PREDICT_FALSE (ip->hop_limit <= 1))
    {
      mag_verdict_icmp_error (b, v, ICMP6_time_exceeded,
			      ICMP6_time_exceeded_ttl_exceeded_in_transit, 0,
			      MAG_ERROR_HOP_LIMIT_EXCEEDED);
      return 0;
    }
  ip->hop_limit--;
  return 1;
}

/* Packets and octets of one LMA, counted when another LMA follows; packets of the whole frame. */
typedef struct
{
  vlib_combined_counter_main_t *counters;
  u32 lma_index;
  u32 packets;
  u64 octets;
  u32 n_all;
} mag_total_t;

static_always_inline void
mag_total_flush (vlib_main_t *vm, mag_total_t *total)
{
  if (total->packets)
    vlib_increment_combined_counter (total->counters, vm->thread_index, total->lma_index, total->packets,
				     total->octets);
  total->packets = total->octets = 0;
}

static_always_inline void
mag_total_add (vlib_main_t *vm, mag_total_t *total, u32 lma_index, u32 octets)
{
  if (PREDICT_FALSE (total->lma_index != lma_index))
    {
      mag_total_flush (vm, total);
      total->lma_index = lma_index;
    }
  total->n_all++;
  total->packets++;
  total->octets += octets;
}

/* ip: the inner packet if there is one. mac: as it came; an outer header may have taken its place.
 */
static_always_inline void
mag_trace (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_buffer_t *b, const ip6_header_t *ip,
	   u64 mac, const mag_verdict_t *v)
{
  mag_trace_t *t = vlib_add_trace (vm, node, b, sizeof (*t));

  clib_memcpy_fast (t->mac, &mac, sizeof (t->mac));
  t->binding_id = v->binding_index == ~0 ? 0 : mag_main.infos[v->binding_index].id;
  t->source = ip->src_address;
  t->destination = ip->dst_address;
  t->length = mag_ip6_length (ip);
  t->sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  t->error = v->error;
  t->next = v->next;
  t->outcome = v->outcome;
}

/* The end of every node's loop: the reason in the buffer, the trace. Returns the next index. */
static_always_inline u16
mag_packet_done (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_buffer_t *b,
		 const ip6_header_t *ip, u64 mac, const mag_verdict_t *v)
{
  if (PREDICT_FALSE (v->error != MAG_NO_ERROR))
    b->error = node->errors[v->error];
  if (PREDICT_FALSE (b->flags & VLIB_BUFFER_IS_TRACED))
    mag_trace (vm, node, b, ip, mac, v);
  return v->next;
}

/* The end of a frame: counted, the packets sent on. counter: for what went through the tunnels. */
static_always_inline void
mag_frame_done (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame, u16 *nexts,
		u32 counter, mag_total_t *total)
{
  mag_total_flush (vm, total);
  vlib_node_increment_counter (vm, node->node_index, counter, total->n_all);
  vlib_buffer_enqueue_to_next (vm, node, vlib_frame_vector_args (frame), nexts, frame->n_vectors);
}

#endif /* included_mag_dp_h */
