/* Inputs that a caller may leave out. Included, after glmc_session.h, only by artifacts that have such inputs; their entry points are these functions'
 * callers, with a table of where in the weights the default of each input lies (-1: it has none). */
#ifndef GLMC_DEFAULTS_H
#define GLMC_DEFAULTS_H

#include "glmc_program.h"

/* The call with a description of its default, whose bytes are those in the weights, for every optional input without data. `inputs` has room for
 * all inputs. */
static glmc_call glmc_with_defaults(const glmc_entry *entry, const glmc_call *call, const int64_t *offsets, glmc_tensor *inputs) {
    const glmc_program *program = (const glmc_program *)entry;
    const unsigned char *weights = program->weights ? program->weights : call->weights;
    glmc_call whole = *call;
    whole.inputs = inputs;
    for (uint32_t i = 0; i < entry->input_count; i++) {
        inputs[i] = call->inputs[i];
        if (offsets[i] < 0 || inputs[i].data) continue;
        const glmc_tensor_info *info = &entry->inputs[i];
        inputs[i] = (glmc_tensor){.data = weights ? (void *)(uintptr_t)(weights + offsets[i]) : 0, .dtype = info->dtype, .rank = info->rank, .device = info->device};
        for (int d = 0; d < info->rank; d++) inputs[i].shape[d] = info->shape[d];
        inputs[i].bytes = (uint64_t)glmc_tensor_bytes(info->dtype, info->rank, info->shape);
    }
    return whole;
}

/* Whether the call can be read so far; what is wrong with it is said by the functions below. */
static int glmc_has_inputs(const glmc_entry *entry, const glmc_call *call) {
    return entry && call && call->size >= sizeof(glmc_call) && call->input_count == entry->input_count && call->inputs;
}

static int glmc_shapes_with_defaults(const glmc_entry *entry, const glmc_call *call, const int64_t *offsets) {
    if (!glmc_has_inputs(entry, call)) return glmc_program_shapes(entry, call);
    glmc_tensor inputs[entry->input_count];
    glmc_call whole = glmc_with_defaults(entry, call, offsets, inputs);
    return glmc_program_shapes(entry, &whole);
}

static int glmc_workspace_with_defaults(const glmc_entry *entry, const glmc_call *call, uint64_t *bytes, const int64_t *offsets) {
    if (!glmc_has_inputs(entry, call)) return glmc_program_workspace(entry, call, bytes);
    glmc_tensor inputs[entry->input_count];
    glmc_call whole = glmc_with_defaults(entry, call, offsets, inputs);
    return glmc_program_workspace(entry, &whole, bytes);
}

static int glmc_run_with_defaults(const glmc_entry *entry, const glmc_call *call, const int64_t *offsets) {
    if (!glmc_has_inputs(entry, call)) return glmc_program_run(entry, call);
    glmc_tensor inputs[entry->input_count];
    glmc_call whole = glmc_with_defaults(entry, call, offsets, inputs);
    return glmc_program_run(entry, &whole);
}

#endif
