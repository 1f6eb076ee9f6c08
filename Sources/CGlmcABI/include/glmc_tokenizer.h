/* glmc_tokenizer.h: text to tokens and back, after a table that glmc compiled from tokenizer.json.
 *
 * The results are those of Hugging Face's tokenizers. All state is the caller's or lives during a call; any number of threads may use one table. A table must
 * have passed glmc_tokenizer_check. Tokens are numbers from 0; text is UTF-8 and needs no final 0. */
#ifndef GLMC_TOKENIZER_H
#define GLMC_TOKENIZER_H

#include "glmc_tokenizer_models.h"

enum {
    GLMC_ADD_SPECIAL = 1, /* encode: frame the text as the model wants it (beginning of sequence and the like) */
    GLMC_SPECIAL_AS_TEXT = 2, /* encode: what looks like a special token is text */
    GLMC_SKIP_SPECIAL = 1 /* decode: leave special tokens out */
};
enum { GLMC_TOKENIZER_NO_MEMORY = -1, GLMC_TOKENIZER_BAD_TABLE = -2, GLMC_TOKENIZER_BAD_TOKEN = -3, GLMC_TOKENIZER_BAD_TEXT = -16 };

/* Of a negative result that means text that is not UTF-8, the first byte that is wrong; else -1. */
static inline int64_t glmc_bad_byte(int64_t result) { return result <= GLMC_TOKENIZER_BAD_TEXT ? GLMC_TOKENIZER_BAD_TEXT - result : -1; }

/* How many ids there are; some may stand for nothing. */
static inline int32_t glmc_token_count(const void *table) { return (int32_t)((const glmc_tokenizer_header *)table)->sections[GLMC_SECTION_KINDS].count; }
/* The id of a GLMC_SPECIAL_..., or GLMC_NO_TOKEN. */
static inline int32_t glmc_special_token(const void *table, int which) { return which < 0 || which >= GLMC_SPECIALS ? GLMC_NO_TOKEN : ((const glmc_tokenizer_header *)table)->special[which]; }
static inline int glmc_token_is_special(const void *table, int32_t id) {
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    return id >= 0 && id < glmc_token_count(table) && (view.kinds[id] & GLMC_TOKEN_SPECIAL) != 0;
}

/* A token as the vocabulary writes it, and its number of bytes; NULL where the id stands for nothing. */
static inline const char *glmc_token_name(const void *table, int32_t id, uint64_t *bytes) {
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    *bytes = 0;
    if (id < 0 || id >= glmc_token_count(table) || view.kinds[id] == 0) return NULL;
    glmc_text text = glmc_token_text(&view, (uint32_t)id);
    const glmc_added *added = view.kinds[id] & GLMC_TOKEN_ADDED ? glmc_find_added(&view, (uint32_t)id) : NULL;
    if (added != NULL) text = added->text;
    *bytes = text.bytes;
    return (const char *)view.text + text.at;
}

/* The id of the token that the vocabulary writes so, or GLMC_NO_TOKEN. */
static inline int32_t glmc_token_named(const void *table, const char *name, uint64_t bytes) {
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    for (uint32_t i = 0; i < glmc_section_count(&view, GLMC_SECTION_ADDED); i++)
        if (view.added[i].text.bytes == bytes && memcmp(view.text + view.added[i].text.at, name, bytes) == 0) return (int32_t)view.added[i].id;
    return glmc_find(&view, (const uint8_t *)name, bytes);
}

/* The longest added token of a trie at the beginning of text, or NULL. */
static inline const glmc_added *glmc_added_at(const glmc_tokenizer_view *view, uint32_t node, const uint8_t *text, uint64_t size, uint64_t *length) {
    const glmc_added *found = NULL;
    for (uint64_t at = 0;; at++) {
        if (view->nodes[node].value != 0 && at > 0) {
            found = &view->added[view->nodes[node].value - 1];
            *length = at;
        }
        if (at == size) return found;
        uint32_t low = view->nodes[node].first, end = low + view->nodes[node].count, high = end;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (view->edges[middle].label < text[at]) low = middle + 1;
            else high = middle;
        }
        if (low == end || view->edges[low].label != text[at]) return found;
        node = view->edges[low].node;
    }
}

