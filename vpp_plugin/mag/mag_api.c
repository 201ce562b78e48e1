/* SPDX-License-Identifier: Apache-2.0 */

/* Binary API. autoendian: handlers see host order; replies go through the _END macros. */

#include <vnet/vnet.h>
#include <vlibapi/api.h>
#include <vlibmemory/api.h>
#include <vnet/ip/ip_types_api.h>
#include <vnet/ethernet/ethernet_types_api.h>
#include <vnet/format_fns.h>
#include <vpp/app/version.h>
#include <mag/mag.h>

#include <mag/mag.api_enum.h>
#include <mag/mag.api_types.h>

#define REPLY_MSG_ID_BASE mag_main.msg_id_base
#include <vlibapi/api_helper_macros.h>

static void
vl_api_mag_plugin_get_t_handler (vl_api_mag_plugin_get_t *mp)
{
  mag_main_t *mm = &mag_main;
  vl_api_mag_plugin_get_reply_t *rmp;
  int rv = 0;

  REPLY_MACRO2_END (
    VL_API_MAG_PLUGIN_GET_REPLY, ({
      clib_memset (rmp->version, 0, sizeof (rmp->version));
      clib_memset (rmp->vpp_version, 0, sizeof (rmp->vpp_version));
      strncpy ((char *) rmp->version, MAG_PLUGIN_VERSION, sizeof (rmp->version) - 1);
      strncpy ((char *) rmp->vpp_version, VPP_BUILD_VER, sizeof (rmp->vpp_version) - 1);
      rmp->max_bindings = mm->max_bindings;
      rmp->max_prefixes_per_binding = MAG_MAX_PREFIXES_PER_BINDING;
      rmp->n_bindings = mm->n_bindings;
      rmp->n_lmas = pool_elts (mm->lmas);
      rmp->n_workers = mm->n_workers;
      rmp->events_per_second = mm->events_per_second;
    }));
}

static void
vl_api_mag_mobility_table_add_del_t_handler (vl_api_mag_mobility_table_add_del_t *mp)
{
  vl_api_mag_mobility_table_add_del_reply_t *rmp;
  int rv = mp->is_add ? mag_mobility_table_add (mp->table_id, mp->loopback_sw_if_index) :
			mag_mobility_table_delete (mp->table_id);

  REPLY_MACRO_END (VL_API_MAG_MOBILITY_TABLE_ADD_DEL_REPLY);
}

static void
vl_api_mag_mobility_table_dump_t_handler (vl_api_mag_mobility_table_dump_t *mp)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_mag_mobility_table_details_t *rmp;
  mag_mobility_table_t *table;
  u32 context = mp->context;

  if (!reg)
    return;
  vec_foreach (table, mag_main.mobility_tables)
    REPLY_MACRO_DETAILS4_END (VL_API_MAG_MOBILITY_TABLE_DETAILS, reg, context, ({
				rmp->table_id = table->table_id;
				rmp->loopback_sw_if_index = table->loopback_sw_if_index;
			      }));
}

static void
vl_api_mag_lma_add_del_t_handler (vl_api_mag_lma_add_del_t *mp)
{
  vl_api_mag_lma_add_del_reply_t *rmp;
  mag_lma_config_t config = {
    .core_table_id = mp->core_table_id,
    .tunnel_mtu = mp->tunnel_mtu,
    .hop_limit = mp->hop_limit,
    .dscp_mode = (mag_mode_t) mp->dscp_mode,
    .dscp = mp->dscp,
    .flow_label_mode = (mag_mode_t) mp->flow_label_mode,
    .flow_label = mp->flow_label,
    .add_encapsulation_limit = mp->add_encapsulation_limit,
    .encapsulation_limit = mp->encapsulation_limit,
  };
  int rv;

  ip6_address_decode (mp->lma_address, &config.lma_address);
  ip6_address_decode (mp->proxy_care_of_address, &config.proxy_care_of_address);
  rv = mp->is_add ? mag_lma_ensure (&config) : mag_lma_delete (&config.lma_address);
  REPLY_MACRO_END (VL_API_MAG_LMA_ADD_DEL_REPLY);
}

