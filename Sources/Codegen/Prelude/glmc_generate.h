/* glmc_generate.h: the functions of a language model: its tokenizer, and the one loop that continues texts, over its entry points for prompts and for
 * single tokens. Included once per artifact of a language model. */
#ifndef GLMC_GENERATE_H
#define GLMC_GENERATE_H

#include "glmc_chat.h"
#include "glmc_draft.h"
#include "glmc_sampling.h"
#include "glmc_session.h"
#include "glmc_tokenizer.h"

#define GLMC_CHUNK 256 /* tokens of a prompt that one call computes */

struct glmc_generator {
    const glmc_model *model;
    const glmc_language *language;
    glmc_session *session;
    glmc_tensor *cache;         /* the states, in the order of their entry points */
    glmc_tensor *tensors;       /* room for an entry point's inputs and outputs */
    int64_t *chunk;             /* [GLMC_CHUNK] */
    float *scores;              /* [score_rows, vocabulary]: behind the last token that was computed, and behind guesses that follow it */
    uint64_t score_rows;
    const float *logits;        /* the row of the last token that was computed */
    glmc_scored *candidates; /* [vocabulary] */
    int32_t *tokens;            /* [context]: the text, and behind it the guesses that are not used yet */
    uint64_t count, computed;   /* how many there are; how many of them the cache holds */
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

__attribute__((format(printf, 4, 5))) static int glmc_failure(char *error, uint64_t error_bytes, int status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (error && error_bytes > 0) vsnprintf(error, (size_t)error_bytes, format, list);
    va_end(list);
    return status;
}

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

static int64_t glmc_language_chat(const glmc_language *self, const char *system, const char *const *contents, uint32_t count, char *text, int64_t capacity,
                                  char *error, uint64_t error_bytes) {
    if (!self->framing)
        return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the model has no chat template, or none that plain strings can stand for");
    if (count % 2 == 0)
        return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a conversation begins and ends with the user: %u contents were given", count);
    if (!contents || (!text && capacity > 0)) return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    for (uint32_t i = 0; i < count; i++)
        if (!contents[i]) return -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    int64_t bytes = glmc_frame_chat(self->framing, system, contents, count, text, capacity);
    return bytes < 0 ? -glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "the model's chat template takes no system message") : bytes;
}

/* MARK: Opening */

static void glmc_generator_close(glmc_generator *generator) {
    if (!generator) return;
    for (uint32_t i = 0; generator->cache && generator->cache[i].data; i++) free(generator->cache[i].data);
    if (generator->session) glmc_session_close(generator->model, generator->session);
    free(generator->cache);
    free(generator->tensors);
    free(generator->chunk);
    free(generator->scores);
    free(generator->candidates);
    free(generator->tokens);
    glmc_release(&generator->stops);
    glmc_release(&generator->text);
    free(generator);
}

/* Memory for the states of an entry point, in order; untouched, because what they hold at first is never read. */
static int glmc_make_cache(glmc_generator *generator, const glmc_entry *entry) {
    for (uint32_t i = 0, state = 0; i < entry->input_count; i++) {
        const glmc_tensor_info *info = &entry->inputs[i];
        if (info->state < 0) continue;
        glmc_tensor tensor = {.dtype = info->dtype, .rank = info->rank};
        for (int axis = 0; axis < info->rank; axis++) tensor.shape[axis] = info->shape[axis];
        int64_t bytes = glmc_tensor_bytes(info->dtype, info->rank, info->shape);
        void *data = 0;
        if (bytes < 0 || !glmc_room(&data, &tensor.bytes, (uint64_t)bytes)) return 0;
        tensor.data = data;
        generator->cache[state++] = tensor;
    }
    return 1;
}

