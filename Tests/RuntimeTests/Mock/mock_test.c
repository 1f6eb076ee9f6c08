/* Drives the mock model through the whole C interface; prints "ok" or the line that failed. Built plain and under ASan, UBSan and TSan. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "glmc.h"

const glmc_model *mock(void);

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, error);         \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

static glmc_tensor tensor(void *data, uint64_t bytes, int32_t dtype, int32_t rank, int64_t a, int64_t b) {
    return (glmc_tensor){.data = data, .bytes = bytes, .dtype = dtype, .rank = rank, .shape = {a, b}};
}

static void fill(float *x, int n, unsigned seed) {
    for (int i = 0; i < n * 8; i++) x[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5f;
}

static int same(const float *x, const float *y, int n) {
    for (int i = 0; i < n * 8; i++) {
        float w = (i % 8 + 1) * (i % 2 ? -1.0f : 1.0f), v = x[i] * w + 0.5f;
        if (y[i] - (v > 0 ? v : 0) > 1e-6f || (v > 0 ? v : 0) - y[i] > 1e-6f) return 0;
    }
    return 1;
}

/* Many runs of one session, sizes changing from run to run. */
static void run_sessions(int threads, int rounds, unsigned seed) {
    char error[256] = "";
    const glmc_model *model = mock();
    glmc_session *session = 0;
    CHECK(glmc_session_open(model, threads, 0, &session, error, sizeof error) == GLMC_OK);
    for (int round = 0; round < rounds; round++) {
        int n = 1 + (int)((seed + (unsigned)round * 7u) % 100);
        float *x = malloc((size_t)n * 32);
        fill(x, n, seed + (unsigned)round);
        glmc_tensor in = tensor(x, (uint64_t)n * 32, GLMC_F32, 2, n, 8), out[3];
        memset(out, 0, sizeof out);
        CHECK(glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error) == GLMC_OK);
        CHECK(out[0].rank == 2 && out[0].shape[0] == n && out[0].shape[1] == 8 && same(x, out[0].data, n));
        int64_t count = 0;
        for (int i = 0; i < n * 8; i++) count += ((float *)out[0].data)[i] > 0;
        CHECK(out[1].rank == 0 && out[2].shape[0] == count && out[2].shape[1] == 2);
        free(x);
    }
    glmc_session_close(model, session);
}

static void *concurrent(void *argument) {
    run_sessions(2, 200, (unsigned)(size_t)argument);
    return 0;
}

static int traced[2];
static void trace(void *context, int kernel, int thread, int ends) {
    (void)context; (void)thread;
    if (ends) traced[kernel]++;
}

static void long_way(void) {
    char error[256] = "";
    const glmc_model *model = mock();
    const glmc_entry *entry = model->entries[0];
    float x[5 * 8], y[5 * 8], total;
    int64_t positive[5 * 8 * 2];
    fill(x, 5, 1);
    glmc_tensor in = tensor(x, sizeof x, GLMC_F32, 2, 5, 8), out[3] = {tensor(y, sizeof y, 0, 0, 0, 0), tensor(&total, sizeof total, 0, 0, 0, 0), tensor(positive, sizeof positive, 0, 0, 0, 0)};
    glmc_call call = {.size = sizeof call, .input_count = 1, .output_count = 3, .inputs = &in, .outputs = out, .error = error, .error_bytes = sizeof error, .trace = trace};
    CHECK(entry->output_shapes(entry, &call) == GLMC_OK && out[2].shape[0] == 40);
    uint64_t bytes = 0;
    CHECK(entry->workspace_size(entry, &call, &bytes) == GLMC_OK && bytes == 64);
    CHECK(entry->run(entry, &call) == GLMC_TOO_SMALL && strstr(error, "workspace"));
    _Alignas(64) char workspace[128];
    call.workspace = workspace; call.workspace_bytes = 64;
    CHECK(entry->run(entry, &call) == GLMC_OK && same(x, y, 5) && traced[0] == 1 && traced[1] == 1);
    call.workspace = workspace + 8;
    CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT && strstr(error, "aligned"));
    call.workspace = workspace;
    in.shape[0] = 0;
    CHECK(entry->run(entry, &call) == GLMC_BAD_SHAPE && strstr(error, "'n' is 0"));
    in.shape[0] = 5; in.shape[1] = 9;
    CHECK(entry->run(entry, &call) == GLMC_BAD_SHAPE && strstr(error, "axis 1"));
    in.shape[1] = 8; in.dtype = GLMC_F64;
    CHECK(entry->run(entry, &call) == GLMC_BAD_TYPE);
    in.dtype = GLMC_F32; in.bytes = 159;
    CHECK(entry->run(entry, &call) == GLMC_TOO_SMALL && strstr(error, "'x' holds 159"));
    in.bytes = 160; in.data = 0;
    CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT);
    in.data = x; out[2].bytes = 16;
    CHECK(entry->run(entry, &call) == GLMC_TOO_SMALL && strstr(error, "positive"));
    out[2].bytes = sizeof positive; call.output_count = 2;
    CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT);
    call.output_count = 3; call.size = 8;
    CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT && entry->run(entry, 0) == GLMC_BAD_ARGUMENT);
    call.size = sizeof call; call.error = 0; in.rank = 3;
    CHECK(entry->run(entry, &call) == GLMC_BAD_SHAPE);
}

