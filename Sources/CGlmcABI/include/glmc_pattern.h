/* glmc_pattern.h: code points, sets of them, and the matcher for patterns that were compiled to instructions.
 *
 * A match is what a backtracking matcher finds: the first alternative that leads to one. Dead ends are remembered per instruction and place, also from one
 * start to the next, so a search takes time in proportion to the text times the program. */
#ifndef GLMC_PATTERN_H
#define GLMC_PATTERN_H

#include "glmc_tokenizer_table.h"

/* Memory that grows. Once an allocation fails, `failed` stays set, and what is added is dropped. */
typedef struct glmc_buffer { uint8_t *data; uint64_t count, capacity; int failed; } glmc_buffer;

static inline uint8_t *glmc_grow(glmc_buffer *buffer, uint64_t more) {
    if (buffer->failed) return NULL;
    if (more > buffer->capacity - buffer->count) {
        uint64_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
        while (capacity - buffer->count < more && capacity < UINT64_MAX / 2) capacity *= 2;
        uint8_t *data = capacity <= SIZE_MAX / 2 && capacity - buffer->count >= more ? (uint8_t *)realloc(buffer->data, (size_t)capacity) : NULL;
        if (data == NULL) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    uint8_t *place = buffer->data + buffer->count;
    buffer->count += more;
    return place;
}
static inline void glmc_append(glmc_buffer *buffer, const void *bytes, uint64_t count) {
    uint8_t *place = glmc_grow(buffer, count);
    if (place != NULL && count > 0) memcpy(place, bytes, count);
}
static inline void glmc_release(glmc_buffer *buffer) {
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

/* The bytes of the code point at the beginning of text[0..<bytes] (bytes > 0), which is stored in *point; 0 when it is not UTF-8. */
static inline uint32_t glmc_utf8(const uint8_t *text, uint64_t bytes, uint32_t *point) {
    uint32_t lead = text[0], count = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0, value = lead;
    if (count > 1) value = lead & (0x7fu >> count);
    if (count > bytes) return 0;
    for (uint32_t i = 1; i < count; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (text[i] & 0x3f);
    }
    if ((count == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) || (count == 4 && (value < 0x10000 || value > 0x10ffff))) return 0;
    *point = value;
    return count;
}

/* The same for text that is known to be UTF-8; a byte that is not stands for itself. */
static inline uint32_t glmc_next(const uint8_t *text, uint64_t bytes, uint32_t *point) {
    *point = text[0];
    if (text[0] < 0x80) return 1;
    uint32_t count = glmc_utf8(text, bytes, point);
    return count ? count : 1;
}

/* The beginning of the code point that ends at `at` > 0. */
static inline uint64_t glmc_previous(const uint8_t *text, uint64_t at) {
    uint64_t start = at - 1;
    while (start > 0 && at - start < 4 && (text[start] & 0xc0) == 0x80) start--;
    return start;
}

static inline void glmc_append_point(glmc_buffer *buffer, uint32_t point) {
    uint8_t bytes[4];
    uint32_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (count == 1) bytes[0] = (uint8_t)point;
    for (uint32_t i = count; count > 1 && i-- > 0; point >>= 6) bytes[i] = (uint8_t)(i > 0 ? 0x80 | (point & 0x3f) : (0xf00u >> count & 0xff) | point);
    glmc_append(buffer, bytes, count);
}

static inline int glmc_set_has(const glmc_tokenizer_view *view, uint32_t set, uint32_t point) {
    const glmc_set *in = &view->sets[set];
    if (point < 128) return in->ascii[point >> 5] >> (point & 31) & 1;
    uint32_t low = in->ranges.first, high = low + in->ranges.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (view->ranges[middle].last < point) low = middle + 1;
        else high = middle;
    }
    return low < in->ranges.first + in->ranges.count && view->ranges[low].first <= point;
}

/* Instructions. SET takes a code point of the set a. LOOP takes up to c of them and gives back; ATOMIC_LOOP never gives back. SPLIT tries a, then b. LOOK tries what
 * follows it up to its MATCH as a match of its own (b: 0 ahead, 1 not ahead, 2 atomic) and goes on at a. BEHIND asks for the code point before (b: must not be). */
enum { GLMC_LOOK_AHEAD, GLMC_LOOK_NOT_AHEAD, GLMC_LOOK_ATOMIC };
enum { GLMC_LINE_START, GLMC_LINE_END, GLMC_TEXT_START, GLMC_TEXT_END, GLMC_LAST_LINE_END, GLMC_BOUNDARY, GLMC_NO_BOUNDARY };

typedef struct glmc_choice { uint32_t pc, exhausted; uint64_t low, at, high; } glmc_choice;

typedef struct glmc_matcher {
    const glmc_tokenizer_view *view;
    const glmc_pattern *pattern;
    const uint8_t *text; /* the piece that is searched; nothing outside it is seen */
    uint64_t size;
    glmc_buffer memo;    /* per state and place two bits: leads nowhere, leads to a match of the LOOK it is in */
    glmc_buffer frames;
    uint64_t fuel;       /* more than any program needs; what a damaged one may use */
} glmc_matcher;

static inline void glmc_matcher_release(glmc_matcher *matcher) {
    glmc_release(&matcher->memo);
    glmc_release(&matcher->frames);
}

/* Prepares searches in one piece. */
static inline void glmc_matcher_start(glmc_matcher *matcher, const glmc_tokenizer_view *view, uint32_t pattern, const uint8_t *text, uint64_t size) {
    matcher->view = view;
    matcher->pattern = &view->patterns[pattern];
    matcher->text = text;
    matcher->size = size;
    matcher->fuel = (matcher->pattern->code.count + 8) * (size + 8) * 16;
    matcher->memo.count = matcher->frames.count = 0;
    uint64_t bytes = (matcher->pattern->states * (size + 1) + 3) / 4;
    uint8_t *memo = glmc_grow(&matcher->memo, bytes);
    if (memo != NULL) memset(memo, 0, bytes);
}

static inline int glmc_known(const glmc_matcher *matcher, uint32_t state, uint64_t at) {
    uint64_t index = state * (matcher->size + 1) + at;
    return matcher->memo.data[index >> 2] >> (index & 3) * 2 & 3;
}
static inline void glmc_learn(glmc_matcher *matcher, uint32_t state, uint64_t at, int what) {
    uint64_t index = state * (matcher->size + 1) + at;
    matcher->memo.data[index >> 2] = (uint8_t)(matcher->memo.data[index >> 2] | what << (index & 3) * 2);
}

static inline int glmc_set_at(const glmc_matcher *matcher, uint32_t set, uint64_t at, uint32_t *bytes) {
    uint32_t point;
    if (at >= matcher->size) return 0;
    *bytes = glmc_next(matcher->text + at, matcher->size - at, &point);
    return glmc_set_has(matcher->view, set, point);
}
static inline int glmc_set_before(const glmc_matcher *matcher, uint32_t set, uint64_t at) {
    uint32_t bytes;
    return at > 0 && glmc_set_at(matcher, set, glmc_previous(matcher->text, at), &bytes);
}

static inline int glmc_assert_at(const glmc_matcher *matcher, const glmc_instruction *code, uint64_t at) {
    uint32_t bytes;
    int last = at == matcher->size;
    switch (code->a) {
    case GLMC_LINE_START: return at == 0 || (matcher->text[at - 1] == '\n' && !last);
    case GLMC_LINE_END: return last || matcher->text[at] == '\n';
    case GLMC_TEXT_START: return at == 0;
    case GLMC_TEXT_END: return last;
    case GLMC_LAST_LINE_END: return last || (at + 1 == matcher->size && matcher->text[at] == '\n');
    default: return (glmc_set_before(matcher, code->b, at) != glmc_set_at(matcher, code->b, at, &bytes)) == (code->a == GLMC_BOUNDARY);
    }
}

/* The end of the match of the program from `pc` at the place `at`, or -1. `remembers`: nothing but whether there is one is asked (a LOOK). */
static inline int64_t glmc_match(glmc_matcher *matcher, uint32_t pc, uint64_t at, int remembers, int depth) {
    const glmc_instruction *program = matcher->view->code + matcher->pattern->code.first;
    uint64_t base = matcher->frames.count;
    int64_t result = -1;
    for (;;) {
        const glmc_instruction *code = &program[pc];
        uint32_t bytes;
        int fails = 0, known = 0;
        if (matcher->fuel == 0) break;
        matcher->fuel--;
        if (code->op == GLMC_OP_SPLIT || code->op == GLMC_OP_LOOP) known = glmc_known(matcher, code->state, at);
        if (known == 1) fails = 1;
        else if (known == 2 && remembers) { result = (int64_t)at; break; }
        else switch (code->op) {
        case GLMC_OP_SET:
            if (glmc_set_at(matcher, code->a, at, &bytes)) { at += bytes; pc++; }
            else fails = 1;
            break;
        case GLMC_OP_LOOP:
        case GLMC_OP_ATOMIC_LOOP: {
            uint64_t low = at;
            for (uint32_t count = 0; (code->c == UINT32_MAX || count < code->c) && glmc_set_at(matcher, code->a, at, &bytes); count++) at += bytes;
            if (code->op == GLMC_OP_LOOP) {
                glmc_choice frame = {pc, 0, low, at, at};
                glmc_append(&matcher->frames, &frame, sizeof frame);
            }
            pc++;
            break;
        }
        case GLMC_OP_SPLIT: {
            glmc_choice frame = {pc, 0, at, at, at};
            glmc_append(&matcher->frames, &frame, sizeof frame);
            pc = code->a;
            break;
        }
        case GLMC_OP_JUMP: pc = code->a; break;
        case GLMC_OP_LOOK: {
            int64_t end = depth < 16 ? glmc_match(matcher, pc + 1, at, code->b != GLMC_LOOK_ATOMIC, depth + 1) : -1;
            if ((end >= 0) == (code->b != GLMC_LOOK_NOT_AHEAD)) {
                if (code->b == GLMC_LOOK_ATOMIC) at = (uint64_t)end;
                pc = code->a;
            } else fails = 1;
            break;
        }
        case GLMC_OP_BEHIND:
            if (glmc_set_before(matcher, code->a, at) != (int)(code->b != 0)) pc++;
            else fails = 1;
            break;
        case GLMC_OP_ASSERT:
            if (glmc_assert_at(matcher, code, at)) pc++;
            else fails = 1;
            break;
        default: result = (int64_t)at; break;
        }
        if (result >= 0 || matcher->frames.failed) break;
        while (fails) {
            if (matcher->frames.count == base) goto done;
            glmc_choice *top = (glmc_choice *)(void *)(matcher->frames.data + matcher->frames.count) - 1;
            code = &program[top->pc];
            if (code->op == GLMC_OP_SPLIT && !top->exhausted) {
                top->exhausted = 1;
                pc = code->b;
                at = top->at;
                fails = 0;
            } else if (code->op == GLMC_OP_LOOP && top->at > top->low) {
                top->at = glmc_previous(matcher->text, top->at);
                pc = top->pc + 1;
                at = top->at;
                fails = 0;
            } else {
                /* A loop without a limit that leads nowhere from here leads nowhere from any later place in it. */
                for (uint64_t place = top->low; place <= (code->op == GLMC_OP_LOOP && code->c == UINT32_MAX ? top->high : top->low); place++) glmc_learn(matcher, code->state, place, 1);
                matcher->frames.count -= sizeof(glmc_choice);
            }
        }
    }
done:
    while (matcher->frames.count > base) { /* what still stands on the path led here */
        glmc_choice *top = (glmc_choice *)(void *)(matcher->frames.data + matcher->frames.count) - 1;
        if (remembers && result >= 0) glmc_learn(matcher, program[top->pc].state, top->low, 2);
        matcher->frames.count -= sizeof(glmc_choice);
    }
    return result;
}

/* The first match at `from` or later that is not empty: 1 and its ends, else 0. */
static inline int glmc_search(glmc_matcher *matcher, uint64_t from, uint64_t *start, uint64_t *end) {
    uint32_t point;
    while (from < matcher->size && !matcher->memo.failed && !matcher->frames.failed) {
        int64_t found = glmc_match(matcher, 0, from, 0, 0);
        if (found > (int64_t)from) {
            *start = from;
            *end = (uint64_t)found;
            return 1;
        }
        from += glmc_next(matcher->text + from, matcher->size - from, &point);
    }
    return 0;
}

#endif
