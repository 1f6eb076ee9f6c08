/* glmc_tokenizer_steps.h: what normalizers, pre-tokenizers and decoders do, as steps from one list of strings to the next. */
#ifndef GLMC_TOKENIZER_STEPS_H
#define GLMC_TOKENIZER_STEPS_H

#include "glmc_pattern.h"

/* Strings in a row: their bytes, and where each begins and ends in them. */
typedef struct glmc_piece { uint64_t start, end; } glmc_piece;
typedef struct glmc_strings {
    glmc_buffer text, pieces;
    int at_start; /* whether the first string begins with the first character of what is encoded */
} glmc_strings;

/* What steps need besides: one set per encoding or decoding. */
typedef struct glmc_text_work {
    const glmc_tokenizer_view *view;
    glmc_strings now, next;
    glmc_matcher matcher;
    glmc_buffer points; /* of normal forms: glmc_mark */
} glmc_text_work;

typedef struct glmc_mark { uint32_t point, class; } glmc_mark;
typedef struct glmc_found { uint64_t start, end; int isMatch; } glmc_found;

static inline uint64_t glmc_pieces(const glmc_strings *strings) { return strings->pieces.count / sizeof(glmc_piece); }
static inline glmc_piece glmc_piece_at(const glmc_strings *strings, uint64_t index) { return ((const glmc_piece *)(const void *)strings->pieces.data)[index]; }
static inline void glmc_add_piece(glmc_strings *strings, uint64_t start, uint64_t end) {
    glmc_piece piece = {start, end};
    glmc_append(&strings->pieces, &piece, sizeof piece);
}
static inline void glmc_clear(glmc_strings *strings) { strings->text.count = strings->pieces.count = 0; }
static inline int glmc_work_failed(const glmc_text_work *work) {
    return work->now.text.failed || work->now.pieces.failed || work->next.text.failed || work->next.pieces.failed || work->matcher.memo.failed || work->matcher.frames.failed ||
           work->points.failed || (work->matcher.pattern != NULL && work->matcher.fuel == 0);
}
static inline void glmc_work_release(glmc_text_work *work) {
    glmc_release(&work->now.text);
    glmc_release(&work->now.pieces);
    glmc_release(&work->next.text);
    glmc_release(&work->next.pieces);
    glmc_release(&work->points);
    glmc_matcher_release(&work->matcher);
}

/* The entry of a map for a code point, or NULL where it stays. */
static inline const glmc_mapped *glmc_mapped_at(const glmc_mapped *entries, glmc_span span, uint32_t point) {
    uint32_t low = span.first, high = span.first + span.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].last < point) low = middle + 1;
        else high = middle;
    }
    return low < span.first + span.count && entries[low].first <= point ? &entries[low] : NULL;
}

static inline void glmc_map_point(const glmc_tokenizer_view *view, uint32_t map, uint32_t point, glmc_buffer *to) {
    const glmc_mapped *entry = glmc_mapped_at(view->mapped, view->maps[map], point);
    if (entry == NULL) glmc_append_point(to, point);
    else if (entry->kind == GLMC_MAP_TEXT) glmc_append(to, view->text + entry->text.at, entry->text.bytes);
    else if (entry->kind == GLMC_MAP_SHIFT) glmc_append_point(to, (point + entry->value) & 0x1fffff);
    else {
        glmc_append(to, " ", 1);
        glmc_append_point(to, point);
        glmc_append(to, " ", 1);
    }
}

