/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

/*
 * The part of the kernel's binary interface that steer.c uses. Declared here, and not taken from the headers
 * of the machine, so that the same source gives the same object everywhere.
 */
#ifndef PENSTOCK_KERNEL_H
#define PENSTOCK_KERNEL_H

typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

struct sk_reuseport_md; /* what the program is called with; it reads none of it */

enum sk_action { SK_DROP, SK_PASS };

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20,
	BPF_F_MMAPABLE = 1 << 10,
};

/* Helper functions are numbers. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static __u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_sk_select_reuseport)(struct sk_reuseport_md *ctx, void *map, void *key, __u64 flags) = (void *)82;

/* A map is described by the types of pointers, which the loader reads from the type information. */
#define __uint(name, value) int (*name)[value]
#define __type(name, value) value *name
#define SEC(name) __attribute__((section(name), used))

#endif
