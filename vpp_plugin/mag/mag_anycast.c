/* SPDX-License-Identifier: Apache-2.0 */

/* The Subnet-Router anycast address of each prefix of a node is the gateway's (RFC 5213 section
   6.8). VPP's neighbor discovery knows no prefix of a node, so the answer for it is made here. */

#include <vnet/ip/icmp6.h>
#include <mag/mag_dp.h>

extern const ip6_address_t *ip6_get_link_local_address (u32 sw_if_index);

typedef struct
{
  ip6_header_t ip;
  icmp6_neighbor_solicitation_or_advertisement_header_t message;
  icmp6_neighbor_discovery_ethernet_link_layer_address_option_t target_address;
} __clib_packed mag_anycast_answer_t;

int
mag_is_anycast_address (u32 binding_index, const ip6_address_t *address)
{
  const mag_binding_info_t *info = &mag_main.infos[binding_index];
  const mag_prefix_t *prefixes = mag_binding_prefixes (info);

  for (u32 i = 0; i < info->n_prefixes; i++)
    if (prefixes[i].length < 127 && ip6_address_is_equal (&prefixes[i].address, address))
      return 1;
  return 0;
}

/* Whether the packet is a Neighbor Solicitation for such an address of the binding, not in
   duplicate address detection (RFC 4861 section 7.1.1; options are not looked at). */
static int
mag_anycast_is_asked_for (vlib_main_t *vm, vlib_buffer_t *b, u32 binding_index)
{
  const mag_anycast_answer_t *question = vlib_buffer_get_current (b);
  u32 message_end = STRUCT_OFFSET_OF (mag_anycast_answer_t, target_address);
  int bogus;

  if ((b->flags & VLIB_BUFFER_NEXT_PRESENT) || b->current_length < message_end ||
      question->ip.protocol != IP_PROTOCOL_ICMP6 || question->ip.hop_limit != 255 ||
      question->message.icmp.type != ICMP6_neighbor_solicitation ||
      question->message.icmp.code != 0 ||
      ip6_address_is_unspecified (&question->ip.src_address) ||
      !mag_is_anycast_address (binding_index, &question->message.target_address))
    return 0;
  u32 length = mag_ip6_length (&question->ip);
  return length >= message_end && length <= b->current_length &&
	 ip6_tcp_udp_icmp_compute_checksum (vm, b, (ip6_header_t *) &question->ip, &bogus) == 0;
}

/* Turns such a question into its answer, on its way to the node. 0: it is something else. */
int
mag_anycast_answer (vlib_main_t *vm, vlib_buffer_t *b, u32 binding_index, u16 *next)
{
  const mag_binding_t *binding = &mag_main.bindings[binding_index];
  const vnet_hw_interface_t *hw =
    vnet_get_sup_hw_interface (vnet_get_main (), binding->sw_if_index);
  const ip6_address_t *own = ip6_get_link_local_address (binding->sw_if_index);
  mag_anycast_answer_t *answer = vlib_buffer_get_current (b);
  int bogus;

  if (!own || vec_len (hw->hw_address) != sizeof (mac_address_t) ||
      !mag_anycast_is_asked_for (vm, b, binding_index))
    return 0;
  answer->ip.ip_version_traffic_class_and_flow_label = clib_host_to_net_u32 (0x6 << 28);
  answer->ip.payload_length = clib_host_to_net_u16 (sizeof (*answer) - sizeof (answer->ip));
  answer->ip.dst_address = answer->ip.src_address;
  answer->ip.src_address = *own;
  answer->message.icmp.type = ICMP6_neighbor_advertisement;
  /* not Override: RFC 4861 section 7.2.7 */
  answer->message.advertisement_flags = clib_host_to_net_u32 (
    ICMP6_NEIGHBOR_ADVERTISEMENT_FLAG_ROUTER | ICMP6_NEIGHBOR_ADVERTISEMENT_FLAG_SOLICITED);
  answer->target_address.header.type = ICMP6_NEIGHBOR_DISCOVERY_OPTION_target_link_layer_address;
  answer->target_address.header.n_data_u64s = 1;
  clib_memcpy (answer->target_address.ethernet_address, hw->hw_address, sizeof (mac_address_t));
  b->current_length = sizeof (*answer);
  answer->message.icmp.checksum = 0;
  answer->message.icmp.checksum =
    ip6_tcp_udp_icmp_compute_checksum (vm, b, &answer->ip, &bogus);
  mag_deliver (b, binding, next);
  return 1;
}
