/* SPDX-License-Identifier: Apache-2.0 */

/* Access and core interfaces, and what becomes of them. */

#include <vnet/adj/adj.h>
#include <vnet/adj/rewrite.h>
#include <vnet/ethernet/ethernet.h>
#include <vnet/feature/feature.h>
#include <vnet/fib/fib_table.h>
#include <mag/mag.h>

/* Exported by VPP, its header vnet/adj/adj_mcast.h is not installed. */
extern adj_index_t adj_mcast_add_or_lock (fib_protocol_t proto, vnet_link_t link_type,
					  u32 sw_if_index);

/* The rewrite of the interface; the destination MAC in it is each binding's own. */
static int
mag_access_learn_rewrite (mag_access_t *access, u32 sw_if_index)
{
  vlib_main_t *vm = vlib_get_main ();
  vnet_main_t *vnm = vnet_get_main ();
  vnet_hw_interface_t *hw = vnet_get_sup_hw_interface (vnm, sw_if_index);
  u8 *rewrite = vnet_build_rewrite_for_sw_interface (vnm, sw_if_index, VNET_LINK_IP6, 0);
  u32 length = vec_len (rewrite);

  if (length <= MAG_REWRITE_SIZE)
    {
      access->rewrite_length = length;
      clib_memset (access->rewrite, 0, MAG_REWRITE_SIZE);
      if (length)
	clib_memcpy_fast (access->rewrite + MAG_REWRITE_SIZE - length, rewrite, length);
      access->is_ethernet = ethernet_get_interface (&ethernet_main, hw->hw_if_index) != 0;
      access->output_next =
	vlib_node_add_next (vm, mag_uplink_ip6_node.index, hw->output_node_index);
      access->mtu = vnet_sw_interface_get_mtu (vnm, sw_if_index, VNET_MTU_IP6);
    }
  vec_free (rewrite);
  return length <= MAG_REWRITE_SIZE ? 0 : VNET_API_ERROR_UNSUPPORTED;
}

static void
mag_access_set_features (u32 sw_if_index, int enable)
{
  vnet_feature_enable_disable ("ip6-unicast", "mag-uplink-ip6", sw_if_index, enable, 0, 0);
  vnet_feature_enable_disable ("ip6-multicast", "mag-uplink-multicast-ip6", sw_if_index, enable, 0,
			       0);
}

int
mag_access_enable (u32 sw_if_index, u32 regular_table_id)
{
  mag_main_t *mm = &mag_main;
  u32 regular_fib_index = ~0;
  int rv;

  if (mag_core_get (sw_if_index))
    return VNET_API_ERROR_VALUE_EXIST;
  if (regular_table_id != ~0)
    {
      regular_fib_index = fib_table_find (FIB_PROTOCOL_IP6, regular_table_id);
      if (regular_fib_index == ~0)
	return VNET_API_ERROR_NO_SUCH_FIB;
    }
  vec_validate (mm->access_by_sw_if_index, sw_if_index);
  mag_access_t *access = vec_elt_at_index (mm->access_by_sw_if_index, sw_if_index);
  if (!access->enabled)
    {
      if ((rv = mag_access_learn_rewrite (access, sw_if_index)))
	return rv;
      access->multicast_adj_index =
	adj_mcast_add_or_lock (FIB_PROTOCOL_IP6, VNET_LINK_IP6, sw_if_index);
      mag_access_set_features (sw_if_index, 1);
    }
  access->regular_table_id = regular_table_id;
  access->regular_fib_index = regular_fib_index;
  access->enabled = 1;
  return 0;
}

int
mag_access_disable (u32 sw_if_index)
{
  mag_access_t *access = mag_access_get (sw_if_index);

  if (!access)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  mag_binding_delete_on_interface (sw_if_index);
  mag_gateway_address_delete_all (sw_if_index);
  mag_access_set_features (sw_if_index, 0);
  adj_unlock (access->multicast_adj_index);
  clib_memset (access, 0, sizeof (*access));
  return 0;
}

