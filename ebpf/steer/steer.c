//go:build ignore

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

/*
 * Chooses the listener of a new connection: the kernel runs this for every SYN that reaches a group of
 * listeners of one address (SO_REUSEPORT), and for every connection that nobody accepted and that has to leave a
 * listener which is being closed.
 *
 * There are two candidates. The first is the listener of the worker on this CPU, where the packets of the
 * connection are handled already. The second is a random other one. The lighter of two random choices is nearly
 * as good as the lightest of all, and does not draw a whole burst to one worker while its figures are old.
 * A worker that does not go round its loop is passed over as long as the other one does.
 *
 * Whatever fails, the answer is SK_PASS: the kernel then chooses by its hash. SK_DROP would refuse the client.
 */

#include "kernel.h"

#define MAX_SOCKETS 1024 /* of one address */
#define MAX_CPUS 1024

/* A worker that has not gone round for this long hangs, unless it sleeps. */
#define STALE_NS 50000000ULL

/*
 * What one worker says of itself, a cache line. The worker stores all of it in every round of its loop; the
 * program adds to `chosen` only, so that a burst is seen before the worker has accepted any of it. A store that
 * races with an addition loses a count until the next round, which does no harm.
 */
struct slot {
	__u64 last_loop_ns; /* CLOCK_MONOTONIC of the latest round */
	__u32 conns;        /* sessions */
	__u32 chosen;       /* connections sent to the worker since its latest round */
	__u32 sleeping;     /* 1: the worker waits for events, and nothing is wrong with that */
	__u32 pad[11];
};
_Static_assert(sizeof(struct slot) == 64, "a cache line");

/* By worker. One for all addresses of a process, mapped into its memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* The listeners of one address. The value is as wide as the socket's cookie, which it reads back as. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
} sockets SEC(".maps");

/* Constants of one address, set before loading. */
const volatile __u32 count = 0;                    /* listeners */
const volatile __u16 worker_of[MAX_SOCKETS] = {};  /* by listener */
const volatile __u16 listener_on[MAX_CPUS] = {};   /* by CPU: its worker's listener, plus 1; 0 for none */

static inline __attribute__((always_inline)) struct slot *slot_of(__u32 listener)
{
	__u32 worker = worker_of[listener & (MAX_SOCKETS - 1)];

	return bpf_map_lookup_elem(&slots, &worker);
}

static inline __attribute__((always_inline)) int fresh(const volatile struct slot *s, __u64 now)
{
	return s->sleeping || (long long)(now - s->last_loop_ns) < (long long)STALE_NS;
}

SEC("sk_reuseport/migrate")
int choose(struct sk_reuseport_md *ctx)
{
	__u32 listeners = count;
	__u32 cpu, random, first, second;
	int local = 0;

	if (listeners == 0)
		return SK_PASS;
	random = bpf_get_prandom_u32();
	first = random % listeners;
	cpu = bpf_get_smp_processor_id();
	if (cpu < MAX_CPUS && listener_on[cpu] != 0) {
		first = listener_on[cpu] - 1;
		local = 1;
	}
	second = first;
	if (listeners > 1)
		second = (first + 1 + (random >> 10) % (listeners - 1)) % listeners;

	volatile struct slot *a = slot_of(first), *b = slot_of(second);
	if (!a || !b)
		return SK_PASS;
	__u64 now = bpf_ktime_get_ns();
	int a_fresh = fresh(a, now), b_fresh = fresh(b, now);
	__u32 a_load = a->conns + a->chosen, b_load = b->conns + b->chosen;
	/* Staying on the CPU is worth an eighth. */
	__u32 margin = local ? b_load >> 3 : 0;

	if (a_fresh != b_fresh ? b_fresh : b_load + margin < a_load) {
		__u32 other = first;
		volatile struct slot *s = a;

		first = second;
		second = other;
		a = b;
		b = s;
	}
	if (bpf_sk_select_reuseport(ctx, &sockets, &first, 0) == 0) {
		__sync_fetch_and_add(&a->chosen, 1);
		return SK_PASS;
	}
	if (bpf_sk_select_reuseport(ctx, &sockets, &second, 0) == 0)
		__sync_fetch_and_add(&b->chosen, 1);
	return SK_PASS;
}

/* The kernel asks; the project's licence is in the file LICENSE. */
char _license[] SEC("license") = "GPL";
