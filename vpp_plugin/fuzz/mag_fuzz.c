/* SPDX-License-Identifier: Apache-2.0 */

/* What the plugin reads out of packets and looks up by them, under sanitizers and without VPP.

   libFuzzer makes the octets. The first chooses what they are taken for: a packet from the core, one
   from a node, or a sequence of changes and look-ups of prefixes, which a plain list does as well.
   A packet lies at the very end of its own allocation, so that one octet read too far is found. */

#include <mag/mag.h>
#include <mag/mag_packet.h>
#include <mag/mag_prefix.h>

mag_main_t mag_main = { .max_bindings = 256 };

/* There are no workers to wait for. */
void
mag_worker_wait_one_loop (void)
{
}

#define MUST(condition)                                                                            \
  do                                                                                               \
    {                                                                                              \
      if (!(condition))                                                                            \
	{                                                                                          \
	  fprintf (stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);          \
	  __builtin_trap ();                                                                       \
	}                                                                                          \
    }                                                                                              \
  while (0)

static u16
take_u16 (const u8 **data, size_t *size)
{
  if (*size < 2)
    return 0;
  u16 value = (*data)[0] << 8 | (*data)[1];
  *data += 2;
  *size -= 2;
  return value;
}

/* What RFC 3168 section 9.1.1 says of the inner field; -1: drop. */
static int
ecn_after (int inner, int outer)
{
  if (outer != MAG_ECN_CE)
    return inner;
  return inner == MAG_ECN_NOT_ECT ? -1 : MAG_ECN_CE;
}

/* The long way and the short way must agree, and stay within what came. */
static void
packet_from_core (ip6_header_t *outer, u32 available, u32 more)
{
  u32 received = available + more, offset = ~0;
  u32 fast_offset = mag_inner_offset (outer, available);
  int is_tunnel_packet = mag_is_tunnel_packet (outer, available);
  int outer_ecn = mag_ecn (mag_first_word (outer)), inner_ecn = 0, is_plain = 0;

  if (fast_offset)
    {
      const ip6_header_t *inner = (ip6_header_t *) ((u8 *) outer + fast_offset);
      MUST (fast_offset + sizeof (*inner) <= available);
      MUST (mag_walk_headers (outer, available) == fast_offset);
      MUST (is_tunnel_packet);
      inner_ecn = mag_ecn (mag_first_word (inner));
      is_plain = mag_are_lengths_right (outer, inner, fast_offset, available) &&
		 mag_first_word (inner) >> 28 == 6;
    }
  mag_tunnel_packet_t found = mag_open_tunnel_packet (outer, available, received, &offset);
  if (is_plain)
    {
      int ecn = ecn_after (inner_ecn, outer_ecn);
      MUST (found == (ecn < 0 ? MAG_TUNNEL_PACKET_BAD_ECN : MAG_TUNNEL_PACKET_GOOD));
      if (ecn >= 0)
	MUST (mag_ecn (mag_first_word ((ip6_header_t *) ((u8 *) outer + fast_offset))) == ecn);
    }
  if (found != MAG_TUNNEL_PACKET_GOOD)
    return;
  const ip6_header_t *inner = (ip6_header_t *) ((u8 *) outer + offset);
  MUST (is_tunnel_packet);
  MUST (offset >= sizeof (*outer) && offset + sizeof (*inner) <= available);
  MUST (offset + mag_ip6_length (inner) <= mag_ip6_length (outer));
  MUST (mag_ip6_length (outer) <= received);
  MUST (mag_first_word (inner) >> 28 == 6);
}

static void
packet_from_node (const ip6_header_t *ip, u32 available)
{
  u32 o = mag_find_encapsulation_limit (ip, available);
  const u8 *packet = (const u8 *) ip;

  if (o)
    MUST (o >= sizeof (*ip) + 4 && o < available &&
	  packet[o - 2] == MAG_OPTION_ENCAPSULATION_LIMIT && packet[o - 1] == 1);
  MUST (mag_outer_ecn (mag_ecn (mag_first_word (ip))) != MAG_ECN_CE);
  mag_is_link_local (&ip->src_address);
  const ip6_address_t *claimed = mag_claimed_address (ip, available);
  if (claimed)
    MUST ((const u8 *) (claimed + 1) <= packet + available && mag_is_link_local (claimed));
}

#define N_PREFIXES 64

typedef struct
{
  mag_prefix_t prefix;
  u32 binding_index;
} bound_prefix_t;

static bound_prefix_t bound[N_PREFIXES];
static u32 n_bound;

/* Few different addresses, so that prefixes of all lengths hold each other. */
static ip6_address_t
small_address (u16 seed)
{
  ip6_address_t address = { .as_u8 = { 0x20, 0x01, 0x0d, 0xb8 } };
  address.as_u8[6] = seed >> 12;
  address.as_u8[7] = (seed >> 8) & 0xf;
  address.as_u8[8] = (seed >> 4) & 0xf;
  address.as_u8[15] = seed & 0xf;
  return address;
}

