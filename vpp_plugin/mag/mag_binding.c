/* SPDX-License-Identifier: Apache-2.0 */

/* Bindings: records that packets look up. Changed on the main thread while workers forward.

   A record is filled before a prefix points at it; replacing a binding fills another record and
   moves the prefixes over; a record nobody points at any more is used again only after every worker
   has gone round its loop once. Memory for all records is there from the start. */

#include <mag/mag.h>
#include <mag/mag_prefix.h>

u32
mag_binding_capacity (const mag_main_t *mm)
{
  return vec_len (mm->infos);
}

u32
mag_binding_find (u64 id)
{
  clib_bihash_kv_8_8_t kv = { .key = id };
  return clib_bihash_search_inline_8_8 (&mag_main.binding_by_id, &kv) ? ~0 : kv.value;
}

static void
mag_binding_set_id (u64 id, u32 index, int is_add)
{
  clib_bihash_kv_8_8_t kv = { .key = id, .value = index };
  clib_bihash_add_del_8_8 (&mag_main.binding_by_id, &kv, is_add);
}

/* The last binding made for a MAC on an interface is the one that its link-local packets count for.
 */
static void
mag_binding_set_node (u32 index, int is_add)
{
  mag_main_t *mm = &mag_main;
  const mag_binding_t *binding = &mm->bindings[index];
  clib_bihash_kv_16_8_t kv = { .key = { binding->mac, binding->sw_if_index } }, found = kv;

  if (!is_add &&
      (clib_bihash_search_inline_16_8 (&mm->binding_by_node, &found) || found.value != index))
    return;
  kv.value = index;
  clib_bihash_add_del_16_8 (&mm->binding_by_node, &kv, is_add);
}

/* First in, first out: a freed record rests as long as possible. */
static u32
mag_binding_take_record (mag_main_t *mm)
{
  if (mm->n_free == 0)
    mag_binding_reclaim ();
  u32 index = mm->free_bindings[mm->free_head];
  mm->free_head = (mm->free_head + 1) % vec_len (mm->free_bindings);
  mm->n_free--;
  return index;
}

static void
mag_binding_return_record (mag_main_t *mm, u32 index)
{
  mm->free_bindings[(mm->free_head + mm->n_free) % vec_len (mm->free_bindings)] = index;
  mm->n_free++;
}

void
mag_binding_reclaim (void)
{
  mag_main_t *mm = &mag_main;
  mag_retired_t *retired;

  if (vec_len (mm->retired) == 0)
    return;
  mag_worker_wait_one_loop ();
  vec_foreach (retired, mm->retired)
    {
      vec_free (mm->infos[retired->binding_index].more);
      if (retired->counter_index != ~0)
	vec_add1 (mm->free_counters, retired->counter_index);
      mag_binding_return_record (mm, retired->binding_index);
    }
  vec_reset_length (mm->retired);
}

static void
mag_binding_fill_interface (mag_binding_t *binding, const mac_address_t *mac)
{
  const mag_access_t *access = mag_access_get (binding->sw_if_index);

  binding->output_next = access->output_next;
  binding->mtu = access->mtu;
  binding->rewrite_length = access->rewrite_length;
  clib_memcpy_fast (binding->rewrite, access->rewrite, MAG_REWRITE_SIZE);
  if (access->is_ethernet)
    {
      u8 *ethernet = binding->rewrite + MAG_REWRITE_SIZE - access->rewrite_length;
      clib_memcpy_fast (ethernet, mac->bytes, sizeof (mac->bytes));
      binding->mac_mask = MAG_MAC_MASK;
    }
}

static void
mag_binding_fill (u32 index, const mag_binding_config_t *config, u32 lma_index)
{
  mag_main_t *mm = &mag_main;
  mag_binding_t *binding = &mm->bindings[index];
  mag_binding_info_t *info = &mm->infos[index];

  clib_memset (binding, 0, sizeof (*binding));
  clib_memset (info, 0, sizeof (*info));
  binding->sw_if_index = config->sw_if_index;
  binding->lma_index = lma_index;
  binding->flags = config->flags;
  clib_memcpy_fast (&binding->mac, config->mac.bytes, sizeof (config->mac.bytes));
  mag_binding_fill_interface (binding, &config->mac);
  info->id = config->id;
  info->mac = config->mac;
  info->n_prefixes = vec_len (config->prefixes);
  if (info->n_prefixes == 1)
    info->first = config->prefixes[0];
  else
    info->more = vec_dup (config->prefixes);
}

