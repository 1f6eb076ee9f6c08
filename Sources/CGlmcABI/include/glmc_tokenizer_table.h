/* glmc_tokenizer_table.h: the table that a tokenizer is compiled to, and the check that makes it safe to read.
 *
 * A table is constant, little-endian and aligned to 64 bytes. It starts with a glmc_tokenizer_header; all offsets count bytes from there. What a tokenizer does is
 * data: lists of steps over strings (normalizer, pre-tokenizer, decoder), the programs and sets of code points they use, the model and its vocabulary, and templates. */
#ifndef GLMC_TOKENIZER_TABLE_H
#define GLMC_TOKENIZER_TABLE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "glmc_checksum.h"

#define GLMC_TOKENIZER_VERSION 1u
#define GLMC_TOKENIZER_ALIGNMENT 64
#define GLMC_NO_TOKEN (-1)

/* What the sections hold, in this order. */
enum {
    GLMC_SECTION_TEXT,     /* uint8_t: every string, UTF-8 */
    GLMC_SECTION_TOKENS,   /* uint32_t, one more than there are ids: where each id's text begins in TEXT */
    GLMC_SECTION_KINDS,    /* uint8_t per id: GLMC_TOKEN_... */
    GLMC_SECTION_SLOTS,    /* uint32_t, a power of two: open addressing by text, id + 1 or 0 */
    GLMC_SECTION_ADDED,    /* glmc_added by id */
    GLMC_SECTION_NODES,    /* glmc_node: tries over the bytes of added tokens */
    GLMC_SECTION_EDGES,    /* glmc_edge: of each node ascending */
    GLMC_SECTION_MERGES,   /* glmc_merge by rank */
    GLMC_SECTION_PAIRS,    /* uint32_t, a power of two: open addressing by pair, merge + 1 or 0 */
    GLMC_SECTION_SCORES,   /* double per id */
    GLMC_SECTION_SETS,     /* glmc_set */
    GLMC_SECTION_RANGES,   /* glmc_range: of each set ascending, from 128 */
    GLMC_SECTION_CODE,     /* glmc_instruction */
    GLMC_SECTION_PATTERNS, /* glmc_pattern */
    GLMC_SECTION_MAPPED,   /* glmc_mapped: of each map ascending */
    GLMC_SECTION_MAPS,     /* glmc_span in MAPPED */
    GLMC_SECTION_CLASSES,  /* glmc_mapped: canonical combining classes */
    GLMC_SECTION_COMPOSED, /* glmc_merge: pairs of code points ascending */
    GLMC_SECTION_STEPS,    /* glmc_step */
    GLMC_SECTION_TEMPLATE, /* glmc_template */
    GLMC_SECTION_UNITS,    /* uint32_t: the double array of a precompiled normalizer */
    GLMC_SECTIONS
};

enum { GLMC_MODEL_BPE, GLMC_MODEL_WORDPIECE, GLMC_MODEL_UNIGRAM, GLMC_MODEL_WORDS };
enum {
    GLMC_BYTE_FALLBACK = 1, /* what the vocabulary lacks becomes tokens <0x..>, one a byte */
    GLMC_FUSE_UNKNOWN = 2,  /* unknown code points in a row are one token */
    GLMC_WHOLE_FIRST = 4,   /* a piece that is a token is that token, whatever the merges say */
    GLMC_RANK_BY_TOKEN = 8  /* a merge's rank is the id it makes (tiktoken), not its place */
};
enum { GLMC_TOKEN_IN_MODEL = 1, GLMC_TOKEN_SPECIAL = 2, GLMC_TOKEN_ADDED = 4 };
enum { GLMC_ADDED_SINGLE_WORD = 1, GLMC_ADDED_LSTRIP = 2, GLMC_ADDED_RSTRIP = 4 };
enum { GLMC_SPECIAL_BOS, GLMC_SPECIAL_EOS, GLMC_SPECIAL_PAD, GLMC_SPECIAL_UNK, GLMC_SPECIALS };

