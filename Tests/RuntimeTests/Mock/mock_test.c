/* Drives the mock model through the whole C interface; prints "ok" or the line that failed. Built plain and under ASan, UBSan and TSan. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void) {
    char error[256] = "";
    CHECK(mock()->abi_version == GLMC_ABI_VERSION && mock()->check_cpu(error, sizeof error) == GLMC_OK);
    long_way();
    state();
    try_busy(0);
    run_sessions(1, 50, 3);
    run_sessions(3, 300, 5); /* more threads than processors, on small machines */
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], 0, concurrent, (void *)(i + 1)) == 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    puts("ok");
    return 0;
}
