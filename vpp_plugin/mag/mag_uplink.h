/* SPDX-License-Identifier: Apache-2.0 */

/* What both uplink nodes do: tell who a packet is from. */

#ifndef included_mag_uplink_h
#define included_mag_uplink_h

#include <mag/mag_dp.h>

static_always_inline int
mag_is_right_mac (const mag_binding_t *binding, u64 mac)
{
  return ((binding->mac ^ mac) & binding->mac_mask) == 0;
}

/* Whether the packet is from the binding's node; drops it if not, notes the sign of life if so. */
static_always_inline int
mag_uplink_check_sender (vlib_main_t *vm, const vlib_buffer_t *b, mag_verdict_t *v)
{
  mag_binding_t *binding = &mag_main.bindings[v->binding_index];

  if (binding->sw_if_index != vnet_buffer (b)->sw_if_index[VLIB_RX])
    mag_verdict_drop (v, MAG_ERROR_WRONG_ACCESS_LINK);
  else if (!mag_is_right_mac (binding, mag_source_mac (b)))
    mag_verdict_drop (v, MAG_ERROR_WRONG_LINK_LAYER_ADDRESS);
  else
    {
      binding->last_seen = vlib_time_now (vm);
      return 1;
    }
  return 0;
}

/* The binding of the node that has this MAC on this interface, ~0 if there is none. */
static_always_inline u32
mag_uplink_find_node (u32 sw_if_index, u64 mac)
{
  clib_bihash_kv_16_8_t kv = { .key = { mac & MAG_MAC_MASK, sw_if_index } };
  return clib_bihash_search_inline_16_8 (&mag_main.binding_by_node, &kv) ? ~0 : kv.value;
}

/* A packet to the gateway itself goes on along the arc. A bound node's source address passes VPP's
   check of Neighbor Solicitations, which knows no prefix of the node: it takes a source as on link
   by the adjacency set here. Link-local sources are told by their MAC; strangers are reported, and so
   is what anybody claims as its link-local address: it may be the gateway's. */
static_always_inline void
mag_uplink_to_gateway (vlib_main_t *vm, vlib_buffer_t *b, const ip6_header_t *ip, mag_verdict_t *v)
{
  u32 sw_if_index = vnet_buffer (b)->sw_if_index[VLIB_RX];
  const mag_access_t *access = mag_access_get (sw_if_index);
  u64 mac = mag_source_mac (b);
  const ip6_address_t *claimed = mag_claimed_address (ip, b->current_length);

  v->outcome = MAG_OUTCOME_TO_GATEWAY;
  if (v->binding_index != ~0)
    {
      if (!mag_uplink_check_sender (vm, b, v))
	return;
      if (access)
	vnet_buffer (b)->ip.adj_index[VLIB_RX] = access->multicast_adj_index;
    }
  else
    {
      v->binding_index = mag_uplink_find_node (sw_if_index, mac);
      if (v->binding_index != ~0)
	mag_main.bindings[v->binding_index].last_seen = vlib_time_now (vm);
      else if (!claimed)
	mag_event_post (vm, sw_if_index, (u8 *) &mac, &ip->src_address, 0);
    }
  if (claimed)
    mag_event_post (vm, sw_if_index, (u8 *) &mac, &ip->src_address, claimed);
  vnet_feature_next_u16 (&v->next, b);
}

#endif /* included_mag_uplink_h */
