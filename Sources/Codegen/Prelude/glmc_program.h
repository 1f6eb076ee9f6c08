/* Between the public interface and the emitted kernels: checks a call, binds its dimensions, runs the body. Included once per artifact.
 * What the emitted file has to provide is a glmc_program per entry point and one glmc_model; see docs/artifact.md. */
#ifndef GLMC_PROGRAM_H
#define GLMC_PROGRAM_H

#include <stdarg.h>
#include <stdio.h>

#include "glmc_cpu.h"
#include "glmc_frame.h"
#include "glmc_pool.h"

/* glmc_program.input_dims: how a size of an input takes part in binding. */
enum { GLMC_SIZE_FIXED = -1 /* must equal the declared one */, GLMC_SIZE_COMPUTED = -2 /* must equal what `shapes` computes */ };

typedef struct glmc_program {
    glmc_entry entry; /* must be first: the functions below get a pointer to it */
    /* For every size of every input in turn: the number of the dimension that it binds, or one of the above. */
    const int32_t *input_dims;
    /* For every dimension, the input (i64) that holds it, -1 for none, and which of its elements it is. Null when no input holds a dimension. */
    const int32_t (*dim_values)[2];
    /* Writes every size of every input, then of every output, from the dimensions. Null when all are fixed. */
    void (*shapes)(const int64_t *dims, int64_t *inputs, int64_t *outputs);
    /* Writes the upper bounds of the data-dependent dimensions from the others. Null when there are none. */
    void (*bounds)(int64_t *dims);
    /* Writes the most that every size of every output can be, whatever the data-dependent dimensions turn out to be. Null when there are none. */
    void (*most)(const int64_t *dims, int64_t *outputs);
    /* Refuses sizes with which an operator is not defined (glmc_disagree). Null when all bound sizes will do. */
    int (*agree)(const int64_t *dims, const glmc_call *call);
    /* Bytes of workspace; < 0 when they do not fit 63 bits, or when a size in between would be negative. Data-dependent dimensions hold their bounds. */
    int64_t (*workspace)(const int64_t *dims, int threads);
    /* The least work of a region that is cut into parts, and an estimate of the work in all such regions (see glmc_team.h): a run in
     * which that is not some times as much stays on the calling thread. Null when it is unknown: the whole team then runs. */
    int64_t least_work;
    int64_t (*split_work)(const int64_t *dims);
    /* All kernels in order, as regions; every thread of the team calls it with the same frame. */
    void (*body)(glmc_frame *frame, glmc_worker *worker);
    const void *weights;        /* null when they are in a file of their own */
    const char *cpu_features;   /* as in glmc_model */
    _Atomic int *cpu_checked;   /* remembers that this processor will do: written only with 1, so no run sees another's state */
} glmc_program;

__attribute__((format(printf, 3, 4))) static int glmc_error(const glmc_call *call, int status, const char *format, ...) {
    if (call->error && call->error_bytes > 0) {
        va_list list;
        va_start(list, format);
        vsnprintf(call->error, (size_t)call->error_bytes, format, list);
        va_end(list);
    }
    return status;
}

/* The answer of glmc_program.agree where `size` (written `what` in terms of the dimensions) does not fit `needed`. */
__attribute__((unused)) static int glmc_disagree(const glmc_call *call, const char *where, const char *what, long long size, const char *need, long long needed) {
    return glmc_error(call, GLMC_BAD_SHAPE, "these inputs do not fit together at %s: %s is %lld, which does not go with %s, %lld", where, what, size, need, needed);
}

/* The answer where `size` (written `what` in terms of the dimensions) must not be negative. */
__attribute__((unused)) static int glmc_too_small(const glmc_call *call, const char *where, const char *what, long long size) {
    return glmc_error(call, GLMC_BAD_SHAPE, "these inputs do not fit %s: %s is %lld, and must not be negative", where, what, size);
}

