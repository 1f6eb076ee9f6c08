/* Runs a linked-in model in several threads at once and compares every output with expected bytes.
 *
 *     cc -DMODEL=model_NAME check_artifact.c model.a -pthread -lm -o check && ./check FOLDER CALLERS THREADS RUNS TOLERANCE
 *
 * FOLDER holds shapes.txt (per input: rank, then sizes) and, row-major as the model takes and gives them, in0.bin, in1.bin, ..., out0.bin, ...
 * CALLERS threads share the model; every second one uses a session, the others the long way with memory of exactly the right size. Each has a
 * team of THREADS. Prints the largest relative L2 error of an output; integers must be equal.
 * Exit status: 0 all right, 1 an output differs, 2 something failed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include "glmc.h"

const glmc_model *MODEL(void);
/* A function: MODEL may be the name of a variable below. */
static const glmc_model *the_model(void) { return MODEL(); }

#define MOST 512

static const char *folder;
static int runs, threads;
static double tolerance;
static glmc_tensor inputs[MOST]; /* data: as the file has it */
static void *expected[MOST];
static uint64_t expected_bytes[MOST];

static void fail(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", what, text);
    exit(2);
}

static uint64_t element_bytes(int dtype) {
    static const uint8_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    return dtype > 0 && dtype < (int)sizeof sizes ? sizes[dtype] : 0;
}

static uint64_t tensor_bytes(const glmc_tensor *t) {
    uint64_t bytes = element_bytes(t->dtype);
    for (int i = 0; i < t->rank; i++) bytes *= (uint64_t)t->shape[i];
    return bytes;
}

static void *load(const char *kind, uint32_t number, uint64_t *bytes) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%u.bin", folder, kind, number);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path, "cannot be read");
    long size = ftell(file);
    rewind(file);
    void *data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) fail(path, "cannot be read");
    fclose(file);
    *bytes = (uint64_t)size;
    return data;
}

/* Memory that ends where the tensor ends and begins at no better alignment than its element's. `base` is what to free. */
static void *exact(const glmc_tensor *t, void **base) {
    uint64_t shift = element_bytes(t->dtype);
    *base = malloc(tensor_bytes(t) + shift);
    if (!*base) fail("memory", "none left");
    return (char *)*base + shift;
}

/* IEEE 754 binary16. */
static double half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 31 ? (fraction ? NAN : INFINITY) : ldexp(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
    return bits >> 15 ? -size : size;
}

/* The upper half of a binary32. */
static double bfloat(uint16_t bits) {
    uint32_t whole = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &whole, sizeof x);
    return x;
}

static double value(const void *data, int dtype, uint64_t i) {
    switch (dtype) {
    case GLMC_F16: return half(((const uint16_t *)data)[i]);
    case GLMC_BF16: return bfloat(((const uint16_t *)data)[i]);
    case GLMC_F32: return ((const float *)data)[i];
    case GLMC_F64: return ((const double *)data)[i];
    case GLMC_U8: case GLMC_BOOL: return ((const uint8_t *)data)[i];
    case GLMC_I8: return ((const int8_t *)data)[i];
    case GLMC_U16: return ((const uint16_t *)data)[i];
    case GLMC_I16: return ((const int16_t *)data)[i];
    case GLMC_I32: return ((const int32_t *)data)[i];
    case GLMC_U32: return ((const uint32_t *)data)[i];
    case GLMC_I64: return (double)((const int64_t *)data)[i];
    default: fail("an output", "of a type that this program does not compare"); return 0;
    }
}

/* ||actual - expected|| / ||expected||; infinity where NaN stands for a number or a number for NaN. */
static double difference(const glmc_tensor *actual, const void *wanted) {
    double above = 0, below = 0;
    uint64_t count = tensor_bytes(actual) / element_bytes(actual->dtype);
    for (uint64_t i = 0; i < count; i++) {
        double a = value(actual->data, actual->dtype, i), b = value(wanted, actual->dtype, i);
        if (a == b || (isnan(a) && isnan(b))) { below += isfinite(b) ? b * b : 0; continue; }
        if (!isfinite(a) || !isfinite(b)) return INFINITY;
        above += (a - b) * (a - b);
        below += b * b;
    }
    return above == 0 ? 0 : sqrt(above / (below > 0 ? below : 1e-30));
}

typedef struct caller {
    pthread_t thread;
    int number;
    int differs;
    double worst;
} caller;

