/* The artifact's own team of threads (glmc_threads), made by glmc_model.threads_create. Included once per artifact. */
#ifndef GLMC_POOL_H
#define GLMC_POOL_H

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "glmc.h"
#include "glmc_team.h"

typedef struct glmc_pool {
    glmc_threads base;
    glmc_team team;          /* helpers wait on its `run` */
    glmc_event done;         /* a new value = all helpers have returned */
    _Atomic uint32_t running;
    _Atomic int busy;
    _Atomic int stop;
    int started;             /* helpers whose thread exists */
    /* The open run; helpers read it inside only. */
    int is_joined;           /* whether the caller waits for every helper */
    void (*body)(void *argument, int thread, int count);
    void *argument;
    struct glmc_helper { struct glmc_pool *pool; pthread_t thread; int number; } helpers[];
} glmc_pool;

static void *glmc_helper_main(void *argument) {
    struct glmc_helper *self = argument;
    glmc_pool *pool = self->pool;
    glmc_team *team = &pool->team;
    for (uint32_t seen = 0;;) {
        glmc_event_wait(&team->run, seen, team->spin_ns);
        seen = atomic_load(&team->run.value);
        if (atomic_load(&pool->stop)) return 0;
        if (seen % 2 == 0) continue;
        glmc_team_enter(team);
        if (atomic_load(&team->run.value) == seen) {
            int is_joined = pool->is_joined;
            pool->body(pool->argument, self->number, pool->base.count);
            if (is_joined && atomic_fetch_sub(&pool->running, 1) == 1) glmc_event_bump(&pool->done);
        }
        glmc_team_leave(team);
    }
}

/* Runs `body` on the calling thread and on every helper that comes before it returns there; with `is_joined`, on all of them. */
static int glmc_pool_work(glmc_pool *pool, int is_joined, void (*body)(void *argument, int thread, int count), void *argument) {
    if (atomic_exchange_explicit(&pool->busy, 1, memory_order_acquire)) return GLMC_BUSY;
    if (pool->base.count > 1) {
        pool->is_joined = is_joined;
        pool->body = body;
        pool->argument = argument;
        if (is_joined) atomic_store(&pool->running, (uint32_t)(pool->base.count - 1));
        glmc_team_open(&pool->team);
        body(argument, 0, pool->base.count);
        while (is_joined) {
            uint32_t done = atomic_load(&pool->done.value);
            if (atomic_load(&pool->running) == 0) break;
            glmc_event_wait(&pool->done, done, pool->base.spin_ns);
        }
        glmc_team_close(&pool->team);
    } else {
        body(argument, 0, 1);
    }
    atomic_store_explicit(&pool->busy, 0, memory_order_release);
    return GLMC_OK;
}

static int glmc_pool_run(glmc_threads *self, void (*body)(void *argument, int thread, int count), void *argument) {
    return glmc_pool_work((glmc_pool *)self, 1, body, argument);
}

static void glmc_pool_destroy(glmc_threads *self) {
    glmc_pool *pool = (glmc_pool *)self;
    if (!pool) return;
    atomic_store(&pool->stop, 1);
    glmc_event_set(&pool->team.run, atomic_load(&pool->team.run.value) + 2);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->helpers[i].thread, 0);
    glmc_team_destroy(&pool->team);
    glmc_event_destroy(&pool->done);
    free(pool->team.counters);
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
    if (count < 0 || count > 1024) return 0;
    if (count == 0) count = processors;
    size_t bytes = sizeof(glmc_pool) + (size_t)(count - 1) * sizeof(struct glmc_helper);
    glmc_pool *pool = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    glmc_claim_counter *counters = aligned_alloc(64, (size_t)count * sizeof(glmc_claim_counter));
    if (!pool || !counters) {
        free(pool);
        free(counters);
        return 0;
    }
    pool->base = (glmc_threads){.size = sizeof(glmc_threads), .count = count, .spin_ns = count > processors ? 0 : GLMC_SPIN_NS,
                                .run = glmc_pool_run, .destroy = glmc_pool_destroy};
    glmc_team_init(&pool->team, count, pool->base.spin_ns, counters, 1);
    glmc_event_init(&pool->done, 0);
    atomic_init(&pool->running, 0);
    atomic_init(&pool->busy, 0);
    atomic_init(&pool->stop, 0);
    pool->started = 0;
    /* Signals belong to the program's own threads, except those that tell of a fault in this one: blocked, they would end the program past its handlers. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
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
