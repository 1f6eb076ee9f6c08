/* glmc_session: threads, workspace, output memory and mapped weights behind one handle. Included once per artifact. */
#ifndef GLMC_SESSION_H
#define GLMC_SESSION_H

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "glmc_program.h"

struct glmc_session {
    const glmc_model *model;
    glmc_threads *threads;
    void *workspace;
    uint64_t workspace_bytes;
    unsigned char *mapped;       /* the file of external weights */
    uint64_t mapped_bytes;
    _Atomic int busy;
    uint32_t buffer_count;       /* the most outputs of any entry */
    struct { void *data; uint64_t bytes; } buffers[];
};

#define GLMC_WEIGHTS_HEADER 128 /* "GLMCWTS1", 64 hexadecimal digits of the weights_id, zeros; then the blob */
#define GLMC_WEIGHTS_TRAILER 24 /* behind the blob: loaders check it, as that of a library */

static int glmc_map_weights(glmc_session *session, const char *path, const glmc_call *text) {
    const glmc_model *model = session->model;
    int file = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (file < 0) return glmc_error(text, GLMC_BAD_FILE, "cannot open the weights '%s': %s", path ? path : "", path ? strerror(errno) : "no path was given");
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || (uint64_t)info.st_size != model->weights_bytes + GLMC_WEIGHTS_HEADER + GLMC_WEIGHTS_TRAILER) {
        close(file);
        return glmc_error(text, GLMC_BAD_FILE, "the weights '%s' are not of this model: they should hold %llu bytes", path, (unsigned long long)model->weights_bytes + GLMC_WEIGHTS_HEADER + GLMC_WEIGHTS_TRAILER);
    }
    void *at = mmap(0, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (at == MAP_FAILED) return glmc_error(text, GLMC_NO_MEMORY, "cannot map the weights '%s': %s", path, strerror(errno));
    session->mapped = at;
    session->mapped_bytes = (uint64_t)info.st_size;
    if (memcmp(session->mapped, "GLMCWTS1", 8) != 0 || memcmp(session->mapped + 8, model->weights_id, 64) != 0)
        return glmc_error(text, GLMC_BAD_FILE, "the weights '%s' are not of this model: their id differs", path);
    return GLMC_OK;
}

static void glmc_session_close_(glmc_session *session) {
    if (!session) return;
    if (session->threads) session->threads->destroy(session->threads);
    if (session->mapped) munmap(session->mapped, (size_t)session->mapped_bytes);
    for (uint32_t i = 0; i < session->buffer_count; i++) free(session->buffers[i].data);
    free(session->workspace);
    free(session);
}

static int glmc_session_open_(const glmc_model *model, int threads, const char *weights_path, glmc_session **out, char *error, uint64_t error_bytes) {
    glmc_call text = {.size = sizeof text, .error = error, .error_bytes = error_bytes};
    if (!model || !out) return glmc_error(&text, GLMC_BAD_ARGUMENT, "no model, or no place for the session, was passed");
    if (threads < 0 || threads > 1024) return glmc_error(&text, GLMC_BAD_ARGUMENT, "a session cannot have %d threads", threads);
    *out = 0;
    int status = model->check_cpu(error, error_bytes);
    if (status) return status;
    uint32_t most = 0;
    for (uint32_t i = 0; i < model->entry_count; i++) most = model->entries[i]->output_count > most ? model->entries[i]->output_count : most;
    glmc_session *session = calloc(1, sizeof(glmc_session) + most * sizeof *session->buffers);
    if (!session) return glmc_error(&text, GLMC_NO_MEMORY, "no memory for a session");
    session->model = model;
    session->buffer_count = most;
    atomic_init(&session->busy, 0);
    if (!model->weights) status = glmc_map_weights(session, weights_path ? weights_path : model->weights_file, &text);
    if (!status && threads != 1) {
        session->threads = model->threads_create(threads);
        if (!session->threads) status = glmc_error(&text, GLMC_NO_MEMORY, "cannot start %d threads", threads);
    }
    if (status) glmc_session_close_(session);
    else *out = session;
    return status;
}

/* Makes *data hold at least `need` bytes, aligned; what it held before is lost. */
static int glmc_room(void **data, uint64_t *bytes, uint64_t need) {
    if (need <= *bytes && *data) return 1;
    uint64_t rounded = (need + GLMC_ALIGNMENT) / GLMC_ALIGNMENT * GLMC_ALIGNMENT;
    if (rounded < need || rounded > SIZE_MAX / 2) return 0;
    free(*data);
    *data = aligned_alloc(GLMC_ALIGNMENT, (size_t)rounded);
    *bytes = *data ? rounded : 0;
    return *data != 0;
}

static int glmc_session_prepare(glmc_session *session, const glmc_entry *entry, glmc_call *call) {
    /* The caller's output descriptions stay as they are until the run has succeeded. */
    glmc_tensor shapes[entry->output_count + 1];
    memset(shapes, 0, sizeof shapes);
    glmc_call asked = *call;
    asked.outputs = shapes;
    int status = entry->output_shapes(entry, &asked);
    if (status) return status;
    for (uint32_t i = 0; i < entry->output_count; i++) {
        if (call->outputs[i].data && call->outputs[i].data != session->buffers[i].data) continue;
        int64_t bytes = glmc_tensor_bytes(shapes[i].dtype, shapes[i].rank, shapes[i].shape);
        int32_t state = entry->outputs[i].state;
        if (state >= 0) {
            call->outputs[i].data = call->inputs[state].data;
            call->outputs[i].bytes = call->inputs[state].bytes;
        } else if (bytes < 0 || !glmc_room(&session->buffers[i].data, &session->buffers[i].bytes, (uint64_t)bytes)) {
            return glmc_error(call, GLMC_NO_MEMORY, "no memory for output '%s' (%lld bytes)", entry->outputs[i].name, (long long)bytes);
        } else {
            call->outputs[i].data = session->buffers[i].data;
            call->outputs[i].bytes = session->buffers[i].bytes;
        }
    }
    uint64_t need = 0;
    status = entry->workspace_size(entry, call, &need);
    if (status) return status;
    if (!glmc_room(&session->workspace, &session->workspace_bytes, need))
        return glmc_error(call, GLMC_NO_MEMORY, "no memory for a workspace of %llu bytes", (unsigned long long)need);
    call->workspace = session->workspace;
    call->workspace_bytes = session->workspace_bytes;
    return GLMC_OK;
}

static int glmc_session_run_(glmc_session *session, uint32_t number, const glmc_tensor *inputs, uint32_t input_count, glmc_tensor *outputs, uint32_t output_count,
                             char *error, uint64_t error_bytes) {
    glmc_call call = {.size = sizeof call, .input_count = input_count, .output_count = output_count, .inputs = inputs, .outputs = outputs, .error = error, .error_bytes = error_bytes};
    if (!session || number >= session->model->entry_count) return glmc_error(&call, GLMC_BAD_ARGUMENT, "no session, or no entry point number %u", number);
    const glmc_entry *entry = session->model->entries[number];
    int status = glmc_check_call(entry, &call, 1);
    if (status) return status;
    if (atomic_exchange_explicit(&session->busy, 1, memory_order_acquire)) return glmc_error(&call, GLMC_BUSY, "this session is in use by another thread: one session per concurrent run");
    call.threads = session->threads;
    call.weights = session->mapped ? session->mapped + GLMC_WEIGHTS_HEADER : 0;
    status = glmc_session_prepare(session, entry, &call);
    if (!status) status = entry->run(entry, &call);
    atomic_store_explicit(&session->busy, 0, memory_order_release);
    return status;
}

#endif
