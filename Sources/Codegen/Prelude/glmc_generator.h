/* glmc_generator.h: the functions of a language model for texts as such, and what a generator is: one text, and its part of an engine. */
#ifndef GLMC_GENERATOR_H
#define GLMC_GENERATOR_H

#include "glmc_chat.h"
#include "glmc_draft.h"
#include "glmc_engine.h"
#include "glmc_sampling.h"
#include "glmc_tokenizer.h"

struct glmc_generator {
    const glmc_language *language;
    glmc_engine *engine;
    uint32_t slot;              /* its text is this sequence of the engine's states */
    float *scores;              /* [score_rows, vocabulary]: behind the last token that was computed, and behind guesses that follow it */
    uint64_t score_rows;
    const float *logits;        /* the row of the last token that was computed; null: its scores are not known */
    glmc_scored *candidates; /* [vocabulary] */
    int32_t *tokens;            /* [context]: the text, and behind it the guesses that are not used yet */
    uint64_t count, computed;   /* how many there are; how many of them the cache holds */
    uint64_t reached;           /* how many tokens the cache held at most since it began */
    uint32_t guesses, unused;   /* of the last draft: how many the cache holds too, and how many of these may still come true */
    glmc_drafting drafting;
    uint64_t steps;
    uint64_t prompt, kept;
    int going;
    glmc_sampling how;          /* its stops lie in `stops`, one behind the other with a zero at the end of each */
    glmc_buffer stops;
    glmc_decoder decoder;
    glmc_buffer text;           /* decoded, of which the first `given` bytes were given out */
    uint64_t given;
    int64_t start_ns, first_ns, last_ns;
};

/* MARK: Text */

/* A negative result of the tokenizer as a negative glmc_status. */
static int64_t glmc_tokenizer_failure(int64_t result, char *error, uint64_t error_bytes) {
    int64_t wrong = glmc_bad_byte(result);
    if (wrong >= 0) return -glmc_failure(error, error_bytes, GLMC_BAD_DATA, "the text is not UTF-8 at byte %lld", (long long)wrong);
    if (result == GLMC_TOKENIZER_BAD_TOKEN) return -glmc_failure(error, error_bytes, GLMC_BAD_DATA, "a token's number is beyond the tokenizer's vocabulary");
    if (result == GLMC_TOKENIZER_NO_MEMORY) return -glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for the tokens of a text");
    return -glmc_failure(error, error_bytes, GLMC_BAD_FILE, "the tokenizer's pattern does not come to an end on this text");
}

static int glmc_needs_tokenizer(const glmc_language *self, char *error, uint64_t error_bytes) {
    if (self->tokenizer) return GLMC_OK;
    return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the model was compiled without a tokenizer: it takes and gives tokens' numbers");
}

static int64_t glmc_language_encode(const glmc_language *self, const char *text, uint64_t bytes, uint32_t flags, int32_t *tokens, int64_t capacity,
                                    char *error, uint64_t error_bytes) {
    int status = glmc_needs_tokenizer(self, error, error_bytes);
    if (status) return -status;
    if ((!text && bytes > 0) || (!tokens && capacity > 0)) return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    int how = (flags & GLMC_FRAMED ? GLMC_ADD_SPECIAL : 0) | (flags & GLMC_NOT_SPECIAL ? GLMC_SPECIAL_AS_TEXT : 0);
    int64_t count = glmc_encode(self->tokenizer, text ? text : "", bytes, how, tokens, capacity > 0 ? capacity : 0);
    return count < 0 ? glmc_tokenizer_failure(count, error, error_bytes) : count;
}

static int64_t glmc_language_decode(const glmc_language *self, const int32_t *tokens, int64_t count, uint32_t flags, char *text, int64_t capacity,
                                    char *error, uint64_t error_bytes) {
    int status = glmc_needs_tokenizer(self, error, error_bytes);
    if (status) return -status;
    if (count < 0 || (!tokens && count > 0) || (!text && capacity > 0))
        return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer or a negative count");
    int64_t bytes = glmc_decode(self->tokenizer, tokens, count, flags & GLMC_SHOW_SPECIAL ? 0 : GLMC_SKIP_SPECIAL, text, capacity);
    return bytes < 0 ? glmc_tokenizer_failure(bytes, error, error_bytes) : bytes;
}

