/* SPDX-License-Identifier: Apache-2.0 */

/* Recognising tunnel packets: what the downlink node and the hand-off before it share. */

#ifndef included_mag_downlink_h
#define included_mag_downlink_h

#include <mag/mag_dp.h>

/* Fields of a limit header that are the same in every one as Linux and we send it. */
#define MAG_LIMIT_HEADER_MASK clib_host_to_net_u64 (0xffffffff00ffffffULL)
#define MAG_LIMIT_HEADER_BITS clib_host_to_net_u64 (0x2900040100010100ULL)

STATIC_ASSERT (IP_PROTOCOL_IPV6 == 0x29, "next header in MAG_LIMIT_HEADER_BITS");

/* Offset of the inner packet if both headers lie in the first buffer and nothing, or one usual
   limit header, is between them; 0 for everything else. */
static_always_inline u32
mag_inner_offset (const vlib_buffer_t *b, const ip6_header_t *outer)
{
  const u32 with_limit = sizeof (*outer) + sizeof (mag_limit_header_t);
  u32 offset = 0;

  if (PREDICT_TRUE (outer->protocol == IP_PROTOCOL_IPV6))
    offset = sizeof (*outer);
  else if (outer->protocol == IP_PROTOCOL_IP6_DESTINATION_OPTIONS &&
	   b->current_length >= with_limit &&
	   (*(u64u *) (outer + 1) & MAG_LIMIT_HEADER_MASK) == MAG_LIMIT_HEADER_BITS)
    offset = with_limit;
  return b->current_length >= offset + sizeof (ip6_header_t) ? offset : 0;
}

#endif /* included_mag_downlink_h */