static void
mag_send_lma_details (vl_api_registration_t *reg, u32 context, const mag_lma_t *lma)
{
  mag_main_t *mm = &mag_main;
  vl_api_mag_lma_details_t *rmp;
  const mag_lma_config_t *c = &lma->config;
  vlib_counter_t up, down;

  vlib_get_combined_counter (&mm->lma_up_counters, lma - mm->lmas, &up);
  vlib_get_combined_counter (&mm->lma_down_counters, lma - mm->lmas, &down);
  REPLY_MACRO_DETAILS4_END (VL_API_MAG_LMA_DETAILS, reg, context, ({
			      ip6_address_encode (&c->lma_address, rmp->lma_address);
			      ip6_address_encode (&c->proxy_care_of_address,
						  rmp->proxy_care_of_address);
			      rmp->core_table_id = c->core_table_id;
			      rmp->tunnel_mtu = c->tunnel_mtu;
			      rmp->hop_limit = c->hop_limit;
			      rmp->dscp_mode = (vl_api_mag_field_mode_t) c->dscp_mode;
			      rmp->dscp = c->dscp;
			      rmp->flow_label_mode = (vl_api_mag_field_mode_t) c->flow_label_mode;
			      rmp->flow_label = c->flow_label;
			      rmp->add_encapsulation_limit = c->add_encapsulation_limit;
			      rmp->encapsulation_limit = c->encapsulation_limit;
			      rmp->n_bindings = lma->n_bindings;
			      rmp->reachable = mag_lma_is_reachable (lma);
			      rmp->up_packets = up.packets;
			      rmp->up_octets = up.bytes;
			      rmp->down_packets = down.packets;
			      rmp->down_octets = down.bytes;
			    }));
}

static void
vl_api_mag_lma_dump_t_handler (vl_api_mag_lma_dump_t *mp)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  mag_lma_t *lma;

  if (!reg)
    return;
  pool_foreach (lma, mag_main.lmas)
    mag_send_lma_details (reg, mp->context, lma);
}

static void
vl_api_mag_access_interface_enable_disable_t_handler (
  vl_api_mag_access_interface_enable_disable_t *mp)
{
  vl_api_mag_access_interface_enable_disable_reply_t *rmp;
  int rv;

  VALIDATE_SW_IF_INDEX_END (mp);
  rv = mp->enable ? mag_access_enable (mp->sw_if_index, mp->regular_table_id) :
		    mag_access_disable (mp->sw_if_index);
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_MAG_ACCESS_INTERFACE_ENABLE_DISABLE_REPLY);
}

static void
vl_api_mag_core_interface_enable_disable_t_handler (vl_api_mag_core_interface_enable_disable_t *mp)
{
  vl_api_mag_core_interface_enable_disable_reply_t *rmp;
  int rv;

  VALIDATE_SW_IF_INDEX_END (mp);
  rv = mp->enable ? mag_core_enable (mp->sw_if_index, mp->hand_off) :
		    mag_core_disable (mp->sw_if_index);
  BAD_SW_IF_INDEX_LABEL;
  REPLY_MACRO_END (VL_API_MAG_CORE_INTERFACE_ENABLE_DISABLE_REPLY);
}

static void
mag_send_interface_details (vl_api_registration_t *reg, u32 context, u32 sw_if_index)
{
  const mag_access_t *access = mag_access_get (sw_if_index);
  const mag_core_t *core = mag_core_get (sw_if_index);
  vl_api_mag_interface_details_t *rmp;

  REPLY_MACRO_DETAILS4_END (VL_API_MAG_INTERFACE_DETAILS, reg, context, ({
			      rmp->sw_if_index = sw_if_index;
			      rmp->role =
				access ? MAG_INTERFACE_ROLE_ACCESS : MAG_INTERFACE_ROLE_CORE;
			      rmp->regular_table_id = access ? access->regular_table_id : ~0;
			      rmp->hand_off = core ? core->hand_off : 0;
			      rmp->n_bindings = access ? access->n_bindings : 0;
			    }));
}