static int
mag_binding_has_prefix (const mag_binding_info_t *info, const mag_prefix_t *prefix)
{
  const mag_prefix_t *prefixes = mag_binding_prefixes (info);

  for (u32 i = 0; i < info->n_prefixes; i++)
    if (prefixes[i].length == prefix->length &&
	ip6_address_is_equal (&prefixes[i].address, &prefix->address))
      return 1;
  return 0;
}

static int
mag_binding_check_prefixes (const mag_binding_config_t *config, u32 own_index)
{
  u32 n = vec_len (config->prefixes);

  if (n == 0 || n > MAG_MAX_PREFIXES_PER_BINDING)
    return VNET_API_ERROR_INVALID_VALUE;
  for (u32 i = 0; i < n; i++)
    {
      const mag_prefix_t *prefix = &config->prefixes[i];
      if (prefix->length < 1 || prefix->length > 128 ||
	  ip6_address_is_multicast (&prefix->address) ||
	  ip6_address_is_link_local_unicast (&prefix->address))
	return VNET_API_ERROR_INVALID_VALUE;
      u32 owner = mag_prefix_find (prefix);
      if (owner != ~0 && owner != own_index)
	return VNET_API_ERROR_ENTRY_ALREADY_EXISTS;
      for (u32 j = 0; j < i; j++)
	if (config->prefixes[j].length == prefix->length &&
	    ip6_address_is_equal (&config->prefixes[j].address, &prefix->address))
	  return VNET_API_ERROR_ENTRY_ALREADY_EXISTS;
    }
  return 0;
}

static void
mag_binding_account (u32 index, int delta)
{
  mag_main_t *mm = &mag_main;
  mag_binding_t *binding = &mm->bindings[index];

  mm->n_bindings += delta;
  pool_elt_at_index (mm->lmas, binding->lma_index)->n_bindings += delta;
  vec_elt_at_index (mm->access_by_sw_if_index, binding->sw_if_index)->n_bindings += delta;
}

/* counter_index: what to free with the record, ~0 for nothing. */
static void
mag_binding_retire (u32 index, u32 counter_index)
{
  mag_main_t *mm = &mag_main;
  mag_binding_info_t *info = &mm->infos[index];
  mag_retired_t retired = { .binding_index = index, .counter_index = counter_index };

  info->id = 0;
  vec_add1 (mm->retired, retired);
}

static void
mag_binding_withdraw_prefixes (u32 index, const mag_binding_info_t *kept)
{
  const mag_binding_info_t *info = &mag_main.infos[index];
  const mag_prefix_t *prefixes = mag_binding_prefixes (info);

  for (u32 i = 0; i < info->n_prefixes; i++)
    if (kept == 0 || !mag_binding_has_prefix (kept, &prefixes[i]))
      mag_prefix_withdraw (&prefixes[i]);
}

static u32
mag_binding_take_counter (mag_main_t *mm)
{
  if (vec_len (mm->free_counters) == 0)
    mag_binding_reclaim ();
  u32 counter_index = vec_pop (mm->free_counters);
  vlib_zero_combined_counter (&mm->up_counters, counter_index);
  vlib_zero_combined_counter (&mm->down_counters, counter_index);
  return counter_index;
}

