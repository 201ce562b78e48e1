/* SPDX-License-Identifier: Apache-2.0 */

/* Registration, configuration and start. */

#include <vnet/plugin/plugin.h>
#include <vnet/feature/feature.h>
#include <vpp/app/version.h>
#include <mag/mag.h>

mag_main_t mag_main = {
  .max_bindings = MAG_DEFAULT_MAX_BINDINGS,
  .events_per_second = MAG_DEFAULT_EVENTS_PER_SECOND,
};

/* After packets were checked and reassembled as the operator asked, before any lookup. */
VNET_FEATURE_INIT (mag_uplink_ip6_feature, static) = {
  .arc_name = "ip6-unicast",
  .node_name = "mag-uplink-ip6",
  .runs_after = VNET_FEATURES ("acl-plugin-in-ip6-fa", "ip6-full-reassembly-feature",
			       "ip6-not-enabled"),
  .runs_before = VNET_FEATURES ("ip6-lookup"),
};

VNET_FEATURE_INIT (mag_uplink_multicast_ip6_feature, static) = {
  .arc_name = "ip6-multicast",
  .node_name = "mag-uplink-multicast-ip6",
  .runs_after = VNET_FEATURES ("ip6-not-enabled"),
  .runs_before = VNET_FEATURES ("ip6-mfib-forward-lookup"),
};

VNET_FEATURE_INIT (mag_downlink_ip6_feature, static) = {
  .arc_name = "ip6-unicast",
  .node_name = "mag-downlink-ip6",
  .runs_after = VNET_FEATURES ("acl-plugin-in-ip6-fa", "ip6-full-reassembly-feature",
			       "ip6-not-enabled"),
  .runs_before = VNET_FEATURES ("ip6-lookup"),
};

VNET_FEATURE_INIT (mag_downlink_hand_off_ip6_feature, static) = {
  .arc_name = "ip6-unicast",
  .node_name = "mag-downlink-hand-off-ip6",
  .runs_after = VNET_FEATURES ("acl-plugin-in-ip6-fa", "ip6-full-reassembly-feature",
			       "ip6-not-enabled"),
  .runs_before = VNET_FEATURES ("ip6-lookup"),
};

/*?
 * @cfgcmd{max-bindings, &lt;n&gt;}
 * Bindings that there is memory for from the start, 131072 by default.
 *
 * @cfgcmd{unknown-source-events-per-second, &lt;n&gt;}
 * Events about unknown sources to each API client, 1000 by default.
?*/
static clib_error_t *
mag_config (vlib_main_t *vm, unformat_input_t *input)
{
  mag_main_t *mm = &mag_main;

  while (unformat_check_input (input) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (input, "max-bindings %u", &mm->max_bindings))
	;
      else if (unformat (input, "unknown-source-events-per-second %u", &mm->events_per_second))
	;
      else
	return clib_error_return (0, "mag: unknown input `%U'", format_unformat_error, input);
    }
  if (mm->max_bindings == 0 || mm->max_bindings > (1 << 26))
    return clib_error_return (0, "mag: max-bindings must be 1 to %u", 1 << 26);
  return 0;
}

VLIB_CONFIG_FUNCTION (mag_config, "mag");

static clib_error_t *
mag_init (vlib_main_t *vm)
{
  mag_main_t *mm = &mag_main;

  mm->log_class = vlib_log_register_class ("mag", 0);
  mag_lma_init (mm);
  mag_interface_init (mm);
  return mag_mobility_table_init (mm);
}

VLIB_INIT_FUNCTION (mag_init) = {
  .runs_after = VLIB_INITS ("ip6_lookup_init", "fib_module_init", "ethernet_init"),
};

/* What depends on the configuration and on the number of workers. */
static clib_error_t *
mag_main_loop_enter (vlib_main_t *vm)
{
  mag_main_t *mm = &mag_main;

  mm->first_worker = vlib_num_workers () ? 1 : 0;
  mm->n_workers = vlib_num_workers ();
  mm->hand_off_queue = vlib_frame_queue_main_init (mag_downlink_ip6_node.index, 0);
  mag_prefix_init (mm);
  mag_binding_init (mm);
  mag_event_init (mm);
  return 0;
}

VLIB_MAIN_LOOP_ENTER_FUNCTION (mag_main_loop_enter);

VLIB_PLUGIN_REGISTER () = {
  .version = MAG_PLUGIN_VERSION,
  .version_required = VPP_BUILD_VER,
  .description = "Mobile Access Gateway (Proxy Mobile IPv6)",
};
