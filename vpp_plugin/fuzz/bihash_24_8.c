/* SPDX-License-Identifier: Apache-2.0 */

/* VPP's hash table for the harness, with the sanitizers in it. */

#include <vppinfra/bihash_24_8.h>
#include <vppinfra/bihash_template.h>
#include <vppinfra/bihash_template.c>