static int glmc_generator_open(const glmc_model *model, int threads, const char *weights_path, glmc_generator **out, char *error, uint64_t error_bytes) {
    const glmc_language *language = glmc_model_language(model);
    if (!language || !out) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or no language model");
    *out = 0;
    const glmc_entry *prefill = model->entries[language->prefill_entry];
    uint64_t most = 0;
    for (uint32_t i = 0; i < model->entry_count; i++) most = model->entries[i]->input_count > most ? model->entries[i]->input_count : most;
    glmc_generator *generator = calloc(1, sizeof *generator);
    if (!generator) return glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for a generator");
    generator->model = model;
    generator->language = language;
    generator->cache = calloc((size_t)most + 1, sizeof *generator->cache);
    generator->tensors = calloc((size_t)(2 * most + 2), sizeof *generator->tensors);
    generator->chunk = calloc(GLMC_CHUNK, sizeof *generator->chunk);
    generator->scores = calloc((size_t)language->vocabulary, sizeof *generator->scores);
    generator->score_rows = 1;
    generator->logits = generator->scores;
    generator->candidates = calloc((size_t)language->vocabulary, sizeof *generator->candidates);
    generator->tokens = calloc((size_t)language->context, sizeof *generator->tokens);
    int status = GLMC_OK;
    int has_room = generator->cache && generator->tensors && generator->chunk && generator->scores && generator->candidates && generator->tokens;
    if (!has_room || !glmc_make_cache(generator, prefill))
        status = glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for a cache of %lld tokens", (long long)language->context);
    if (!status) status = glmc_session_open(model, threads, weights_path, &generator->session, error, error_bytes);
    if (status) glmc_generator_close(generator);
    else *out = generator;
    return status;
}

/* MARK: Computing */

/* Runs an entry point on `count` tokens that follow what the cache holds; it gives `rows` rows of scores. */
static int glmc_compute(glmc_generator *generator, uint32_t number, uint64_t count, uint64_t rows, char *error, uint64_t error_bytes) {
    const glmc_entry *entry = generator->model->entries[number];
    glmc_tensor *inputs = generator->tensors, *outputs = generator->tensors + entry->input_count;
    int64_t past = (int64_t)generator->computed;
    for (uint64_t i = 0; i < count; i++) generator->chunk[i] = generator->tokens[generator->computed + i];
    for (uint32_t i = 0, state = 0; i < entry->input_count; i++) {
        const glmc_tensor_info *info = &entry->inputs[i];
        if (info->state >= 0) inputs[i] = generator->cache[state++];
        else if (info->flags & GLMC_DIMENSION) inputs[i] = (glmc_tensor){.data = &past, .bytes = sizeof past, .dtype = GLMC_I64};
        else inputs[i] = (glmc_tensor){.data = generator->chunk, .bytes = count * sizeof(int64_t), .dtype = GLMC_I64, .rank = 2, .shape = {1, (int64_t)count}};
    }
    for (uint32_t i = 0; i < entry->output_count; i++) {
        outputs[i] = (glmc_tensor){.data = generator->scores, .bytes = rows * (uint64_t)generator->language->vocabulary * sizeof(float)};
        if (entry->outputs[i].state >= 0) outputs[i] = inputs[entry->outputs[i].state];
    }
    generator->logits = generator->scores;
    generator->guesses = generator->unused = 0;
    if (generator->count > generator->prompt) generator->steps++;
    return glmc_session_run(generator->model, generator->session, number, inputs, entry->input_count, outputs, entry->output_count, error, error_bytes);
}

/* Guesses what follows the text, and writes that behind it: how many tokens. */
static uint32_t glmc_guess(glmc_generator *generator) {
    const glmc_sampling *how = &generator->how;
    const glmc_language *language = generator->language;
    uint64_t room = (uint64_t)language->context - generator->count, fresh = generator->count - generator->prompt;
    /* The last token of an answer needs none behind it. */
    if (how->most_tokens > 0 && how->most_tokens - fresh - 1 < room) room = how->most_tokens - fresh - 1;
    uint32_t most = glmc_draft_length(&generator->drafting, how->draft_tokens), count;
    if (most > room) most = (uint32_t)room;
    if (most == 0) return 0;
    int32_t *guess = generator->tokens + generator->count;
    count = how->draft ? how->draft(how->draft_context, generator->tokens, generator->count, guess, most)
                       : glmc_draft_lookup(generator->tokens, generator->count, guess, most);
    for (uint32_t i = 0; i < count; i++)
        if (i == most || guess[i] < 0 || guess[i] >= language->vocabulary) return i;
    return count;
}