GLMC_ANY_CPU static int glmc_check_features(const char *features, char *error, uint64_t error_bytes) {
    size_t used = 0;
    int missing = 0;
    for (const char *at = features; *at;) {
        size_t length = strcspn(at, " ");
        if (length > 0 && !glmc_cpu_has(at, length)) {
            if (error && error_bytes > 0) {
                int n = snprintf(error + used, (size_t)error_bytes - used, "%s%.*s", missing ? ", " : "this processor lacks what the model was compiled for: ", (int)length, at);
                if (n > 0) used = used + (size_t)n < error_bytes ? used + (size_t)n : (size_t)error_bytes - 1;
            }
            missing++;
        }
        at += length + (at[length] == ' ');
    }
    if (missing && error && error_bytes > 0)
        snprintf(error + used, (size_t)error_bytes - used, "; compile it again with -march=native here, or for an older processor");
    return missing ? GLMC_NO_CPU : GLMC_OK;
}

/* Bits that one element takes in memory; 0 for a type without a fixed size. */
static int glmc_dtype_bits(int32_t dtype) {
    static const uint8_t bits[] = {0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8};
    return dtype > 0 && dtype < (int32_t)sizeof bits ? bits[dtype] : 0;
}

/* Bytes of a packed tensor; -1 when a size is negative or the product does not fit. */
static int64_t glmc_tensor_bytes(int32_t dtype, int32_t rank, const int64_t *shape) {
    int64_t count = glmc_dtype_bits(dtype);
    int empty = 0;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) return -1;
        if (shape[i] == 0) empty = 1;
        else if (__builtin_mul_overflow(count, shape[i], &count)) return -1;
    }
    return empty ? 0 : count / 8 + (count % 8 != 0);
}

static int64_t glmc_sizes(const glmc_tensor_info *infos, uint32_t count) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += infos[i].rank;
    return sum;
}

/* The sizes that were declared, where `shapes` has nothing to say. */
static void glmc_declared(const glmc_tensor_info *infos, uint32_t count, int64_t *sizes) {
    for (uint32_t i = 0; i < count; i++)
        for (int d = 0; d < infos[i].rank; d++) *sizes++ = infos[i].shape[d];
}

/* Checks the inputs' types and shapes and binds the dimensions. `in` and `out` receive every size of inputs and outputs. */
static int glmc_bind(const glmc_program *program, const glmc_call *call, int64_t *dims, int64_t *in, int64_t *out) {
    const glmc_entry *entry = &program->entry;
    if (call->input_count != entry->input_count || (entry->input_count && !call->inputs))
        return glmc_error(call, GLMC_BAD_ARGUMENT, "%s takes %u inputs, %u were given", entry->name, entry->input_count, call->inputs ? call->input_count : 0);
    for (uint32_t i = 0; i < entry->dim_count; i++) {
        dims[i] = -1;
        if (!program->dim_values || program->dim_values[i][0] < 0) continue;
        const int32_t input = program->dim_values[i][0], element = program->dim_values[i][1];
        const glmc_tensor *given = &call->inputs[input];
        const char *name = entry->inputs[input].name;
        if (given->dtype != GLMC_I64 || given->device != GLMC_HOST || !given->data || given->bytes / sizeof(int64_t) <= (uint64_t)element)
            return glmc_error(call, GLMC_BAD_ARGUMENT, "input '%s' must be an i64 on the host: it holds the dimension '%s'", name, entry->dims[i].name);
        memcpy(&dims[i], (const unsigned char *)given->data + (size_t)element * sizeof(int64_t), sizeof(int64_t));
        if (dims[i] < entry->dims[i].min || dims[i] > entry->dims[i].max)
            return glmc_error(call, GLMC_BAD_SHAPE, "input '%s' holds the size %lld, the model takes %lld to %lld", name, (long long)dims[i], (long long)entry->dims[i].min, (long long)entry->dims[i].max);
    }
    const int32_t *binds = program->input_dims;
    for (uint32_t i = 0; i < entry->input_count; i++) {
        const glmc_tensor *given = &call->inputs[i];
        const glmc_tensor_info *info = &entry->inputs[i];
        if (given->dtype != info->dtype)
            return glmc_error(call, GLMC_BAD_TYPE, "input '%s' has element type %d, the model takes %d", info->name, given->dtype, info->dtype);
        if (given->rank != info->rank)
            return glmc_error(call, GLMC_BAD_SHAPE, "input '%s' has %d dimensions, the model takes %d", info->name, given->rank, info->rank);
        if (given->device != info->device)
            return glmc_error(call, GLMC_BAD_ARGUMENT, "input '%s' lives on device kind %d, the model takes %d", info->name, given->device, info->device);
        for (int d = 0; d < info->rank; d++) {
            int64_t size = given->shape[d];
            int32_t which = *binds++;
            if (which < 0) continue;
            const glmc_dim_info *dim = &entry->dims[which];
            if (size < dim->min || size > dim->max)
                return glmc_error(call, GLMC_BAD_SHAPE, "input '%s', axis %d: '%s' is %lld, the model takes %lld to %lld", info->name, d, dim->name, (long long)size,
                                  (long long)dim->min, (long long)dim->max);
            if (dims[which] >= 0 && dims[which] != size)
                return glmc_error(call, GLMC_BAD_SHAPE, "input '%s', axis %d: '%s' is %lld here, but %lld in an earlier axis", info->name, d, dim->name, (long long)size,
                                  (long long)dims[which]);
            dims[which] = size;
        }
    }
    if (program->bounds) program->bounds(dims);
    if (program->shapes) {
        program->shapes(dims, in, out);
        if (program->most) program->most(dims, out);
    } else {
        glmc_declared(entry->inputs, entry->input_count, in);
        glmc_declared(entry->outputs, entry->output_count, out);
    }
    for (uint32_t i = 0; i < entry->input_count; i++) {
        for (int d = 0; d < entry->inputs[i].rank; d++, in++) {
            if (call->inputs[i].shape[d] != *in)
                return glmc_error(call, GLMC_BAD_SHAPE, "input '%s', axis %d: the size is %lld, the model takes %lld (%s)", entry->inputs[i].name, d,
                                  (long long)call->inputs[i].shape[d], (long long)*in, entry->inputs[i].dims[d]);
        }
    }
    for (uint32_t i = 0; i < entry->output_count; i++) {
        if (glmc_tensor_bytes(entry->outputs[i].dtype, entry->outputs[i].rank, out) < 0)
            return glmc_error(call, GLMC_BAD_SHAPE, "these inputs make output '%s' negative or too large", entry->outputs[i].name);
        out += entry->outputs[i].rank;
    }
    return program->agree ? program->agree(dims, call) : GLMC_OK;
}