typedef struct glmc_span { uint32_t first, count; } glmc_span;
typedef struct glmc_text { uint32_t at, bytes; } glmc_text;
typedef struct glmc_added { uint32_t id; glmc_text text, decoded; uint32_t flags; } glmc_added;
typedef struct glmc_node { uint32_t first, count, value; } glmc_node; /* value: 1 + index in ADDED, or 0 */
typedef struct glmc_edge { uint32_t label, node; } glmc_edge;
typedef struct glmc_merge { uint32_t left, right, result; } glmc_merge;
typedef struct glmc_range { uint32_t first, last; } glmc_range;
typedef struct glmc_set { uint32_t ascii[4]; glmc_span ranges; } glmc_set;
typedef struct glmc_instruction { uint32_t op, a, b, c, state; } glmc_instruction;
typedef struct glmc_pattern { glmc_span code; uint32_t states; } glmc_pattern;
typedef struct glmc_template { uint32_t kind, id, type; } glmc_template; /* kind: 0 the first text, 1 the second, 2 the token `id` */
typedef struct glmc_step { uint32_t kind, a, b, c; glmc_text text; } glmc_step;

/* What the code points first...last become: `text`, themselves plus `value`, themselves between spaces; or, in CLASSES, their class `value`. */
enum { GLMC_MAP_TEXT, GLMC_MAP_SHIFT, GLMC_MAP_SPACED };
typedef struct glmc_mapped { uint32_t first, last, kind, value; glmc_text text; } glmc_mapped;

typedef struct glmc_tokenizer_header {
    uint8_t magic[8]; /* "GLMCTOKN" */
    uint32_t version;
    uint32_t crc;   /* CRC-32 of all that follows this field */
    uint64_t bytes; /* of the whole table */
    uint32_t model, flags;
    int32_t unknown;            /* the id of what the vocabulary lacks, or GLMC_NO_TOKEN */
    uint32_t longest_word;      /* WordPiece: code points beyond which a word is unknown */
    uint32_t longest_token;     /* bytes of the longest text in the model's vocabulary */
    uint32_t word, space;       /* the sets that single_word, lstrip and rstrip ask */
    uint32_t tries[2];          /* roots: tokens that are looked for in the text as it is, and after the normalizer */
    double unknown_score;       /* Unigram */
    glmc_text prefix, suffix;   /* of a word's later parts and of its end */
    glmc_span normalizer, pretokenizer, decoder; /* in STEPS */
    glmc_span single, pair;     /* in TEMPLATE */
    int32_t special[GLMC_SPECIALS];
    int32_t fallback[256];      /* the tokens <0x00>...<0xFF>, or GLMC_NO_TOKEN */
    glmc_span sections[GLMC_SECTIONS]; /* first: offset in bytes; count: of elements */
} glmc_tokenizer_header;

/* A table's sections as pointers; ask glmc_tokenizer_view of a table that passed glmc_tokenizer_check. */
typedef struct glmc_tokenizer_view {
    const glmc_tokenizer_header *header;
    const uint8_t *text, *kinds;
    const uint32_t *tokens, *slots, *pairs, *units;
    const glmc_added *added;
    const glmc_node *nodes;
    const glmc_edge *edges;
    const glmc_merge *merges, *composed;
    const double *scores;
    const glmc_set *sets;
    const glmc_range *ranges;
    const glmc_instruction *code;
    const glmc_pattern *patterns;
    const glmc_mapped *mapped, *classes;
    const glmc_span *maps;
    const glmc_step *steps;
    const glmc_template *templates;
} glmc_tokenizer_view;

static inline uint32_t glmc_section_count(const glmc_tokenizer_view *view, int section) { return view->header->sections[section].count; }