/* Memory for the scores behind guesses, of which a text has none at first. */
static int glmc_score_room(glmc_generator *generator, uint64_t rows) {
    if (rows <= generator->score_rows) return 1;
    float *larger = realloc(generator->scores, (size_t)(rows * (uint64_t)generator->language->vocabulary) * sizeof *larger);
    if (!larger) return 0;
    generator->scores = larger;
    generator->score_rows = rows;
    generator->logits = larger;
    return 1;
}

/* Computes the only token that the cache lacks, and guesses of what follows it where some are to be made. */
static int glmc_compute_one(glmc_generator *generator, char *error, uint64_t error_bytes) {
    const glmc_language *language = generator->language;
    uint32_t guesses = generator->how.draft_tokens > 0 ? glmc_guess(generator) : 0;
    /* Without memory for more, a step is a step. */
    if (!glmc_score_room(generator, 1 + (uint64_t)guesses)) guesses = 0;
    int status = guesses == 0 ? glmc_compute(generator, language->decode_entry, 1, 1, error, error_bytes)
                              : glmc_compute(generator, language->verify_entry, 1 + (uint64_t)guesses, 1 + (uint64_t)guesses, error, error_bytes);
    if (!status) generator->guesses = generator->unused = guesses;
    return status;
}

/* Appends a token to the text; the cache holds it already where it was guessed. */
static void glmc_add_token(glmc_generator *generator, int32_t token) {
    int was_guessed = generator->unused > 0 && generator->tokens[generator->count] == token;
    generator->tokens[generator->count++] = token;
    if (was_guessed) {
        generator->computed++;
        generator->unused--;
        generator->logits += generator->language->vocabulary;
    }
    if (generator->guesses > 0 && (!was_guessed || generator->unused == 0)) {
        glmc_draft_learn(&generator->drafting, generator->guesses, generator->guesses - generator->unused);
        generator->guesses = generator->unused = 0;
    }
}

static int glmc_is_interrupted(const glmc_generator *generator) { return generator->how.interrupted && *generator->how.interrupted; }

/* Computes the tokens that the cache lacks, unless it is interrupted. */
static int glmc_compute_all(glmc_generator *generator, char *error, uint64_t error_bytes) {
    while (generator->computed < generator->count && !glmc_is_interrupted(generator)) {
        uint64_t left = generator->count - generator->computed, count = left < GLMC_CHUNK ? left : GLMC_CHUNK;
        int status = left == 1 ? glmc_compute_one(generator, error, error_bytes) : glmc_compute(generator, generator->language->prefill_entry, count, 1, error, error_bytes);
        if (status) return status;
        generator->computed += count;
    }
    return GLMC_OK;
}

/* MARK: Starting */

static int glmc_check_sampling(const glmc_generator *generator, const glmc_sampling *how, char *error, uint64_t error_bytes) {
    const char *wrong = !(how->temperature >= 0 && how->temperature < INFINITY) ? "the temperature must be a number from 0"
                      : !(how->top_p >= 0 && how->top_p <= 1) ? "top_p must be from 0 to 1"
                      : !(how->min_p >= 0 && how->min_p <= 1) ? "min_p must be from 0 to 1"
                      : how->top_k < 0 ? "top_k must not be negative"
                      : !(how->repeat_penalty >= 0 && how->repeat_penalty < INFINITY) ? "the repetition penalty must be a number from 0"
                      : how->stop_count > 0 && !how->stops ? "the texts to stop at are a null pointer" : 0;
    for (uint32_t i = 0; !wrong && i < how->stop_count; i++) wrong = how->stops[i] && how->stops[i][0] ? 0 : "a text to stop at is empty";
    if (wrong) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "%s", wrong);
    if (how->draft_tokens > GLMC_MOST_DRAFT)
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "at most %d tokens can be guessed at once, not %u", GLMC_MOST_DRAFT, how->draft_tokens);
    return how->stop_count > 0 ? glmc_needs_tokenizer(generator->language, error, error_bytes) : GLMC_OK;
}

