/* SPDX-License-Identifier: Apache-2.0 */

/* Mobility tables: IPv6 tables whose ::/0 is the lookup in the bindings, and the gateway's own
   addresses in them. */

#include <vnet/fib/fib_table.h>
#include <vnet/ip/ip_interface.h>
#include <mag/mag.h>

/* One DPO serves all mobility tables: it has no state but the bindings'. */
static void
mag_dpo_lock (dpo_id_t *dpo)
{
}

static u8 *
format_mag_dpo (u8 *s, va_list *args)
{
  CLIB_UNUSED (index_t index) = va_arg (*args, index_t);
  CLIB_UNUSED (u32 indent) = va_arg (*args, u32);
  return format (s, "mag-bindings");
}

static const dpo_vft_t mag_dpo_vft = {
  .dv_lock = mag_dpo_lock,
  .dv_unlock = mag_dpo_lock,
  .dv_format = format_mag_dpo,
};

static const char *const mag_dpo_ip6_nodes[] = { "mag-mobility-ip6", 0 };

static const char *const *const mag_dpo_nodes[DPO_PROTO_NUM] = {
  [DPO_PROTO_IP6] = mag_dpo_ip6_nodes,
};

static mag_mobility_table_t *
mag_mobility_table_find (u32 table_id)
{
  mag_mobility_table_t *table;

  vec_foreach (table, mag_main.mobility_tables)
    if (table->table_id == table_id)
      return table;
  return 0;
}

/* Nodes compare destinations with the upper halves only, then ask the whole list. */
static void
mag_mobility_table_collect_gateway_addresses (mag_main_t *mm)
{
  ip_lookup_main_t *lm = &ip6_main.lookup_main;
  mag_mobility_table_t *table;
  ip_interface_address_t *ia;

  vec_reset_length (mm->gateway_addresses);
  vec_foreach (table, mm->mobility_tables)
    {
      if (table->loopback_sw_if_index == ~0)
	continue;
      foreach_ip_interface_address (
	lm, ia, table->loopback_sw_if_index, 0, ({
	  ip6_address_t *address = ip_interface_address_get_address (lm, ia);
	  if (vec_len (mm->gateway_addresses) < MAG_MAX_GATEWAY_ADDRESSES)
	    vec_add1 (mm->gateway_addresses, *address);
	  else
	    vlib_log_warn (mm->log_class, "gateway address %U left out: more than %u",
			   format_ip6_address, address, MAG_MAX_GATEWAY_ADDRESSES);
	}));
    }
  for (u32 i = 0; i < MAG_MAX_GATEWAY_ADDRESSES; i++)
    mm->gateway_high[i] =
      i < vec_len (mm->gateway_addresses) ? mm->gateway_addresses[i].as_u64[0] : ~0ULL;
}

static void
mag_mobility_table_set_default_route (mag_mobility_table_t *table, int is_add)
{
  mag_main_t *mm = &mag_main;
  fib_prefix_t all = { .fp_proto = FIB_PROTOCOL_IP6 };
  dpo_id_t dpo = DPO_INVALID;

  if (is_add)
    {
      fib_table_lock (table->fib_index, FIB_PROTOCOL_IP6, mm->fib_source);
      dpo_set (&dpo, mm->dpo_type, DPO_PROTO_IP6, 0);
      fib_table_entry_special_dpo_add (table->fib_index, &all, mm->fib_source,
				       FIB_ENTRY_FLAG_EXCLUSIVE, &dpo);
      dpo_reset (&dpo);
    }
  else
    {
      fib_table_entry_special_remove (table->fib_index, &all, mm->fib_source);
      fib_table_unlock (table->fib_index, FIB_PROTOCOL_IP6, mm->fib_source);
    }
}

int
mag_mobility_table_add (u32 table_id, u32 loopback_sw_if_index)
{
  mag_main_t *mm = &mag_main;
  vnet_main_t *vnm = vnet_get_main ();
  u32 fib_index = fib_table_find (FIB_PROTOCOL_IP6, table_id);
  mag_mobility_table_t *table = mag_mobility_table_find (table_id);

  if (fib_index == ~0)
    return VNET_API_ERROR_NO_SUCH_FIB;
  if (loopback_sw_if_index != ~0 && !vnet_get_sw_interface_or_null (vnm, loopback_sw_if_index))
    return VNET_API_ERROR_INVALID_SW_IF_INDEX;
  if (table)
    return table->loopback_sw_if_index == loopback_sw_if_index ? 0 : VNET_API_ERROR_VALUE_EXIST;

  vec_add2 (mm->mobility_tables, table, 1);
  *table = (mag_mobility_table_t){
    .table_id = table_id,
    .fib_index = fib_index,
    .loopback_sw_if_index = loopback_sw_if_index,
  };
  mag_mobility_table_set_default_route (table, 1);
  mag_mobility_table_collect_gateway_addresses (mm);
  return 0;
}

int
mag_mobility_table_delete (u32 table_id)
{
  mag_main_t *mm = &mag_main;
  mag_mobility_table_t *table = mag_mobility_table_find (table_id);

  if (!table)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  mag_mobility_table_set_default_route (table, 0);
  vec_del1 (mm->mobility_tables, table - mm->mobility_tables);
  mag_mobility_table_collect_gateway_addresses (mm);
  return 0;
}

static void
mag_mobility_table_address_change (ip6_main_t *im, uword opaque, u32 sw_if_index,
				   ip6_address_t *address, u32 address_length, u32 if_address_index,
				   u32 is_del)
{
  mag_mobility_table_collect_gateway_addresses (&mag_main);
}

static clib_error_t *
mag_mobility_table_interface_add_del (vnet_main_t *vnm, u32 sw_if_index, u32 is_add)
{
  mag_mobility_table_t *table;

  if (is_add)
    return 0;
  vec_foreach (table, mag_main.mobility_tables)
    if (table->loopback_sw_if_index == sw_if_index)
      table->loopback_sw_if_index = ~0;
  mag_mobility_table_collect_gateway_addresses (&mag_main);
  return 0;
}

VNET_SW_INTERFACE_ADD_DEL_FUNCTION (mag_mobility_table_interface_add_del);

clib_error_t *
mag_mobility_table_init (mag_main_t *mm)
{
  ip6_add_del_interface_address_callback_t callback = {
    .function = mag_mobility_table_address_change,
  };

  mm->fib_source = fib_source_allocate ("mag", FIB_SOURCE_PRIORITY_HI, FIB_SOURCE_BH_SIMPLE);
  mm->dpo_type = dpo_register_new_type (&mag_dpo_vft, mag_dpo_nodes);
  vec_add1 (ip6_main.add_del_interface_address_callbacks, callback);
  return 0;
}
