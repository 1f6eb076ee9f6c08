/* Run an artifact that is linked in, on zeros: the short way, and the long way that allocates nothing while it runs.
 *
 *     glmc compile NAME.onnx -o model.a && cc -DMODEL=model_NAME run.c model.a -pthread -lm -o run      (glmc.h is written beside model.a)
 *
 * Without -DMODEL it opens a shared library instead: cc run.c -o run && ./run ./model.so */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "glmc.h"

#ifdef MODEL
const glmc_model *MODEL(void);
static const glmc_model *open_model(const char *path) { (void)path; return MODEL(); }
#else
static const glmc_model *open_model(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    const glmc_model *(*get)(void) = 0;
    if (library) *(void **)&get = dlsym(library, "glmc_model_get");
    if (!get) fprintf(stderr, "%s\n", dlerror());
    return get ? get() : 0;
}
#endif

static uint64_t bytes_of(const glmc_tensor *t) {
    static const uint64_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    uint64_t bytes = sizes[t->dtype];
    for (int i = 0; i < t->rank; i++) bytes *= (uint64_t)t->shape[i];
    return bytes;
}

static int failed(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n", what, text);
    return 1;
}

int main(int argc, char **argv) {
    char error[512] = "";
    const glmc_model *model = open_model(argc > 1 ? argv[1] : "");
    if (!model) return 1;
    const glmc_entry *entry = model->entries[0];
    glmc_tensor inputs[16] = {0}, outputs[16] = {0};
    if (entry->input_count > 16 || entry->output_count > 16) return failed(model->name, "more tensors than this example has room for");

    /* Inputs: free sizes become 2. */
    for (uint32_t i = 0; i < entry->input_count; i++) {
        inputs[i].dtype = entry->inputs[i].dtype;
        inputs[i].rank = entry->inputs[i].rank;
        for (int d = 0; d < inputs[i].rank; d++) inputs[i].shape[d] = entry->inputs[i].shape[d] < 0 ? 2 : entry->inputs[i].shape[d];
        inputs[i].bytes = bytes_of(&inputs[i]);
        inputs[i].data = calloc(1, inputs[i].bytes + 1);
    }

    /* The short way: a session owns threads and memory. */
    glmc_session *session;
    if (glmc_session_open(model, 2, 0, &session, error, sizeof error)) return failed("open", error);
    if (glmc_session_run(model, session, 0, inputs, entry->input_count, outputs, entry->output_count, error, sizeof error)) return failed("run", error);
    for (uint32_t i = 0; i < entry->output_count; i++) {
        printf("%s: [", entry->outputs[i].name);
        for (int d = 0; d < outputs[i].rank; d++) printf("%s%lld", d ? ", " : "", (long long)outputs[i].shape[d]);
        printf("]\n");
    }
    glmc_session_close(model, session);

    /* The long way: everything belongs to the caller. */
    glmc_call call = {.size = sizeof call, .input_count = entry->input_count, .output_count = entry->output_count, .inputs = inputs, .outputs = outputs,
                      .error = error, .error_bytes = sizeof error};
    if (entry->output_shapes(entry, &call)) return failed("output_shapes", error);
    for (uint32_t i = 0; i < entry->output_count; i++) {
        outputs[i].bytes = bytes_of(&outputs[i]);
        outputs[i].data = calloc(1, outputs[i].bytes + 1);
    }
    if (entry->workspace_size(entry, &call, &call.workspace_bytes)) return failed("workspace_size", error);
    call.workspace = aligned_alloc(GLMC_ALIGNMENT, (call.workspace_bytes / GLMC_ALIGNMENT + 1) * GLMC_ALIGNMENT);
    if (entry->run(entry, &call)) return failed("run", error);
    printf("%s: %llu bytes of workspace\n", model->name, (unsigned long long)call.workspace_bytes);

    free(call.workspace);
    for (uint32_t i = 0; i < entry->output_count; i++) free(outputs[i].data);
    for (uint32_t i = 0; i < entry->input_count; i++) free(inputs[i].data);
    return 0;
}