static void
mag_core_set_feature (u32 sw_if_index, u8 hand_off, int enable)
{
  char *node = hand_off ? "mag-downlink-hand-off-ip6" : "mag-downlink-ip6";
  vnet_feature_enable_disable ("ip6-unicast", node, sw_if_index, enable, 0, 0);
}

int
mag_core_enable (u32 sw_if_index, u8 hand_off)
{
  mag_main_t *mm = &mag_main;

  if (mag_access_get (sw_if_index))
    return VNET_API_ERROR_VALUE_EXIST;
  vec_validate (mm->core_by_sw_if_index, sw_if_index);
  mag_core_t *core = vec_elt_at_index (mm->core_by_sw_if_index, sw_if_index);
  if (core->enabled && core->hand_off == hand_off)
    return 0;
  if (core->enabled)
    mag_core_set_feature (sw_if_index, core->hand_off, 0);
  mag_core_set_feature (sw_if_index, hand_off, 1);
  core->hand_off = hand_off;
  core->enabled = 1;
  return 0;
}

int
mag_core_disable (u32 sw_if_index)
{
  mag_core_t *core = mag_core_get (sw_if_index);

  if (!core)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  mag_core_set_feature (sw_if_index, core->hand_off, 0);
  core->enabled = 0;
  return 0;
}

static clib_error_t *
mag_interface_add_del (vnet_main_t *vnm, u32 sw_if_index, u32 is_add)
{
  if (!is_add)
    {
      mag_access_disable (sw_if_index);
      mag_core_disable (sw_if_index);
    }
  return 0;
}

VNET_SW_INTERFACE_ADD_DEL_FUNCTION (mag_interface_add_del);

/* A rewrite that no longer fits stays as it was. */
static u32
mag_access_refresh (u32 sw_if_index)
{
  mag_access_t *access = mag_access_get (sw_if_index);

  return access && mag_access_learn_rewrite (access, sw_if_index) == 0 ? access->n_bindings : 0;
}

static clib_error_t *
mag_interface_mtu_change (vnet_main_t *vnm, u32 sw_if_index, u32 flags)
{
  if (mag_access_refresh (sw_if_index))
    mag_binding_refresh_interfaces ();
  return 0;
}

VNET_SW_INTERFACE_MTU_CHANGE_FUNCTION (mag_interface_mtu_change);

/* The MAC of a hardware interface is that of its sub-interfaces. */
static void
mag_interface_mac_change (ethernet_main_t *em, u32 sw_if_index, uword opaque)
{
  vnet_main_t *vnm = vnet_get_main ();
  u32 hw_if_index = vnet_get_sup_hw_interface (vnm, sw_if_index)->hw_if_index;
  u32 i, n_bindings = 0;

  vec_foreach_index (i, mag_main.access_by_sw_if_index)
    if (mag_access_get (i) && vnet_get_sup_hw_interface (vnm, i)->hw_if_index == hw_if_index)
      n_bindings += mag_access_refresh (i);
  if (n_bindings)
    mag_binding_refresh_interfaces ();
}

/* Have VPP's answers to Neighbor Solicitations pass our node, which knows access links. */
static void
mag_take_neighbor_advertisements (vlib_main_t *vm)
{
  vlib_node_t *solicitation = vlib_get_node_by_name (vm, (u8 *) "icmp6-neighbor-solicitation");
  vlib_node_t *output = vlib_get_node_by_name (vm, (u8 *) "interface-output");
  uword slot = vlib_node_get_next (vm, solicitation->index, output->index);

  vlib_node_add_next_with_slot (vm, solicitation->index, mag_neighbor_advertisement_node.index,
				slot);
}

void
mag_interface_init (mag_main_t *mm)
{
  mag_take_neighbor_advertisements (vlib_get_main ());
  ethernet_address_change_ctx_t ctx = { .function = mag_interface_mac_change };
  vec_add1 (ethernet_main.address_change_callbacks, ctx);
}
