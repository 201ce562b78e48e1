/* SPDX-License-Identifier: Apache-2.0 */

/* Mobile Access Gateway (RFC 5213): what all files of the plugin share. */

#ifndef included_mag_h
#define included_mag_h

#include <vlib/vlib.h>
#include <vnet/vnet.h>
#include <vnet/ip/ip.h>
#include <vnet/dpo/dpo.h>
#include <vnet/fib/fib_node.h>
#include <vnet/fib/fib_source.h>
#include <vnet/ethernet/mac_address.h>
#include <vppinfra/bihash_8_8.h>
#include <vppinfra/bihash_16_8.h>
#include <vppinfra/bihash_24_8.h>
#include <mag/mag.api_enum.h>
#include <mag/mag_packet.h>

#define MAG_PLUGIN_VERSION "0.1.0"

#define MAG_DEFAULT_MAX_BINDINGS      (128 << 10)
#define MAG_DEFAULT_EVENTS_PER_SECOND 1000
#define MAG_DEFAULT_PUNT_SEND_BUFFER  (4 << 20)
#define MAG_MAX_PUNT_SEND_BUFFER      (256 << 20)
#define MAG_MAX_PREFIXES_PER_BINDING  64
#define MAG_MAX_GATEWAY_ADDRESSES     4
/* Ethernet header and two VLAN tags are 22 octets. */
#define MAG_REWRITE_SIZE 24
/* Replaced and deleted bindings wait here until no worker can hold them. */
#define MAG_N_SPARE_BINDINGS 4096

/* A MAC in the first six octets of a u64. */
#define MAG_MAC_MASK clib_host_to_little_u64 (0xffffffffffffULL)

#define MAG_MIN_TUNNEL_MTU (IP6_MIN_MTU_OCTETS - sizeof (ip6_header_t))
#define MAG_MAX_TUNNEL_MTU (65535 - sizeof (ip6_header_t))
#define IP6_MIN_MTU_OCTETS 1280

#define MAG_NO_OUTPUT ((u16) ~0)

#define foreach_mag_next                                                                           \
  _ (DROP, "ip6-drop")                                                                             \
  _ (ICMP_ERROR, "ip6-icmp-error")                                                                 \
  _ (LOOKUP, "ip6-lookup")                                                                         \
  _ (LOCAL, "ip6-local")                                                                           \
  _ (FRAGMENT, "ip6-frag")                                                                         \
  _ (DOWNLINK, "mag-downlink-ip6")

typedef enum
{
#define _(s, n) MAG_NEXT_##s,
  foreach_mag_next
#undef _
    MAG_N_NEXT,
} mag_next_t;

/* A home network prefix; bits beyond the length are 0. */
typedef struct
{
  ip6_address_t address;
  u8 length;
} mag_prefix_t;

#define foreach_mag_field_mode                                                                     \
  _ (CONFIGURED, "configured")                                                                     \
  _ (COPY, "copy")                                                                                 \
  _ (ENTROPY, "entropy")

typedef enum
{
#define _(s, n) MAG_MODE_##s,
  foreach_mag_field_mode
#undef _
} mag_mode_t;

/* What the control plane says about an LMA. */
typedef struct
{
  ip6_address_t lma_address;
  ip6_address_t proxy_care_of_address;
  u32 core_table_id;
  u32 tunnel_mtu;
  u32 flow_label;
  u8 hop_limit;
  u8 dscp;
  u8 encapsulation_limit;
  u8 add_encapsulation_limit;
  mag_mode_t dscp_mode;
  mag_mode_t flow_label_mode;
} mag_lma_config_t;

