/* SPDX-License-Identifier: Apache-2.0 */

/* Registration, configuration and start. */

#include <sys/socket.h>
#include <vnet/plugin/plugin.h>
#include <vnet/feature/feature.h>
#include <vnet/ip/punt.h>
#include <vpp/app/version.h>
#include <mag/mag.h>

mag_main_t mag_main = {
  .max_bindings = MAG_DEFAULT_MAX_BINDINGS,
  .events_per_second = MAG_DEFAULT_EVENTS_PER_SECOND,
  .punt_send_buffer = MAG_DEFAULT_PUNT_SEND_BUFFER,
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
 *
 * @cfgcmd{punt-send-buffer, &lt;octets&gt;}
 * Send buffer of VPP's punt socket, 4 MiB by default; 0 leaves it at VPP's own 64 KiB.
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
      else if (unformat (input, "punt-send-buffer %u", &mm->punt_send_buffer))
	;
      else
	return clib_error_return (0, "mag: unknown input `%U'", format_unformat_error, input);
    }
  if (mm->max_bindings == 0 || mm->max_bindings > (1 << 26))
    return clib_error_return (0, "mag: max-bindings must be 1 to %u", 1 << 26);
  if (mm->punt_send_buffer > MAG_MAX_PUNT_SEND_BUFFER)
    return clib_error_return (0, "mag: punt-send-buffer must be 0 to %u", MAG_MAX_PUNT_SEND_BUFFER);
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

/* All signalling goes to the control plane through VPP's punt socket, which does not wait: what its
   send buffer does not hold while the control plane is busy is lost. VPP's own is some hundred
   packets, and an LMA that restarts answers thousands of nodes at once. */
static void
mag_widen_punt_socket (mag_main_t *mm)
{
  const punt_main_t *pm = &punt_main;
  int octets = mm->punt_send_buffer;

  if (!pm->is_configured || octets == 0)
    return;
  /* beyond net.core.wmem_max with CAP_NET_ADMIN only */
  if (setsockopt (pm->socket_fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof (octets)) &&
      setsockopt (pm->socket_fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof (octets)))
    vlib_log_warn (mm->log_class, "send buffer of the punt socket stays as it is: %s",
		   strerror (errno));
}

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
  mag_widen_punt_socket (mm);
  return 0;
}

VLIB_MAIN_LOOP_ENTER_FUNCTION (mag_main_loop_enter);

VLIB_PLUGIN_REGISTER () = {
  .version = MAG_PLUGIN_VERSION,
  .version_required = VPP_BUILD_VER,
  .description = "Mobile Access Gateway (Proxy Mobile IPv6)",
};