static void glmc_write_shapes(const glmc_entry *entry, glmc_tensor *outputs, const int64_t *sizes) {
    for (uint32_t i = 0; i < entry->output_count; i++) {
        const glmc_tensor_info *info = &entry->outputs[i];
        outputs[i].dtype = info->dtype;
        outputs[i].rank = 0;
        outputs[i].device = info->device;
        for (int d = 0; d < info->rank; d++, sizes++)
            if (*sizes != 1 || !(info->squeezed >> d & 1)) outputs[i].shape[outputs[i].rank++] = *sizes;
    }
}

static int glmc_check_call(const glmc_entry *self, const glmc_call *call, int outputs) {
    if (!self || !call || call->size < sizeof(glmc_call)) return GLMC_BAD_ARGUMENT;
    if (outputs && (call->output_count != self->output_count || (self->output_count && !call->outputs)))
        return glmc_error(call, GLMC_BAD_ARGUMENT, "%s gives %u outputs, room for %u was passed", self->name, self->output_count, call->outputs ? call->output_count : 0);
    return GLMC_OK;
}

/* Room for the dimensions, and for all sizes of inputs and outputs; never of length 0. */
#define GLMC_SCRATCH(entry)                                    \
    int64_t dims[(entry)->dim_count + 1];                      \
    int64_t in[glmc_sizes((entry)->inputs, (entry)->input_count) + 1]; \
    int64_t out[glmc_sizes((entry)->outputs, (entry)->output_count) + 1]

static int glmc_program_shapes(const glmc_entry *self, const glmc_call *call) {
    int status = glmc_check_call(self, call, 1);
    if (status) return status;
    GLMC_SCRATCH(self);
    status = glmc_bind((const glmc_program *)self, call, dims, in, out);
    if (status) return status;
    glmc_write_shapes(self, call->outputs, out);
    return GLMC_OK;
}

static int glmc_check_threads(const glmc_call *call) {
    const glmc_threads *threads = call->threads;
    if (!threads) return GLMC_OK;
    if (threads->size < sizeof(glmc_threads) || !threads->run) return glmc_error(call, GLMC_BAD_ARGUMENT, "the team of threads is of another version, or has no run");
    if (threads->count < 1 || threads->count > 1024) return glmc_error(call, GLMC_BAD_ARGUMENT, "a team of %d threads", threads->count);
    if (threads->run == glmc_pool_run && threads->count != ((const glmc_pool *)threads)->team.count)
        return glmc_error(call, GLMC_BAD_ARGUMENT, "a team of %d threads says that it has %d", ((const glmc_pool *)threads)->team.count, threads->count);
    return GLMC_OK;
}