/* A Local Mobility Anchor: the far end of a tunnel. Child of the FIB entry of its address. */
typedef struct
{
  CLIB_CACHE_LINE_ALIGN_MARK (cacheline0);
  /* Outer header as far as it is the same for all packets. */
  ip6_header_t outer;
  mag_limit_header_t limit_header;
  /* Where tunnel packets go on; one next index serves all nodes of ours, which are siblings. */
  dpo_id_t dpo;
  /* Bits of the inner header's first word, and of the hash of its addresses, that go out. */
  u32 copy_mask;
  u32 entropy_mask;

  CLIB_CACHE_LINE_ALIGN_MARK (cacheline1);
  u16 tunnel_mtu;
  /* Of the interface that the adjacency in dpo leads to; MAG_NO_OUTPUT if dpo is none, or one that
     takes more than its rewrite. */
  u16 output_next;
  /* Octets in front of the inner packet: 40, or 48 with the limit header. */
  u8 overhead;
  u32 core_fib_index;
  u32 n_bindings;
  fib_node_t node;
  fib_node_index_t fib_entry_index;
  u32 sibling;
  mag_lma_config_t config;
} mag_lma_t;

STATIC_ASSERT_OFFSET_OF (mag_lma_t, cacheline1, CLIB_CACHE_LINE_BYTES);

#define MAG_BINDING_F_LOCAL_ROUTING (1 << 0)

/* What packets need of a binding. Filled before it is published and never changed afterwards, but
   for last_seen and, under the barrier, what follows from the interface's MAC and MTU. */
typedef struct
{
  CLIB_CACHE_LINE_ALIGN_MARK (cacheline0);
  /* Octets 0 to 5: the node's link-layer address; mac_mask says what of it is compared. */
  u64 mac;
  u64 mac_mask;
  u32 sw_if_index;
  u32 lma_index;
  u32 counter_index;
  /* Seconds since VPP started. */
  u32 last_seen;
  u16 output_next;
  u16 mtu;
  u8 flags;
  u8 rewrite_length;
  /* Right aligned, so that a copy of the whole field ends where the packet begins. */
  u8 rewrite[MAG_REWRITE_SIZE] __attribute__ ((aligned (2)));
} mag_binding_t;

STATIC_ASSERT_SIZEOF (mag_binding_t, CLIB_CACHE_LINE_BYTES);

/* The rest of a binding, same index. id 0: not in use. */
typedef struct
{
  u64 id;
  mac_address_t mac;
  u8 n_prefixes;
  /* In place if there is one prefix, as with nearly all bindings. */
  mag_prefix_t first;
  mag_prefix_t *more;
} mag_binding_info_t;

/* A record that nobody points at, but a worker may still hold. */
typedef struct
{
  u32 binding_index;
  u32 counter_index;
} mag_retired_t;

/* What the control plane says about a binding. */
typedef struct
{
  u64 id;
  u32 sw_if_index;
  u8 flags;
  mac_address_t mac;
  ip6_address_t lma_address;
  mag_prefix_t *prefixes;
} mag_binding_config_t;

typedef struct
{
  u8 enabled;
  u8 is_ethernet;
  u8 rewrite_length;
  u16 output_next;
  u16 mtu;
  /* ~0: drop what has no binding */
  u32 regular_fib_index;
  u32 regular_table_id;
  u32 multicast_adj_index;
  u32 n_bindings;
  u8 rewrite[MAG_REWRITE_SIZE];
  /* Link-local, beside the interface's own. */
  mhash_t gateway_addresses;
} mag_access_t;

typedef struct
{
  u8 enabled;
  u8 hand_off;
} mag_core_t;

typedef struct
{
  u32 table_id;
  u32 fib_index;
  u32 loopback_sw_if_index;
} mag_mobility_table_t;

typedef struct
{
  u32 sw_if_index;
  mac_address_t mac;
  ip6_address_t source;
  /* :: where nothing is claimed */
  ip6_address_t claimed;
  u32 n_suppressed;
} mag_event_t;

/* A node that comes back at once is heard at once. */
#define MAG_EVENTS_OF_ONE_SENDER_PER_SECOND 10
#define MAG_EVENT_RING_SIZE	 256
#define MAG_EVENT_HOLD_DOWN_SIZE 1024

