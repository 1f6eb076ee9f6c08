/* Times every kernel of an artifact: the smallest processor time of each launch over several runs on one thread, so that other
 * programs on the machine disturb little. Prints one line per launch: number, milliseconds. Used by profile.py.
 *
 *   cc -O2 -I ../../Sources/Codegen/Prelude profile.c -o profile -ldl && ./profile ./model.so 10 [dim=value …] */
#include "glmc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAUNCHES = 8192 };
static double begun[LAUNCHES], best[LAUNCHES];
static int last;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

static void trace(void *context, int kernel, int thread, int ends)
{
    (void)context;
    if (thread != 0 || kernel >= LAUNCHES) return;
    if (!ends) { begun[kernel] = now(); return; }
    double spent = now() - begun[kernel];
    if (best[kernel] == 0 || spent < best[kernel]) best[kernel] = spent;
    if (kernel > last) last = kernel;
}

static size_t width(int dtype)
{
    switch (dtype) {
    case GLMC_I64: case GLMC_F64: case GLMC_U64: return 8;
    case GLMC_F32: case GLMC_I32: case GLMC_U32: return 4;
    case GLMC_F16: case GLMC_I16: case GLMC_U16: return 2;
    default: return 1;
    }
}

int main(int count, char **arguments)
{
    void *library = count > 1 ? dlopen(arguments[1], RTLD_NOW) : 0;
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    const glmc_model *(*get)(void) = (const glmc_model *(*)(void))dlsym(library, "glmc_model_get");
    const glmc_model *model = get();
    const glmc_entry *entry = model->entries[0];
    glmc_tensor *inputs = calloc(entry->input_count, sizeof *inputs), *outputs = calloc(entry->output_count, sizeof *outputs);
    for (uint32_t i = 0; i < entry->input_count; i++) {
        const glmc_tensor_info *info = &entry->inputs[i];
        size_t elements = 1;
        inputs[i].dtype = info->dtype;
        inputs[i].rank = info->rank;
        for (int a = 0; a < info->rank; a++) {
            int64_t size = info->shape[a] < 0 ? 1 : info->shape[a];
            for (int k = 3; k < count; k++) {
                char *equals = strchr(arguments[k], '=');
                if (equals && strncmp(arguments[k], info->dims[a], (size_t)(equals - arguments[k])) == 0) size = atoll(equals + 1);
            }
            inputs[i].shape[a] = size;
            elements *= (size_t)size;
        }
        inputs[i].bytes = elements * width(info->dtype);
        inputs[i].data = aligned_alloc(64, (inputs[i].bytes + 127) / 64 * 64);
        memset(inputs[i].data, 0, inputs[i].bytes);
        if (info->dtype == GLMC_F32)
            for (size_t k = 0; k < elements; k++) ((float *)inputs[i].data)[k] = (float)(k * 2654435761u % 1000) * 1e-3f;
    }
    char error[512] = "";
    glmc_call call = { .size = sizeof call, .input_count = entry->input_count, .output_count = entry->output_count, .inputs = inputs,
                       .outputs = outputs, .trace = trace, .error = error, .error_bytes = sizeof error };
    if (entry->output_shapes(entry, &call)) return fprintf(stderr, "%s\n", error), 1;
    for (uint32_t i = 0; i < entry->output_count; i++) {
        outputs[i].bytes = width(outputs[i].dtype);
        for (int a = 0; a < outputs[i].rank; a++) outputs[i].bytes *= (uint64_t)outputs[i].shape[a];
        outputs[i].data = aligned_alloc(64, (outputs[i].bytes + 127) / 64 * 64);
    }
    uint64_t bytes = 0;
    if (entry->workspace_size(entry, &call, &bytes)) return fprintf(stderr, "%s\n", error), 1;
    call.workspace = aligned_alloc(64, (bytes + 127) / 64 * 64);
    call.workspace_bytes = bytes;
    for (int run = 0; run < (count > 2 ? atoi(arguments[2]) : 10); run++)
        if (entry->run(entry, &call)) return fprintf(stderr, "%s\n", error), 1;
    for (int i = 0; i <= last; i++) printf("%d %.4f\n", i, best[i]);
    fprintf(stderr, "%s\n", model->manifest);
    return 0;
}
