/* Waiting and waking: an event (a counter that threads wait on), and a barrier made of it.
 *
 * A waiter spins for a bounded time, then sleeps in the kernel: on Linux on a futex, elsewhere on a condition variable
 * (GLMC_NO_FUTEX picks the latter on Linux too). A barrier of two spinning threads costs about 0.2 us, one that sleeps about 10 us. */
#ifndef GLMC_SYNC_H
#define GLMC_SYNC_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#if defined(__linux__) && !defined(GLMC_NO_FUTEX)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#define GLMC_FUTEX 1
#endif

#define GLMC_SPIN_NS 50000 /* longer than any kernel gap worth spinning for, short enough not to starve a neighbour */

typedef struct glmc_event {
    _Alignas(64) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
#ifndef GLMC_FUTEX
    pthread_mutex_t mutex;
    pthread_cond_t wake;
#endif
} glmc_event;

static inline void glmc_event_init(glmc_event *event, uint32_t value) {
    atomic_init(&event->value, value);
    atomic_init(&event->sleepers, 0);
#ifndef GLMC_FUTEX
    pthread_mutex_init(&event->mutex, 0);
    pthread_cond_init(&event->wake, 0);
#endif
}

static inline void glmc_event_destroy(glmc_event *event) {
#ifdef GLMC_FUTEX
    (void)event;
#else
    pthread_mutex_destroy(&event->mutex);
    pthread_cond_destroy(&event->wake);
#endif
}

static inline void glmc_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static inline int64_t glmc_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The sleeping half of glmc_event_wait. `sleepers` is raised before the value is read again, and a setter reads `sleepers` after it
 * has written the value, all sequentially consistent: so either the waiter sees the new value or the setter sees the sleeper. */
__attribute__((unused, noinline, cold)) static void glmc_event_sleep(glmc_event *event, uint32_t old) {
    atomic_fetch_add(&event->sleepers, 1);
#ifdef GLMC_FUTEX
    while (atomic_load(&event->value) == old) syscall(SYS_futex, &event->value, FUTEX_WAIT_PRIVATE, old, (void *)0, (void *)0, 0);
#else
    pthread_mutex_lock(&event->mutex);
    while (atomic_load(&event->value) == old) pthread_cond_wait(&event->wake, &event->mutex);
    pthread_mutex_unlock(&event->mutex);
#endif
    atomic_fetch_sub(&event->sleepers, 1);
}

__attribute__((unused, noinline, cold)) static void glmc_event_wake(glmc_event *event) {
#ifdef GLMC_FUTEX
    syscall(SYS_futex, &event->value, FUTEX_WAKE_PRIVATE, INT_MAX, (void *)0, (void *)0, 0);
#else
    pthread_mutex_lock(&event->mutex);
    pthread_cond_broadcast(&event->wake);
    pthread_mutex_unlock(&event->mutex);
#endif
}

/* Returns once the value is no longer `old`; everything written before it was set is visible then. */
static inline void glmc_event_wait(glmc_event *event, uint32_t old, int64_t spin_ns) {
    int64_t end = 0;
    if (spin_ns > 0) {
        for (int round = 0;; round++) {
            for (int i = 0; i < 32; i++) {
                if (atomic_load_explicit(&event->value, memory_order_acquire) != old) return;
                glmc_pause();
            }
            int64_t now = glmc_now_ns();
            if (round == 0) end = now + spin_ns;
            else if (now >= end) break;
        }
    }
    if (atomic_load_explicit(&event->value, memory_order_acquire) != old) return;
    glmc_event_sleep(event, old);
}

static inline void glmc_event_set(glmc_event *event, uint32_t value) {
    atomic_store(&event->value, value);
    if (atomic_load(&event->sleepers) != 0) glmc_event_wake(event);
}

/* Moves the value on; any number of threads may do so at once. */
static inline void glmc_event_bump(glmc_event *event) {
    atomic_fetch_add(&event->value, 1);
    if (atomic_load(&event->sleepers) != 0) glmc_event_wake(event);
}

typedef struct glmc_barrier {
    glmc_event epoch;
    _Alignas(64) _Atomic uint32_t arrived;
    uint32_t count;
    int64_t spin_ns;
} glmc_barrier;

static inline void glmc_barrier_init(glmc_barrier *barrier, int count, int64_t spin_ns) {
    glmc_event_init(&barrier->epoch, 0);
    atomic_init(&barrier->arrived, 0);
    barrier->count = (uint32_t)count;
    barrier->spin_ns = spin_ns;
}

static inline void glmc_barrier_destroy(glmc_barrier *barrier) { glmc_event_destroy(&barrier->epoch); }

/* Returns once all `count` threads have called it; what any of them wrote before is then visible to all. */
static inline void glmc_barrier_wait(glmc_barrier *barrier) {
    if (barrier->count < 2) return;
    uint32_t epoch = atomic_load_explicit(&barrier->epoch.value, memory_order_relaxed); /* cannot move before this thread arrives */
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == barrier->count) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        glmc_event_set(&barrier->epoch, epoch + 1);
    } else {
        glmc_event_wait(&barrier->epoch, epoch, barrier->spin_ns);
    }
}

#endif