static void
vl_api_mag_interface_dump_t_handler (vl_api_mag_interface_dump_t *mp)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  mag_main_t *mm = &mag_main;
  u32 n = clib_max (vec_len (mm->access_by_sw_if_index), vec_len (mm->core_by_sw_if_index));

  if (!reg)
    return;
  for (u32 i = 0; i < n; i++)
    if (mag_access_get (i) || mag_core_get (i))
      mag_send_interface_details (reg, mp->context, i);
}

static void
vl_api_mag_gateway_address_add_del_t_handler (vl_api_mag_gateway_address_add_del_t *mp)
{
  vl_api_mag_gateway_address_add_del_reply_t *rmp;
  ip6_address_t address;

  ip6_address_decode (mp->address, &address);
  int rv = mp->is_add ? mag_gateway_address_add (mp->sw_if_index, &address) :
			mag_gateway_address_delete (mp->sw_if_index, &address);

  REPLY_MACRO_END (VL_API_MAG_GATEWAY_ADDRESS_ADD_DEL_REPLY);
}

static void
vl_api_mag_gateway_address_dump_t_handler (vl_api_mag_gateway_address_dump_t *mp)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_mag_gateway_address_details_t *rmp;
  u32 context = mp->context, sw_if_index;

  if (!reg)
    return;
  vec_foreach_index (sw_if_index, mag_main.access_by_sw_if_index)
    {
      ip6_address_t *list = mag_gateway_address_list (sw_if_index), *address;
      vec_foreach (address, list)
	REPLY_MACRO_DETAILS4_END (VL_API_MAG_GATEWAY_ADDRESS_DETAILS, reg, context, ({
				    rmp->sw_if_index = sw_if_index;
				    ip6_address_encode (address, rmp->address);
				  }));
      vec_free (list);
    }
}

static void
mag_binding_config_decode (const vl_api_mag_binding_entry_t *entry, mag_binding_config_t *config)
{
  config->id = entry->binding_id;
  config->sw_if_index = entry->sw_if_index;
  config->flags = entry->flags;
  mac_address_decode (entry->mac, &config->mac);
  ip6_address_decode (entry->lma_address, &config->lma_address);
  vec_reset_length (config->prefixes);
}

/* Nothing but the prefix may differ between the entries of a binding. */
static int
mag_entries_agree (const vl_api_mag_binding_entry_t *a, const vl_api_mag_binding_entry_t *b)
{
  return a->sw_if_index == b->sw_if_index && a->flags == b->flags &&
	 !memcmp (a->mac, b->mac, sizeof (a->mac)) &&
	 !memcmp (a->lma_address, b->lma_address, sizeof (a->lma_address));
}

/* Carries out the entries of one binding; returns how many they are. */
static u32
mag_binding_update_one (const vl_api_mag_binding_entry_t *entries, u32 n_left,
			mag_binding_config_t *config, int *rv)
{
  u32 n = 0;

  *rv = 0;
  if (entries->operation == MAG_BINDING_DELETE)
    {
      *rv = mag_binding_delete (entries->binding_id);
      return 1;
    }
  mag_binding_config_decode (entries, config);
  do
    {
      mag_prefix_t prefix = { .length = entries[n].prefix.len };
      ip6_address_decode (entries[n].prefix.address, &prefix.address);
      if (prefix.length >= 1 && prefix.length <= 128)
	mag_prefix_normalize (&prefix);
      vec_add1 (config->prefixes, prefix);
      if (!mag_entries_agree (entries, &entries[n]))
	*rv = VNET_API_ERROR_INVALID_VALUE;
      n++;
    }
  while (n < n_left && entries[n].binding_id == entries->binding_id &&
	 entries[n].operation == entries->operation);
  if (entries->operation != MAG_BINDING_ENSURE)
    *rv = VNET_API_ERROR_INVALID_VALUE;
  if (*rv == 0)
    *rv = mag_binding_ensure (config);
  return n;
}