static int glmc_workspace_for(const glmc_program *program, const glmc_call *call, const int64_t *dims, uint64_t *bytes) {
    int status = glmc_check_threads(call);
    if (status) return status;
    int64_t need = program->workspace(dims, call->threads ? call->threads->count : 1);
    if (need < 0) return glmc_error(call, GLMC_BAD_SHAPE, "these inputs are too small for the model's windows, or need more memory than can be addressed");
    *bytes = (uint64_t)need;
    return GLMC_OK;
}

static int glmc_program_workspace(const glmc_entry *self, const glmc_call *call, uint64_t *bytes) {
    int status = glmc_check_call(self, call, 0);
    if (status) return status;
    if (!bytes) return glmc_error(call, GLMC_BAD_ARGUMENT, "no place for the workspace's size was passed");
    GLMC_SCRATCH(self);
    status = glmc_bind((const glmc_program *)self, call, dims, in, out);
    return status ? status : glmc_workspace_for((const glmc_program *)self, call, dims, bytes);
}

/* Whether `data` may be read as elements of the type: those of complex types are pairs. */
static int glmc_is_aligned(const void *data, int32_t dtype) {
    uintptr_t bytes = (uintptr_t)glmc_dtype_bits(dtype) / (dtype == GLMC_C64 || dtype == GLMC_C128 ? 16 : 8);
    return bytes < 2 || (uintptr_t)data % bytes == 0;
}

static int glmc_overlap(const void *a, uint64_t a_bytes, const void *b, uint64_t b_bytes) {
    uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    return a_bytes && b_bytes && (first < second ? second - first < a_bytes : first - second < b_bytes);
}

/* Refuses an output, number `i`, that shares memory with an input (unless it is its state), an earlier output or the workspace. `in` and `out` hold all sizes. */
static int glmc_check_overlap(const glmc_entry *self, const glmc_call *call, const int64_t *in, const int64_t *out, uint32_t i) {
    const void *data = call->outputs[i].data;
    uint64_t bytes = (uint64_t)glmc_tensor_bytes(self->outputs[i].dtype, self->outputs[i].rank, out + glmc_sizes(self->outputs, i));
    const char *with = glmc_overlap(data, bytes, call->workspace, call->workspace_bytes) ? "the workspace" : 0;
    for (uint32_t j = 0; j < i; out += self->outputs[j++].rank)
        if (glmc_overlap(data, bytes, call->outputs[j].data, (uint64_t)glmc_tensor_bytes(self->outputs[j].dtype, self->outputs[j].rank, out))) with = self->outputs[j].name;
    for (uint32_t j = 0; j < self->input_count; in += self->inputs[j++].rank) {
        uint64_t other = (uint64_t)glmc_tensor_bytes(self->inputs[j].dtype, self->inputs[j].rank, in);
        if ((int32_t)j != self->outputs[i].state && glmc_overlap(data, bytes, call->inputs[j].data, other)) with = self->inputs[j].name;
    }
    return with ? glmc_error(call, GLMC_BAD_ARGUMENT, "output '%s' shares memory with %s", self->outputs[i].name, with) : GLMC_OK;
}

