/* glmc_engine.h: what the generators of one language model share: a session, and states that hold the keys and values of a text for each of them. */
#ifndef GLMC_ENGINE_H
#define GLMC_ENGINE_H

#include <stdarg.h>

#include "glmc_checksum.h"
#include "glmc_session.h"

#define GLMC_CHUNK 256 /* tokens of a prompt that one call computes */

typedef struct glmc_engine {
    const glmc_model *model;
    const glmc_language *language;
    glmc_session *session;
    glmc_tensor *cache;          /* the states [sequences, heads, rows, width], in the order of their entry points, and one without data behind them */
    glmc_tensor *tensors;        /* room for an entry point's inputs and outputs */
    int64_t *chunk;              /* tokens of a call */
    int64_t *lengths;            /* [sequences] */
    float *scores;               /* [sequences, vocabulary] of a call for several texts; null where there is one */
    glmc_generator **generators; /* [sequences]; null: the slot is free */
    uint32_t users;
} glmc_engine;

__attribute__((format(printf, 4, 5))) static int glmc_failure(char *error, uint64_t error_bytes, int status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (error && error_bytes > 0) vsnprintf(error, (size_t)error_bytes, format, list);
    va_end(list);
    return status;
}

/* MARK: Opening */

static void glmc_engine_close(glmc_engine *engine) {
    if (!engine) return;
    for (uint32_t i = 0; engine->cache && engine->cache[i].data; i++) free(engine->cache[i].data);
    if (engine->session) glmc_session_close(engine->model, engine->session);
    free(engine->cache);
    free(engine->tensors);
    free(engine->chunk);
    free(engine->lengths);
    free(engine->scores);
    free(engine->generators);
    free(engine);
}

/* Memory for the states of an entry point, in order; untouched, because what they hold at first is never read. */
static int glmc_make_cache(glmc_engine *engine, const glmc_entry *entry) {
    for (uint32_t i = 0, state = 0; i < entry->input_count; i++) {
        const glmc_tensor_info *info = &entry->inputs[i];
        if (info->state < 0) continue;
        glmc_tensor tensor = {.dtype = info->dtype, .rank = info->rank};
        for (int axis = 0; axis < info->rank; axis++) tensor.shape[axis] = info->shape[axis];
        int64_t bytes = glmc_tensor_bytes(info->dtype, info->rank, info->shape);
        void *data = 0;
        if (bytes < 0 || !glmc_room(&data, &tensor.bytes, (uint64_t)bytes)) return 0;
        tensor.data = data;
        engine->cache[state++] = tensor;
    }
    return 1;
}

static int glmc_engine_open(const glmc_model *model, int threads, const char *weights_path, glmc_engine **out, char *error, uint64_t error_bytes) {
    const glmc_language *language = glmc_model_language(model);
    const glmc_entry *prefill = model->entries[language->prefill_entry];
    size_t most = 0, sequences = (size_t)language->sequences, rows = sequences > GLMC_CHUNK ? sequences : GLMC_CHUNK;
    for (uint32_t i = 0; i < model->entry_count; i++) most = model->entries[i]->input_count > most ? model->entries[i]->input_count : most;
    glmc_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for a generator");
    engine->model = model;
    engine->language = language;
    engine->cache = calloc(most + 1, sizeof *engine->cache);
    engine->tensors = calloc(2 * most + 2, sizeof *engine->tensors);
    engine->chunk = calloc(rows, sizeof *engine->chunk);
    engine->lengths = calloc(sequences, sizeof *engine->lengths);
    engine->generators = calloc(sequences, sizeof *engine->generators);
    if (sequences > 1) engine->scores = calloc(sequences * (size_t)language->vocabulary, sizeof *engine->scores);
    int status = GLMC_OK, has_room = engine->cache && engine->tensors && engine->chunk && engine->lengths && engine->generators && (sequences == 1 || engine->scores);
    if (!has_room || !glmc_make_cache(engine, prefill))
        status = glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for a cache of %zu times %lld tokens", sequences, (long long)language->context);
    if (!status) status = glmc_session_open(model, threads, weights_path, &engine->session, error, error_bytes);
    if (status) glmc_engine_close(engine);
    else *out = engine;
    return status;
}

/* MARK: Running */

