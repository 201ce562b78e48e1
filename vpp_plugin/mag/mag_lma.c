/* SPDX-License-Identifier: Apache-2.0 */

/* Local Mobility Anchors: outer header templates, stacked on the FIB entry of the LMA's address. */

#include <vnet/adj/adj.h>
#include <vnet/adj/rewrite.h>
#include <vnet/fib/fib_entry_track.h>
#include <vnet/fib/fib_table.h>
#include <vnet/dpo/drop_dpo.h>
#include <vnet/dpo/load_balance.h>
#include <mag/mag.h>

u32
mag_lma_find (const ip6_address_t *lma_address)
{
  clib_bihash_kv_16_8_t kv = { .key = { lma_address->as_u64[0], lma_address->as_u64[1] } };
  return clib_bihash_search_inline_16_8 (&mag_main.lma_by_address, &kv) ? ~0 : kv.value;
}

static mag_lma_t *
mag_lma_from_fib_node (fib_node_t *node)
{
  return (mag_lma_t *) ((u8 *) node - STRUCT_OFFSET_OF (mag_lma_t, node));
}

/* The output node of the interface that a complete neighbor adjacency sends to. It is written in its
   place here while it is such: whatever makes it another kind restacks us. */
static u16
mag_lma_output_next (const dpo_id_t *dpo)
{
  if (dpo->dpoi_type != DPO_ADJACENCY)
    return MAG_NO_OUTPUT;
  const ip_adjacency_t *adj = adj_get (dpo->dpoi_index);
  if (adj->lookup_next_index != IP_LOOKUP_NEXT_REWRITE)
    return MAG_NO_OUTPUT;
  return vlib_node_add_next (vlib_get_main (), mag_uplink_ip6_node.index,
			     vnet_tx_node_index_for_sw_interface (
			       vnet_get_main (), adj->rewrite_header.sw_if_index));
}

/* A route of one path needs no load-balance node; a tunnel to ourselves is none. */
static void
mag_lma_restack (mag_lma_t *lma)
{
  dpo_id_t dpo = DPO_INVALID;

  fib_entry_contribute_forwarding (lma->fib_entry_index, FIB_FORW_CHAIN_TYPE_UNICAST_IP6, &dpo);
  while (dpo.dpoi_type == DPO_LOAD_BALANCE)
    {
      const load_balance_t *lb = load_balance_get (dpo.dpoi_index);
      if (lb->lb_n_buckets > 1)
	break;
      dpo_copy (&dpo, load_balance_get_bucket_i (lb, 0));
    }
  if (dpo.dpoi_type == DPO_RECEIVE)
    dpo_copy (&dpo, drop_dpo_get (DPO_PROTO_IP6));
  dpo_stack_from_node (mag_uplink_ip6_node.index, &lma->dpo, &dpo);
  dpo_reset (&dpo);
  lma->output_next = mag_lma_output_next (&lma->dpo);
}

int
mag_lma_is_reachable (const mag_lma_t *lma)
{
  dpo_id_t dpo = DPO_INVALID;
  fib_entry_contribute_forwarding (lma->fib_entry_index, FIB_FORW_CHAIN_TYPE_UNICAST_IP6, &dpo);
  int reachable = !(dpo.dpoi_type == DPO_LOAD_BALANCE && load_balance_is_drop (&dpo)) &&
		  lma->dpo.dpoi_type != DPO_DROP;
  dpo_reset (&dpo);
  return reachable;
}

static fib_node_t *
mag_lma_fib_node_get (fib_node_index_t index)
{
  return &pool_elt_at_index (mag_main.lmas, index)->node;
}

static void
mag_lma_fib_last_lock_gone (fib_node_t *node)
{
  /* An LMA is a root: it has no children and is never locked. */
  ASSERT (0);
}

static fib_node_back_walk_rc_t
mag_lma_fib_back_walk (fib_node_t *node, fib_node_back_walk_ctx_t *ctx)
{
  mag_lma_restack (mag_lma_from_fib_node (node));
  return FIB_NODE_BACK_WALK_CONTINUE;
}

static const fib_node_vft_t mag_lma_fib_vft = {
  .fnv_get = mag_lma_fib_node_get,
  .fnv_last_lock = mag_lma_fib_last_lock_gone,
  .fnv_back_walk = mag_lma_fib_back_walk,
};

static int
mag_lma_address_is_valid (const ip6_address_t *address)
{
  return !ip6_address_is_zero (address) && !ip6_address_is_multicast (address) &&
	 !ip6_address_is_link_local_unicast (address);
}

static int
mag_lma_config_is_valid (const mag_lma_config_t *c)
{
  return mag_lma_address_is_valid (&c->lma_address) &&
	 mag_lma_address_is_valid (&c->proxy_care_of_address) &&
	 !ip6_address_is_equal (&c->lma_address, &c->proxy_care_of_address) &&
	 c->tunnel_mtu >= MAG_MIN_TUNNEL_MTU && c->tunnel_mtu <= MAG_MAX_TUNNEL_MTU &&
	 c->hop_limit > 0 && c->dscp < 64 && c->flow_label < (1 << 20) &&
	 c->dscp_mode <= MAG_MODE_COPY && c->flow_label_mode <= MAG_MODE_ENTROPY;
}