/* Runs without the barrier. */
static void
vl_api_mag_bindings_update_t_handler (vl_api_mag_bindings_update_t *mp)
{
  vl_api_mag_bindings_update_reply_t *rmp;
  vl_api_mag_binding_failure_t *failures = 0, failure;
  mag_binding_config_t config = {};
  int rv = 0;

  if (!vl_api_client_index_to_registration (mp->client_index))
    return;
  for (u32 i = 0; i < mp->count;)
    {
      failure.index = i;
      i += mag_binding_update_one (&mp->entries[i], mp->count - i, &config, &failure.retval);
      if (failure.retval)
	vec_add1 (failures, failure);
    }
  mag_binding_reclaim ();

  u32 n = vec_len (failures), size = n * sizeof (failures[0]);
  REPLY_MACRO3_END (VL_API_MAG_BINDINGS_UPDATE_REPLY, size, ({
		      rmp->n_bindings = mag_main.n_bindings;
		      rmp->count = n;
		      if (n)
			clib_memcpy (rmp->failures, failures, size);
		    }));
  vec_free (failures);
  vec_free (config.prefixes);
}

static u32
mag_binding_idle (u32 index, u32 now)
{
  u32 last_seen = mag_main.bindings[index].last_seen;
  return now > last_seen ? now - last_seen : 0;
}

static int
mag_binding_passes_filters (u32 index, const vl_api_mag_binding_get_t *mp, u32 lma_index, u32 now)
{
  const mag_binding_t *binding = &mag_main.bindings[index];
  u64 id = mag_main.infos[index].id;

  return (mp->binding_id == 0 || mp->binding_id == id) &&
	 (mp->sw_if_index == ~0 || mp->sw_if_index == binding->sw_if_index) &&
	 (lma_index == ~0 || lma_index == binding->lma_index) &&
	 mag_binding_idle (index, now) >= mp->idle_at_least;
}

static void
mag_send_binding_details (vl_api_registration_t *reg, u32 context, u32 index, u32 now)
{
  mag_main_t *mm = &mag_main;
  const mag_binding_t *binding = &mm->bindings[index];
  const mag_binding_info_t *info = &mm->infos[index];
  const mag_prefix_t *prefixes = mag_binding_prefixes (info);
  vl_api_mag_binding_details_t *rmp;
  vlib_counter_t up, down;

  vlib_get_combined_counter (&mm->up_counters, binding->counter_index, &up);
  vlib_get_combined_counter (&mm->down_counters, binding->counter_index, &down);
  REPLY_MACRO_DETAILS5_END (
    VL_API_MAG_BINDING_DETAILS, info->n_prefixes * sizeof (rmp->prefixes[0]), reg, context, ({
      rmp->binding_id = info->id;
      rmp->sw_if_index = binding->sw_if_index;
      mac_address_encode (&info->mac, rmp->mac);
      ip6_address_encode (&mm->lmas[binding->lma_index].config.lma_address, rmp->lma_address);
      rmp->flags = (vl_api_mag_binding_flags_t) binding->flags;
      rmp->idle = mag_binding_idle (index, now);
      rmp->counter_index = binding->counter_index;
      rmp->up_packets = up.packets;
      rmp->up_octets = up.bytes;
      rmp->down_packets = down.packets;
      rmp->down_octets = down.bytes;
      rmp->n_prefixes = info->n_prefixes;
      for (u32 i = 0; i < info->n_prefixes; i++)
	{
	  ip6_address_encode (&prefixes[i].address, rmp->prefixes[i].address);
	  rmp->prefixes[i].len = prefixes[i].length;
	}
    }));
}

/* The cursor counts counters: a binding keeps its own while it is replaced. Looks at so many per
 * message at most, whatever the filters let through. */
#define MAG_DUMP_MAX_RECORDS (64 << 10)