static void state(void) {
    char error[256] = "";
    const glmc_model *model = mock();
    glmc_session *session = 0;
    CHECK(glmc_session_open(model, 1, 0, &session, error, sizeof error) == GLMC_OK);
    float cache[4] = {0}, other[4];
    int64_t index = 2;
    glmc_tensor in[2] = {tensor(cache, sizeof cache, GLMC_F32, 1, 4, 0), tensor(&index, 8, GLMC_I64, 0, 0, 0)}, out = tensor(cache, sizeof cache, 0, 0, 0, 0);
    for (int i = 0; i < 3; i++) CHECK(glmc_session_run(model, session, 1, in, 2, &out, 1, error, sizeof error) == GLMC_OK);
    CHECK(cache[2] == 3);
    out.data = other;
    CHECK(glmc_session_run(model, session, 1, in, 2, &out, 1, error, sizeof error) == GLMC_BAD_ARGUMENT && strstr(error, "in place"));
    out.data = cache; index = 4;
    CHECK(glmc_session_run(model, session, 1, in, 2, &out, 1, error, sizeof error) == GLMC_BAD_DATA && strstr(error, "outside"));
    CHECK(glmc_session_run(model, session, 2, in, 2, &out, 1, error, sizeof error) == GLMC_BAD_ARGUMENT);
    glmc_session_close(model, session);
}

/* A team is refused while it works for another run. */
static void *try_busy(void *argument);
typedef struct { glmc_threads *threads; int refused; } busy_job;
static void nothing(void *argument, int thread, int count) { (void)argument; (void)thread; (void)count; }
static void busy_body(void *argument, int thread, int count) {
    (void)count;
    busy_job *job = argument;
    if (thread == 0) job->refused = job->threads->run(job->threads, nothing, 0) == GLMC_BUSY;
}

static void *try_busy(void *argument) {
    char error[1] = "";
    busy_job job = {.threads = mock()->threads_create(2)};
    (void)argument;
    CHECK(job.threads && job.threads->run(job.threads, busy_body, &job) == GLMC_OK && job.refused);
    job.threads->destroy(job.threads);
    return 0;
}

/* Teams that do not keep what glmc.h asks of them. */
typedef struct { void (*body)(void *argument, int thread, int count); void *argument; int thread, count, is_late; pthread_t id; } member;
static member members[4];
static _Atomic int has_begun, has_returned;

static void note_begin(void *context, int kernel, int thread, int ends) {
    (void)context; (void)kernel; (void)thread; (void)ends;
    atomic_store(&has_begun, 1);
}

static void *run_member(void *argument) {
    member *self = argument;
    struct timespec pause = {.tv_nsec = 20000000};
    if (self->is_late) {
        while (!atomic_load(&has_returned)) sched_yield();
        nanosleep(&pause, 0);
    }
    self->body(self->argument, self->thread, self->count);
    return 0;
}