/* Hangul syllables (The Unicode Standard, 3.12): 19 leading, 21 vowel and 28 trailing letters, the first of these standing for none. */
static inline int glmc_split_hangul(uint32_t point, glmc_buffer *to) {
    uint32_t index = point - 0xac00;
    if (index >= 11172) return 0;
    glmc_append_point(to, 0x1100 + index / 588);
    glmc_append_point(to, 0x1161 + index % 588 / 28);
    if (index % 28) glmc_append_point(to, 0x11a7 + index % 28);
    return 1;
}
static inline uint32_t glmc_compose(const glmc_tokenizer_view *view, uint32_t left, uint32_t right) {
    if (left - 0x1100 < 19 && right - 0x1161 < 21) return 0xac00 + (left - 0x1100) * 588 + (right - 0x1161) * 28;
    if (left - 0xac00 < 11172 && (left - 0xac00) % 28 == 0 && right - 0x11a8 < 27) return left + right - 0x11a7;
    uint32_t low = 0, high = glmc_section_count(view, GLMC_SECTION_COMPOSED);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const glmc_merge *pair = &view->composed[middle];
        if (pair->left < left || (pair->left == left && pair->right < right)) low = middle + 1;
        else high = middle;
    }
    return low < glmc_section_count(view, GLMC_SECTION_COMPOSED) && view->composed[low].left == left && view->composed[low].right == right ? view->composed[low].result : 0;
}
static inline uint32_t glmc_class(const glmc_tokenizer_view *view, uint32_t point) {
    const glmc_mapped *entry = point < 0x300 ? NULL : glmc_mapped_at(view->classes, (glmc_span){0, glmc_section_count(view, GLMC_SECTION_CLASSES)}, point);
    return entry == NULL ? 0 : entry->value;
}

/* Puts marks of different classes in order, keeping those of one class as they are: a counting sort of each run. */
static inline void glmc_order_marks(glmc_mark *marks, uint64_t count, glmc_buffer *scratch) {
    uint64_t places[257] = {0};
    int sorted = 1;
    for (uint64_t i = 1; i < count; i++) sorted &= (marks[i - 1].class & 255) <= (marks[i].class & 255);
    if (sorted) return;
    uint64_t start = scratch->count;
    glmc_append(scratch, marks, count * sizeof *marks);
    if (scratch->failed) return;
    const glmc_mark *from = (const glmc_mark *)(const void *)(scratch->data + start);
    for (uint64_t i = 0; i < count; i++) places[(from[i].class & 255) + 1]++;
    for (int i = 0; i < 256; i++) places[i + 1] += places[i];
    for (uint64_t i = 0; i < count; i++) marks[places[from[i].class & 255]++] = from[i];
    scratch->count = start;
}

/* Canonical ordering, and composition where it is asked for, of decomposed text. */
static inline void glmc_normal_form(glmc_text_work *work, const uint8_t *text, uint64_t bytes, int composes, glmc_buffer *to) {
    glmc_buffer *points = &work->points, scratch = {0};
    points->count = 0;
    for (uint64_t at = 0; at < bytes;) {
        glmc_mark mark;
        at += glmc_next(text + at, bytes - at, &mark.point);
        mark.class = glmc_class(work->view, mark.point);
        glmc_append(points, &mark, sizeof mark);
    }
    if (points->failed) return;
    glmc_mark *marks = (glmc_mark *)(void *)points->data;
    uint64_t count = points->count / sizeof *marks, kept = 0, starter = UINT64_MAX;
    for (uint64_t i = 0; i < count;) {
        uint64_t end = i + 1;
        if (marks[i].class != 0) {
            while (end < count && marks[end].class != 0) end++;
            glmc_order_marks(marks + i, end - i, &scratch);
        }
        i = end;
    }
    if (scratch.failed) points->failed = 1;
    glmc_release(&scratch);
    for (uint64_t i = 0; i < count; i++) {
        /* A mark is blocked from its starter by what was kept between them with its class or a higher one, or with class 0. */
        int blocked = starter == UINT64_MAX || (kept - 1 > starter && (marks[kept - 1].class == 0 || marks[kept - 1].class >= marks[i].class));
        uint32_t composed = composes && !blocked ? glmc_compose(work->view, marks[starter].point, marks[i].point) : 0;
        if (composed != 0) {
            marks[starter].point = composed;
            continue;
        }
        if (marks[i].class == 0) starter = kept;
        marks[kept++] = marks[i];
    }
    for (uint64_t i = 0; i < kept; i++) glmc_append_point(to, marks[i].point);
}