static inline int glmc_has_before(const glmc_tokenizer_view *view, uint32_t set, const uint8_t *text, uint64_t at) {
    uint32_t point;
    uint64_t start = at > 0 ? glmc_previous(text, at) : 0;
    if (at == 0) return 0;
    glmc_next(text + start, at - start, &point);
    return glmc_set_has(view, set, point);
}
static inline int glmc_has_after(const glmc_tokenizer_view *view, uint32_t set, const uint8_t *text, uint64_t size, uint64_t at, uint32_t *bytes) {
    uint32_t point;
    if (at >= size) return 0;
    *bytes = glmc_next(text + at, size - at, &point);
    return glmc_set_has(view, set, point);
}

/* What stands between added tokens, and the tokens: id is GLMC_NO_TOKEN for text. */
typedef struct glmc_stretch { uint64_t start, end; int64_t id; } glmc_stretch;

static inline void glmc_cut_added(const glmc_tokenizer_view *view, uint32_t trie, int flags, const uint8_t *text, uint64_t size, glmc_buffer *segments) {
    uint64_t done = 0, length = 0;
    uint32_t bytes, root = view->header->tries[trie];
    for (uint64_t at = 0; at < size && view->nodes[root].count > 0;) {
        const glmc_added *added = glmc_added_at(view, root, text + at, size - at, &length);
        uint64_t start = at, end = at + length;
        at = added == NULL ? at + 1 : end;
        if (added == NULL || ((flags & GLMC_SPECIAL_AS_TEXT) && (view->kinds[added->id] & GLMC_TOKEN_SPECIAL))) continue;
        if ((added->flags & GLMC_ADDED_SINGLE_WORD) &&
            (glmc_has_before(view, view->header->word, text, start) || glmc_has_after(view, view->header->word, text, size, end, &bytes))) continue;
        if ((added->flags & GLMC_ADDED_LSTRIP) && start < done) start = done;
        if (added->flags & GLMC_ADDED_LSTRIP)
            while (start > done && glmc_has_before(view, view->header->space, text, start)) start = glmc_previous(text, start);
        if (added->flags & GLMC_ADDED_RSTRIP)
            while (glmc_has_after(view, view->header->space, text, size, end, &bytes)) end += bytes;
        if (start >= end) continue; /* all of it went to the token before */
        if (done < start) glmc_append(segments, &(glmc_stretch){done, start, GLMC_NO_TOKEN}, sizeof(glmc_stretch));
        glmc_append(segments, &(glmc_stretch){start, end, added->id}, sizeof(glmc_stretch));
        done = end;
    }
    if (done < size) glmc_append(segments, &(glmc_stretch){done, size, GLMC_NO_TOKEN}, sizeof(glmc_stretch));
}

static inline void glmc_load(glmc_strings *strings, const uint8_t *text, uint64_t size, int at_start) {
    glmc_clear(strings);
    glmc_append(&strings->text, text, size);
    glmc_add_piece(strings, 0, size);
    strings->at_start = at_start;
}

/* The tokens of one text without its frame, into work->tokens. */
static inline void glmc_encode_text(glmc_text_work *work, glmc_model_work *model, int flags, const uint8_t *text, uint64_t size) {
    const glmc_tokenizer_view *view = work->view;
    glmc_buffer outer = {0}, inner = {0}, normal = {0};
    glmc_cut_added(view, 0, flags, text, size, &outer);
    const glmc_stretch *segments = (const glmc_stretch *)(const void *)outer.data;
    for (uint64_t i = 0; i < outer.count / sizeof *segments && !glmc_work_failed(work); i++) {
        if (segments[i].id >= 0) {
            glmc_emit(model, (int32_t)segments[i].id);
            continue;
        }
        glmc_load(&work->now, text + segments[i].start, segments[i].end - segments[i].start, segments[i].start == 0);
        glmc_run_steps(work, view->header->normalizer);
        int at_start = work->now.at_start;
        inner.count = normal.count = 0;
        glmc_append(&normal, work->now.text.data, work->now.text.count);
        glmc_cut_added(view, 1, flags, normal.data, normal.count, &inner);
        for (uint64_t j = 0; j < inner.count / sizeof(glmc_stretch) && !glmc_work_failed(work); j++) {
            glmc_stretch part = ((const glmc_stretch *)(const void *)inner.data)[j];
            if (part.id >= 0) {
                glmc_emit(model, (int32_t)part.id);
                continue;
            }
            glmc_load(&work->now, normal.data + part.start, part.end - part.start, at_start && part.start == 0);
            glmc_run_steps(work, view->header->pretokenizer);
            for (uint64_t k = 0; k < glmc_pieces(&work->now) && !work->now.text.failed; k++) {
                glmc_piece piece = glmc_piece_at(&work->now, k);
                if (piece.end > piece.start) glmc_tokenize_string(view, model, work->now.text.data + piece.start, piece.end - piece.start);
            }
        }
    }
    model->tokens.failed |= outer.failed | inner.failed | normal.failed;
    glmc_release(&outer);
    glmc_release(&inner);
    glmc_release(&normal);
}