/* What each call of the body says of itself, up to -2; whether `run` returns while the first is at work and the second has not come. */
typedef struct { glmc_threads base; int numbers[5]; int said, leaves; } bad_team;

static int bad_run(glmc_threads *self, void (*body)(void *argument, int thread, int count), void *argument) {
    bad_team *team = (bad_team *)self;
    int n = 0;
    for (; team->numbers[n] > -2; n++) {
        members[n] = (member){body, argument, team->numbers[n], team->said, n && team->leaves, 0};
        if (pthread_create(&members[n].id, 0, run_member, &members[n]) != 0) exit(2);
    }
    while (team->leaves && !atomic_load(&has_begun)) sched_yield();
    for (int i = 0; i < n && !team->leaves; i++) pthread_join(members[i].id, 0);
    atomic_store(&has_returned, 1);
    return 0;
}

static void bad_teams(void) {
    char error[256] = "";
    const glmc_model *model = mock();
    const glmc_entry *entry = model->entries[0];
    float x[10 * 8], y[10 * 8], total;
    int64_t positive[10 * 8 * 2];
    _Alignas(64) char workspace[256];
    fill(x, 10, 1);
    static const struct { int rows, numbers[5], said, leaves, status; } cases[] = {
        {10, {0, 1, -2}, 2, 0, GLMC_OK}, {10, {1, 0, -2}, 2, 0, GLMC_OK}, {10, {0, 0, -2}, 2, 0, GLMC_BAD_ARGUMENT}, {10, {1, 2, -2}, 2, 0, GLMC_BAD_ARGUMENT},
        {10, {-1, 1 << 30, -2}, 2, 0, GLMC_BAD_ARGUMENT}, {10, {0, 1, 1, 5, -2}, 2, 0, GLMC_BAD_ARGUMENT}, {10, {0, 1, -2}, 3, 0, GLMC_BAD_ARGUMENT},
        {3, {-2}, 2, 0, GLMC_BAD_ARGUMENT}, {3, {0, -2}, 2, 0, GLMC_BAD_ARGUMENT}, {3, {1, -2}, 2, 0, GLMC_BAD_ARGUMENT}, {7, {0, 1, -2}, 2, 1, GLMC_BAD_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bad_team team = {.base = {.size = sizeof team.base, .count = 2, .run = bad_run}, .said = cases[i].said, .leaves = cases[i].leaves};
        atomic_store(&has_begun, 0);
        atomic_store(&has_returned, 0);
        memcpy(team.numbers, cases[i].numbers, sizeof team.numbers);
        glmc_tensor in = tensor(x, (uint64_t)cases[i].rows * 32, GLMC_F32, 2, cases[i].rows, 8), out[3] = {tensor(y, sizeof y, 0, 0, 0, 0), tensor(&total, sizeof total, 0, 0, 0, 0), tensor(positive, sizeof positive, 0, 0, 0, 0)};
        glmc_call call = {.size = sizeof call, .input_count = 1, .output_count = 3, .inputs = &in, .outputs = out, .error = error, .error_bytes = sizeof error, .workspace = workspace,
                          .workspace_bytes = sizeof workspace, .threads = &team.base, .trace = note_begin};
        int status = entry->run(entry, &call);
        if (cases[i].leaves) for (int m = 0; m < 2; m++) pthread_join(members[m].id, 0);
        CHECK(status == cases[i].status && (status || same(x, y, cases[i].rows)));
        if (status) CHECK(strstr(error, "once for every number below 2"));
        team.base.size = 8;
        CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT);
        team.base = (glmc_threads){.size = sizeof team.base, .count = 2};
        CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT);
        uint64_t bytes;
        team.base = (glmc_threads){.size = sizeof team.base, .count = -5, .run = bad_run};
        CHECK(entry->workspace_size(entry, &call, &bytes) == GLMC_BAD_ARGUMENT);
    }
    /* A team that lies about its own size. */
    glmc_threads *threads = model->threads_create(2);
    glmc_tensor in = tensor(x, 320, GLMC_F32, 2, 10, 8), out[3] = {tensor(y, sizeof y, 0, 0, 0, 0), tensor(&total, sizeof total, 0, 0, 0, 0), tensor(positive, sizeof positive, 0, 0, 0, 0)};
    glmc_call call = {.size = sizeof call, .input_count = 1, .output_count = 3, .inputs = &in, .outputs = out, .error = error, .error_bytes = sizeof error, .workspace = workspace,
                      .workspace_bytes = sizeof workspace, .threads = threads};
    threads->count = 3;
    CHECK(entry->run(entry, &call) == GLMC_BAD_ARGUMENT);
    threads->count = 2;
    CHECK(entry->run(entry, &call) == GLMC_OK && same(x, y, 10));
    threads->destroy(threads);
    CHECK(model->threads_create(-1) == 0 && model->threads_create(1025) == 0);
}