/* GPT-2's letters for bytes: printable Latin-1 stands for itself, the rest follow from U+0100. */
static inline uint32_t glmc_letter_of_byte(uint32_t byte) {
    if ((byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad)) return byte;
    return 0x100 + (byte <= 0x20 ? byte : byte == 0xad ? 67 : byte - 0x7f + 33);
}
static inline int glmc_byte_of_letter(uint32_t letter) {
    if (letter < 0x100) return glmc_letter_of_byte(letter) == letter ? (int)letter : -1;
    uint32_t index = letter - 0x100;
    return index > 67 ? -1 : index < 33 ? (int)index : index == 67 ? 0xad : (int)(index - 33 + 0x7f);
}

/* Bytes as text: what is not UTF-8 becomes U+FFFD, one for each longest beginning of a character (The Unicode Standard, 3.9, as Rust does it). */
static inline void glmc_append_lossy(glmc_buffer *to, const uint8_t *text, uint64_t bytes) {
    uint32_t point;
    for (uint64_t at = 0; at < bytes;) {
        uint64_t count = glmc_utf8(text + at, bytes - at, &point);
        if (count) glmc_append(to, text + at, count);
        else {
            uint8_t lead = text[at];
            uint64_t wanted = lead < 0xc2 || lead > 0xf4 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
            for (count = 1; count < wanted && at + count < bytes; count++) {
                uint8_t byte = text[at + count], least = 0x80, most = 0xbf;
                if (count == 1) {
                    least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
                    most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
                }
                if (byte < least || byte > most) break;
            }
            glmc_append(to, "\xef\xbf\xbd", 3);
        }
        at += count;
    }
}

/* What a split does with what matches; the last two join a match to a neighbour, never two matches. */
enum { GLMC_REMOVED, GLMC_ISOLATED, GLMC_CONTIGUOUS, GLMC_MERGED_WITH_PREVIOUS, GLMC_MERGED_WITH_NEXT };

typedef struct glmc_splitter { glmc_strings *to; uint64_t base; glmc_found held; int behaviour, holds, wasMatch; } glmc_splitter;

static inline void glmc_split_emit(glmc_splitter *splitter, glmc_found found) {
    if (found.end > found.start) glmc_add_piece(splitter->to, splitter->base + found.start, splitter->base + found.end);
}
static inline void glmc_split_add(glmc_splitter *splitter, glmc_found found) {
    int joins = 0;
    if (splitter->holds) switch (splitter->behaviour) {
    case GLMC_CONTIGUOUS: joins = found.isMatch == splitter->held.isMatch; break;
    case GLMC_MERGED_WITH_PREVIOUS: joins = found.isMatch && !splitter->wasMatch; break;
    case GLMC_MERGED_WITH_NEXT: joins = splitter->held.isMatch && !found.isMatch; break;
    }
    splitter->wasMatch = found.isMatch;
    if (splitter->behaviour == GLMC_REMOVED && found.isMatch) return;
    if (joins) {
        splitter->held.end = found.end;
        splitter->held.isMatch = found.isMatch;
        return;
    }
    if (splitter->holds) glmc_split_emit(splitter, splitter->held);
    splitter->held = found;
    splitter->holds = 1;
}

static inline void glmc_step_split(glmc_text_work *work, const glmc_step *step) {
    glmc_strings *from = &work->now, *to = &work->next;
    glmc_append(&to->text, from->text.data, from->text.count);
    for (uint64_t i = 0; i < glmc_pieces(from); i++) {
        glmc_piece piece = glmc_piece_at(from, i);
        glmc_splitter splitter = {to, piece.start, {0, 0, 0}, (int)step->b, 0, 0};
        uint64_t size = piece.end - piece.start, at = 0, start, end;
        glmc_matcher_start(&work->matcher, work->view, step->a, from->text.data + piece.start, size);
        while (at < size && glmc_search(&work->matcher, at, &start, &end)) {
            if (start > at) glmc_split_add(&splitter, (glmc_found){at, start, step->c != 0});
            glmc_split_add(&splitter, (glmc_found){start, end, step->c == 0});
            at = end;
        }
        if (at < size) glmc_split_add(&splitter, (glmc_found){at, size, step->c != 0});
        if (splitter.holds) glmc_split_emit(&splitter, splitter.held);
    }
    to->at_start = from->at_start && glmc_pieces(to) > 0 && !to->pieces.failed && glmc_piece_at(to, 0).start == glmc_piece_at(from, 0).start;
}