static inline glmc_tokenizer_view glmc_tokenizer_open(const void *table) {
    const glmc_tokenizer_header *header = (const glmc_tokenizer_header *)table;
    const uint8_t *base = (const uint8_t *)table;
    const void *at[GLMC_SECTIONS];
    for (int i = 0; i < GLMC_SECTIONS; i++) at[i] = base + header->sections[i].first;
    glmc_tokenizer_view view = {
        header, (const uint8_t *)at[GLMC_SECTION_TEXT], (const uint8_t *)at[GLMC_SECTION_KINDS], (const uint32_t *)at[GLMC_SECTION_TOKENS],
        (const uint32_t *)at[GLMC_SECTION_SLOTS], (const uint32_t *)at[GLMC_SECTION_PAIRS], (const uint32_t *)at[GLMC_SECTION_UNITS],
        (const glmc_added *)at[GLMC_SECTION_ADDED], (const glmc_node *)at[GLMC_SECTION_NODES], (const glmc_edge *)at[GLMC_SECTION_EDGES],
        (const glmc_merge *)at[GLMC_SECTION_MERGES], (const glmc_merge *)at[GLMC_SECTION_COMPOSED], (const double *)at[GLMC_SECTION_SCORES],
        (const glmc_set *)at[GLMC_SECTION_SETS], (const glmc_range *)at[GLMC_SECTION_RANGES], (const glmc_instruction *)at[GLMC_SECTION_CODE],
        (const glmc_pattern *)at[GLMC_SECTION_PATTERNS], (const glmc_mapped *)at[GLMC_SECTION_MAPPED], (const glmc_mapped *)at[GLMC_SECTION_CLASSES],
        (const glmc_span *)at[GLMC_SECTION_MAPS], (const glmc_step *)at[GLMC_SECTION_STEPS], (const glmc_template *)at[GLMC_SECTION_TEMPLATE]};
    return view;
}

static inline int glmc_span_fits(glmc_span span, uint64_t count) { return span.first <= count && span.count <= count - span.first; }
static inline int glmc_text_fits(const glmc_tokenizer_view *view, glmc_text text) {
    glmc_span span = {text.at, text.bytes};
    return glmc_span_fits(span, glmc_section_count(view, GLMC_SECTION_TEXT));
}
static inline int glmc_token_fits(const glmc_tokenizer_view *view, int64_t id) { return id >= GLMC_NO_TOKEN && id < (int64_t)glmc_section_count(view, GLMC_SECTION_KINDS); }

/* What an instruction and a step name; glmc_pattern.h and glmc_tokenizer_steps.h say what they do. */
enum { GLMC_OP_SET, GLMC_OP_LOOP, GLMC_OP_ATOMIC_LOOP, GLMC_OP_SPLIT, GLMC_OP_JUMP, GLMC_OP_LOOK, GLMC_OP_BEHIND, GLMC_OP_ASSERT, GLMC_OP_MATCH, GLMC_OPS };
enum {
    GLMC_STEP_MAP, GLMC_STEP_DECOMPOSE, GLMC_STEP_COMPOSE, GLMC_STEP_TRIM, GLMC_STEP_REPLACE, GLMC_STEP_PREPEND, GLMC_STEP_PRECOMPILED, GLMC_STEP_SPLIT,
    GLMC_STEP_TO_BYTES, GLMC_STEP_FROM_BYTES, GLMC_STEP_FALLBACK, GLMC_STEP_FUSE, GLMC_STEP_STRIP, GLMC_STEP_SPACES, GLMC_STEP_WORDS, GLMC_STEP_SUFFIX, GLMC_STEPS
};

