/* glmc_tokenizer_models.h: from one string to tokens: BPE, WordPiece, Unigram, whole words. */
#ifndef GLMC_TOKENIZER_MODELS_H
#define GLMC_TOKENIZER_MODELS_H

#include "glmc_tokenizer_steps.h"

typedef struct glmc_symbol { int32_t id; int64_t previous, next; } glmc_symbol; /* id: GLMC_NO_TOKEN once it went into its left neighbour */
typedef struct glmc_candidate { uint64_t key, place; int32_t result; } glmc_candidate; /* key: the rank; ties go to the leftmost */
typedef struct glmc_node_best { double score; int64_t start; int32_t id; } glmc_node_best;

/* Memory of the models, kept from one string to the next. */
typedef struct glmc_model_work { glmc_buffer symbols, heap, key, tokens; } glmc_model_work;

static inline void glmc_emit(glmc_model_work *work, int32_t id) { glmc_append(&work->tokens, &id, sizeof id); }

static inline int glmc_before(glmc_candidate a, glmc_candidate b) { return a.key < b.key || (a.key == b.key && a.place < b.place); }

static inline void glmc_heap_push(glmc_buffer *heap, glmc_candidate candidate) {
    if (glmc_grow(heap, sizeof candidate) == NULL) return;
    glmc_candidate *items = (glmc_candidate *)(void *)heap->data;
    uint64_t at = heap->count / sizeof candidate - 1;
    for (; at > 0 && glmc_before(candidate, items[(at - 1) / 2]); at = (at - 1) / 2) items[at] = items[(at - 1) / 2];
    items[at] = candidate;
}
static inline glmc_candidate glmc_heap_pop(glmc_buffer *heap) {
    glmc_candidate *items = (glmc_candidate *)(void *)heap->data, top = items[0];
    heap->count -= sizeof top;
    uint64_t count = heap->count / sizeof top, at = 0;
    glmc_candidate last = items[count];
    for (uint64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && glmc_before(items[child + 1], items[child])) child++;
        if (!glmc_before(items[child], last)) break;
        items[at] = items[child];
    }
    if (count > 0) items[at] = last;
    return top;
}

static inline void glmc_consider(const glmc_tokenizer_view *view, glmc_model_work *work, int64_t left, int64_t right) {
    const glmc_symbol *symbols = (const glmc_symbol *)(const void *)work->symbols.data;
    if (left < 0 || right < 0) return;
    int64_t merge = glmc_find_merge(view, symbols[left].id, symbols[right].id);
    if (merge < 0) return;
    int32_t result = (int32_t)view->merges[merge].result;
    glmc_heap_push(&work->heap, (glmc_candidate){view->header->flags & GLMC_RANK_BY_TOKEN ? (uint64_t)result : (uint64_t)merge, (uint64_t)left, result});
}

static inline void glmc_add_symbol(glmc_model_work *work, int32_t id) {
    int64_t index = (int64_t)(work->symbols.count / sizeof(glmc_symbol));
    glmc_symbol symbol = {id, index - 1, index + 1};
    glmc_append(&work->symbols, &symbol, sizeof symbol);
}

/* The tokens <0x..> of bytes: whether all are there; they are given to `emit` then. */
static inline int glmc_fall_back(const glmc_tokenizer_view *view, glmc_model_work *work, const uint8_t *text, uint64_t bytes, void (*emit)(glmc_model_work *, int32_t)) {
    if (!(view->header->flags & GLMC_BYTE_FALLBACK)) return 0;
    for (uint64_t i = 0; i < bytes; i++)
        if (view->header->fallback[text[i]] < 0) return 0;
    for (uint64_t i = 0; i < bytes; i++) emit(work, view->header->fallback[text[i]]);
    return 1;
}