/* Whether a message of a conversation is UTF-8; `who` and `number` name it. */
static int glmc_check_message(const char *text, const char *who, uint32_t number, char *error, uint64_t error_bytes) {
    uint64_t bytes = strlen(text);
    for (uint64_t at = 0; at < bytes;) {
        uint32_t point, length = glmc_utf8((const uint8_t *)text + at, bytes - at, &point);
        if (!length) return glmc_failure(error, error_bytes, GLMC_BAD_DATA, "%s %u is not UTF-8 at byte %llu", who, number, (unsigned long long)at);
        at += length;
    }
    return GLMC_OK;
}

static int64_t glmc_language_chat(const glmc_language *self, const char *system, const char *const *contents, uint32_t count, char *text, int64_t capacity,
                                  char *error, uint64_t error_bytes) {
    if (!self->framing)
        return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the model has no chat template, or none that plain strings can stand for");
    if (count % 2 == 0)
        return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a conversation begins and ends with the user: %u contents were given", count);
    if (!contents || (!text && capacity > 0)) return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    int status = system ? glmc_check_message(system, "system message", 1, error, error_bytes) : GLMC_OK;
    for (uint32_t i = 0; i < count && !status; i++) {
        if (!contents[i]) return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
        status = glmc_check_message(contents[i], "message", i + 1, error, error_bytes);
    }
    if (status) return -status;
    int64_t bytes = glmc_frame_chat(self->framing, system, contents, count, text, capacity);
    return bytes < 0 ? -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the model's chat template takes no system message") : bytes;
}

/* MARK: Opening */

static void glmc_generator_close(glmc_generator *generator) {
    if (!generator) return;
    generator->engine->generators[generator->slot] = 0;
    if (--generator->engine->users == 0) glmc_engine_close(generator->engine);
    free(generator->scores);
    free(generator->candidates);
    free(generator->tokens);
    glmc_release(&generator->stops);
    glmc_release(&generator->text);
    free(generator);
}

/* A generator of a slot; null without memory. */
static glmc_generator *glmc_generator_make(glmc_engine *engine, uint32_t slot) {
    const glmc_language *language = engine->language;
    glmc_generator *generator = calloc(1, sizeof *generator);
    if (!generator) return 0;
    generator->engine = engine;
    generator->slot = slot;
    generator->language = language;
    engine->generators[slot] = generator;
    engine->users++;
    generator->scores = calloc((size_t)language->vocabulary, sizeof *generator->scores);
    generator->score_rows = 1;
    generator->logits = generator->scores;
    generator->candidates = calloc((size_t)language->vocabulary, sizeof *generator->candidates);
    generator->tokens = calloc((size_t)language->context, sizeof *generator->tokens);
    return generator;
}

static int glmc_generators_open(const glmc_model *model, int threads, const char *weights_path, uint32_t count, glmc_generator **out, char *error,
                                uint64_t error_bytes) {
    const glmc_language *language = glmc_model_language(model);
    if (!language || !out) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or no language model");
    if (count == 0 || count > (uint64_t)language->sequences)
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the artifact continues 1 to %lld texts at once, not %u: compile with a larger --batch",
                            (long long)language->sequences, count);
    for (uint32_t i = 0; i < count; i++) out[i] = 0;
    glmc_engine *engine = 0;
    int status = glmc_engine_open(model, threads, weights_path, &engine, error, error_bytes);
    if (status) return status;
    for (uint32_t i = 0; !status && i < count; i++) {
        out[i] = glmc_generator_make(engine, i);
        if (!out[i] || !out[i]->scores || !out[i]->candidates || !out[i]->tokens) status = glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for a generator");
    }
    if (status && engine->users == 0) glmc_engine_close(engine);
    for (uint32_t i = 0; status && i < count; i++) {
        glmc_generator_close(out[i]);
        out[i] = 0;
    }
    return status;
}

static int glmc_generator_open(const glmc_model *model, int threads, const char *weights_path, glmc_generator **out, char *error, uint64_t error_bytes) {
    return glmc_generators_open(model, threads, weights_path, 1, out, error, error_bytes);
}

#endif
