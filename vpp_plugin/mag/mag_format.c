/* SPDX-License-Identifier: Apache-2.0 */

/* Readable forms of what the plugin holds, for CLI and traces. */

#include <vnet/ethernet/ethernet.h>
#include <mag/mag_dp.h>

static const char *mag_mode_names[] = {
#define _(s, n) [MAG_MODE_##s] = n,
  foreach_mag_field_mode
#undef _
};

u8 *
format_mag_prefix (u8 *s, va_list *args)
{
  const mag_prefix_t *prefix = va_arg (*args, const mag_prefix_t *);
  return format (s, "%U/%u", format_ip6_address, &prefix->address, prefix->length);
}

u8 *
format_mag_binding (u8 *s, va_list *args)
{
  u32 index = va_arg (*args, u32);
  mag_main_t *mm = &mag_main;
  const mag_binding_t *binding = &mm->bindings[index];
  const mag_binding_info_t *info = &mm->infos[index];
  const mag_prefix_t *prefixes = mag_binding_prefixes (info);
  vlib_counter_t up, down;

  vlib_get_combined_counter (&mm->up_counters, binding->counter_index, &up);
  vlib_get_combined_counter (&mm->down_counters, binding->counter_index, &down);
  s = format (s, "binding %llu:", info->id);
  for (u32 i = 0; i < info->n_prefixes; i++)
    s = format (s, " %U", format_mag_prefix, &prefixes[i]);
  s = format (s, "\n  node %U on %U, seen %u s ago", format_mac_address_t, &info->mac,
	      format_vnet_sw_if_index_name, vnet_get_main (), binding->sw_if_index,
	      (u32) vlib_time_now (vlib_get_main ()) - binding->last_seen);
  s = format (s, "\n  LMA %U%s", format_ip6_address,
	      &pool_elt_at_index (mm->lmas, binding->lma_index)->config.lma_address,
	      binding->flags & MAG_BINDING_F_LOCAL_ROUTING ? ", local routing" : "");
  return format (s, "\n  up %llu packets %llu octets, down %llu packets %llu octets", up.packets,
		 up.bytes, down.packets, down.bytes);
}

static u8 *
format_mag_mode (u8 *s, va_list *args)
{
  mag_mode_t mode = va_arg (*args, mag_mode_t);
  u32 value = va_arg (*args, u32);
  if (mode == MAG_MODE_CONFIGURED)
    return format (s, "%u", value);
  return format (s, "%s", mag_mode_names[mode]);
}

u8 *
format_mag_lma (u8 *s, va_list *args)
{
  const mag_lma_t *lma = va_arg (*args, const mag_lma_t *);
  const mag_lma_config_t *c = &lma->config;
  mag_main_t *mm = &mag_main;
  u32 index = lma - mm->lmas;
  vlib_counter_t up, down;

  vlib_get_combined_counter (&mm->lma_up_counters, index, &up);
  vlib_get_combined_counter (&mm->lma_down_counters, index, &down);
  s = format (s, "LMA %U in table %u, Proxy-CoA %U, %u bindings, %s", format_ip6_address,
	      &c->lma_address, c->core_table_id, format_ip6_address, &c->proxy_care_of_address,
	      lma->n_bindings, mag_lma_is_reachable (lma) ? "reachable" : "not reachable");
  s = format (s, "\n  tunnel MTU %u, hop limit %u, DSCP %U, flow label %U, encapsulation limit ",
	      c->tunnel_mtu, c->hop_limit, format_mag_mode, c->dscp_mode, c->dscp, format_mag_mode,
	      c->flow_label_mode, c->flow_label);
  if (c->add_encapsulation_limit)
    s = format (s, "%u", c->encapsulation_limit);
  else
    s = format (s, "none");
  s = format (s, "\n  up %llu packets %llu octets, down %llu packets %llu octets", up.packets,
	      up.bytes, down.packets, down.bytes);
  return format (s, "\n  %U", format_dpo_id, &lma->dpo, 2);
}

static u8 *
format_mag_outcome (u8 *s, va_list *args)
{
  const mag_trace_t *t = va_arg (*args, const mag_trace_t *);
  static const char *names[] = {
#define _(s, n) [MAG_OUTCOME_##s] = n,
    foreach_mag_outcome
#undef _
  };

  s = format (s, "%s", names[t->outcome]);
  if (t->outcome == MAG_OUTCOME_HANDED_OFF)
    return format (s, " %u", t->next);
  if (t->error != MAG_NO_ERROR)
    s = format (s, ": %s", mag_error_counters[t->error].desc);
  return s;
}

u8 *
format_mag_trace (u8 *s, va_list *args)
{
  CLIB_UNUSED (vlib_main_t * vm) = va_arg (*args, vlib_main_t *);
  vlib_node_t *node = va_arg (*args, vlib_node_t *);
  const mag_trace_t *t = va_arg (*args, const mag_trace_t *);

  s = format (s, "%U", format_mag_outcome, t);
  if (t->outcome != MAG_OUTCOME_HANDED_OFF)
    s = format (s, ", next %U", format_vlib_next_node_name, vm, node->index, (u32) t->next);
  s = format (s, "\n  %U -> %U, %u octets", format_ip6_address, &t->source, format_ip6_address,
	      &t->destination, t->length);
  s = format (s, "\n  from %U on %U, ", format_ethernet_address, t->mac,
	      format_vnet_sw_if_index_name, vnet_get_main (), t->sw_if_index);
  if (t->binding_id)
    return format (s, "binding %llu", t->binding_id);
  return format (s, "no binding");
}