/* Merges neighbours by rank until none merge: n log n. */
static inline void glmc_bpe(const glmc_tokenizer_view *view, glmc_model_work *work, const uint8_t *text, uint64_t size) {
    const glmc_tokenizer_header *header = view->header;
    work->symbols.count = work->heap.count = 0;
    if (header->flags & GLMC_WHOLE_FIRST) {
        int32_t whole = glmc_find(view, text, size);
        if (whole >= 0) {
            glmc_emit(work, whole);
            return;
        }
    }
    int pending = 0;
    uint32_t bytes, point;
    for (uint64_t at = 0; at < size; at += bytes) {
        bytes = glmc_next(text + at, size - at, &point);
        const uint8_t *key = text + at;
        uint64_t length = bytes;
        if ((header->prefix.bytes && at > 0) || (header->suffix.bytes && at + bytes == size)) {
            work->key.count = 0;
            if (at > 0) glmc_append(&work->key, view->text + header->prefix.at, header->prefix.bytes);
            glmc_append(&work->key, text + at, bytes);
            if (at + bytes == size) glmc_append(&work->key, view->text + header->suffix.at, header->suffix.bytes);
            if (work->key.failed) return;
            key = work->key.data;
            length = work->key.count;
        }
        int32_t id = glmc_find(view, key, length);
        if (id >= 0) {
            if (pending) glmc_add_symbol(work, header->unknown);
            pending = 0;
            glmc_add_symbol(work, id);
        } else if (!glmc_fall_back(view, work, key, length, glmc_add_symbol) && header->unknown >= 0) {
            if (pending && !(header->flags & GLMC_FUSE_UNKNOWN)) glmc_add_symbol(work, header->unknown);
            pending = 1;
        }
    }
    if (pending) glmc_add_symbol(work, header->unknown);
    if (work->symbols.failed || work->symbols.count == 0) return;
    glmc_symbol *symbols = (glmc_symbol *)(void *)work->symbols.data;
    int64_t count = (int64_t)(work->symbols.count / sizeof *symbols);
    symbols[count - 1].next = -1;
    for (int64_t i = 0; i + 1 < count; i++) glmc_consider(view, work, i, i + 1);
    while (work->heap.count > 0 && !work->heap.failed) {
        glmc_candidate top = glmc_heap_pop(&work->heap);
        glmc_symbol *left = &symbols[top.place];
        if (left->id < 0 || left->next < 0) continue;
        int64_t merge = glmc_find_merge(view, left->id, symbols[left->next].id);
        if (merge < 0 || (int32_t)view->merges[merge].result != top.result) continue; /* a neighbour has changed */
        int64_t gone = left->next;
        left->id = top.result;
        left->next = symbols[gone].next;
        symbols[gone].id = GLMC_NO_TOKEN;
        if (left->next >= 0) symbols[left->next].previous = (int64_t)top.place;
        glmc_consider(view, work, left->previous, (int64_t)top.place);
        glmc_consider(view, work, (int64_t)top.place, left->next);
    }
    for (int64_t i = 0; i >= 0 && i < count; i = symbols[i].next) glmc_emit(work, symbols[i].id);
}

/* The longest token first, from left to right; a word with a part that is none is unknown as a whole. */
static inline void glmc_wordpiece(const glmc_tokenizer_view *view, glmc_model_work *work, const uint8_t *text, uint64_t size) {
    const glmc_tokenizer_header *header = view->header;
    uint64_t before = work->tokens.count, points = 0, at = 0;
    for (uint64_t i = 0; i < size; i++) points += (text[i] & 0xc0) != 0x80;
    while (points <= header->longest_word && at < size) {
        glmc_text prefix = at > 0 ? header->prefix : (glmc_text){0, 0};
        uint64_t start = glmc_hash(GLMC_HASH_START, view->text + prefix.at, prefix.bytes), hash = start, length = size - at, taken = 0;
        int32_t id = GLMC_NO_TOKEN;
        if (length > header->longest_token) length = header->longest_token;
        for (uint64_t i = 0; i < length; i++) {
            hash = glmc_hash(hash, text + at + i, 1);
            if (at + i + 1 < size && (text[at + i + 1] & 0xc0) == 0x80) continue;
            int32_t found = glmc_find_hashed(view, hash, prefix, text + at, i + 1);
            if (found >= 0) {
                id = found;
                taken = i + 1;
            }
        }
        if (id < 0) break;
        glmc_emit(work, id);
        at += taken;
    }
    if (at < size) {
        work->tokens.count = before;
        glmc_emit(work, header->unknown);
    }
}

