/* The artifact's own team of threads (glmc_threads), made by glmc_model.threads_create. Included once per artifact. */
#ifndef GLMC_POOL_H
#define GLMC_POOL_H

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "glmc.h"
#include "glmc_sync.h"

typedef struct glmc_pool {
    glmc_threads base;
    glmc_event start;        /* a new value = a new job, or the end */
    glmc_event done;         /* a new value = all helpers have returned */
    _Atomic uint32_t running;
    _Atomic int busy;
    int stop;
    int started;             /* helpers whose thread exists */
    void (*body)(void *argument, int thread, int count);
    void *argument;
    struct glmc_helper { struct glmc_pool *pool; pthread_t thread; int number; } helpers[];
} glmc_pool;

static void *glmc_helper_main(void *argument) {
    struct glmc_helper *self = argument;
    glmc_pool *pool = self->pool;
    for (uint32_t seen = 0;; seen++) {
        glmc_event_wait(&pool->start, seen, pool->base.spin_ns);
        if (pool->stop) return 0;
        pool->body(pool->argument, self->number, pool->base.count);
        if (atomic_fetch_sub_explicit(&pool->running, 1, memory_order_acq_rel) == 1)
            glmc_event_set(&pool->done, atomic_load_explicit(&pool->done.value, memory_order_relaxed) + 1);
    }
}

static int glmc_pool_run(glmc_threads *self, void (*body)(void *argument, int thread, int count), void *argument) {
    glmc_pool *pool = (glmc_pool *)self;
    if (atomic_exchange_explicit(&pool->busy, 1, memory_order_acquire)) return GLMC_BUSY;
    if (self->count > 1) {
        uint32_t done = atomic_load_explicit(&pool->done.value, memory_order_relaxed);
        pool->body = body;
        pool->argument = argument;
        atomic_store_explicit(&pool->running, (uint32_t)(self->count - 1), memory_order_relaxed);
        glmc_event_set(&pool->start, atomic_load_explicit(&pool->start.value, memory_order_relaxed) + 1);
        body(argument, 0, self->count);
        glmc_event_wait(&pool->done, done, self->spin_ns);
    } else {
        body(argument, 0, 1);
    }
    atomic_store_explicit(&pool->busy, 0, memory_order_release);
    return GLMC_OK;
}

static void glmc_pool_destroy(glmc_threads *self) {
    glmc_pool *pool = (glmc_pool *)self;
    if (!pool) return;
    pool->stop = 1;
    glmc_event_set(&pool->start, atomic_load_explicit(&pool->start.value, memory_order_relaxed) + 1);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->helpers[i].thread, 0);
    glmc_event_destroy(&pool->start);
    glmc_event_destroy(&pool->done);
    free(pool);
}

/* Processors that this process may use (an affinity mask counts), at least 1. */
static int glmc_processors(void) {
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 4096 ? (int)n : 1;
}

static glmc_threads *glmc_pool_create(int count) {
    int processors = glmc_processors();
    if (count <= 0) count = processors;
    if (count > 1024) return 0;
    size_t bytes = sizeof(glmc_pool) + (size_t)(count - 1) * sizeof(struct glmc_helper);
    glmc_pool *pool = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!pool) return 0;
    pool->base = (glmc_threads){.size = sizeof(glmc_threads), .count = count, .spin_ns = count > processors ? 0 : GLMC_SPIN_NS,
                                .run = glmc_pool_run, .destroy = glmc_pool_destroy};
    glmc_event_init(&pool->start, 0);
    glmc_event_init(&pool->done, 0);
    atomic_init(&pool->running, 0);
    atomic_init(&pool->busy, 0);
    pool->stop = 0;
    pool->started = 0;
    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < count - 1; i++) {
        pool->helpers[i].pool = pool;
        pool->helpers[i].number = i + 1;
        if (pthread_create(&pool->helpers[i].thread, 0, glmc_helper_main, &pool->helpers[i]) != 0) break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, 0);
    if (pool->started < count - 1) {
        glmc_pool_destroy(&pool->base);
        return 0;
    }
    return &pool->base;
}

#endif