/* Adds the binding, or replaces the one of the same id: its counters go on. */
int
mag_binding_ensure (const mag_binding_config_t *config)
{
  mag_main_t *mm = &mag_main;
  u32 old_index, index, lma_index = mag_lma_find (&config->lma_address);
  int rv;

  if (config->id == 0)
    return VNET_API_ERROR_INVALID_VALUE;
  if (mag_access_get (config->sw_if_index) == 0)
    return VNET_API_ERROR_INVALID_SW_IF_INDEX;
  if (lma_index == ~0)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  old_index = mag_binding_find (config->id);
  if ((rv = mag_binding_check_prefixes (config, old_index)))
    return rv;
  if (old_index == ~0 && mm->n_bindings >= mm->max_bindings)
    return VNET_API_ERROR_LIMIT_EXCEEDED;

  index = mag_binding_take_record (mm);
  mag_binding_fill (index, config, lma_index);
  mag_binding_t *binding = &mm->bindings[index];
  if (old_index == ~0)
    {
      binding->counter_index = mag_binding_take_counter (mm);
      binding->last_seen = vlib_time_now (vlib_get_main ());
    }
  else
    {
      binding->counter_index = mm->bindings[old_index].counter_index;
      binding->last_seen = mm->bindings[old_index].last_seen;
    }

  mm->binding_by_counter[binding->counter_index] = index;
  for (u32 i = 0; i < vec_len (config->prefixes); i++)
    mag_prefix_publish (&config->prefixes[i], index);
  mag_binding_set_id (config->id, index, 1);
  mag_binding_set_node (index, 1);
  mag_binding_account (index, 1);
  if (old_index != ~0)
    {
      mag_binding_withdraw_prefixes (old_index, &mm->infos[index]);
      mag_binding_set_node (old_index, 0);
      mag_binding_account (old_index, -1);
      mag_binding_retire (old_index, ~0);
    }
  return 0;
}

/* That it is gone already is success. */
int
mag_binding_delete (u64 id)
{
  u32 index = mag_binding_find (id);

  if (id == 0)
    return VNET_API_ERROR_INVALID_VALUE;
  if (index == ~0)
    return 0;
  mag_binding_withdraw_prefixes (index, 0);
  mag_binding_set_id (id, index, 0);
  mag_binding_set_node (index, 0);
  mag_main.binding_by_counter[mag_main.bindings[index].counter_index] = ~0;
  mag_binding_account (index, -1);
  mag_binding_retire (index, mag_main.bindings[index].counter_index);
  return 0;
}

void
mag_binding_delete_on_interface (u32 sw_if_index)
{
  if (vec_elt_at_index (mag_main.access_by_sw_if_index, sw_if_index)->n_bindings == 0)
    return;
  mag_binding_foreach (i)
    {
      if (mag_main.bindings[i].sw_if_index == sw_if_index)
	mag_binding_delete (mag_main.infos[i].id);
    }
  mag_binding_reclaim ();
}

/* MAC or MTU of some interfaces are others now. Runs under the barrier. */
void
mag_binding_refresh_interfaces (void)
{
  mag_binding_foreach (i)
    {
      mag_binding_fill_interface (&mag_main.bindings[i], &mag_main.infos[i].mac);
    }
}

static void
mag_binding_init_counter (vlib_combined_counter_main_t *cm, char *name, char *path, u32 n)
{
  cm->name = name;
  cm->stat_segment_name = path;
  vlib_validate_combined_counter (cm, n - 1);
}

void
mag_binding_init (mag_main_t *mm)
{
  u32 n_records = mm->max_bindings + MAG_N_SPARE_BINDINGS;

  vec_validate_aligned (mm->bindings, n_records - 1, CLIB_CACHE_LINE_BYTES);
  vec_validate (mm->infos, n_records - 1);
  vec_validate (mm->free_bindings, n_records - 1);
  for (u32 i = 0; i < n_records; i++)
    mag_binding_return_record (mm, i);
  /* Deleted bindings keep theirs until they are reclaimed. */
  for (u32 i = n_records; i > 0; i--)
    vec_add1 (mm->free_counters, i - 1);
  vec_validate_init_empty (mm->binding_by_counter, n_records - 1, ~0);
  u32 n_buckets = 1 << max_log2 (clib_max (mm->max_bindings / 4, 64));
  clib_bihash_init_8_8 (&mm->binding_by_id, "mag binding ids", n_buckets, 0);
  clib_bihash_init_16_8 (&mm->binding_by_node, "mag nodes", n_buckets, 0);
  mag_binding_init_counter (&mm->up_counters, "mag-binding-up", "/mag/binding/up", n_records);
  mag_binding_init_counter (&mm->down_counters, "mag-binding-down", "/mag/binding/down", n_records);
}
