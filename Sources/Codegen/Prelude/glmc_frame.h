/* What a kernel sees of one run. Included by every emitted file with kernels; private to the artifact. */
#ifndef GLMC_FRAME_H
#define GLMC_FRAME_H

#include "glmc.h"
#include "glmc_team.h"

typedef struct glmc_frame {
    unsigned char *workspace;     /* aligned to GLMC_ALIGNMENT */
    const unsigned char *weights; /* the blob, aligned likewise */
    const glmc_tensor *inputs;
    glmc_tensor *outputs;
    int64_t *dims;                /* by number, as in the entry's `dims`; data-dependent ones are written while running */
    void *stream;
    void (*trace)(void *trace_context, int kernel, int thread, int ends);
    void *trace_context;
    _Atomic int status;           /* first failure of any thread, or GLMC_OK */
    const char *_Atomic reason;   /* its text, a string constant; of a value out of range, what demands the range */
    int64_t value, low, high;     /* a value in the data and the range that it should lie in */
    int out_of_range;             /* whether these three are set */
    glmc_barrier barrier;         /* of all threads, for glmc_join */
} glmc_frame;

/* Records why the result is undefined (an index out of range, a size that does not fit); the first call wins. The kernel then goes on with
 * anything that keeps its accesses in bounds. */
__attribute__((unused, noinline, cold)) static void glmc_fail(glmc_frame *frame, int status, const char *reason) {
    int ok = GLMC_OK;
    if (atomic_compare_exchange_strong(&frame->status, &ok, status)) atomic_store(&frame->reason, reason);
}

/* Records that the data hold `value` where only `low` to `high` make sense to `who`. */
__attribute__((unused, noinline, cold)) static void glmc_report(glmc_frame *frame, const char *who, int64_t value, int64_t low, int64_t high) {
    int ok = GLMC_OK;
    if (!atomic_compare_exchange_strong(&frame->status, &ok, GLMC_BAD_DATA)) return;
    frame->value = value;
    frame->low = low;
    frame->high = high;
    frame->out_of_range = 1;
    atomic_store(&frame->reason, who);
}

/* The part [*begin, *end) of 0..<count that part `tid` of `nt` does: contiguous, sizes differ by at most one `grain`. */
static inline void glmc_split(int64_t count, int64_t grain, int tid, int nt, int64_t *begin, int64_t *end) {
    int64_t grains = (count + grain - 1) / grain, share = grains / nt, more = grains % nt;
    int64_t first = tid * share + (tid < more ? tid : more), last = first + share + (tid < more);
    *begin = first * grain < count ? first * grain : count;
    *end = last * grain < count ? last * grain : count;
}

/* Returns once all threads have come and all earlier regions are complete: around what every thread reads, such as the condition of a
 * branch. Unlike regions it waits for threads that come late. */
__attribute__((unused)) static void glmc_join(glmc_frame *frame, glmc_worker *worker) {
    if (worker->count > 1 && glmc_region(worker)) glmc_barrier_wait(&frame->barrier);
}

__attribute__((unused, noinline, cold)) static void glmc_trace(const glmc_frame *frame, int kernel, int thread, int ends) {
    frame->trace(frame->trace_context, kernel, thread, ends);
}

/* Runs a kernel, with tracing when it is asked for. */
#define GLMC_KERNEL(frame, tid, number, call)                                                           \
    do {                                                                                                \
        if (__builtin_expect((frame)->trace != 0, 0)) glmc_trace(frame, number, tid, 0);                \
        call;                                                                                           \
        if (__builtin_expect((frame)->trace != 0, 0)) glmc_trace(frame, number, tid, 1);                \
    } while (0)

#endif
