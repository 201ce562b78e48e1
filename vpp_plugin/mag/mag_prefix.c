/* SPDX-License-Identifier: Apache-2.0 */

/* Tables of home network prefixes: the main thread's side. */

#include <mag/mag_prefix.h>

void
mag_prefix_normalize (mag_prefix_t *prefix)
{
  ip6_address_t mask;
  ip6_address_mask_from_width (&mask, prefix->length);
  ip6_address_mask (&prefix->address, &mask);
}

/* Workers may be reading the set in use: fill the other one, switch, wait until none reads the old.
 */
static void
mag_prefix_update_lengths (mag_main_t *mm)
{
  mag_prefix_lengths_t *set = &mm->length_sets[mm->lengths == &mm->length_sets[0]];

  set->n = set->n_longer_than_64 = 0;
  for (int length = 128; length > 0; length--)
    {
      if (length == 64 || mm->n_prefixes_by_length[length] == 0)
	continue;
      set->length[set->n++] = length;
      set->n_longer_than_64 += length > 64;
    }
  __atomic_store_n (&mm->lengths, set, __ATOMIC_RELEASE);
  mag_worker_wait_one_loop ();
}

u32
mag_prefix_find (const mag_prefix_t *prefix)
{
  if (prefix->length == 64)
    return mag_prefix_probe_64 (&mag_main, &prefix->address, mag_prefix_hash (&prefix->address));
  return mag_prefix_probe (&mag_main, &prefix->address, prefix->length);
}

/* The binding with the longest prefix that holds the address. */
u32
mag_address_find (const ip6_address_t *address)
{
  return mag_prefix_lookup (&mag_main, mag_main.lengths, address, mag_prefix_hash (address));
}

static void
mag_prefix_add_del (const mag_prefix_t *prefix, u32 binding_index, int is_add)
{
  mag_main_t *mm = &mag_main;

  if (prefix->length == 64)
    {
      clib_bihash_kv_8_8_t kv = { .key = prefix->address.as_u64[0], .value = binding_index };
      clib_bihash_add_del_8_8 (&mm->prefixes_64, &kv, is_add);
    }
  else
    {
      clib_bihash_kv_24_8_t kv = { .value = binding_index };
      mag_prefix_key (&kv, &prefix->address, prefix->length);
      clib_bihash_add_del_24_8 (&mm->prefixes_any, &kv, is_add);
    }
}

/* Adds the prefix, or points it at another binding in one store. */
void
mag_prefix_publish (const mag_prefix_t *prefix, u32 binding_index)
{
  mag_main_t *mm = &mag_main;

  if (mag_prefix_find (prefix) == ~0 && mm->n_prefixes_by_length[prefix->length]++ == 0 &&
      prefix->length != 64)
    mag_prefix_update_lengths (mm);
  mag_prefix_add_del (prefix, binding_index, 1);
}

void
mag_prefix_withdraw (const mag_prefix_t *prefix)
{
  mag_main_t *mm = &mag_main;

  mag_prefix_add_del (prefix, 0, 0);
  if (--mm->n_prefixes_by_length[prefix->length] == 0 && prefix->length != 64)
    mag_prefix_update_lengths (mm);
}

void
mag_prefix_init (mag_main_t *mm)
{
  u32 n_buckets = 1 << max_log2 (clib_max (mm->max_bindings / 4, 64));

  mm->lengths = &mm->length_sets[0];
  clib_bihash_init_8_8 (&mm->prefixes_64, "mag /64 prefixes", n_buckets, 0);
  clib_bihash_init_24_8 (&mm->prefixes_any, "mag prefixes of other lengths",
			 clib_max (n_buckets / 16, 64), 0);
}
