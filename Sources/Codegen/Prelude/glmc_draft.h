/* glmc_draft.h: guesses of the tokens that follow a text, and how many are worth checking. What is wrong of a guess costs time and nothing else. */
#ifndef GLMC_DRAFT_H
#define GLMC_DRAFT_H

#include "glmc.h"

#define GLMC_LEAST_DRAFT 3  /* with the token before it, a draft makes four rows: kernels take rows by fours and eights */
#define GLMC_LEAST_MATCH 2  /* tokens at a text's end that must have occurred before */
#define GLMC_LONGEST_MATCH 32
#define GLMC_LONGEST_PAUSE 32

/* How the drafts of a text did lately. Begin with zeros. */
typedef struct glmc_drafting {
    uint32_t length; /* of the next draft; 0: the least */
    uint32_t pause;  /* how many steps go without one before that */
    uint32_t misses; /* drafts in a row of which nothing was right */
} glmc_drafting;

/* How long the next draft may be; 0: none this time. */
static inline uint32_t glmc_draft_length(glmc_drafting *drafting, uint32_t most) {
    if (drafting->pause > 0) {
        drafting->pause--;
        return 0;
    }
    uint32_t length = drafting->length > GLMC_LEAST_DRAFT ? drafting->length : GLMC_LEAST_DRAFT;
    return length < most ? length : most;
}

/* Notes that of `count` guessed tokens the first `right` ones were. */
static inline void glmc_draft_learn(glmc_drafting *drafting, uint32_t count, uint32_t right) {
    drafting->length = right == count && count < GLMC_MOST_DRAFT ? 2 * count + 1 : GLMC_LEAST_DRAFT;
    drafting->misses = right > 0 ? 0 : drafting->misses + 1;
    if (right == 0) drafting->pause = drafting->misses < 5 ? 1u << drafting->misses : GLMC_LONGEST_PAUSE;
}

/* What followed the longest end of the text that occurred before, where it did so last (prompt lookup; A. Saxena 2023): writes up to `most` tokens to
 * `guess` and returns how many. */
static inline uint32_t glmc_draft_lookup(const int32_t *tokens, uint64_t count, int32_t *guess, uint32_t most) {
    uint64_t best = 0, longest = GLMC_LEAST_MATCH - 1;
    for (uint64_t end = count - 1; count > 0 && end > 0 && longest < GLMC_LONGEST_MATCH; end--) {
        uint64_t same = 0;
        while (same < end && same < GLMC_LONGEST_MATCH && tokens[end - 1 - same] == tokens[count - 1 - same]) same++;
        if (same > longest) {
            longest = same;
            best = end;
        }
    }
    if (best == 0) return 0;
    /* A text that repeats itself goes on doing so. */
    for (uint32_t i = 0; i < most; i++) guess[i] = best + i < count ? tokens[best + i] : guess[best + i - count];
    return most;
}

#endif