/* Runs an entry point on tokens i64 [rows, columns] in `chunk`; `past` is an i64, or, for several texts, one for each row. Scores go to `scores`. */
static int glmc_engine_run(glmc_engine *engine, uint32_t number, int64_t rows, int64_t columns, int64_t *past, int64_t slot, float *scores, uint64_t score_rows,
                           char *error, uint64_t error_bytes) {
    const glmc_entry *entry = engine->model->entries[number];
    glmc_tensor *inputs = engine->tensors, *outputs = engine->tensors + entry->input_count;
    for (uint32_t i = 0, state = 0; i < entry->input_count; i++) {
        const glmc_tensor_info *info = &entry->inputs[i];
        glmc_tensor tensor = {.data = engine->chunk, .bytes = (uint64_t)(rows * columns) * sizeof(int64_t), .dtype = GLMC_I64, .rank = 2, .shape = {rows, columns}};
        if (info->state >= 0) tensor = engine->cache[state++];
        else if (strcmp(info->name, "slot") == 0) tensor = (glmc_tensor){.data = &slot, .bytes = sizeof slot, .dtype = GLMC_I64};
        else if (strcmp(info->name, "past") == 0)
            tensor = (glmc_tensor){.data = past, .bytes = (uint64_t)rows * sizeof(int64_t), .dtype = GLMC_I64, .rank = info->rank, .shape = {rows}};
        inputs[i] = tensor;
    }
    for (uint32_t i = 0; i < entry->output_count; i++) {
        outputs[i] = (glmc_tensor){.data = scores, .bytes = score_rows * (uint64_t)engine->language->vocabulary * sizeof(float)};
        if (entry->outputs[i].state >= 0) outputs[i] = inputs[entry->outputs[i].state];
    }
    return glmc_session_run(engine->model, engine->session, number, inputs, entry->input_count, outputs, entry->output_count, error, error_bytes);
}

/* MARK: Rows of states */

/* A state of fewer rows than a text may have tokens. */
static int glmc_is_ring(const glmc_engine *engine, const glmc_tensor *state) { return state->shape[2] < engine->language->context; }

/* How many rows of a state belong to `count` tokens: of a ring, all that `reached` tokens, how many there were at most, left there. */
static uint64_t glmc_row_count(const glmc_engine *engine, const glmc_tensor *state, uint64_t count, uint64_t reached) {
    if (!glmc_is_ring(engine, state)) return count;
    return reached < (uint64_t)state->shape[2] ? reached : (uint64_t)state->shape[2];
}

/* Where the rows of a slot's head lie in a state, and how many bytes a row has. */
static unsigned char *glmc_rows(const glmc_tensor *state, uint64_t slot, int64_t head, uint64_t *row_bytes) {
    int64_t shape[1] = {state->shape[3]};
    *row_bytes = (uint64_t)glmc_tensor_bytes(state->dtype, 1, shape);
    return (unsigned char *)state->data + (slot * (uint64_t)state->shape[1] + (uint64_t)head) * (uint64_t)state->shape[2] * *row_bytes;
}

/* Gives slot `to` the rows of tokens `first` ..< `end` of slot `from`; of a ring, all that `reached` tokens left there. */
static void glmc_copy_rows(const glmc_engine *engine, uint32_t from, uint32_t to, uint64_t first, uint64_t end, uint64_t reached) {
    for (const glmc_tensor *state = engine->cache; state->data; state++)
        for (int64_t head = 0; head < state->shape[1]; head++) {
            uint64_t bytes, start = glmc_is_ring(engine, state) ? 0 : first, rows = glmc_row_count(engine, state, end, reached);
            const unsigned char *source = glmc_rows(state, from, head, &bytes);
            if (start < rows) memcpy(glmc_rows(state, to, head, &bytes) + start * bytes, source + start * bytes, (size_t)((rows - start) * bytes));
        }
}

/* MARK: Files of states */

/* A file is this, the tokens, of every state and head the rows of these tokens, and a checksum; numbers lie as the processor has them. */
typedef struct glmc_text_header {
    char mark[8];         /* "GLMCTEXT" */
    uint64_t artifact;    /* glmc_artifact_check */
    uint64_t count;       /* tokens */
    uint64_t reached;     /* how many tokens there were at most: what a ring holds of earlier ones depends on it */
    uint64_t state_bytes;
} glmc_text_header;

static uint64_t glmc_artifact_check(const glmc_model *model) {
    return (uint64_t)glmc_crc((const uint8_t *)model->manifest, model->manifest_bytes) << 32 | (model->manifest_bytes & 0xffffffffu);
}

static uint64_t glmc_state_bytes(const glmc_engine *engine, uint64_t count, uint64_t reached) {
    uint64_t bytes = 0;
    for (const glmc_tensor *state = engine->cache; state->data; state++) {
        uint64_t row;
        glmc_rows(state, 0, 0, &row);
        bytes += (uint64_t)state->shape[1] * glmc_row_count(engine, state, count, reached) * row;
    }
    return bytes;
}

/* Writes a part of the file and carries the check value on; 0: the file takes no more. */
static int glmc_put_part(FILE *file, const void *bytes, uint64_t count, uint32_t *crc) {
    *crc = glmc_crc_continued(*crc, bytes, count);
    return fwrite(bytes, 1, (size_t)count, file) == count;
}

