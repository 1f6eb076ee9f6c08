/* A model written by hand in the form that the compiler emits: two entry points, a free dimension, a data-dependent output,
 * state updated in place, weights. The tests compile it with gcc and clang and under the sanitizers. */
#include "glmc_session.h"

#ifndef MOCK_FEATURES
#define MOCK_FEATURES ""
#endif
#ifndef MOCK_NAME
#define MOCK_NAME mock
#endif

#define GLMC_JOIN_(a, b) a##b
#define GLMC_JOIN(a, b) GLMC_JOIN_(a, b)
#define EXPORT __attribute__((visibility("default")))

static const _Alignas(64) float weights[] = {1, -2, 3, -4, 5, -6, 7, -8, /* bias */ 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
static _Atomic int cpu_checked;

/* main: x[n, 8] f32 -> y[n, 8] = relu(x * w + b), total[] = sum(y), positive[count, 2] i64 = where y > 0 */
static void k0(const glmc_frame *f, int tid, int nt) {
    const float *x = f->inputs[0].data, *w = (const float *)(const void *)f->weights;
    float *y = f->outputs[0].data;
    int64_t begin, end;
    glmc_split(f->dims[0], 1, tid, nt, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        for (int c = 0; c < 8; c++) {
            float v = x[i * 8 + c] * w[c] + w[8 + c];
            y[i * 8 + c] = v > 0 ? v : 0;
        }
    }
}

static void k1(glmc_frame *f, int tid, int nt) {
    if (tid != 0) return;
    (void)nt;
    const float *y = f->outputs[0].data;
    float *total = f->outputs[1].data;
    int64_t *positive = f->outputs[2].data, count = 0;
    *total = 0;
    for (int64_t i = 0; i < f->dims[0]; i++) {
        for (int64_t c = 0; c < 8; c++) {
            *total += y[i * 8 + c];
            if (!(y[i * 8 + c] > 0)) continue;
            positive[count * 2] = i;
            positive[count * 2 + 1] = c;
            count++;
        }
    }
    f->dims[1] = count;
}

static void main_body(glmc_frame *f, glmc_worker *worker) {
    const int tid = worker->number;
    const int64_t n = f->dims[0]; /* after the first region a thread may be late, and read nothing of the frame */
    if (n % 5 == 0) glmc_join(f, worker);
    GLMC_PARALLEL(worker, n * 100) { GLMC_KERNEL(f, tid, 0, k0(f, part, parts)); }
    if (n % 7 == 0) glmc_join(f, worker);
    GLMC_PARALLEL(worker, 0) { GLMC_KERNEL(f, tid, 1, k1(f, part, parts)); }
}

static void main_shapes(const int64_t *dims, int64_t *in, int64_t *out) {
    in[0] = dims[0]; in[1] = 8;
    out[0] = dims[0]; out[1] = 8;
    out[2] = dims[1]; out[3] = 2;
}

static void main_bounds(int64_t *dims) { dims[1] = 8 * dims[0]; }
static int64_t main_workspace(const int64_t *dims, int threads) { (void)dims; return (int64_t)threads * 64; }

static const glmc_tensor_info main_inputs[] = {
    {.name = "x", .dtype = GLMC_F32, .rank = 2, .shape = (const int64_t[]){-1, 8}, .dims = (const char *const[]){"n", "8"}, .state = -1},
};
static const glmc_tensor_info main_outputs[] = {
    {.name = "y", .dtype = GLMC_F32, .rank = 2, .shape = (const int64_t[]){-1, 8}, .dims = (const char *const[]){"n", "8"}, .state = -1},
    {.name = "total", .dtype = GLMC_F32, .rank = 0, .shape = 0, .dims = 0, .state = -1},
    {.name = "positive", .dtype = GLMC_I64, .rank = 2, .shape = (const int64_t[]){-1, 2}, .dims = (const char *const[]){"count", "2"}, .flags = GLMC_DATA_DEPENDENT, .state = -1},
};
static const glmc_dim_info main_dims[] = {
    {.name = "n", .min = 1, .max = 100000, .flags = 0},
    {.name = "count", .min = 0, .max = INT64_MAX, .flags = GLMC_DATA_DEPENDENT},
};
static const glmc_program main_program = {
    .entry = {.size = sizeof(glmc_entry), .input_count = 1, .output_count = 3, .dim_count = 2, .kernel_count = 2, .name = "main", .inputs = main_inputs, .outputs = main_outputs,
              .dims = main_dims, .output_shapes = glmc_program_shapes, .workspace_size = glmc_program_workspace, .run = glmc_program_run},
    .input_dims = (const int32_t[]){0, GLMC_SIZE_FIXED},
    .shapes = main_shapes, .bounds = main_bounds, .workspace = main_workspace, .least_work = 1000 /* small runs are cut too */, .body = main_body,
    .weights = weights, .cpu_features = MOCK_FEATURES, .cpu_checked = &cpu_checked,
};

/* step: cache[4] f32 (state), index[] i64 -> cache' with cache[index] += 1, in place; an index outside is the caller's error */
static void step_body(glmc_frame *f, glmc_worker *worker) {
    if (worker->number != 0) return;
    int64_t index = *(const int64_t *)f->inputs[1].data;
    if (index < 0 || index > 3) { glmc_fail(f, GLMC_BAD_DATA, "node 'step' (Scatter): the index is outside 0...3"); return; }
    ((float *)f->outputs[0].data)[index] += 1;
}
static int64_t step_workspace(const int64_t *dims, int threads) { (void)dims; (void)threads; return 0; }
static const glmc_tensor_info step_inputs[] = {
    {.name = "cache", .dtype = GLMC_F32, .rank = 1, .shape = (const int64_t[]){4}, .dims = (const char *const[]){"4"}, .state = 0},
    {.name = "index", .dtype = GLMC_I64, .rank = 0, .shape = 0, .dims = 0, .state = -1},
};
static const glmc_tensor_info step_outputs[] = {
    {.name = "cache_out", .dtype = GLMC_F32, .rank = 1, .shape = (const int64_t[]){4}, .dims = (const char *const[]){"4"}, .state = 0},
};
static const glmc_program step_program = {
    .entry = {.size = sizeof(glmc_entry), .input_count = 2, .output_count = 1, .kernel_count = 1, .name = "step", .inputs = step_inputs, .outputs = step_outputs,
              .output_shapes = glmc_program_shapes, .workspace_size = glmc_program_workspace, .run = glmc_program_run},
    .input_dims = (const int32_t[]){GLMC_SIZE_FIXED},
    .workspace = step_workspace, .body = step_body,
    .weights = weights, .cpu_features = MOCK_FEATURES, .cpu_checked = &cpu_checked,
};

static int check_cpu(char *error, uint64_t error_bytes) { return glmc_check_features(MOCK_FEATURES, error, error_bytes); }

static const char manifest[] = "{\"name\":\"mock\"}";
static const glmc_model model = {
    .abi_version = GLMC_ABI_VERSION, .size = sizeof(glmc_model), .name = "mock", .manifest = manifest, .manifest_bytes = sizeof manifest - 1,
    .cpu_features = MOCK_FEATURES, .device = GLMC_HOST, .entry_count = 2, .entries = (const glmc_entry *const[]){&main_program.entry, &step_program.entry},
    .weights = weights, .weights_bytes = sizeof weights,
    .check_cpu = check_cpu, .threads_create = glmc_pool_create, .session_open = glmc_session_open_, .session_run = glmc_session_run_, .session_close = glmc_session_close_,
};

EXPORT const glmc_model *MOCK_NAME(void);
EXPORT const glmc_model *MOCK_NAME(void) { return &model; }
#ifndef MOCK_STATIC
EXPORT const glmc_model *glmc_model_get(void);
EXPORT const glmc_model *glmc_model_get(void) { return &model; }
#endif
