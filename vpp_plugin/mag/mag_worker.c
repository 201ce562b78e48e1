/* SPDX-License-Identifier: Apache-2.0 */

#include <mag/mag.h>

/* When this returns, no worker reads what was reachable only before the call. Main thread only.

   A worker whose inputs are interrupt driven sleeps for up to 10 ms when it has nothing to do, and
   would be waited for as long; those that poll, as with DPDK, never sleep. */
void
mag_worker_wait_one_loop (void)
{
  for (u32 i = 1; i < vlib_get_n_threads (); i++)
    vlib_thread_wakeup (i);
  vlib_worker_wait_one_loop ();
}