/* The tokens whose scores have the largest sum (Viterbi); what no token covers is unknown, in a row one token, or its bytes. */
static inline void glmc_unigram(const glmc_tokenizer_view *view, glmc_model_work *work, const uint8_t *text, uint64_t size) {
    const glmc_tokenizer_header *header = view->header;
    work->symbols.count = work->heap.count = 0;
    glmc_node_best *best = (glmc_node_best *)(void *)glmc_grow(&work->symbols, (size + 1) * sizeof(glmc_node_best));
    if (best == NULL) return;
    for (uint64_t i = 0; i <= size; i++) best[i] = (glmc_node_best){0, -1, GLMC_NO_TOKEN};
    uint32_t bytes, point;
    for (uint64_t at = 0; at < size; at += bytes) {
        uint64_t hash = GLMC_HASH_START, length = size - at;
        int single = 0;
        bytes = glmc_next(text + at, size - at, &point);
        if (length > header->longest_token) length = header->longest_token;
        for (uint64_t i = 0; i < length; i++) {
            hash = glmc_hash(hash, text + at + i, 1);
            if (at + i + 1 < size && (text[at + i + 1] & 0xc0) == 0x80) continue;
            int32_t id = glmc_find_hashed(view, hash, (glmc_text){0, 0}, text + at, i + 1);
            if (id < 0) continue;
            glmc_node_best *end = &best[at + i + 1];
            double score = view->scores[id] + best[at].score;
            if (end->start < 0 || score > end->score) *end = (glmc_node_best){score, (int64_t)at, id};
            single |= i + 1 == bytes;
        }
        if (!single) {
            glmc_node_best *end = &best[at + bytes];
            double score = header->unknown_score + best[at].score;
            if (end->start < 0 || score > end->score) *end = (glmc_node_best){score, (int64_t)at, header->unknown};
        }
    }
    for (int64_t end = (int64_t)size; end > 0; end = best[end].start) { /* the path, from its end */
        uint64_t place = (uint64_t)end;
        glmc_append(&work->heap, &place, sizeof place);
        if (best[end].start < 0) return;
    }
    if (work->heap.failed) return;
    const uint64_t *path = (const uint64_t *)(const void *)work->heap.data;
    for (uint64_t i = work->heap.count / sizeof *path; i-- > 0;) {
        const glmc_node_best *node = &best[path[i]];
        if (node->id != header->unknown) {
            glmc_emit(work, node->id);
            continue;
        }
        uint64_t start = (uint64_t)node->start;
        while (i > 0 && best[path[i - 1]].id == header->unknown) i--;
        int32_t whole = glmc_find(view, text + start, path[i] - start);
        if (whole >= 0) glmc_emit(work, whole);
        else if (!glmc_fall_back(view, work, text + start, path[i] - start, glmc_emit)) glmc_emit(work, header->unknown);
    }
}

/* Appends the tokens of one string that is not empty. */
static inline void glmc_tokenize_string(const glmc_tokenizer_view *view, glmc_model_work *work, const uint8_t *text, uint64_t size) {
    switch (view->header->model) {
    case GLMC_MODEL_BPE: glmc_bpe(view, work, text, size); break;
    case GLMC_MODEL_WORDPIECE: glmc_wordpiece(view, work, text, size); break;
    case GLMC_MODEL_UNIGRAM: glmc_unigram(view, work, text, size); break;
    default: {
        int32_t id = glmc_find(view, text, size);
        glmc_emit(work, id >= 0 ? id : view->header->unknown);
    }
    }
}

#endif