static int glmc_check_buffers(const glmc_entry *self, const glmc_call *call, const int64_t *all_in, const int64_t *all_out) {
    const int64_t *in = all_in, *out = all_out;
    for (uint32_t i = 0; i < self->input_count; i++, in += self->inputs[i - 1].rank) {
        int64_t need = glmc_tensor_bytes(self->inputs[i].dtype, self->inputs[i].rank, in);
        if (need < 0 || (uint64_t)need > call->inputs[i].bytes)
            return glmc_error(call, GLMC_TOO_SMALL, "input '%s' holds %llu bytes, its shape needs %lld", self->inputs[i].name, (unsigned long long)call->inputs[i].bytes, (long long)need);
        if (need > 0 && !call->inputs[i].data) return glmc_error(call, GLMC_BAD_ARGUMENT, "input '%s' has no data", self->inputs[i].name);
        if (need > 0 && !glmc_is_aligned(call->inputs[i].data, self->inputs[i].dtype))
            return glmc_error(call, GLMC_BAD_ARGUMENT, "the data of input '%s' is not aligned to its elements", self->inputs[i].name);
    }
    for (uint32_t i = 0; i < self->output_count; i++, out += self->outputs[i - 1].rank) {
        const glmc_tensor_info *info = &self->outputs[i];
        int64_t need = glmc_tensor_bytes(info->dtype, info->rank, out);
        if (need < 0 || (uint64_t)need > call->outputs[i].bytes)
            return glmc_error(call, GLMC_TOO_SMALL, "output '%s' has room for %llu bytes, it needs %lld", info->name, (unsigned long long)call->outputs[i].bytes, (long long)need);
        if (need > 0 && !call->outputs[i].data) return glmc_error(call, GLMC_BAD_ARGUMENT, "output '%s' has no memory", info->name);
        if (need > 0 && !glmc_is_aligned(call->outputs[i].data, info->dtype)) return glmc_error(call, GLMC_BAD_ARGUMENT, "the memory of output '%s' is not aligned to its elements", info->name);
        if (info->state >= 0 && call->outputs[i].data != call->inputs[info->state].data)
            return glmc_error(call, GLMC_BAD_ARGUMENT, "output '%s' is input '%s' updated in place: both must be the same buffer", info->name, self->inputs[info->state].name);
        int status = glmc_check_overlap(self, call, all_in, all_out, i);
        if (status) return status;
    }
    return GLMC_OK;
}

typedef struct glmc_job {
    const glmc_program *program;
    glmc_team *team;
    glmc_frame frame;
} glmc_job;

static void glmc_job_body(void *argument, int tid, int nt) {
    glmc_job *job = argument;
    glmc_worker worker = glmc_worker_start(nt > 1 ? job->team : 0, tid, job->program->least_work);
    job->program->body(&job->frame, &worker);
    if (tid == 0) glmc_region(&worker);
}

/* A job on a team of the caller's own making, which need not keep its promises. */
typedef struct glmc_guests {
    glmc_job *job;
    int count;
    _Atomic int came, inside, broke; /* calls of the body, those that have not returned, and whether one was wrong */
    _Atomic unsigned char *taken;    /* by number: whether it is some thread's */
} glmc_guests;

/* A call with a number that is none, or another's, works under one that is free: all `count` may be waited for. A call too many does nothing. */
static void glmc_guest_body(void *argument, int tid, int nt) {
    glmc_guests *guests = argument;
    if (!guests) return;
    atomic_fetch_add(&guests->inside, 1);
    int is_right = nt == guests->count && tid >= 0 && tid < guests->count && !atomic_exchange(&guests->taken[tid], 1);
    if (!is_right) {
        atomic_store(&guests->broke, 1);
        for (tid = 0; tid < guests->count && atomic_exchange(&guests->taken[tid], 1); tid++) {}
    }
    if (tid < guests->count) {
        atomic_fetch_add(&guests->came, 1);
        glmc_job_body(guests->job, tid, guests->count);
    }
    atomic_fetch_sub(&guests->inside, 1);
}

static int glmc_run_guests(const glmc_call *call, glmc_job *job, glmc_threads *threads) {
    const int count = threads->count;
    glmc_claim_counter counters[count];
    _Atomic unsigned char taken[count];
    for (int i = 0; i < count; i++) atomic_init(&taken[i], 0);
    glmc_guests guests = {.job = job, .count = count, .taken = taken};
    glmc_team team;
    glmc_team_init(&team, count, threads->spin_ns, counters, 0);
    job->team = &team;
    int status = threads->run(threads, glmc_guest_body, &guests);
    /* Everything here is on this stack: no thread may be left in it. */
    for (; atomic_load(&guests.inside) > 0; sched_yield()) atomic_store(&guests.broke, 1);
    glmc_team_destroy(&team);
    if (!status && (atomic_load(&guests.broke) || atomic_load(&guests.came) != count))
        return glmc_error(call, GLMC_BAD_ARGUMENT, "the team of threads must call the body once for every number below %d, and return after all calls", count);
    return status == GLMC_BUSY ? glmc_error(call, GLMC_BUSY, "these threads are in use by another run: one team per concurrent run")
         : status ? glmc_error(call, status, "the team of threads failed with status %d", status) : GLMC_OK;
}