/* What callers of the first version knew of these structures. */
#define GLMC_LEAST_SAMPLING offsetof(glmc_sampling, draft_tokens)
#define GLMC_LEAST_GENERATED offsetof(glmc_generated, steps)

static int glmc_generator_start(glmc_generator *generator, const int32_t *tokens, uint64_t count, const glmc_sampling *options, char *error,
                                uint64_t error_bytes) {
    if (!generator || !options || options->size < GLMC_LEAST_SAMPLING || (!tokens && count > 0))
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or options of another version");
    const glmc_language *language = generator->language;
    glmc_sampling all = {0}, *how = &all;
    memcpy(how, options, options->size < sizeof all ? options->size : sizeof all);
    int status = glmc_check_sampling(generator, how, error, error_bytes);
    if (status) return status;
    if (count == 0) return glmc_failure(error, error_bytes, GLMC_BAD_SHAPE, "the prompt is empty: the model needs at least one token");
    if (count >= (uint64_t)language->context)
        return glmc_failure(error, error_bytes, GLMC_BAD_SHAPE, "the prompt has %llu tokens, and the context holds %lld with the answer: compile with a larger --context",
                            (unsigned long long)count, (long long)language->context);
    for (uint64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= language->vocabulary)
            return glmc_failure(error, error_bytes, GLMC_BAD_DATA, "token number %llu of the prompt is %d, and the vocabulary has %lld", (unsigned long long)i,
                                tokens[i], (long long)language->vocabulary);
    generator->going = 0;
    generator->stops.count = generator->text.count = 0;
    for (uint32_t i = 0; i < how->stop_count; i++) glmc_append(&generator->stops, how->stops[i], strlen(how->stops[i]) + 1);
    if (generator->stops.failed) return glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for the texts to stop at");
    /* The last token is computed in any case, for the logits behind it. */
    uint64_t same = 0, most = generator->computed < count - 1 ? generator->computed : count - 1;
    while (same < most && generator->tokens[same] == tokens[same]) same++;
    memcpy(generator->tokens, tokens, (size_t)count * sizeof *tokens);
    generator->how = *how;
    generator->count = generator->prompt = count;
    generator->computed = generator->kept = same;
    generator->guesses = generator->unused = 0;
    generator->drafting = (glmc_drafting){0};
    generator->steps = 0;
    generator->given = 0;
    generator->decoder = (glmc_decoder){.table = language->tokenizer, .flags = GLMC_SKIP_SPECIAL};
    /* How the answer begins is written depends on the prompt's end. */
    char unused[1024];
    for (uint64_t i = count > 8 ? count - 8 : 0; language->tokenizer && i < count; i++)
        glmc_decoder_push(&generator->decoder, tokens[i], unused, sizeof unused);
    generator->start_ns = generator->first_ns = generator->last_ns = glmc_now_ns();
    generator->going = 1;
    return GLMC_OK;
}

/* MARK: Going on */

static int glmc_is_stop_token(const glmc_generator *generator, int32_t token) {
    for (uint64_t i = 0; i < generator->language->stop_token_count; i++)
        if (generator->language->stop_tokens[i] == token) return !generator->how.ignores_stop_tokens;
    return 0;
}

/* Adds the text that `token` completes, or, of -1, what was held back. */
static int glmc_add_text(glmc_generator *generator, int32_t token) {
    int64_t room = 64;
    if (!generator->language->tokenizer) return 1;
    for (;;) {
        uint64_t before = generator->text.count;
        uint8_t *at = glmc_grow(&generator->text, (uint64_t)room);
        if (!at) return 0;
        generator->text.count = before;
        char *text = (char *)at;
        int64_t bytes = token >= 0 ? glmc_decoder_push(&generator->decoder, token, text, room) : glmc_decoder_flush(&generator->decoder, text, room);
        /* A model's vocabulary may have room for tokens that its tokenizer does not know. */
        if (bytes < 0) return bytes == GLMC_TOKENIZER_BAD_TOKEN;
        if (bytes <= room) {
            generator->text.count = before + (uint64_t)bytes;
            return 1;
        }
        room = bytes;
    }
}