static void
vl_api_mag_binding_get_t_handler (vl_api_mag_binding_get_t *mp)
{
  mag_main_t *mm = &mag_main;
  vl_api_mag_binding_get_reply_t *rmp;
  vlib_main_t *vm = vlib_get_main ();
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  ip6_address_t lma_address;
  u32 lma_index, cursor = mp->cursor, now = vlib_time_now (vm);
  f64 start = vlib_time_now (vm);
  int rv = 0;

  if (!reg)
    return;
  ip6_address_decode (mp->lma_address, &lma_address);
  lma_index = mag_lma_find (&lma_address);
  if (lma_index == ~0 && !ip6_address_is_zero (&lma_address))
    cursor = ~0;
  for (u32 n = 0; cursor < vec_len (mm->binding_by_counter); cursor++, n++)
    {
      u32 index = mm->binding_by_counter[cursor];
      if (n == MAG_DUMP_MAX_RECORDS || vl_api_process_may_suspend (vm, reg, start))
	{
	  rv = VNET_API_ERROR_EAGAIN;
	  break;
	}
      if (index != ~0 && mag_binding_passes_filters (index, mp, lma_index, now))
	mag_send_binding_details (reg, mp->context, index, now);
    }
  REPLY_MACRO2_END (VL_API_MAG_BINDING_GET_REPLY, ({ rmp->cursor = rv ? cursor : ~0; }));
}

static void
vl_api_want_mag_events_t_handler (vl_api_want_mag_events_t *mp)
{
  vl_api_want_mag_events_reply_t *rmp;
  int rv = mp->enable ? mag_event_register (mp->client_index, mp->pid) :
			mag_event_cancel (mp->client_index);

  REPLY_MACRO_END (VL_API_WANT_MAG_EVENTS_REPLY);
}

static clib_error_t *
mag_events_reaper (u32 client_index)
{
  mag_event_cancel (client_index);
  return 0;
}

VL_MSG_API_REAPER_FUNCTION (mag_events_reaper);

#include <mag/mag.api.c>

static void
mag_send_unknown_source (vl_api_registration_t *reg, const mag_event_client_t *client,
			 const mag_event_t *event)
{
  vl_api_mag_unknown_source_event_t *mp = vl_msg_api_alloc_zero (sizeof (*mp));
  mp->_vl_msg_id = REPLY_MSG_ID_BASE + VL_API_MAG_UNKNOWN_SOURCE_EVENT;
  mp->client_index = client->client_index;
  mp->pid = client->pid;
  mp->sw_if_index = event->sw_if_index;
  mac_address_encode (&event->mac, mp->mac);
  ip6_address_encode (&event->source, mp->source_address);
  mp->n_suppressed = event->n_suppressed;
  vl_api_mag_unknown_source_event_t_endian (mp, 1);
  vl_api_send_msg (reg, (u8 *) mp);
}

static void
mag_send_address_claimed (vl_api_registration_t *reg, const mag_event_client_t *client,
			  const mag_event_t *event)
{
  vl_api_mag_address_claimed_event_t *mp = vl_msg_api_alloc_zero (sizeof (*mp));
  mp->_vl_msg_id = REPLY_MSG_ID_BASE + VL_API_MAG_ADDRESS_CLAIMED_EVENT;
  mp->client_index = client->client_index;
  mp->pid = client->pid;
  mp->sw_if_index = event->sw_if_index;
  mac_address_encode (&event->mac, mp->mac);
  ip6_address_encode (&event->source, mp->source_address);
  ip6_address_encode (&event->claimed, mp->claimed_address);
  mp->n_suppressed = event->n_suppressed;
  vl_api_mag_address_claimed_event_t_endian (mp, 1);
  vl_api_send_msg (reg, (u8 *) mp);
}

void
mag_api_send_event (const mag_event_client_t *client, const mag_event_t *event)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (client->client_index);

  if (!reg || !vl_api_can_send_msg (reg))
    return;
  if (ip6_address_is_unspecified (&event->claimed))
    mag_send_unknown_source (reg, client, event);
  else
    mag_send_address_claimed (reg, client, event);
}

static clib_error_t *
mag_api_hookup (vlib_main_t *vm)
{
  api_main_t *am = vlibapi_get_main ();

  mag_main.msg_id_base = setup_message_id_table ();
  vl_api_set_msg_thread_safe (am, REPLY_MSG_ID_BASE + VL_API_MAG_BINDINGS_UPDATE, 1);
  vl_api_set_msg_thread_safe (am, REPLY_MSG_ID_BASE + VL_API_MAG_BINDING_GET, 1);
  vl_api_set_msg_thread_safe (am, REPLY_MSG_ID_BASE + VL_API_MAG_PLUGIN_GET, 1);
  return 0;
}

VLIB_API_INIT_FUNCTION (mag_api_hookup);