static int glmc_run_job(const glmc_call *call, glmc_job *job, int count) {
    glmc_threads *threads = call->threads;
    if (count == 1) {
        glmc_job_body(job, 0, 1);
        return GLMC_OK;
    }
    if (threads->run != glmc_pool_run) return glmc_run_guests(call, job, threads);
    job->team = &((glmc_pool *)threads)->team;
    int status = glmc_pool_work((glmc_pool *)threads, 0, glmc_job_body, job);
    return status ? glmc_error(call, status, "these threads are in use by another run: one team per concurrent run") : GLMC_OK;
}

static int glmc_run_checked(const glmc_program *program, const glmc_call *call) {
    const glmc_entry *self = &program->entry;
    GLMC_SCRATCH(self);
    int status = glmc_bind(program, call, dims, in, out);
    if (status) return status;
    status = glmc_check_buffers(self, call, in, out);
    if (status) return status;
    uint64_t need = 0;
    status = glmc_workspace_for(program, call, dims, &need);
    if (status) return status;
    if (need > call->workspace_bytes || (need && !call->workspace))
        return glmc_error(call, GLMC_TOO_SMALL, "the workspace holds %llu bytes, these inputs need %llu", (unsigned long long)(call->workspace ? call->workspace_bytes : 0), (unsigned long long)need);
    if ((uintptr_t)call->workspace % GLMC_ALIGNMENT)
        return glmc_error(call, GLMC_BAD_ARGUMENT, "the workspace must be aligned to %d bytes", GLMC_ALIGNMENT);
    const void *weights = program->weights ? program->weights : call->weights;
    if (!weights || (uintptr_t)weights % GLMC_ALIGNMENT)
        return glmc_error(call, GLMC_BAD_ARGUMENT, "this model's weights are in a file of their own: pass it mapped, aligned to %d bytes", GLMC_ALIGNMENT);
    int nt = call->threads ? call->threads->count : 1;
    if (nt > 1 && program->split_work && program->split_work(dims) / GLMC_SHARES < program->least_work) nt = 1;

    glmc_write_shapes(self, call->outputs, out);
    glmc_job job = {.program = program, .frame = {.workspace = call->workspace, .weights = weights, .inputs = call->inputs, .outputs = call->outputs,
                    .dims = dims, .stream = call->stream, .trace = call->trace, .trace_context = call->trace_context}};
    atomic_init(&job.frame.status, GLMC_OK);
    atomic_init(&job.frame.reason, "");
    glmc_barrier_init(&job.frame.barrier, nt, call->threads ? call->threads->spin_ns : 0);
    status = glmc_run_job(call, &job, nt);
    glmc_barrier_destroy(&job.frame.barrier);
    if (status) return status;
    if (program->bounds) {
        program->shapes(dims, in, out);
        glmc_write_shapes(self, call->outputs, out);
    }
    status = atomic_load(&job.frame.status);
    const char *reason = atomic_load(&job.frame.reason);
    if (status && job.frame.out_of_range) {
        long long value = (long long)job.frame.value, low = (long long)job.frame.low, high = (long long)job.frame.high;
        if (high < 0) return glmc_error(call, status, "%s: the data hold %lld, but there is nothing that it could index", reason, value);
        return glmc_error(call, status, "%s: the data hold %lld, which is outside of %lld to %lld", reason, value, low, high);
    }
    if (status) return glmc_error(call, status, "%s", reason);
    return GLMC_OK;
}

GLMC_ANY_CPU static int glmc_program_run(const glmc_entry *self, const glmc_call *call) {
    if (!self || !call || call->size < sizeof(glmc_call)) return GLMC_BAD_ARGUMENT;
    const glmc_program *program = (const glmc_program *)self;
    if (!atomic_load_explicit(program->cpu_checked, memory_order_relaxed)) {
        int status = glmc_check_features(program->cpu_features, call->error, call->error_bytes);
        if (status) return status;
        atomic_store_explicit(program->cpu_checked, 1, memory_order_relaxed);
    }
    int status = glmc_check_call(self, call, 1);
    return status ? status : glmc_run_checked(program, call);
}

#endif