/* How much of the text may be given out: up to the first stop (then *stopped), and nothing that one may begin with, unless nothing follows. */
static uint64_t glmc_givable(const glmc_generator *generator, int ends, int *stopped) {
    const char *text = (const char *)generator->text.data;
    uint64_t count = generator->text.count, given = generator->given, end = count, held = 0;
    for (uint64_t at = 0; at < generator->stops.count;) {
        const char *stop = (const char *)generator->stops.data + at;
        uint64_t bytes = strlen(stop);
        for (uint64_t i = given; i + bytes <= count && i < end; i++)
            if (memcmp(text + i, stop, (size_t)bytes) == 0) {
                end = i;
                *stopped = 1;
            }
        for (uint64_t part = bytes - 1; part > held; part--)
            if (part <= count - given && memcmp(text + count - part, stop, (size_t)part) == 0) held = part;
        at += bytes + 1;
    }
    return *stopped || ends ? end : count - held;
}

static int glmc_generator_next(glmc_generator *generator, glmc_generated *generated, char *error, uint64_t error_bytes) {
    if (!generator || !generated || generated->size < GLMC_LEAST_GENERATED)
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or a result of another version");
    if (!generator->going)
        return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "nothing is to be continued: the text has ended, or none was started");
    int status = glmc_compute_all(generator, error, error_bytes), end = GLMC_END_NONE, stopped = 0;
    if (status) return status;
    const glmc_language *language = generator->language;
    int32_t token = -1;
    if (generator->computed < generator->count) end = GLMC_END_INTERRUPTED;
    else {
        uint64_t fresh = generator->count - generator->prompt;
        token = glmc_sample(&generator->how, fresh, generator->logits, language->vocabulary, generator->tokens, generator->count,
                            generator->candidates);
        glmc_add_token(generator, token);
        generator->last_ns = glmc_now_ns();
        if (fresh == 0) generator->first_ns = generator->last_ns;
        if (glmc_is_stop_token(generator, token)) end = GLMC_END_TOKEN;
        else if (fresh + 1 == generator->how.most_tokens) end = GLMC_END_COUNT;
        else if (generator->count == (uint64_t)language->context) end = GLMC_END_CONTEXT;
    }
    if (generator->given > 0) memmove(generator->text.data, generator->text.data + generator->given, (size_t)(generator->text.count - generator->given));
    generator->text.count -= generator->given;
    generator->given = 0;
    if ((token >= 0 && end != GLMC_END_TOKEN && !glmc_add_text(generator, token)) || (end && !glmc_add_text(generator, -1)))
        return glmc_failure(error, error_bytes, GLMC_NO_MEMORY, "no memory for the text");
    generator->given = glmc_givable(generator, end != GLMC_END_NONE, &stopped);
    if (stopped) end = GLMC_END_TEXT;
    generator->going = end == GLMC_END_NONE;
    glmc_generated result = {
        .size = generated->size, .token = token, .end = end,
        .text = generator->text.data ? (const char *)generator->text.data : "", .text_bytes = generator->given,
        .prompt_tokens = generator->prompt, .kept_tokens = generator->kept, .new_tokens = generator->count - generator->prompt,
        .prompt_ns = generator->first_ns - generator->start_ns, .decode_ns = generator->last_ns - generator->first_ns,
        .steps = generator->steps};
    memcpy(generated, &result, result.size < sizeof result ? result.size : sizeof result);
    return GLMC_OK;
}

static int glmc_generator_logits(glmc_generator *generator, const float **logits, char *error, uint64_t error_bytes) {
    if (!generator || !logits || generator->count == 0) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or no text was started");
    int status = glmc_compute_all(generator, error, error_bytes);
    if (status) return status;
    if (generator->computed < generator->count) return glmc_failure(error, error_bytes, GLMC_BUSY, "interrupted");
    *logits = generator->logits;
    return GLMC_OK;
}

/* The functions of a glmc_language. */
#define GLMC_LANGUAGE_FUNCTIONS                                                                                                              \
    .encode = glmc_language_encode, .decode = glmc_language_decode, .chat = glmc_language_chat, .open = glmc_generator_open, .start = glmc_generator_start, \
    .next = glmc_generator_next, .logits = glmc_generator_logits, .close = glmc_generator_close

#endif
