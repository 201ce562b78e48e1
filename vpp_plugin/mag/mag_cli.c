/* SPDX-License-Identifier: Apache-2.0 */

/* show mag …; what is shown is changed through the binary API. */

#include <mag/mag.h>

/*?
 * Totals, capacity, mobility tables and interfaces of the Mobile Access Gateway.
 *
 * @cliexpar
 * @cliexstart{show mag}
 * plugin 0.1.0: 2 bindings of 131072, 1 LMAs, 2 workers, 1 event clients
 * mobility table 10, gateway addresses of loop0
 *   2001:db8:ff::1
 * access pg0: 2 bindings, MTU 1500, others dropped
 * core pg1: hand-off between workers
 * @cliexend
 ?*/
static clib_error_t *
show_mag_command_fn (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *cmd)
{
  mag_main_t *mm = &mag_main;
  vnet_main_t *vnm = vnet_get_main ();
  mag_mobility_table_t *table;
  ip6_address_t *address;
  u32 i;

  if (unformat_check_input (input) != UNFORMAT_END_OF_INPUT)
    return clib_error_return (0, "unknown input `%U'", format_unformat_error, input);
  vlib_cli_output (vm, "plugin %s: %u bindings of %u, %u LMAs, %u workers, %u event clients",
		   MAG_PLUGIN_VERSION, mm->n_bindings, mm->max_bindings, pool_elts (mm->lmas),
		   mm->n_workers, vec_len (mm->event_clients));
  vec_foreach (table, mm->mobility_tables)
    {
      if (table->loopback_sw_if_index == ~0)
	vlib_cli_output (vm, "mobility table %u", table->table_id);
      else
	vlib_cli_output (vm, "mobility table %u, gateway addresses of %U", table->table_id,
			 format_vnet_sw_if_index_name, vnm, table->loopback_sw_if_index);
    }
  vec_foreach (address, mm->gateway_addresses)
    vlib_cli_output (vm, "  %U", format_ip6_address, address);
  vec_foreach_index (i, mm->access_by_sw_if_index)
    {
      const mag_access_t *access = mag_access_get (i);
      if (access && access->regular_fib_index == ~0)
	vlib_cli_output (vm, "access %U: %u bindings, MTU %u, others dropped",
			 format_vnet_sw_if_index_name, vnm, i, access->n_bindings, access->mtu);
      else if (access)
	vlib_cli_output (vm, "access %U: %u bindings, MTU %u, others routed in table %u",
			 format_vnet_sw_if_index_name, vnm, i, access->n_bindings, access->mtu,
			 access->regular_table_id);
    }
  vec_foreach_index (i, mm->core_by_sw_if_index)
    {
      const mag_core_t *core = mag_core_get (i);
      if (core)
	vlib_cli_output (vm, "core %U%s", format_vnet_sw_if_index_name, vnm, i,
			 core->hand_off ? ": hand-off between workers" : "");
    }
  return 0;
}

VLIB_CLI_COMMAND (show_mag_command, static) = {
  .path = "show mag",
  .short_help = "show mag",
  .function = show_mag_command_fn,
};

/*?
 * The Local Mobility Anchors, what goes into their outer headers, and where it is sent.
 *
 * @cliexpar
 * @cliexstart{show mag lma}
 * LMA 2001:db8:b::1 in table 0, Proxy-CoA 2001:db8:a::1, 2 bindings, reachable
 *   tunnel MTU 1460, hop limit 64, DSCP copy, flow label entropy, encapsulation limit none
 *   up 126 packets 12978 octets, down 63 packets 6489 octets
 *   [@6]: ipv6 via fe80::2 pg1: mtu:9000 next:5 flags:[] 02fe00000001...
 * @cliexend
 ?*/
static clib_error_t *
show_mag_lma_command_fn (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *cmd)
{
  mag_lma_t *lma;

  pool_foreach (lma, mag_main.lmas)
    vlib_cli_output (vm, "%U", format_mag_lma, lma);
  return 0;
}

VLIB_CLI_COMMAND (show_mag_lma_command, static) = {
  .path = "show mag lma",
  .short_help = "show mag lma",
  .function = show_mag_lma_command_fn,
};

/* Lists no more than this many: for all of them there is the API. */
#define MAG_CLI_MAX_BINDINGS 1000

static void
show_mag_bindings (vlib_main_t *vm, u32 sw_if_index, u32 lma_index)
{
  u32 n = 0;

  mag_binding_foreach (i)
    {
      const mag_binding_t *binding = &mag_main.bindings[i];
      if ((sw_if_index != ~0 && binding->sw_if_index != sw_if_index) ||
	  (lma_index != ~0 && binding->lma_index != lma_index))
	continue;
      if (n++ < MAG_CLI_MAX_BINDINGS)
	vlib_cli_output (vm, "%U", format_mag_binding, i);
    }
  if (n > MAG_CLI_MAX_BINDINGS)
    vlib_cli_output (vm, "%u more", n - MAG_CLI_MAX_BINDINGS);
}

/*?
 * Bindings: prefixes, node, LMA and counters. Without a filter the first thousand.
 *
 * @cliexpar
 * @cliexstart{show mag binding id 17}
 * binding 17: 2001:db8:1:11::/64
 *   node 02:00:00:00:00:11 on pg0, seen 3 s ago
 *   LMA 2001:db8:b::1, local routing
 *   up 126 packets 12978 octets, down 63 packets 6489 octets
 * @cliexend
 ?*/
static clib_error_t *
show_mag_binding_command_fn (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *cmd)
{
  unformat_input_t line, *in = 0;
  u32 sw_if_index = ~0, lma_index = ~0, index = ~0;
  ip6_address_t address;
  u64 id = 0;

  if (unformat_user (input, unformat_line_input, &line))
    in = &line;
  while (in && unformat_check_input (in) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (in, "id %llu", &id))
	index = mag_binding_find (id);
      else if (unformat (in, "address %U", unformat_ip6_address, &address))
	index = mag_address_find (&address);
      else if (unformat (in, "lma %U", unformat_ip6_address, &address) &&
	       (lma_index = mag_lma_find (&address)) != ~0)
	continue;
      else if (unformat (in, "interface %U", unformat_vnet_sw_interface, vnet_get_main (),
			 &sw_if_index))
	continue;
      else
	{
	  /* an error would make VPP run `show mag' instead */
	  vlib_cli_output (vm, "unknown input `%U'", format_unformat_error, in);
	  goto done;
	}
      if (index == ~0)
	vlib_cli_output (vm, "no such binding");
      else
	vlib_cli_output (vm, "%U", format_mag_binding, index);
      goto done;
    }
  show_mag_bindings (vm, sw_if_index, lma_index);
done:
  if (in)
    unformat_free (in);
  return 0;
}

VLIB_CLI_COMMAND (show_mag_binding_command, static) = {
  .path = "show mag binding",
  .short_help = "show mag binding [id <id> | address <ip6-address>] [lma <ip6-address>] "
		"[interface <interface>]",
  .function = show_mag_binding_command_fn,
};