/* Single producer (the thread), single consumer (the main thread). */
typedef struct
{
  CLIB_CACHE_LINE_ALIGN_MARK (cacheline0);
  mag_event_t ring[MAG_EVENT_RING_SIZE];
  u32 head;
  u32 tail;
  u32 n_suppressed;
  u32 budget_second;
  u32 budget;
  struct
  {
    u64 key;
    u32 interval;
  } hold_down[MAG_EVENT_HOLD_DOWN_SIZE];
} mag_event_thread_t;

typedef struct
{
  u32 client_index;
  u32 pid;
} mag_event_client_t;

/* Prefix lengths other than 64 that are in use, longest first. */
typedef struct
{
  u8 n;
  u8 n_longer_than_64;
  u8 length[127];
} mag_prefix_lengths_t;

typedef struct
{
  /* What packets read. */
  CLIB_CACHE_LINE_ALIGN_MARK (cacheline0);
  clib_bihash_8_8_t prefixes_64;
  mag_binding_t *bindings;
  mag_lma_t *lmas;
  vlib_combined_counter_main_t up_counters;
  vlib_combined_counter_main_t down_counters;
  vlib_combined_counter_main_t lma_up_counters;
  vlib_combined_counter_main_t lma_down_counters;
  /* Upper halves of the gateway's own addresses towards nodes; all four slots are always filled. */
  u64 gateway_high[MAG_MAX_GATEWAY_ADDRESSES];
  /* One of the two below; changed by filling the other one first. */
  const mag_prefix_lengths_t *lengths;
  clib_bihash_24_8_t prefixes_any;
  /* LMA by address; Proxy-CoAs in use, each once. */
  clib_bihash_16_8_t lma_by_address;
  /* Binding by MAC and access interface, for packets from link-local addresses. */
  clib_bihash_16_8_t binding_by_node;
  ip6_address_t *proxy_care_of_addresses;
  mag_access_t *access_by_sw_if_index;
  mag_core_t *core_by_sw_if_index;
  u32 hand_off_queue;
  u32 first_worker;
  u32 n_workers;

  /* What only the main thread touches. */
  mag_binding_info_t *infos;
  clib_bihash_8_8_t binding_by_id;
  u32 *free_bindings;
  u32 free_head;
  u32 n_free;
  u32 *free_counters;
  /* ~0: the counter is free. */
  u32 *binding_by_counter;
  mag_retired_t *retired;
  u32 n_bindings;
  u32 n_prefixes_by_length[129];
  mag_prefix_lengths_t length_sets[2];
  ip6_address_t *gateway_addresses;
  mag_mobility_table_t *mobility_tables;
  dpo_type_t dpo_type;
  fib_node_type_t fib_node_type;
  fib_source_t fib_source;

  mag_event_thread_t *event_threads;
  mag_event_client_t *event_clients;

  u32 max_bindings;
  u32 events_per_second;
  /* Octets; 0: as VPP has it. */
  u32 punt_send_buffer;
  u16 msg_id_base;
  vlib_log_class_t log_class;
} mag_main_t;

extern mag_main_t mag_main;

extern vlib_node_registration_t mag_uplink_ip6_node;
extern vlib_node_registration_t mag_downlink_ip6_node;
extern vlib_node_registration_t mag_mobility_ip6_node;
extern vlib_node_registration_t mag_uplink_multicast_ip6_node;
extern vlib_node_registration_t mag_downlink_hand_off_ip6_node;
extern vlib_node_registration_t mag_event_node;
extern vlib_node_registration_t mag_neighbor_advertisement_node;

/* mag_prefix.c; errors are VNET_API_ERROR_*, 0 is success. */
void mag_prefix_init (mag_main_t *mm);
void mag_prefix_normalize (mag_prefix_t *prefix);
u32 mag_prefix_find (const mag_prefix_t *prefix);
u32 mag_address_find (const ip6_address_t *address);
void mag_prefix_publish (const mag_prefix_t *prefix, u32 binding_index);
void mag_prefix_withdraw (const mag_prefix_t *prefix);