/* The tokens of a text, or of a pair of them (`second` may be NULL), framed after the template where flags have GLMC_ADD_SPECIAL.
 * Stores at most `capacity` tokens and, where `types` is not NULL, the type of each.
 * Returns how many there are, which may be more (call again with room for them), or an error: one of GLMC_TOKENIZER_..., or text that is not UTF-8 (glmc_bad_byte). */
static inline int64_t glmc_encode_pair(const void *table, const char *first, uint64_t first_bytes, const char *second, uint64_t second_bytes, int flags, int32_t *tokens, int32_t *types, int64_t capacity) {
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    glmc_text_work work = {.view = &view};
    glmc_model_work model = {0};
    uint64_t wrong = 0, middle;
    if (!glmc_is_utf8((const uint8_t *)first, first_bytes, &wrong) || (second != NULL && !glmc_is_utf8((const uint8_t *)second, second_bytes, &wrong))) return GLMC_TOKENIZER_BAD_TEXT - (int64_t)wrong;
    glmc_encode_text(&work, &model, flags, (const uint8_t *)first, first_bytes);
    middle = model.tokens.count / sizeof(int32_t);
    if (second != NULL) glmc_encode_text(&work, &model, flags, (const uint8_t *)second, second_bytes);
    int64_t count = 0, result = GLMC_TOKENIZER_BAD_TABLE;
    const int32_t *found = (const int32_t *)(const void *)model.tokens.data;
    glmc_span frame = second != NULL ? view.header->pair : view.header->single;
    if (model.tokens.failed || model.symbols.failed || model.heap.failed || model.key.failed) result = GLMC_TOKENIZER_NO_MEMORY;
    else if (!glmc_work_failed(&work)) {
        for (uint32_t i = 0; i < frame.count; i++) {
            glmc_template part = view.templates[frame.first + i];
            if (part.kind == 2 && !(flags & GLMC_ADD_SPECIAL)) continue;
            uint64_t from = part.kind == 1 ? middle : 0, to = part.kind == 0 ? middle : part.kind == 1 ? model.tokens.count / sizeof *found : 1;
            for (uint64_t j = from; j < to; j++, count++) {
                if (count >= capacity) continue;
                tokens[count] = part.kind == 2 ? (int32_t)part.id : found[j];
                if (types != NULL) types[count] = (int32_t)part.type;
            }
        }
        result = count;
    } else if (work.matcher.fuel != 0) result = GLMC_TOKENIZER_NO_MEMORY;
    glmc_work_release(&work);
    glmc_release(&model.symbols);
    glmc_release(&model.heap);
    glmc_release(&model.key);
    glmc_release(&model.tokens);
    return result;
}

/* The tokens of one text; see glmc_encode_pair. */
static inline int64_t glmc_encode(const void *table, const char *text, uint64_t bytes, int flags, int32_t *tokens, int64_t capacity) {
    return glmc_encode_pair(table, text, bytes, NULL, 0, flags, tokens, NULL, capacity);
}

/* The text of tokens: stores at most `capacity` bytes and returns how many there are, which may be more, or an error. Ids that stand for nothing are left out;
 * ids outside the vocabulary are an error. */