static void
mag_lma_build_header (mag_lma_t *lma)
{
  const mag_lma_config_t *c = &lma->config;
  u32 word = 6 << 28;

  lma->copy_mask = lma->entropy_mask = 0;
  if (c->dscp_mode == MAG_MODE_COPY)
    lma->copy_mask |= 0x3f << 22;
  else
    word |= c->dscp << 22;
  if (c->flow_label_mode == MAG_MODE_COPY)
    lma->copy_mask |= 0xfffff;
  else if (c->flow_label_mode == MAG_MODE_ENTROPY)
    lma->entropy_mask = 0xfffff;
  else
    word |= c->flow_label;

  lma->overhead = sizeof (ip6_header_t);
  if (c->add_encapsulation_limit)
    lma->overhead += sizeof (mag_limit_header_t);
  lma->outer = (ip6_header_t){
    .ip_version_traffic_class_and_flow_label = clib_host_to_net_u32 (word),
    .protocol = c->add_encapsulation_limit ? IP_PROTOCOL_IP6_DESTINATION_OPTIONS : IP_PROTOCOL_IPV6,
    .hop_limit = c->hop_limit,
    .src_address = c->proxy_care_of_address,
    .dst_address = c->lma_address,
  };
  lma->limit_header = mag_limit_header (c->encapsulation_limit);
  lma->tunnel_mtu = c->tunnel_mtu;
}

static void
mag_lma_track (mag_lma_t *lma, u32 fib_index)
{
  fib_prefix_t prefix = {
    .fp_proto = FIB_PROTOCOL_IP6,
    .fp_len = 128,
    .fp_addr.ip6 = lma->config.lma_address,
  };

  lma->core_fib_index = fib_index;
  fib_table_lock (fib_index, FIB_PROTOCOL_IP6, mag_main.fib_source);
  lma->fib_entry_index = fib_entry_track (fib_index, &prefix, mag_main.fib_node_type,
					  lma - mag_main.lmas, &lma->sibling);
  mag_lma_restack (lma);
}

static void
mag_lma_untrack (mag_lma_t *lma)
{
  fib_entry_untrack (lma->fib_entry_index, lma->sibling);
  fib_table_unlock (lma->core_fib_index, FIB_PROTOCOL_IP6, mag_main.fib_source);
  dpo_reset (&lma->dpo);
}

static void
mag_lma_collect_proxy_care_of_addresses (mag_main_t *mm)
{
  mag_lma_t *lma;

  vec_reset_length (mm->proxy_care_of_addresses);
  pool_foreach (lma, mm->lmas)
    {
      ip6_address_t *address, *found = 0;
      vec_foreach (address, mm->proxy_care_of_addresses)
	if (ip6_address_is_equal (address, &lma->config.proxy_care_of_address))
	  found = address;
      if (!found)
	vec_add1 (mm->proxy_care_of_addresses, lma->config.proxy_care_of_address);
    }
}

/* Runs under the barrier: packets see the LMA before or after, never between. */
int
mag_lma_ensure (const mag_lma_config_t *config)
{
  mag_main_t *mm = &mag_main;
  u32 fib_index = fib_table_find (FIB_PROTOCOL_IP6, config->core_table_id);
  u32 index = mag_lma_find (&config->lma_address);
  mag_lma_t *lma;

  if (!mag_lma_config_is_valid (config))
    return VNET_API_ERROR_INVALID_VALUE;
  if (fib_index == ~0)
    return VNET_API_ERROR_NO_SUCH_FIB;

  if (index == ~0)
    {
      pool_get_aligned_zero (mm->lmas, lma, CLIB_CACHE_LINE_BYTES);
      index = lma - mm->lmas;
      fib_node_init (&lma->node, mm->fib_node_type);
      lma->core_fib_index = ~0;
      vlib_validate_combined_counter (&mm->lma_up_counters, index);
      vlib_validate_combined_counter (&mm->lma_down_counters, index);
      vlib_zero_combined_counter (&mm->lma_up_counters, index);
      vlib_zero_combined_counter (&mm->lma_down_counters, index);
    }
  lma = pool_elt_at_index (mm->lmas, index);
  lma->config = *config;
  mag_lma_build_header (lma);
  if (lma->core_fib_index != fib_index)
    {
      if (lma->core_fib_index != ~0)
	mag_lma_untrack (lma);
      mag_lma_track (lma, fib_index);
    }
  clib_bihash_kv_16_8_t kv = {
    .key = { config->lma_address.as_u64[0], config->lma_address.as_u64[1] },
    .value = index,
  };
  clib_bihash_add_del_16_8 (&mm->lma_by_address, &kv, 1);
  mag_lma_collect_proxy_care_of_addresses (mm);
  return 0;
}

int
mag_lma_delete (const ip6_address_t *lma_address)
{
  mag_main_t *mm = &mag_main;
  u32 index = mag_lma_find (lma_address);

  if (index == ~0)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  mag_lma_t *lma = pool_elt_at_index (mm->lmas, index);
  if (lma->n_bindings)
    return VNET_API_ERROR_INSTANCE_IN_USE;

  clib_bihash_kv_16_8_t kv = { .key = { lma_address->as_u64[0], lma_address->as_u64[1] } };
  clib_bihash_add_del_16_8 (&mm->lma_by_address, &kv, 0);
  mag_lma_untrack (lma);
  pool_put (mm->lmas, lma);
  mag_lma_collect_proxy_care_of_addresses (mm);
  return 0;
}

void
mag_lma_init (mag_main_t *mm)
{
  mm->fib_node_type = fib_node_register_new_type ("mag-lma", &mag_lma_fib_vft);
  mm->lma_up_counters.name = "mag-lma-up";
  mm->lma_up_counters.stat_segment_name = "/mag/lma/up";
  mm->lma_down_counters.name = "mag-lma-down";
  mm->lma_down_counters.stat_segment_name = "/mag/lma/down";
  clib_bihash_init_16_8 (&mm->lma_by_address, "mag LMAs", 64, 0);
}