static void *work(void *argument) {
    caller *self = argument;
    const glmc_model *model = the_model();
    const glmc_entry *entry = model->entries[0];
    char error[1024] = "";
    glmc_tensor in[MOST], out[MOST];
    void *owned[2 * MOST + 1] = {0};
    memset(out, 0, sizeof out);
    memcpy(in, inputs, sizeof in);
    for (uint32_t i = 0; i < entry->input_count; i++) {
        in[i].data = exact(&in[i], &owned[i]);
        memcpy(in[i].data, inputs[i].data, tensor_bytes(&in[i]));
    }
    glmc_call call = {.size = sizeof call, .input_count = entry->input_count, .output_count = entry->output_count, .inputs = in, .outputs = out,
                      .error = error, .error_bytes = sizeof error};
    if (entry->output_shapes(entry, &call)) fail("output_shapes", error);
    for (uint32_t i = 0; i < entry->output_count; i++) {
        out[i].bytes = tensor_bytes(&out[i]);
        out[i].data = exact(&out[i], &owned[MOST + i]);
    }
    glmc_session *session = 0;
    int usesSession = self->number % 2 == 0;
    if (usesSession) {
        if (glmc_session_open(model, threads, 0, &session, error, sizeof error)) fail("open", error);
    } else {
        call.threads = threads > 1 ? model->threads_create(threads) : 0;
        if (entry->workspace_size(entry, &call, &call.workspace_bytes)) fail("workspace_size", error);
        if (call.workspace_bytes > 0 && posix_memalign(&call.workspace, GLMC_ALIGNMENT, call.workspace_bytes)) fail("memory", "none left");
        owned[2 * MOST] = call.workspace;
    }
    for (int run = 0; run < runs; run++) {
        int status = usesSession ? glmc_session_run(model, session, 0, in, entry->input_count, out, entry->output_count, error, sizeof error) : entry->run(entry, &call);
        if (status) fail("run", error);
        for (uint32_t i = 0; i < entry->output_count; i++) {
            if (tensor_bytes(&out[i]) != expected_bytes[i]) fail(entry->outputs[i].name, "has another size than expected");
            double error_now = difference(&out[i], expected[i]);
            int isFloat = out[i].dtype == GLMC_F32 || out[i].dtype == GLMC_F64;
            if (!(error_now <= (isFloat ? tolerance : 0))) {
                fprintf(stderr, "caller %d, run %d: output '%s' has a relative error of %g\n", self->number, run, entry->outputs[i].name, error_now);
                self->differs = 1;
            }
            if (error_now > self->worst) self->worst = error_now;
        }
    }
    if (session) glmc_session_close(model, session);
    if (call.threads) call.threads->destroy(call.threads);
    for (int i = 0; i <= 2 * MOST; i++) free(owned[i]);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "check FOLDER CALLERS THREADS RUNS TOLERANCE");
    folder = argv[1];
    int callers = atoi(argv[2]);
    threads = atoi(argv[3]);
    runs = atoi(argv[4]);
    tolerance = atof(argv[5]);
    const glmc_entry *entry = the_model()->entries[0];
    if (entry->input_count > MOST || entry->output_count > MOST || callers < 1 || callers > 64) fail("arguments", "more than there is room for");
    char path[4096];
    snprintf(path, sizeof path, "%s/shapes.txt", folder);
    FILE *shapes = fopen(path, "r");
    if (!shapes) fail(path, "cannot be read");
    for (uint32_t i = 0; i < entry->input_count; i++) {
        glmc_tensor *t = &inputs[i];
        t->dtype = entry->inputs[i].dtype;
        int rank = -1;
        if (fscanf(shapes, "%d", &rank) != 1 || rank < 0 || rank > GLMC_MAX_RANK) fail(path, "is cut short");
        t->rank = rank;
        for (int d = 0; d < rank; d++) {
            long long size = -1;
            if (fscanf(shapes, "%lld", &size) != 1) fail(path, "is cut short");
            t->shape[d] = size;
        }
        t->data = load("in", i, &t->bytes);
        if (t->bytes != tensor_bytes(t)) fail(entry->inputs[i].name, "has a file of another size");
    }
    fclose(shapes);
    for (uint32_t i = 0; i < entry->output_count; i++) expected[i] = load("out", i, &expected_bytes[i]);
    static caller all[64];
    for (int i = 1; i < callers; i++) {
        all[i].number = i;
        if (pthread_create(&all[i].thread, 0, work, &all[i])) fail("threads", "none left");
    }
    work(&all[0]);
    double worst = all[0].worst;
    int differs = all[0].differs;
    for (int i = 1; i < callers; i++) {
        pthread_join(all[i].thread, 0);
        if (all[i].worst > worst) worst = all[i].worst;
        differs |= all[i].differs;
    }
    for (uint32_t i = 0; i < entry->input_count; i++) free(inputs[i].data);
    for (uint32_t i = 0; i < entry->output_count; i++) free(expected[i]);
    printf("%.3g\n", worst);
    return differs;
}