static inline int64_t glmc_decode(const void *table, const int32_t *tokens, int64_t count, int flags, char *text, int64_t capacity) {
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    glmc_text_work work = {.view = &view};
    int64_t result = GLMC_TOKENIZER_BAD_TOKEN;
    for (int64_t i = 0; i < count; i++) {
        int32_t id = tokens[i];
        if (id < 0 || id >= glmc_token_count(table)) goto done;
        if (view.kinds[id] == 0 || ((flags & GLMC_SKIP_SPECIAL) && (view.kinds[id] & GLMC_TOKEN_SPECIAL))) continue;
        const glmc_added *added = view.kinds[id] & GLMC_TOKEN_ADDED ? glmc_find_added(&view, (uint32_t)id) : NULL;
        glmc_text name = added != NULL ? added->decoded : glmc_token_text(&view, (uint32_t)id);
        glmc_append(&work.now.text, view.text + name.at, name.bytes);
        glmc_add_piece(&work.now, work.now.text.count - name.bytes, work.now.text.count);
    }
    if (glmc_pieces(&work.now) > 0) glmc_run_steps(&work, view.header->decoder);
    if (glmc_work_failed(&work)) result = GLMC_TOKENIZER_NO_MEMORY;
    else {
        result = (int64_t)work.now.text.count;
        if (capacity > 0 && result > 0) memcpy(text, work.now.text.data, (size_t)(result < capacity ? result : capacity));
    }
done:
    glmc_work_release(&work);
    return result;
}

/* Decodes a stream of tokens piece by piece, in complete characters. Set to {0}, then set `table` and `flags`. */
#define GLMC_DECODER_TOKENS 64
typedef struct glmc_decoder {
    const void *table;
    int32_t flags; /* GLMC_SKIP_SPECIAL or 0 */
    int32_t count, shown; /* tokens that are kept; those of them whose text has been given out, kept because it decides how what follows is written */
    int32_t tokens[GLMC_DECODER_TOKENS];
} glmc_decoder;

static inline int64_t glmc_decoder_text(glmc_decoder *decoder, int flush, char *text, int64_t capacity) {
    int64_t before = glmc_decode(decoder->table, decoder->tokens, decoder->shown, decoder->flags, NULL, 0);
    int64_t all = glmc_decode(decoder->table, decoder->tokens, decoder->count, decoder->flags, NULL, 0);
    if (before < 0 || all < 0 || all <= before) return all < 0 ? all : before < 0 ? before : 0;
    char *whole = (char *)malloc((size_t)all);
    if (whole == NULL) return GLMC_TOKENIZER_NO_MEMORY;
    glmc_decode(decoder->table, decoder->tokens, decoder->count, decoder->flags, whole, all);
    int64_t count = all - before;
    if (!flush && count >= 3 && memcmp(whole + all - 3, "\xef\xbf\xbd", 3) == 0) count = 0; /* a character that is not complete */
    if (count > 0 && count <= capacity) {
        memcpy(text, whole + before, (size_t)count);
        memmove(decoder->tokens, decoder->tokens + decoder->shown, (size_t)(decoder->count - decoder->shown) * sizeof(int32_t));
        decoder->count -= decoder->shown;
        decoder->shown = decoder->count;
    }
    free(whole);
    return count;
}

/* Takes the next token and stores the text that it completes. Returns its bytes, often 0, or an error; when there are more than `capacity`, nothing is taken. */
static inline int64_t glmc_decoder_push(glmc_decoder *decoder, int32_t token, char *text, int64_t capacity) {
    if (token < 0 || token >= glmc_token_count(decoder->table)) return GLMC_TOKENIZER_BAD_TOKEN;
    if ((decoder->flags & GLMC_SKIP_SPECIAL) && glmc_token_is_special(decoder->table, token)) return 0;
    glmc_decoder before = *decoder;
    if (decoder->count == GLMC_DECODER_TOKENS && decoder->shown > 0) {
        memmove(decoder->tokens, decoder->tokens + 1, (GLMC_DECODER_TOKENS - 1) * sizeof(int32_t));
        decoder->count--, decoder->shown--;
    }
    int full = decoder->count >= GLMC_DECODER_TOKENS - 1;
    if (decoder->count == GLMC_DECODER_TOKENS) decoder->count = decoder->shown = 0;
    decoder->tokens[decoder->count++] = token;
    int64_t count = glmc_decoder_text(decoder, full, text, capacity);
    if (count < 0 || count > capacity) *decoder = before;
    return count;
}

/* Stores what is held back, as it is, and starts anew. */
static inline int64_t glmc_decoder_flush(glmc_decoder *decoder, char *text, int64_t capacity) {
    int64_t count = decoder->count > decoder->shown ? glmc_decoder_text(decoder, 1, text, capacity) : 0;
    if (count >= 0 && count <= capacity) decoder->count = decoder->shown = 0;
    return count;
}

#endif
