/* glmc_generate.h: the loop that continues texts, one or several at once, over the entry points of a language model. Included once per artifact of a language model. */
#ifndef GLMC_GENERATE_H
#define GLMC_GENERATE_H

#include "glmc_draft.h"
#include "glmc_generator.h"
#include "glmc_sampling.h"

/* MARK: Computing */

/* Notes that the cache held so many tokens. */
static void glmc_reach(glmc_generator *generator, uint64_t count) {
    if (count > generator->reached) generator->reached = count;
}

/* Runs an entry point on `count` tokens that follow what the cache holds; it gives `rows` rows of scores. */
static int glmc_compute(glmc_generator *generator, uint32_t number, uint64_t count, uint64_t rows, char *error, uint64_t error_bytes) {
    int64_t past = (int64_t)generator->computed;
    for (uint64_t i = 0; i < count; i++) generator->engine->chunk[i] = generator->tokens[generator->computed + i];
    generator->logits = generator->scores;
    generator->guesses = generator->unused = 0;
    if (generator->count > generator->prompt) generator->steps++;
    glmc_reach(generator, generator->computed + count);
    return glmc_engine_run(generator->engine, number, 1, (int64_t)count, &past, generator->slot, generator->scores, rows, error, error_bytes);
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

/* MARK: Several texts at once */

/* Computes one token more of each of `count` texts, which all lack one. */
static int glmc_compute_batch(glmc_engine *engine, glmc_generator *const *generators, uint64_t count, char *error, uint64_t error_bytes) {
    int64_t rows = 0;
    for (uint64_t i = 0; i < count; i++) rows = (int64_t)generators[i]->slot >= rows ? (int64_t)generators[i]->slot + 1 : rows;
    /* The row of a slot that has nothing to compute is written behind what it holds. */
    for (int64_t slot = 0; slot < rows; slot++) {
        glmc_generator *generator = engine->generators[slot];
        uint64_t held = generator ? generator->computed + generator->unused : 0;
        if (generator && held == (uint64_t)engine->language->context) {
            generator->guesses = generator->unused = 0;
            if (generator->computed == held) generator->computed--;
            held = generator->computed;
        }
        if (generator) glmc_reach(generator, held + 1);
        engine->chunk[slot] = 0;
        engine->lengths[slot] = (int64_t)held;
    }
    for (uint64_t i = 0; i < count; i++) {
        glmc_generator *generator = generators[i];
        engine->chunk[generator->slot] = generator->tokens[generator->computed];
        engine->lengths[generator->slot] = (int64_t)generator->computed;
    }
    int status = glmc_engine_run(engine, engine->language->batch_entry, rows, 1, engine->lengths, 0, engine->scores, (uint64_t)rows, error, error_bytes);
    if (status) return status;
    uint64_t vocabulary = (uint64_t)engine->language->vocabulary;
    for (uint64_t i = 0; i < count; i++) {
        glmc_generator *generator = generators[i];
        memcpy(generator->scores, engine->scores + generator->slot * vocabulary, (size_t)vocabulary * sizeof *generator->scores);
        generator->logits = generator->scores;
        generator->guesses = generator->unused = 0;
        if (generator->count > generator->prompt) generator->steps++;
        generator->computed++;
    }
    return GLMC_OK;
}

static int glmc_generators_advance(glmc_generator *const *generators, uint32_t count, char *error, uint64_t error_bytes) {
    if (!generators && count > 0) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    for (uint32_t i = 0; i < count; i++) {
        if (!generators[i] || generators[i]->engine != generators[0]->engine)
            return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer, or generators that were not opened together");
        for (uint32_t j = 0; j < i; j++)
            if (generators[j] == generators[i]) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a generator is there twice");
    }
    if (count == 0) return GLMC_OK;
    glmc_generator *waiting[count];
    uint32_t ready = 0;
    for (uint32_t i = 0; i < count; i++) {
        glmc_generator *generator = generators[i];
        if (!generator->going || generator->computed == generator->count || glmc_is_interrupted(generator)) continue;
        int status = generator->count - generator->computed == 1 ? GLMC_OK : glmc_compute_all(generator, error, error_bytes);
        if (status) return status;
        if (generator->count - generator->computed == 1) waiting[ready++] = generator;
    }
    if (ready == 1) return glmc_compute_all(waiting[0], error, error_bytes);
    return ready == 0 ? GLMC_OK : glmc_compute_batch(generators[0]->engine, waiting, ready, error, error_bytes);
}

/* MARK: Starting */

/* How many of the first `most` tokens a generator's states hold. */
static uint64_t glmc_common_tokens(const glmc_generator *generator, const int32_t *tokens, uint64_t most) {
    uint64_t same = 0;
    while (same < most && same < generator->computed && generator->tokens[same] == tokens[same]) same++;
    return generator->reached - same > (uint64_t)generator->language->rewind ? 0 : same;
}

/* Lets the generator's states hold as many of the first `most` tokens as any text of its engine does: how many. */
static uint64_t glmc_take_common_rows(glmc_generator *generator, const int32_t *tokens, uint64_t most) {
    glmc_engine *engine = generator->engine;
    uint64_t own = glmc_common_tokens(generator, tokens, most), best = own;
    uint32_t from = generator->slot;
    for (uint32_t slot = 0; slot < (uint64_t)engine->language->sequences; slot++) {
        const glmc_generator *other = engine->generators[slot];
        uint64_t same = other ? glmc_common_tokens(other, tokens, most) : 0;
        if (same > best) {
            best = same;
            from = slot;
        }
    }
    if (best > own) {
        generator->reached = engine->generators[from]->reached;
        glmc_copy_rows(engine, from, generator->slot, own, best, generator->reached);
    }
    if (best == 0) generator->reached = 0;
    return best;
}

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
    uint64_t same = glmc_take_common_rows(generator, tokens, count - 1);
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
    /* A file holds keys and values, not the scores behind them. */
    if (!generator->logits) generator->computed = generator->count - 1;
    int status = glmc_compute_all(generator, error, error_bytes);
    if (status) return status;
    if (generator->computed < generator->count) return glmc_failure(error, error_bytes, GLMC_BUSY, "interrupted");
    *logits = generator->logits;
    return GLMC_OK;
}

/* MARK: Keeping */

static int glmc_generator_save(glmc_generator *generator, const char *path, char *error, uint64_t error_bytes) {
    if (!generator || !path) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    return glmc_save_rows(generator->engine, generator->slot, generator->tokens, generator->computed, generator->reached, path, error, error_bytes);
}

static int glmc_generator_restore(glmc_generator *generator, const char *path, char *error, uint64_t error_bytes) {
    if (!generator || !path) return glmc_failure(error, error_bytes, GLMC_BAD_ARGUMENT, "a null pointer");
    uint64_t count = 0;
    int status = glmc_restore_rows(generator->engine, generator->slot, generator->tokens, &count, &generator->reached, path, error, error_bytes);
    if (status) return status;
    generator->count = generator->prompt = generator->computed = count;
    generator->guesses = generator->unused = 0;
    generator->logits = 0;
    generator->going = 0;
    return GLMC_OK;
}

/* The functions of a glmc_language. */
#define GLMC_LANGUAGE_FUNCTIONS                                                                                                              \
    .encode = glmc_language_encode, .decode = glmc_language_decode, .chat = glmc_language_chat, .open = glmc_generator_open, .start = glmc_generator_start, \
    .next = glmc_generator_next, .logits = glmc_generator_logits, .close = glmc_generator_close, .open_many = glmc_generators_open, .advance = glmc_generators_advance, \
    .save = glmc_generator_save, .restore = glmc_generator_restore

#endif