/* Buffers that cannot be told apart from right ones by their size. */
static void bad_buffers(void) {
    char error[256] = "";
    const glmc_model *model = mock();
    _Alignas(64) char memory[4096];
    glmc_session *session = 0;
    CHECK(glmc_session_open(model, -1, 0, &session, error, sizeof error) == GLMC_BAD_ARGUMENT && !session);
    CHECK(glmc_session_open(0, 1, 0, &session, error, sizeof error) == GLMC_BAD_ARGUMENT);
    CHECK(glmc_session_open(model, 1, 0, &session, error, sizeof error) == GLMC_OK);
    fill((float *)memory, 2, 1);
    glmc_tensor in = tensor(memory, 64, GLMC_F32, 2, 2, 8), out[3];
    static const struct { int input, outputs[3], status; } cases[] = {
        {0, {64, 128, 192}, GLMC_OK}, {2, {64, 256, 512}, GLMC_BAD_ARGUMENT}, {0, {66, 256, 512}, GLMC_BAD_ARGUMENT}, {0, {0, 256, 512}, GLMC_BAD_ARGUMENT}, {0, {60, 256, 512}, GLMC_BAD_ARGUMENT},
        {0, {64, 124, 512}, GLMC_BAD_ARGUMENT}, {0, {64, 128, 68}, GLMC_BAD_ARGUMENT}, {0, {64, 128, 136}, GLMC_OK}, {512, {64, 256, 128 + 64 * 6}, GLMC_BAD_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        in.data = memory + cases[i].input;
        for (int o = 0; o < 3; o++) out[o] = tensor(memory + cases[i].outputs[o], 1024, 0, 0, 0, 0);
        error[0] = 0;
        int status = glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error);
        CHECK(status == cases[i].status && (!status || strstr(error, "aligned") || strstr(error, "shares memory")));
    }
    /* The session's own memory of a result is not an input of the run that writes it. */
    in.data = memory;
    memset(out, 0, sizeof out);
    CHECK(glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error) == GLMC_OK);
    in.data = out[0].data;
    CHECK(glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error) == GLMC_BAD_ARGUMENT && strstr(error, "shares memory with x"));
    for (int64_t size = -1; size > INT64_MIN / 2; size = size * 4 - 1) {
        in = tensor(memory, UINT64_MAX, GLMC_F32, 2, size, 8);
        CHECK(glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error) == GLMC_BAD_SHAPE);
        in.shape[0] = -size;
        if (size < -100000) CHECK(glmc_session_run(model, session, 0, &in, 1, out, 3, error, sizeof error) == GLMC_BAD_SHAPE);
    }
    glmc_session_close(model, session);
    glmc_session_close(0, 0);
}

int main(void) {
    char error[256] = "";
    CHECK(mock()->abi_version == GLMC_ABI_VERSION && mock()->check_cpu(error, sizeof error) == GLMC_OK);
    long_way();
    state();
    try_busy(0);
    bad_teams();
    bad_buffers();
    run_sessions(1, 50, 3);
    run_sessions(3, 300, 5); /* more threads than processors, on small machines */
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], 0, concurrent, (void *)(i + 1)) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    puts("ok");
    return 0;
}
