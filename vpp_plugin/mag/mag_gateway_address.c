/* SPDX-License-Identifier: Apache-2.0 */

/* Link-local addresses that the gateway has towards single nodes, beside that of the interface (RFC
   5213 section 6.8). VPP has one per interface, but answers for every local entry of the interface's
   link-local table. */

#include <mag/mag.h>

/* Exported by VPP, their headers vnet/ip/ip6_ll_table.h and ip6_link.h are not installed. */
typedef struct
{
  u32 sw_if_index;
  ip6_address_t address;
} mag_link_local_prefix_t;

extern fib_node_index_t ip6_ll_table_entry_update (const mag_link_local_prefix_t *prefix,
						   fib_route_path_flags_t flags);
extern void ip6_ll_table_entry_delete (const mag_link_local_prefix_t *prefix);
extern const ip6_address_t *ip6_get_link_local_address (u32 sw_if_index);

static int
mag_gateway_address_is_there (mag_access_t *access, const ip6_address_t *address)
{
  return access->gateway_addresses.hash && mhash_get (&access->gateway_addresses, address) != 0;
}

int
mag_gateway_address_add (u32 sw_if_index, const ip6_address_t *address)
{
  mag_link_local_prefix_t prefix = { sw_if_index, *address };
  mag_access_t *access = mag_access_get (sw_if_index);
  const ip6_address_t *own = access ? ip6_get_link_local_address (sw_if_index) : 0;

  if (!own)
    return VNET_API_ERROR_INVALID_SW_IF_INDEX;
  if (!mag_is_link_local (address))
    return VNET_API_ERROR_INVALID_VALUE;
  if (ip6_address_is_equal (own, address))
    return VNET_API_ERROR_ENTRY_ALREADY_EXISTS;
  if (mag_gateway_address_is_there (access, address))
    return 0;
  if (!access->gateway_addresses.hash)
    mhash_init (&access->gateway_addresses, sizeof (uword), sizeof (*address));
  mhash_set (&access->gateway_addresses, (void *) address, 1, 0);
  ip6_ll_table_entry_update (&prefix, FIB_ROUTE_PATH_LOCAL);
  return 0;
}

int
mag_gateway_address_delete (u32 sw_if_index, const ip6_address_t *address)
{
  mag_link_local_prefix_t prefix = { sw_if_index, *address };
  mag_access_t *access = mag_access_get (sw_if_index);

  if (!access || !mag_gateway_address_is_there (access, address))
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  mhash_unset (&access->gateway_addresses, (void *) address, 0);
  ip6_ll_table_entry_delete (&prefix);
  return 0;
}

/* A vector of all there are; the caller's to free. */
ip6_address_t *
mag_gateway_address_list (u32 sw_if_index)
{
  mag_access_t *access = mag_access_get (sw_if_index);
  ip6_address_t *list = 0, *address;
  uword *value;

  if (access && access->gateway_addresses.hash)
    mhash_foreach (address, value, &access->gateway_addresses,
		   ({ vec_add1 (list, *address); }));
  return list;
}

void
mag_gateway_address_delete_all (u32 sw_if_index)
{
  mag_access_t *access = mag_access_get (sw_if_index);
  ip6_address_t *list = mag_gateway_address_list (sw_if_index), *address;

  vec_foreach (address, list)
    mag_gateway_address_delete (sw_if_index, address);
  vec_free (list);
  if (access->gateway_addresses.hash)
    mhash_free (&access->gateway_addresses);
}