static inline int glmc_check_patterns(const glmc_tokenizer_view *view) {
    uint32_t sets = glmc_section_count(view, GLMC_SECTION_SETS), ranges = glmc_section_count(view, GLMC_SECTION_RANGES);
    for (uint32_t i = 0; i < sets; i++)
        if (!glmc_span_fits(view->sets[i].ranges, ranges)) return 0;
    if (view->header->word >= sets || view->header->space >= sets) return 0;
    for (uint32_t i = 0; i < glmc_section_count(view, GLMC_SECTION_PATTERNS); i++) {
        const glmc_pattern *pattern = &view->patterns[i];
        if (!glmc_span_fits(pattern->code, glmc_section_count(view, GLMC_SECTION_CODE)) || pattern->code.count == 0 || pattern->states > pattern->code.count) return 0;
        for (uint32_t j = 0; j < pattern->code.count; j++) {
            const glmc_instruction *at = &view->code[pattern->code.first + j];
            int usesSet = at->op == GLMC_OP_SET || at->op == GLMC_OP_LOOP || at->op == GLMC_OP_ATOMIC_LOOP || at->op == GLMC_OP_BEHIND;
            int remembers = at->op == GLMC_OP_LOOP || at->op == GLMC_OP_SPLIT || at->op == GLMC_OP_LOOK, jumps = at->op == GLMC_OP_SPLIT || at->op == GLMC_OP_JUMP || at->op == GLMC_OP_LOOK;
            if (at->op >= GLMC_OPS || (usesSet && at->a >= sets) || (remembers && at->state >= pattern->states) || (jumps && at->a >= pattern->code.count)) return 0;
            if ((at->op == GLMC_OP_SPLIT && at->b >= pattern->code.count) || (at->op == GLMC_OP_ASSERT && at->b >= sets)) return 0;
            if (j + 1 == pattern->code.count && at->op != GLMC_OP_MATCH && at->op != GLMC_OP_JUMP) return 0;
        }
    }
    return 1;
}

static inline int glmc_check_steps(const glmc_tokenizer_view *view) {
    const glmc_tokenizer_header *header = view->header;
    uint32_t sets = glmc_section_count(view, GLMC_SECTION_SETS), maps = glmc_section_count(view, GLMC_SECTION_MAPS), steps = glmc_section_count(view, GLMC_SECTION_STEPS);
    for (uint32_t i = 0; i < glmc_section_count(view, GLMC_SECTION_MAPPED); i++)
        if (!glmc_text_fits(view, view->mapped[i].text)) return 0;
    for (uint32_t i = 0; i < maps; i++)
        if (!glmc_span_fits(view->maps[i], glmc_section_count(view, GLMC_SECTION_MAPPED))) return 0;
    for (uint32_t i = 0; i < steps; i++) {
        const glmc_step *step = &view->steps[i];
        int usesPattern = step->kind == GLMC_STEP_REPLACE || step->kind == GLMC_STEP_SPLIT || step->kind == GLMC_STEP_PRECOMPILED;
        if (step->kind >= GLMC_STEPS || !glmc_text_fits(view, step->text) || (usesPattern && step->a >= glmc_section_count(view, GLMC_SECTION_PATTERNS))) return 0;
        if (((step->kind == GLMC_STEP_MAP || step->kind == GLMC_STEP_DECOMPOSE) && step->a >= maps) || (step->kind == GLMC_STEP_TRIM && step->a >= sets)) return 0;
    }
    if (!glmc_span_fits(header->normalizer, steps) || !glmc_span_fits(header->pretokenizer, steps) || !glmc_span_fits(header->decoder, steps)) return 0;
    uint32_t templates = glmc_section_count(view, GLMC_SECTION_TEMPLATE);
    if (!glmc_span_fits(header->single, templates) || !glmc_span_fits(header->pair, templates)) return 0;
    for (uint32_t i = 0; i < templates; i++)
        if (view->templates[i].kind > 2 || (view->templates[i].kind == 2 && view->templates[i].id >= glmc_section_count(view, GLMC_SECTION_KINDS))) return 0;
    return 1;
}

