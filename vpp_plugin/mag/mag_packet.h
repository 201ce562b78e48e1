/* SPDX-License-Identifier: Apache-2.0 */

/* What is read out of packets, and judged by it: headers, options, lengths, ECN. Nothing here knows
   of buffers, nodes or bindings, so that vpp_plugin/fuzz can run it on its own: every function reads
   no more than the octets it is told are there. */

#ifndef included_mag_packet_h
#define included_mag_packet_h

#include <vnet/ip/icmp46_packet.h>
#include <vnet/ip/ip6_packet.h>
#include <vnet/ip/ip_packet.h>

#define MAG_ECN_NOT_ECT 0
#define MAG_ECN_ECT_0	2
#define MAG_ECN_CE	3
#define MAG_ECN_SHIFT	20

#define MAG_OPTION_PAD1		       0
#define MAG_OPTION_PADN		       1
#define MAG_OPTION_ENCAPSULATION_LIMIT 4

/* Destination Options header with a Tunnel Encapsulation Limit and PadN (RFC 2473 section 4.1.1).
 */
typedef union
{
  struct
  {
    u8 next_header;
    u8 length;
    u8 type;
    u8 option_length;
    u8 limit;
    u8 pad_type;
    u8 pad_length;
    u8 pad;
  };
  u64 as_u64;
} mag_limit_header_t;

STATIC_ASSERT_SIZEOF (mag_limit_header_t, 8);

/* Fields of a limit header that are the same in every one as Linux and we send it. */
#define MAG_LIMIT_HEADER_MASK clib_host_to_net_u64 (0xffffffff00ffffffULL)
#define MAG_LIMIT_HEADER_BITS clib_host_to_net_u64 (0x2900040100010100ULL)

STATIC_ASSERT (IP_PROTOCOL_IPV6 == 0x29, "next header in MAG_LIMIT_HEADER_BITS");

/* What mag_walk_headers says instead of an offset. */
#define MAG_NO_INNER_PACKET 0
#define MAG_BROKEN_HEADERS  ((u32) ~0)

/* What a tunnel packet is found to be. */
typedef enum
{
  MAG_TUNNEL_PACKET_GOOD,
  MAG_TUNNEL_PACKET_BAD_HEADER,
  MAG_TUNNEL_PACKET_BAD_LENGTH,
  MAG_TUNNEL_PACKET_BAD_INNER_HEADER,
  MAG_TUNNEL_PACKET_BAD_ECN,
} mag_tunnel_packet_t;

static_always_inline mag_limit_header_t
mag_limit_header (u8 limit)
{
  return (mag_limit_header_t){
    .next_header = IP_PROTOCOL_IPV6,
    .type = MAG_OPTION_ENCAPSULATION_LIMIT,
    .option_length = 1,
    .limit = limit,
    .pad_type = MAG_OPTION_PADN,
    .pad_length = 1,
  };
}

static_always_inline u32
mag_first_word (const ip6_header_t *ip)
{
  return clib_net_to_host_u32 (ip->ip_version_traffic_class_and_flow_label);
}

static_always_inline u32
mag_ecn (u32 first_word)
{
  return (first_word >> MAG_ECN_SHIFT) & 3;
}

/* RFC 3168 section 9.1.1, full functionality: Not-ECT stays, CE goes out as ECT(0). */
static_always_inline u32
mag_outer_ecn (u32 inner_ecn)
{
  return inner_ecn ^ (inner_ecn == MAG_ECN_CE);
}

static_always_inline u32
mag_ip6_length (const ip6_header_t *ip)
{
  return sizeof (*ip) + clib_net_to_host_u16 (ip->payload_length);
}

static_always_inline int
mag_is_link_local (const ip6_address_t *address)
{
  return (address->as_u64[0] & clib_host_to_net_u64 (0xffc0ULL << 48)) ==
	 clib_host_to_net_u64 (0xfe80ULL << 48);
}

/* Whether the checksum over an ICMPv6 message, all of it behind its header, is right (RFC 4443
   section 2.3). */