/* Sentencepiece's rules: a double array (units: 8 bits of label, the leaf bit 8, the shift bit 9, the offset from bit 10) leads from a longest prefix to a text that ends in 0. */
static inline int glmc_precompiled_find(const glmc_tokenizer_view *view, const glmc_step *step, const uint8_t *text, uint64_t bytes, glmc_text *found) {
    uint32_t units = glmc_section_count(view, GLMC_SECTION_UNITS), node = 0;
    int has = 0;
    if (units == 0) return 0;
    node = view->units[0] >> 10 << ((view->units[0] & 1u << 9) >> 6);
    for (uint64_t i = 0; i < bytes && text[i] != 0; i++) {
        node ^= text[i];
        if (node >= units || (view->units[node] & 0x800000ffu) != text[i]) break;
        uint32_t unit = view->units[node];
        node ^= unit >> 10 << ((unit & 1u << 9) >> 6);
        if (unit >> 8 & 1) {
            if (node >= units) break;
            uint32_t at = view->units[node] & 0x7fffffffu;
            if (at > step->text.bytes) break;
            const uint8_t *start = view->text + step->text.at + at, *end = (const uint8_t *)memchr(start, 0, step->text.bytes - at);
            *found = (glmc_text){step->text.at + at, (uint32_t)(end == NULL ? step->text.bytes - at : (uint64_t)(end - start))};
            has = 1;
            break; /* the shortest rule is the one that is taken */
        }
    }
    return has;
}
static inline void glmc_step_precompiled(glmc_text_work *work, const glmc_step *step, const uint8_t *text, uint64_t size, glmc_buffer *to) {
    uint64_t at = 0, start, end;
    glmc_text found;
    uint32_t point;
    glmc_matcher_start(&work->matcher, work->view, step->a, text, size);
    while (at < size) {
        if (!glmc_search(&work->matcher, at, &start, &end) || start != at) end = at + glmc_next(text + at, size - at, &point);
        if (end - at < 6 && glmc_precompiled_find(work->view, step, text + at, end - at, &found)) {
            glmc_append(to, work->view->text + found.at, found.bytes);
            at = end;
        }
        while (at < end) {
            uint32_t bytes = glmc_next(text + at, end - at, &point);
            if (glmc_precompiled_find(work->view, step, text + at, bytes, &found)) glmc_append(to, work->view->text + found.at, found.bytes);
            else glmc_append(to, text + at, bytes);
            at += bytes;
        }
    }
}

/* WordPiece's tidying of a decoded word: what stands on the left becomes what stands on the right, one pair after the other. */
static inline void glmc_tidy(glmc_buffer *word) {
    static const char *const pairs[][2] = {{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
                                           {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t from = strlen(pairs[i][0]), to = strlen(pairs[i][1]);
        uint64_t kept = 0;
        for (uint64_t at = 0; at < word->count;) {
            int same = word->count - at >= from && memcmp(word->data + at, pairs[i][0], from) == 0;
            if (same) memcpy(word->data + kept, pairs[i][1], to);
            else word->data[kept] = word->data[at];
            kept += same ? to : 1;
            at += same ? from : 1;
        }
        word->count = kept;
    }
}

static inline int glmc_fallback_byte(const uint8_t *text, uint64_t bytes) {
    int value = 0;
    if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        uint8_t digit = text[i], letter = (uint8_t)(digit | 32);
        if (!((digit >= '0' && digit <= '9') || (letter >= 'a' && letter <= 'f'))) return -1;
        value = value * 16 + (digit <= '9' ? digit - '0' : letter - 'a' + 10);
    }
    return value;
}

static inline int glmc_is_utf8(const uint8_t *text, uint64_t bytes, uint64_t *wrong) {
    uint32_t point, count = 0;
    for (uint64_t at = 0; at < bytes; at += count) {
        *wrong = at;
        count = glmc_utf8(text + at, bytes - at, &point);
        if (count == 0) return 0;
    }
    return 1;
}

/* A run of tokens <0x..> becomes the text of its bytes, or one U+FFFD for each when they are none. */
static inline void glmc_step_fallback(glmc_text_work *work) {
    glmc_strings *from = &work->now, *to = &work->next;
    uint64_t count = glmc_pieces(from), wrong;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = to->text.count, first = i;
        int byte = -1;
        for (; i < count; i++) {
            glmc_piece piece = glmc_piece_at(from, i);
            byte = glmc_fallback_byte(from->text.data + piece.start, piece.end - piece.start);
            if (byte < 0) break;
            uint8_t value = (uint8_t)byte;
            glmc_append(&to->text, &value, 1);
        }
        if (i > first && !to->text.failed) { /* bytes that are no text are a string each */
            int is_text = glmc_is_utf8(to->text.data + start, to->text.count - start, &wrong);
            if (is_text) glmc_add_piece(to, start, to->text.count);
            else to->text.count = start;
            for (uint64_t j = first; !is_text && j < i; j++) {
                glmc_append(&to->text, "\xef\xbf\xbd", 3);
                glmc_add_piece(to, to->text.count - 3, to->text.count);
            }
        }
        if (i < count) {
            glmc_piece piece = glmc_piece_at(from, i);
            start = to->text.count;
            glmc_append(&to->text, from->text.data + piece.start, piece.end - piece.start);
            glmc_add_piece(to, start, to->text.count);
        }
    }
}