static inline int glmc_check_slots(const uint32_t *slots, uint32_t count, uint32_t entries) {
    uint32_t used = 0;
    if (count == 0 || (count & (count - 1)) != 0) return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (slots[i] > entries) return 0;
        used += slots[i] != 0;
    }
    return used < count; /* a search ends */
}

static inline int glmc_check_vocabulary(const glmc_tokenizer_view *view) {
    const glmc_tokenizer_header *header = view->header;
    uint32_t ids = glmc_section_count(view, GLMC_SECTION_KINDS), text = glmc_section_count(view, GLMC_SECTION_TEXT), added = glmc_section_count(view, GLMC_SECTION_ADDED);
    if (ids >= 1u << 30 || glmc_section_count(view, GLMC_SECTION_TOKENS) != ids + 1) return 0;
    for (uint32_t i = 0; i < ids; i++)
        if (view->tokens[i] > view->tokens[i + 1]) return 0;
    if (view->tokens[ids] > text || !glmc_check_slots(view->slots, glmc_section_count(view, GLMC_SECTION_SLOTS), ids)) return 0;
    for (uint32_t i = 0; i < added; i++)
        if (view->added[i].id >= ids || !glmc_text_fits(view, view->added[i].text) || !glmc_text_fits(view, view->added[i].decoded)) return 0;
    uint32_t nodes = glmc_section_count(view, GLMC_SECTION_NODES), edges = glmc_section_count(view, GLMC_SECTION_EDGES);
    if (header->tries[0] >= nodes || header->tries[1] >= nodes) return 0;
    for (uint32_t i = 0; i < nodes; i++)
        if (!glmc_span_fits((glmc_span){view->nodes[i].first, view->nodes[i].count}, edges) || view->nodes[i].value > added) return 0;
    for (uint32_t i = 0; i < edges; i++)
        if (view->edges[i].node >= nodes) return 0;
    uint32_t merges = glmc_section_count(view, GLMC_SECTION_MERGES), scores = glmc_section_count(view, GLMC_SECTION_SCORES);
    for (uint32_t i = 0; i < merges; i++)
        if (view->merges[i].left >= ids || view->merges[i].right >= ids || view->merges[i].result >= ids) return 0;
    if (!glmc_check_slots(view->pairs, glmc_section_count(view, GLMC_SECTION_PAIRS), merges)) return 0;
    for (int i = 0; i < GLMC_SPECIALS; i++)
        if (!glmc_token_fits(view, header->special[i])) return 0;
    for (int i = 0; i < 256; i++)
        if (!glmc_token_fits(view, header->fallback[i])) return 0;
    if (!glmc_token_fits(view, header->unknown) || !glmc_text_fits(view, header->prefix) || !glmc_text_fits(view, header->suffix)) return 0;
    int needsUnknown = header->model != GLMC_MODEL_BPE;
    return header->model <= GLMC_MODEL_WORDS && (!needsUnknown || header->unknown >= 0) && (header->model != GLMC_MODEL_UNIGRAM || scores == ids);
}

/* Whether the `bytes` bytes at `table` are a whole table that this version reads: 1, else 0. A table that passes is never read outside, whatever its contents. */
static inline int glmc_tokenizer_check(const void *table, uint64_t bytes) {
    static const uint8_t sizes[GLMC_SECTIONS] = {1, 4, 1, 4, sizeof(glmc_added), sizeof(glmc_node), sizeof(glmc_edge), sizeof(glmc_merge), 4, 8, sizeof(glmc_set), sizeof(glmc_range),
        sizeof(glmc_instruction), sizeof(glmc_pattern), sizeof(glmc_mapped), sizeof(glmc_span), sizeof(glmc_mapped), sizeof(glmc_merge), sizeof(glmc_step), sizeof(glmc_template), 4};
    const glmc_tokenizer_header *header = (const glmc_tokenizer_header *)table;
    if (table == NULL || bytes < sizeof *header || (uintptr_t)table % 8 != 0 || memcmp(header->magic, "GLMCTOKN", 8) != 0) return 0;
    if (header->version != GLMC_TOKENIZER_VERSION || header->bytes != bytes || glmc_crc((const uint8_t *)table + 16, bytes - 16) != header->crc) return 0;
    for (int i = 0; i < GLMC_SECTIONS; i++) {
        glmc_span section = header->sections[i];
        if (section.first % 8 != 0 || section.first > bytes || (uint64_t)section.count * sizes[i] > bytes - section.first) return 0;
    }
    glmc_tokenizer_view view = glmc_tokenizer_open(table);
    return glmc_check_vocabulary(&view) && glmc_check_patterns(&view) && glmc_check_steps(&view);
}

