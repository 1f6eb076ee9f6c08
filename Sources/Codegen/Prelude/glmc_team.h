/* Dividing a run between the threads of a team.
 *
 * A run is a sequence of regions; each is cut into parts that threads claim, and the next one may begin when all its parts are done.
 * Every thread owns a share of a region's parts (the same share of every region, so that its data stays in its cache), does those
 * first, and then takes what others have not begun. So a thread that the system keeps from running delays nobody: the others do its
 * work, and when it comes late it finds its parts taken and goes on. The calling thread never waits for a helper that holds no part. */
#ifndef GLMC_TEAM_H
#define GLMC_TEAM_H

#include "glmc_sync.h"

/* Work is counted in operations of a contraction at full speed, of which a core does about 100 per nanosecond. */
#define GLMC_SHARES 4 /* parts per thread at most: what is left when a thread falls behind can be divided again */

typedef struct glmc_claim_counter {
    /* Number of the region's first part << 16 | parts of its owner that are claimed. Parts are numbered through all runs of a team. */
    _Alignas(64) _Atomic uint64_t claimed;
} glmc_claim_counter;

typedef struct glmc_team {
    _Alignas(64) _Atomic uint64_t finished; /* parts that are done */
    glmc_event epoch;                       /* moves when a region is complete */
    glmc_event run;                         /* odd while a run is open */
    glmc_event left;                        /* moves when the last helper has left a closed run */
    _Alignas(64) _Atomic uint32_t inside;   /* helpers that may touch the run's data */
    /* Of the open run, constant while a helper is inside: its number, and the parts that were done before it. */
    uint32_t serial;
    uint64_t base;
    int64_t spin_ns;
    int count;
    /* Whether the team outlives the run, so that helpers may wait outside of it. */
    int is_resident;
    glmc_claim_counter *counters; /* one per thread */
} glmc_team;

/* A thread's own record of a run. */
typedef struct glmc_worker {
    glmc_team *team; /* null when the thread is alone */
    int number, count;
    int is_late; /* the run ended without it: it must touch nothing any more */
    int holds;   /* whether it holds a part */
    int cursor;  /* how many owners it has looked at */
    uint32_t serial;     /* the run's number */
    uint64_t begin, end; /* the current region's parts */
    int64_t least;       /* the least work of a region that is cut */
} glmc_worker;

__attribute__((unused)) static void glmc_team_init(glmc_team *team, int count, int64_t spin_ns, glmc_claim_counter *counters, int is_resident) {
    atomic_init(&team->finished, 0);
    atomic_init(&team->inside, 0);
    glmc_event_init(&team->epoch, 0);
    glmc_event_init(&team->run, 0);
    glmc_event_init(&team->left, 0);
    for (int i = 0; i < count; i++) atomic_init(&counters[i].claimed, 0);
    team->serial = 0;
    team->base = 0;
    team->spin_ns = spin_ns;
    team->count = count;
    team->is_resident = is_resident;
    team->counters = counters;
}

__attribute__((unused)) static void glmc_team_destroy(glmc_team *team) {
    glmc_event_destroy(&team->epoch);
    glmc_event_destroy(&team->run);
    glmc_event_destroy(&team->left);
}

/* Opens a run to the helpers. */
__attribute__((unused)) static void glmc_team_open(glmc_team *team) {
    team->base = atomic_load(&team->finished);
    team->serial = atomic_load_explicit(&team->run.value, memory_order_relaxed) + 1;
    glmc_event_set(&team->run, team->serial);
}

static inline void glmc_team_enter(glmc_team *team) { atomic_fetch_add(&team->inside, 1); }

static inline void glmc_team_leave(glmc_team *team) {
    if (atomic_fetch_sub(&team->inside, 1) == 1 && atomic_load(&team->run.value) % 2 == 0) glmc_event_bump(&team->left);
}

/* Closes the run and waits until no helper is inside. Helpers find out by themselves. */
__attribute__((unused)) static void glmc_team_close(glmc_team *team) {
    atomic_store(&team->run.value, team->serial + 1);
    for (;;) {
        uint32_t left = atomic_load(&team->left.value);
        if (atomic_load(&team->inside) == 0) return;
        glmc_event_wait(&team->left, left, team->spin_ns);
    }
}