/* What a step of the kind makes of one string; `index` and `count` are its place among the others. */
static inline void glmc_step_piece(glmc_text_work *work, const glmc_step *step, const uint8_t *text, uint64_t size, uint64_t index, uint64_t count, glmc_buffer *to) {
    const glmc_tokenizer_view *view = work->view;
    const uint8_t *extra = view->text + step->text.at;
    uint64_t at = 0, start, end, before = to->count;
    uint32_t point, bytes;
    switch (step->kind) {
    case GLMC_STEP_MAP:
        for (; at < size; at += bytes) {
            bytes = glmc_next(text + at, size - at, &point);
            glmc_map_point(view, step->a, point, to);
            if (at == 0 && index == 0 && to->count == before) work->next.at_start = 0;
        }
        break;
    case GLMC_STEP_DECOMPOSE: {
        glmc_buffer apart = {0};
        for (; at < size; at += bytes) {
            bytes = glmc_next(text + at, size - at, &point);
            if (!glmc_split_hangul(point, &apart)) glmc_map_point(view, step->a, point, &apart);
        }
        glmc_normal_form(work, apart.data, apart.count, 0, to);
        to->failed |= apart.failed;
        glmc_release(&apart);
        break;
    }
    case GLMC_STEP_COMPOSE: glmc_normal_form(work, text, size, 1, to); break;
    case GLMC_STEP_TRIM:
        if (step->b)
            for (; at < size; at += bytes) {
                bytes = glmc_next(text + at, size - at, &point);
                if (!glmc_set_has(view, step->a, point)) break;
            }
        while (step->c && size > at) {
            start = glmc_previous(text, size);
            glmc_next(text + start, size - start, &point);
            if (!glmc_set_has(view, step->a, point)) break;
            size = start;
        }
        if (index == 0 && at > 0) work->next.at_start = 0;
        glmc_append(to, text + at, size - at);
        break;
    case GLMC_STEP_REPLACE:
        glmc_matcher_start(&work->matcher, view, step->a, text, size);
        while (at < size && glmc_search(&work->matcher, at, &start, &end)) {
            glmc_append(to, text + at, start - at);
            glmc_append(to, extra, step->text.bytes);
            if (start == 0 && index == 0 && (step->text.bytes == 0 || glmc_next(text, size, &point) < end)) work->next.at_start = 0;
            at = end;
        }
        glmc_append(to, text + at, size - at);
        break;
    case GLMC_STEP_PREPEND: /* a: only where the text begins; b: not where it begins so already */
        if (size > 0 && (!step->a || (work->now.at_start && index == 0)) && !(step->b && size >= step->text.bytes && memcmp(text, extra, step->text.bytes) == 0))
            glmc_append(to, extra, step->text.bytes);
        glmc_append(to, text, size);
        break;
    case GLMC_STEP_PRECOMPILED: glmc_step_precompiled(work, step, text, size, to); break;
    case GLMC_STEP_TO_BYTES:
        for (; at < size; at++) glmc_append_point(to, glmc_letter_of_byte(text[at]));
        break;
    case GLMC_STEP_FROM_BYTES: /* a token with any other letter stands as it is */
        for (; at < size; at += bytes) {
            bytes = glmc_next(text + at, size - at, &point);
            int byte = glmc_byte_of_letter(point);
            uint8_t value = (uint8_t)byte;
            if (byte < 0) {
                to->count = before;
                glmc_append(to, text, size);
                break;
            }
            glmc_append(to, &value, 1);
        }
        break;
    case GLMC_STEP_STRIP: /* a: the code point, b: how many at the beginning, c: at the end */
        for (uint32_t i = 0; i < step->b && at < size; i++, at += bytes) {
            bytes = glmc_next(text + at, size - at, &point);
            if (point != step->a) break;
        }
        for (uint32_t i = 0; i < step->c && size > at; i++, size = start) {
            start = glmc_previous(text, size);
            glmc_next(text + start, size - start, &point);
            if (point != step->a) break;
        }
        glmc_append(to, text + at, size - at);
        break;
    case GLMC_STEP_SPACES: /* the code point a stands for a space; b: in the first string for nothing */
        for (; at < size; at += bytes) {
            bytes = glmc_next(text + at, size - at, &point);
            if (point != step->a) glmc_append(to, text + at, bytes);
            else if (!step->b || index > 0) glmc_append(to, " ", 1);
        }
        break;
    case GLMC_STEP_WORDS: { /* a space before all but the first, and those that continue a word; a: tidy */
        glmc_buffer word = {0};
        int continues = step->text.bytes > 0 && size >= step->text.bytes && memcmp(text, extra, step->text.bytes) == 0;
        if (index > 0 && !continues) glmc_append(&word, " ", 1);
        if (index > 0 && continues) at = step->text.bytes;
        glmc_append(&word, text + at, size - at);
        if (step->a && !word.failed) glmc_tidy(&word);
        glmc_append(to, word.data, word.count);
        to->failed |= word.failed;
        glmc_release(&word);
        break;
    }
    case GLMC_STEP_SUFFIX: /* a word's end becomes a space, in the last string nothing */
        while (at < size) {
            int same = step->text.bytes > 0 && size - at >= step->text.bytes && memcmp(text + at, extra, step->text.bytes) == 0;
            if (!same) glmc_append(to, text + at, 1);
            else if (index + 1 < count) glmc_append(to, " ", 1);
            at += same ? step->text.bytes : 1;
        }
        break;
    default: glmc_append(to, text, size); break;
    }
}