/* FNV-1a, continued from `hash`; what SLOTS are addressed by. */
#define GLMC_HASH_START 0xcbf29ce484222325u
static inline uint64_t glmc_hash(uint64_t hash, const uint8_t *text, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i++) hash = (hash ^ text[i]) * 0x100000001b3u;
    return hash;
}
static inline uint32_t glmc_hash_slot(uint64_t hash) { return (uint32_t)(hash ^ hash >> 32); }
static inline uint32_t glmc_pair_slot(uint32_t left, uint32_t right) {
    return (uint32_t)(((uint64_t)left * 0x9e3779b97f4a7c15u ^ (uint64_t)right * 0xc2b2ae3d27d4eb4fu) >> 32);
}

static inline glmc_text glmc_token_text(const glmc_tokenizer_view *view, uint32_t id) { return (glmc_text){view->tokens[id], view->tokens[id + 1] - view->tokens[id]}; }

/* The id of the model's token whose text is `first` and then `rest`, or GLMC_NO_TOKEN; `hash` is that of both. */
static inline int32_t glmc_find_hashed(const glmc_tokenizer_view *view, uint64_t hash, glmc_text first, const uint8_t *rest, uint64_t bytes) {
    uint32_t mask = glmc_section_count(view, GLMC_SECTION_SLOTS) - 1;
    for (uint32_t slot = glmc_hash_slot(hash) & mask; view->slots[slot] != 0; slot = (slot + 1) & mask) {
        glmc_text text = glmc_token_text(view, view->slots[slot] - 1);
        if (text.bytes == first.bytes + bytes && memcmp(view->text + text.at, view->text + first.at, first.bytes) == 0 && memcmp(view->text + text.at + first.bytes, rest, bytes) == 0)
            return (int32_t)(view->slots[slot] - 1);
    }
    return GLMC_NO_TOKEN;
}
static inline int32_t glmc_find(const glmc_tokenizer_view *view, const uint8_t *text, uint64_t bytes) {
    return glmc_find_hashed(view, glmc_hash(GLMC_HASH_START, text, bytes), (glmc_text){0, 0}, text, bytes);
}

/* The merge of two neighbours as its index, or -1. */
static inline int64_t glmc_find_merge(const glmc_tokenizer_view *view, int32_t left, int32_t right) {
    uint32_t mask = glmc_section_count(view, GLMC_SECTION_PAIRS) - 1;
    for (uint32_t slot = glmc_pair_slot((uint32_t)left, (uint32_t)right) & mask; view->pairs[slot] != 0; slot = (slot + 1) & mask) {
        const glmc_merge *merge = &view->merges[view->pairs[slot] - 1];
        if (merge->left == (uint32_t)left && merge->right == (uint32_t)right) return (int64_t)view->pairs[slot] - 1;
    }
    return -1;
}

static inline const glmc_added *glmc_find_added(const glmc_tokenizer_view *view, uint32_t id) {
    uint32_t low = 0, high = glmc_section_count(view, GLMC_SECTION_ADDED);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (view->added[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low < glmc_section_count(view, GLMC_SECTION_ADDED) && view->added[low].id == id ? &view->added[low] : NULL;
}

#endif