/* The record of thread `number` at the start of a run that it is inside of. */
static inline glmc_worker glmc_worker_start(glmc_team *team, int number, int64_t least) {
    return (glmc_worker){.team = team, .number = number, .count = team ? team->count : 1, .serial = team ? team->serial : 0, .end = team ? team->base : 0, .least = least};
}

static inline int glmc_parts_done(const glmc_worker *worker) { return (int64_t)(atomic_load(&worker->team->finished) - worker->end) >= 0; }

__attribute__((unused, noinline)) static int glmc_region_wait(glmc_worker *worker) {
    glmc_team *team = worker->team;
    if (worker->is_late) return 0;
    if (glmc_parts_done(worker)) return 1;
    int steps_out = worker->number != 0 && team->is_resident;
    if (steps_out) glmc_team_leave(team);
    int64_t end = team->spin_ns > 0 ? glmc_now_ns() + team->spin_ns : 0;
    for (;;) {
        uint32_t epoch = atomic_load(&team->epoch.value);
        for (int i = 0; i < 64 && !glmc_parts_done(worker); i++) glmc_pause();
        if (glmc_parts_done(worker)) break;
        if (glmc_now_ns() >= end) glmc_event_sleep(&team->epoch, epoch);
    }
    if (steps_out) {
        glmc_team_enter(team);
        worker->is_late = atomic_load(&team->run.value) != worker->serial;
    }
    return !worker->is_late;
}

/* Waits until all earlier regions are complete. 0: the run has ended, and nothing of it may be touched. */
static inline int glmc_region(glmc_worker *worker) { return worker->count == 1 || glmc_region_wait(worker); }

/* Into how many parts a region of so much work is cut. */
static inline int glmc_parts(const glmc_worker *worker, int64_t work) {
    if (worker->count == 1 || work < worker->least) return 1;
    int64_t shares = work / (worker->least / 2 + 1) / worker->count;
    return worker->count * (int)(shares < 1 ? 1 : shares > GLMC_SHARES ? GLMC_SHARES : shares);
}

/* Begins a region of `parts` parts, after glmc_region. */
static inline int glmc_begin(glmc_worker *worker, int parts) {
    worker->begin = worker->end;
    worker->end += (uint64_t)parts;
    return parts;
}

__attribute__((unused, noinline)) static int glmc_claim_shared(glmc_worker *worker, int parts) {
    glmc_team *team = worker->team;
    if (worker->holds) {
        worker->holds = 0;
        if (atomic_fetch_add(&team->finished, 1) + 1 == worker->end) glmc_event_bump(&team->epoch);
    }
    for (; parts > 0 && worker->cursor < worker->count; worker->cursor++) {
        int owner = (worker->number + worker->cursor) % worker->count;
        int first = (int)((int64_t)parts * owner / worker->count), limit = (int)((int64_t)parts * (owner + 1) / worker->count);
        if (parts == 1) { /* nobody's own */
            first = 0;
            limit = owner == 0;
        }
        _Atomic uint64_t *counter = &team->counters[owner].claimed;
        uint64_t seen = atomic_load(counter);
        while (seen >> 16 <= worker->begin) {
            uint64_t taken = seen >> 16 == worker->begin ? seen & 0xffff : 0;
            if (first + (int)taken >= limit) break;
            if (!atomic_compare_exchange_weak(counter, &seen, worker->begin << 16 | (taken + 1))) continue;
            worker->holds = 1;
            return first + (int)taken;
        }
    }
    worker->cursor = 0;
    return -1;
}

/* The next part for this thread, whose last one is done with that; -1: none is left. */
static inline int glmc_claim(glmc_worker *worker, int parts) {
    if (worker->count > 1) return glmc_claim_shared(worker, parts);
    worker->cursor ^= 1;
    return worker->cursor - 1;
}

__attribute__((unused, noinline)) static int glmc_open_shared(glmc_worker *worker, int64_t work) {
    return glmc_region_wait(worker) ? glmc_begin(worker, glmc_parts(worker, work)) : 0;
}

/* Waits for the earlier regions and begins one of so much work: its parts. 0: the run has ended. */
static inline int glmc_open(glmc_worker *worker, int64_t work) { return worker->count == 1 ? 1 : glmc_open_shared(worker, work); }

/* The statement after it runs once for every part: `part` of `parts`. Each region sees what all earlier ones wrote. */
#define GLMC_PARALLEL(worker, work) \
    for (int parts = glmc_open(worker, work), part; (part = glmc_claim(worker, parts)) >= 0;)

#endif