static int
holds (const mag_prefix_t *prefix, const ip6_address_t *address)
{
  for (u32 bit = 0; bit < prefix->length; bit++)
    if ((prefix->address.as_u8[bit / 8] ^ address->as_u8[bit / 8]) & (0x80 >> bit % 8))
      return 0;
  return 1;
}

static u32
expected (const ip6_address_t *address)
{
  const bound_prefix_t *longest = 0;

  for (u32 i = 0; i < n_bound; i++)
    if (holds (&bound[i].prefix, address) &&
	(!longest || bound[i].prefix.length > longest->prefix.length))
      longest = &bound[i];
  return longest ? longest->binding_index : ~0;
}

static void
change_prefix (mag_prefix_t prefix, u32 binding_index, int is_add)
{
  u32 i = 0;

  mag_prefix_normalize (&prefix);
  while (i < n_bound && (bound[i].prefix.length != prefix.length ||
			 !ip6_address_is_equal (&bound[i].prefix.address, &prefix.address)))
    i++;
  if (is_add && i < N_PREFIXES)
    {
      mag_prefix_publish (&prefix, binding_index);
      bound[i] = (bound_prefix_t){ .prefix = prefix, .binding_index = binding_index };
      n_bound = clib_max (n_bound, i + 1);
    }
  else if (!is_add && i < n_bound)
    {
      mag_prefix_withdraw (&prefix);
      bound[i] = bound[--n_bound];
    }
}

static void
prefixes (const u8 *data, size_t size)
{
  while (size >= 4)
    {
      u8 operation = data[0], length = data[1] & 0x7f;
      data += 2;
      size -= 2;
      ip6_address_t address = small_address (take_u16 (&data, &size));
      mag_prefix_t prefix = { .address = address, .length = length ? length : 128 };
      if (operation & 1)
	MUST (mag_address_find (&address) == expected (&address));
      else
	change_prefix (prefix, operation >> 2, operation & 2);
    }
  while (n_bound)
    change_prefix (bound[0].prefix, 0, 0);
  MUST (mag_main.lengths->n == 0);
}

/* Good packets to begin with: chance alone finds few that get far. */
static size_t
write_packet (u8 *data, u32 kind, u32 choice)
{
  static const u8 linux_limit[] = { 41, 0, 4, 1, 4, 1, 1, 0 };
  static const u8 two_headers[] = { 60, 0, 0x1e, 4, 0, 0, 0, 0, 41, 0, 0, 1, 2, 0, 0, 0 };
  static const u8 hop_by_hop[] = { 60, 0, 1, 4, 0, 0, 0, 0, 59, 0, 0, 4, 1, 3, 1, 0 };
  const struct
  {
    u8 protocol, size;
    const u8 *octets;
  } headers[] = {
    { 41, 0, two_headers },	{ 60, sizeof (linux_limit), linux_limit },
    { 60, sizeof (two_headers), two_headers }, { 0, sizeof (hop_by_hop), hop_by_hop },
  };
  typeof (headers[0]) *h = &headers[choice % 4];
  u8 *packet = data + 3, *inner = packet + 40 + h->size;

  memset (data, 0, 3 + 80 + h->size + 8);
  data[0] = kind;
  packet[0] = inner[0] = 0x60;
  packet[1] = (choice >> 2 & 3) << 4;
  inner[1] = (choice >> 4 & 3) << 4;
  packet[5] = h->size + 40 + 8;
  packet[6] = h->protocol;
  memcpy (packet + 40, h->octets, h->size);
  inner[5] = 8;
  inner[6] = 17;
  return 3 + 80 + h->size + 8;
}

#define LONGEST_START 128

size_t LLVMFuzzerMutate (u8 *data, size_t size, size_t max_size);

size_t
LLVMFuzzerCustomMutator (u8 *data, size_t size, size_t max_size, unsigned int seed)
{
  if (seed % 4 == 0 && max_size >= LONGEST_START)
    size = write_packet (data, (seed >> 2) % 3, seed >> 4);
  return seed % 32 == 0 ? size : LLVMFuzzerMutate (data, size, max_size);
}

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  clib_mem_init (0, 64 << 20);
  mag_prefix_init (&mag_main);
  return 0;
}

int
LLVMFuzzerTestOneInput (const u8 *data, size_t size)
{
  if (size < 3)
    return 0;
  u8 kind = data[0] % 4;
  data++;
  size--;
  if (kind == 3)
    {
      prefixes (data, size);
      return 0;
    }
  u32 more = take_u16 (&data, &size);
  /* ip6-input lets nothing shorter pass */
  if (size < sizeof (ip6_header_t))
    return 0;
  u8 *packet = malloc (size);
  memcpy (packet, data, size);
  if (kind == 2)
    packet_from_node ((ip6_header_t *) packet, size);
  else
    packet_from_core ((ip6_header_t *) packet, size, kind == 1 ? more : 0);
  free (packet);
  return 0;
}