/* Writes the first `count` tokens of a slot and their rows to a file, which is complete or not there. */
static int glmc_save_rows(const glmc_engine *engine, uint32_t slot, const int32_t *tokens, uint64_t count, uint64_t reached, const char *path, char *error, uint64_t error_bytes) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the path of the state is too long");
    struct stat info;
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) return glmc_failure(error, error_bytes, GLMC_BAD_FILE, "'%s' is not a regular file", path);
    int number = mkstemp(temporary);
    FILE *file = number < 0 ? 0 : fdopen(number, "wb");
    if (!file) {
        int reason = errno;
        if (number >= 0) close(number);
        return glmc_failure(error, error_bytes, GLMC_BAD_FILE, "cannot write the state '%s': %s", path, strerror(reason));
    }
    uint64_t bytes = glmc_state_bytes(engine, count, reached), row;
    glmc_text_header header = {.artifact = glmc_artifact_check(engine->model), .count = count, .reached = reached, .state_bytes = bytes};
    memcpy(header.mark, "GLMCTEXT", sizeof header.mark);
    uint8_t checksum[GLMC_TRAILER_BYTES];
    uint32_t crc = 0;
    int is_whole = glmc_put_part(file, &header, sizeof header, &crc) && glmc_put_part(file, tokens, count * sizeof *tokens, &crc);
    for (const glmc_tensor *state = engine->cache; state->data; state++)
        for (int64_t head = 0; is_whole && head < state->shape[1]; head++) {
            const unsigned char *rows = glmc_rows(state, slot, head, &row);
            is_whole = glmc_put_part(file, rows, glmc_row_count(engine, state, count, reached) * row, &crc);
        }
    glmc_trailer_write(crc, sizeof header + count * sizeof *tokens + bytes, checksum);
    is_whole = is_whole && fwrite(checksum, 1, sizeof checksum, file) == sizeof checksum;
    is_whole = fclose(file) == 0 && is_whole && rename(temporary, path) == 0;
    if (is_whole) return GLMC_OK;
    int reason = errno;
    remove(temporary);
    return glmc_failure(error, error_bytes, GLMC_BAD_FILE, "cannot write the state '%s': %s", path, strerror(reason));
}

/* Reads what glmc_save_rows wrote into a slot: tokens, how many, and how many there were at most; nothing changes where the file is not whole or of another artifact. */
static int glmc_restore_rows(const glmc_engine *engine, uint32_t slot, int32_t *tokens, uint64_t *count, uint64_t *reached, const char *path, char *error, uint64_t error_bytes) {
    int number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (number < 0) return glmc_failure(error, error_bytes, GLMC_BAD_FILE, "cannot open the state '%s': %s", path, strerror(errno));
    struct stat info;
    void *at = MAP_FAILED;
    int is_file = fstat(number, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size >= sizeof(glmc_text_header) + GLMC_TRAILER_BYTES;
    if (is_file) at = mmap(0, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, number, 0);
    close(number);
    if (at == MAP_FAILED) return glmc_failure(error, error_bytes, GLMC_BAD_FILE, "'%s' is no state of a text", path);
    const unsigned char *bytes = at, *rows = bytes + sizeof(glmc_text_header);
    glmc_text_header header;
    memcpy(&header, bytes, sizeof header);
    uint64_t size = (uint64_t)info.st_size, row, stored = header.count;
    const char *wrong = memcmp(header.mark, "GLMCTEXT", 8) != 0 || !glmc_trailer_is_there(bytes, size) ? "is no state of a text"
                      : header.artifact != glmc_artifact_check(engine->model) ? "is the state of another artifact"
                      : stored > header.reached || header.reached > (uint64_t)engine->language->context || header.state_bytes != glmc_state_bytes(engine, stored, header.reached)
                            || size != sizeof header + stored * sizeof *tokens + header.state_bytes + GLMC_TRAILER_BYTES || !glmc_trailer_holds(bytes, size) ? "is damaged" : 0;
    for (uint64_t i = 0; !wrong && i < stored; i++) {
        int32_t token;
        memcpy(&token, rows + i * sizeof token, sizeof token);
        if (token < 0 || token >= engine->language->vocabulary) wrong = "holds a token that the model does not know";
    }
    if (!wrong) {
        memcpy(tokens, rows, (size_t)stored * sizeof *tokens);
        rows += stored * sizeof *tokens;
        for (const glmc_tensor *state = engine->cache; state->data; state++)
            for (int64_t head = 0; head < state->shape[1]; head++) {
                unsigned char *to = glmc_rows(state, slot, head, &row);
                uint64_t bytes_of_rows = glmc_row_count(engine, state, stored, header.reached) * row;
                memcpy(to, rows, (size_t)bytes_of_rows);
                rows += bytes_of_rows;
            }
        *count = stored;
        *reached = header.reached;
    }
    munmap(at, (size_t)size);
    return wrong ? glmc_failure(error, error_bytes, GLMC_BAD_FILE, "'%s' %s", path, wrong) : GLMC_OK;
}

#endif