static_always_inline int
mag_is_icmp6_checksum_right (const ip6_header_t *ip)
{
  const u8 *message = (const u8 *) (ip + 1);
  u32 length = clib_net_to_host_u16 (ip->payload_length), i;
  u32 sum = ip->payload_length + clib_host_to_net_u16 (IP_PROTOCOL_ICMP6);

  for (i = 0; i < ARRAY_LEN (ip->src_address.as_u16); i++)
    sum += ip->src_address.as_u16[i] + ip->dst_address.as_u16[i];
  for (i = 0; i + 1 < length; i += 2)
    sum += *(u16u *) (message + i);
  if (i < length)
    sum += clib_host_to_net_u16 (message[i] << 8);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

/* The link-local address that a packet of `available` octets says its sender has, by a Neighbor
   Advertisement, or is about to take, by a Neighbor Solicitation from :: (RFC 4861 section 7.1, RFC
   4862 section 5.4); 0 if it says nothing of the kind. */
static_always_inline const ip6_address_t *
mag_claimed_address (const ip6_header_t *ip, u32 available)
{
  const icmp6_neighbor_solicitation_or_advertisement_header_t *message = (const void *) (ip + 1);

  if (ip->protocol != IP_PROTOCOL_ICMP6 || ip->hop_limit != 255 ||
      available < mag_ip6_length (ip) ||
      clib_net_to_host_u16 (ip->payload_length) < sizeof (*message) || message->icmp.code != 0)
    return 0;
  int is_claim = message->icmp.type == ICMP6_neighbor_advertisement ||
		 (message->icmp.type == ICMP6_neighbor_solicitation &&
		  ip6_address_is_unspecified (&ip->src_address));
  if (!is_claim || !mag_is_link_local (&message->target_address) ||
      !mag_is_icmp6_checksum_right (ip))
    return 0;
  return &message->target_address;
}

/* Lengths: the outer packet lies within what was received, the inner one within the outer. */
static_always_inline int
mag_are_lengths_right (const ip6_header_t *outer, const ip6_header_t *inner, u32 offset,
		       u32 received)
{
  u32 outer_length = mag_ip6_length (outer);
  return (outer_length <= received) & (offset + mag_ip6_length (inner) <= outer_length);
}

/* Offset of the inner packet if both headers lie in the `available` octets from the outer one on and
   nothing, or one usual limit header, is between them; 0 for everything else. */
static_always_inline u32
mag_inner_offset (const ip6_header_t *outer, u32 available)
{
  const u32 with_limit = sizeof (*outer) + sizeof (mag_limit_header_t);
  u32 offset = 0;

  if (PREDICT_TRUE (outer->protocol == IP_PROTOCOL_IPV6))
    offset = sizeof (*outer);
  else if (outer->protocol == IP_PROTOCOL_IP6_DESTINATION_OPTIONS && available >= with_limit &&
	   (*(u64u *) (outer + 1) & MAG_LIMIT_HEADER_MASK) == MAG_LIMIT_HEADER_BITS)
    offset = with_limit;
  return available >= offset + sizeof (ip6_header_t) ? offset : 0;
}

/* 1 if a node that knows no option but padding and the encapsulation limit may go on
   (RFC 8200 section 4.2: skip over unrecognised options whose two top bits are 0). */
static_always_inline int
mag_are_options_acceptable (const u8 *header, u32 length)
{
  for (u32 o = 2; o < length;)
    {
      if (header[o] == MAG_OPTION_PAD1)
	{
	  o++;
	  continue;
	}
      if (o + 2 > length || o + 2 + header[o + 1] > length || (header[o] & 0xc0))
	return 0;
      o += 2 + header[o + 1];
    }
  return 1;
}

/* Offset of the inner packet behind any Destination Options, which may be `available` itself;
   MAG_NO_INNER_PACKET if the last of them leads to no IPv6 packet, MAG_BROKEN_HEADERS if they are
   broken or not to be skipped. */
static_always_inline u32
mag_walk_headers (const ip6_header_t *outer, u32 available)
{
  const u8 *packet = (const u8 *) outer;
  u8 header = outer->protocol;
  u32 offset = sizeof (*outer);

  while (header == IP_PROTOCOL_IP6_DESTINATION_OPTIONS)
    {
      if (offset + 8 > available)
	return MAG_BROKEN_HEADERS;
      u32 length = 8 * (1 + packet[offset + 1]);
      if (offset + length > available || !mag_are_options_acceptable (packet + offset, length))
	return MAG_BROKEN_HEADERS;
      header = packet[offset];
      offset += length;
    }
  return header == IP_PROTOCOL_IPV6 ? offset : MAG_NO_INNER_PACKET;
}

/* A tunnel packet, by the headers after the outer one. Fragments are not: VPP reassembles them, and
   they come back whole. Nor is, say, a Mobility Header behind options: that is the gateway's. */
static_always_inline int
mag_is_tunnel_packet (const ip6_header_t *outer, u32 available)
{
  if (outer->protocol == IP_PROTOCOL_IPV6)
    return 1;
  if (outer->protocol != IP_PROTOCOL_IP6_DESTINATION_OPTIONS)
    return 0;
  return mag_walk_headers (outer, available) != MAG_NO_INNER_PACKET;
}

/* Judges a tunnel packet of which `available` octets lie together and `received` came in all; if it
   is good, says where the inner packet begins, and has its header with the ECN field that it goes on
   with (RFC 3168 section 9.1.1). */
static_always_inline mag_tunnel_packet_t
mag_open_tunnel_packet (ip6_header_t *outer, u32 available, u32 received, u32 *inner_offset)
{
  available = clib_min (available, mag_ip6_length (outer));
  u32 offset = mag_walk_headers (outer, available);
  ip6_header_t *inner = (ip6_header_t *) ((u8 *) outer + offset);

  if (offset == MAG_BROKEN_HEADERS || offset == MAG_NO_INNER_PACKET)
    return MAG_TUNNEL_PACKET_BAD_HEADER;
  if (offset + sizeof (*inner) > available ||
      !mag_are_lengths_right (outer, inner, offset, received))
    return MAG_TUNNEL_PACKET_BAD_LENGTH;
  if (mag_first_word (inner) >> 28 != 6)
    return MAG_TUNNEL_PACKET_BAD_INNER_HEADER;
  if (mag_ecn (mag_first_word (outer)) == MAG_ECN_CE)
    {
      if (mag_ecn (mag_first_word (inner)) == MAG_ECN_NOT_ECT)
	return MAG_TUNNEL_PACKET_BAD_ECN;
      inner->ip_version_traffic_class_and_flow_label |=
	clib_host_to_net_u32 (MAG_ECN_CE << MAG_ECN_SHIFT);
    }
  *inner_offset = offset;
  return MAG_TUNNEL_PACKET_GOOD;
}

/* Offset of the limit in a Tunnel Encapsulation Limit option of the packet, 0 if there is none in
   the first `available` octets (RFC 2473 section 4.1.1 a). */
static_always_inline u32
mag_find_encapsulation_limit (const ip6_header_t *ip, u32 available)
{
  const u8 *packet = (const u8 *) ip;
  u8 header = ip->protocol;
  u32 offset = sizeof (*ip);

  while ((header == IP_PROTOCOL_IP6_HOP_BY_HOP_OPTIONS ||
	  header == IP_PROTOCOL_IP6_DESTINATION_OPTIONS) &&
	 offset + 8 <= available)
    {
      u32 end = offset + 8 * (1 + packet[offset + 1]);
      if (end > available)
	return 0;
      if (header == IP_PROTOCOL_IP6_DESTINATION_OPTIONS)
	for (u32 o = offset + 2; o + 2 < end;)
	  {
	    if (packet[o] == MAG_OPTION_ENCAPSULATION_LIMIT && packet[o + 1] == 1)
	      return o + 2;
	    o += packet[o] == MAG_OPTION_PAD1 ? 1 : 2 + packet[o + 1];
	  }
      header = packet[offset];
      offset = end;
    }
  return 0;
}

#endif /* included_mag_packet_h */
