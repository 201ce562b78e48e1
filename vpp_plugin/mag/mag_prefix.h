/* SPDX-License-Identifier: Apache-2.0 */

/* Lookup of addresses in the home network prefixes, on any thread.

   /64, which nearly all home network prefixes are, have a table of their own with the upper half of
   the address as key. All other lengths share a second table, probed once per length in use. One
   prefix belongs to one binding, so the access interface is no part of the key: the binding tells.
 */

#ifndef included_mag_prefix_h
#define included_mag_prefix_h

#include <mag/mag.h>

static_always_inline u64
mag_prefix_hash (const ip6_address_t *address)
{
  clib_bihash_kv_8_8_t kv = { .key = address->as_u64[0] };
  return clib_bihash_hash_8_8 (&kv);
}

static_always_inline void
mag_prefix_key (clib_bihash_kv_24_8_t *kv, const ip6_address_t *address, u8 length)
{
  ip6_address_t mask;
  ip6_address_mask_from_width (&mask, length);
  kv->key[0] = address->as_u64[0] & mask.as_u64[0];
  kv->key[1] = address->as_u64[1] & mask.as_u64[1];
  kv->key[2] = length;
}

static_always_inline u32
mag_prefix_probe (const mag_main_t *mm, const ip6_address_t *address, u8 length)
{
  clib_bihash_kv_24_8_t kv;
  mag_prefix_key (&kv, address, length);
  if (clib_bihash_search_inline_24_8 ((clib_bihash_24_8_t *) &mm->prefixes_any, &kv))
    return ~0;
  return kv.value;
}

static_always_inline u32
mag_prefix_probe_64 (const mag_main_t *mm, const ip6_address_t *address, u64 hash)
{
  clib_bihash_kv_8_8_t kv = { .key = address->as_u64[0] };
  if (clib_bihash_search_inline_with_hash_8_8 ((clib_bihash_8_8_t *) &mm->prefixes_64, hash, &kv))
    return ~0;
  return kv.value;
}

/* The binding with the longest prefix that holds the address, ~0 if there is none. */
static_always_inline u32
mag_prefix_lookup (const mag_main_t *mm, const mag_prefix_lengths_t *lengths,
		   const ip6_address_t *address, u64 hash)
{
  u32 index = ~0;

  for (u32 i = 0; i < lengths->n_longer_than_64 && index == ~0; i++)
    index = mag_prefix_probe (mm, address, lengths->length[i]);
  if (index == ~0)
    index = mag_prefix_probe_64 (mm, address, hash);
  for (u32 i = lengths->n_longer_than_64; i < lengths->n && index == ~0; i++)
    index = mag_prefix_probe (mm, address, lengths->length[i]);
  return index;
}

#endif /* included_mag_prefix_h */
