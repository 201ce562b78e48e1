/* SPDX-License-Identifier: Apache-2.0 */

/* Events about unknown sources and claimed addresses: from any thread through a ring each to the API
   clients.

   One event per tenth of a second, interface, link-layer address and claim, and a total per thread and
   second, so that neither one noisy node nor many bring the control plane down. */

#include <mag/mag.h>
#include <vppinfra/xxhash.h>

static u32
mag_event_budget (const mag_main_t *mm)
{
  return clib_max (mm->events_per_second / clib_max (mm->n_workers, 1), 1);
}

/* 1 if the same sender was reported in this interval already, or the second's total is used up. */
static int
mag_event_is_held_down (mag_main_t *mm, mag_event_thread_t *et, u64 key, f64 now)
{
  u32 slot = clib_xxhash (key) % MAG_EVENT_HOLD_DOWN_SIZE;
  u32 second = 1 + (u32) now, interval = 1 + (u32) (now * MAG_EVENTS_OF_ONE_SENDER_PER_SECOND);

  if (et->budget_second != second)
    {
      et->budget_second = second;
      et->budget = mag_event_budget (mm);
    }
  if (et->hold_down[slot].key == key && et->hold_down[slot].interval == interval)
    return 1;
  if (et->budget == 0)
    return 1;
  et->budget--;
  et->hold_down[slot].key = key;
  et->hold_down[slot].interval = interval;
  return 0;
}

void
mag_event_post (vlib_main_t *vm, u32 sw_if_index, const u8 *mac, const ip6_address_t *source,
		const ip6_address_t *claimed)
{
  mag_main_t *mm = &mag_main;
  mag_event_thread_t *et = vec_elt_at_index (mm->event_threads, vm->thread_index);
  u32 head = et->head, tail = __atomic_load_n (&et->tail, __ATOMIC_ACQUIRE);
  u64 key = (u64) sw_if_index << 48;
  f64 now = vlib_time_now (vm);

  if (vec_len (mm->event_clients) == 0)
    return;
  for (u32 i = 0; i < sizeof (mac_address_t); i++)
    key ^= (u64) mac[i] << (8 * i);
  if (claimed)
    key ^= clib_xxhash (claimed->as_u64[1]);
  if (head - tail == MAG_EVENT_RING_SIZE || mag_event_is_held_down (mm, et, key, now))
    {
      et->n_suppressed++;
      return;
    }
  mag_event_t *event = &et->ring[head % MAG_EVENT_RING_SIZE];
  event->sw_if_index = sw_if_index;
  mac_address_from_bytes (&event->mac, mac);
  event->source = *source;
  event->claimed = claimed ? *claimed : (ip6_address_t){};
  event->n_suppressed = et->n_suppressed;
  et->n_suppressed = 0;
  __atomic_store_n (&et->head, head + 1, __ATOMIC_RELEASE);
  vlib_node_set_interrupt_pending (vlib_get_main_by_index (0), mag_event_node.index);
}

/* Drains the rings into messages; runs on the main thread when a thread has posted. */
VLIB_NODE_FN (mag_event_node) (vlib_main_t *vm, vlib_node_runtime_t *node, vlib_frame_t *frame)
{
  mag_main_t *mm = &mag_main;
  mag_event_thread_t *et;
  mag_event_client_t *client;
  uword n = 0;

  vec_foreach (et, mm->event_threads)
    {
      u32 head = __atomic_load_n (&et->head, __ATOMIC_ACQUIRE);
      for (u32 tail = et->tail; tail != head; tail++, n++)
	{
	  vec_foreach (client, mm->event_clients)
	    mag_api_send_event (client, &et->ring[tail % MAG_EVENT_RING_SIZE]);
	  __atomic_store_n (&et->tail, tail + 1, __ATOMIC_RELEASE);
	}
    }
  return n;
}

VLIB_REGISTER_NODE (mag_event_node) = {
  .name = "mag-event",
  .type = VLIB_NODE_TYPE_INPUT,
  .state = VLIB_NODE_STATE_INTERRUPT,
};

static mag_event_client_t *
mag_event_client_find (u32 client_index)
{
  mag_event_client_t *client;

  vec_foreach (client, mag_main.event_clients)
    if (client->client_index == client_index)
      return client;
  return 0;
}

int
mag_event_register (u32 client_index, u32 pid)
{
  mag_event_client_t client = { .client_index = client_index, .pid = pid };

  if (!mag_event_client_find (client_index))
    vec_add1 (mag_main.event_clients, client);
  return 0;
}

int
mag_event_cancel (u32 client_index)
{
  mag_event_client_t *client = mag_event_client_find (client_index);

  if (!client)
    return VNET_API_ERROR_NO_SUCH_ENTRY;
  vec_del1 (mag_main.event_clients, client - mag_main.event_clients);
  return 0;
}

void
mag_event_init (mag_main_t *mm)
{
  vec_validate_aligned (mm->event_threads, vlib_get_n_threads () - 1, CLIB_CACHE_LINE_BYTES);
}