/* Applies steps to work->now. */
static inline void glmc_run_steps(glmc_text_work *work, glmc_span steps) {
    for (uint32_t i = 0; i < steps.count && !glmc_work_failed(work); i++) {
        const glmc_step *step = &work->view->steps[steps.first + i];
        uint64_t count = glmc_pieces(&work->now);
        glmc_clear(&work->next);
        work->next.at_start = work->now.at_start;
        if (step->kind == GLMC_STEP_SPLIT) glmc_step_split(work, step);
        else if (step->kind == GLMC_STEP_FALLBACK) glmc_step_fallback(work);
        else if (step->kind == GLMC_STEP_FUSE) {
            glmc_append(&work->next.text, work->now.text.data, work->now.text.count);
            glmc_add_piece(&work->next, 0, work->now.text.count);
        } else {
            for (uint64_t j = 0; j < count; j++) {
                glmc_piece piece = glmc_piece_at(&work->now, j);
                uint64_t start = work->next.text.count;
                glmc_step_piece(work, step, work->now.text.data + piece.start, piece.end - piece.start, j, count, &work->next.text);
                glmc_add_piece(&work->next, start, work->next.text.count);
            }
            if (step->kind == GLMC_STEP_FROM_BYTES && !glmc_work_failed(work)) { /* characters may begin in one token and end in another */
                glmc_clear(&work->now);
                glmc_append_lossy(&work->now.text, work->next.text.data, work->next.text.count);
                glmc_add_piece(&work->now, 0, work->now.text.count);
                continue;
            }
        }
        glmc_strings swap = work->now;
        work->now = work->next;
        work->next = swap;
    }
}

#endif