/* mag_worker.c */
void mag_worker_wait_one_loop (void);

/* mag_binding.c */
void mag_binding_init (mag_main_t *mm);
int mag_binding_ensure (const mag_binding_config_t *config);
int mag_binding_delete (u64 id);
u32 mag_binding_find (u64 id);
void mag_binding_reclaim (void);
void mag_binding_delete_on_interface (u32 sw_if_index);
void mag_binding_refresh_interfaces (void);
u32 mag_binding_capacity (const mag_main_t *mm);

/* mag_lma.c */
void mag_lma_init (mag_main_t *mm);
int mag_lma_ensure (const mag_lma_config_t *config);
int mag_lma_delete (const ip6_address_t *lma_address);
u32 mag_lma_find (const ip6_address_t *lma_address);
int mag_lma_is_reachable (const mag_lma_t *lma);

/* mag_interface.c */
int mag_access_enable (u32 sw_if_index, u32 regular_table_id);
int mag_access_disable (u32 sw_if_index);
int mag_core_enable (u32 sw_if_index, u8 hand_off);
int mag_core_disable (u32 sw_if_index);
void mag_interface_init (mag_main_t *mm);

/* mag_mobility_table.c */
clib_error_t *mag_mobility_table_init (mag_main_t *mm);
int mag_mobility_table_add (u32 table_id, u32 loopback_sw_if_index);
int mag_mobility_table_delete (u32 table_id);

/* mag_gateway_address.c */
ip6_address_t *mag_gateway_address_list (u32 sw_if_index);
int mag_is_anycast_address (u32 binding_index, const ip6_address_t *address);
int mag_anycast_answer (vlib_main_t *vm, vlib_buffer_t *b, u32 binding_index, u16 *next);
int mag_gateway_address_add (u32 sw_if_index, const ip6_address_t *address);
int mag_gateway_address_delete (u32 sw_if_index, const ip6_address_t *address);
void mag_gateway_address_delete_all (u32 sw_if_index);

/* mag_event.c: post runs on any thread, the others on the main thread. claimed may be 0. */
void mag_event_init (mag_main_t *mm);
void mag_event_post (vlib_main_t *vm, u32 sw_if_index, const u8 *mac, const ip6_address_t *source,
		     const ip6_address_t *claimed);
int mag_event_register (u32 client_index, u32 pid);
int mag_event_cancel (u32 client_index);
/* mag_api.c */
void mag_api_send_event (const mag_event_client_t *client, const mag_event_t *event);

/* mag_format.c */
format_function_t format_mag_prefix;
format_function_t format_mag_binding;
format_function_t format_mag_lma;
format_function_t format_mag_trace;

static_always_inline mag_access_t *
mag_access_get (u32 sw_if_index)
{
  mag_main_t *mm = &mag_main;
  if (sw_if_index >= vec_len (mm->access_by_sw_if_index))
    return 0;
  mag_access_t *access = vec_elt_at_index (mm->access_by_sw_if_index, sw_if_index);
  return access->enabled ? access : 0;
}

static_always_inline mag_core_t *
mag_core_get (u32 sw_if_index)
{
  mag_main_t *mm = &mag_main;
  if (sw_if_index >= vec_len (mm->core_by_sw_if_index))
    return 0;
  mag_core_t *core = vec_elt_at_index (mm->core_by_sw_if_index, sw_if_index);
  return core->enabled ? core : 0;
}

static_always_inline const mag_prefix_t *
mag_binding_prefixes (const mag_binding_info_t *info)
{
  return info->more ? info->more : &info->first;
}

#define mag_binding_foreach(i)                                                                     \
  for (u32 i = 0; i < mag_binding_capacity (&mag_main); i++)                                       \
    if (mag_main.infos[i].id != 0)

#endif /* included_mag_h */
