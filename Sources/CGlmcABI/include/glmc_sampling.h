/* glmc_sampling.h: the next token, chosen from the scores that a model gives all of them.
 *
 * In this order, as in transformers: repetition penalty (Keskar et al. 2019), temperature, the `top_k` most probable, of these the fewest whose share
 * reaches `top_p` (Holtzman et al. 2020), of these the ones at least `min_p` times as probable as the first (Nguyen et al. 2024). Equal scores are in order
 * of their tokens. One number of splitmix64 (Steele, Lea and Flood 2014) decides, so that a seed and the scores determine the text. */
#ifndef GLMC_SAMPLING_H
#define GLMC_SAMPLING_H

#include <math.h>

#include "glmc.h"

/* Number `draw` (from 0) of the sequence that begins with `seed`: 53 bits, from 0 to below 1. */
static inline double glmc_uniform(uint64_t seed, uint64_t draw) {
    uint64_t z = seed + (draw + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

typedef struct glmc_scored { float score; int32_t token; } glmc_scored;

static inline int glmc_goes_before(glmc_scored a, glmc_scored b) { return a.score > b.score || (a.score == b.score && a.token < b.token); }

/* Lets the candidate at `at` of a heap with the first on top sink to its place. */
static inline void glmc_sink(glmc_scored *heap, int64_t count, int64_t at) {
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && glmc_goes_before(heap[child + 1], heap[child])) child++;
        if (!glmc_goes_before(heap[child], heap[at])) return;
        glmc_scored lower = heap[at];
        heap[at] = heap[child];
        heap[child] = lower;
    }
}

/* The token whose share of the weights in candidates[0..<count] covers `point` of 0 to 1. */
static inline int32_t glmc_drawn(const glmc_scored *candidates, int64_t count, double total, double point) {
    double sum = 0;
    int32_t last = candidates[0].token;
    for (int64_t i = 0; i < count; i++) {
        if (candidates[i].score <= 0) continue;
        sum += (double)candidates[i].score;
        last = candidates[i].token;
        if (sum > point * total) break;
    }
    return last;
}

/* The most probable token alone where `how` has no temperature.
 *
 * `logits`: `count` of them, at least one; what is no number is never chosen. `seen`: the tokens that the penalty falls on, each within `count`.
 * `draw`: which of the seed's numbers decides. `room`: memory for `count` candidates. */
static inline int32_t glmc_sample(const glmc_sampling *how, uint64_t draw, const float *logits, int64_t count, const int32_t *seen, uint64_t seen_count,
                                  glmc_scored *room) {
    float penalty = how->repeat_penalty > 0 ? how->repeat_penalty : 1;
    glmc_scored best = {-INFINITY, 0};
    for (int64_t i = 0; i < count; i++) room[i] = (glmc_scored){logits[i] == logits[i] ? logits[i] : -INFINITY, (int32_t)i};
    for (uint64_t i = 0; i < seen_count && penalty != 1; i++) {
        float score = logits[seen[i]];
        if (score == score) room[seen[i]].score = score < 0 ? score * penalty : score / penalty;
    }
    for (int64_t i = 0; i < count; i++)
        if (glmc_goes_before(room[i], best)) best = room[i];
    if (!(how->temperature > 0) || !(best.score > -INFINITY && best.score < INFINITY)) return best.token;
    /* From here on a candidate's score is its weight: 1 for the best. */
    double total = 0, least = how->min_p > 0 ? (double)how->min_p : 0;
    for (int64_t i = 0; i < count; i++) {
        room[i].score = (float)exp(((double)room[i].score - (double)best.score) / (double)how->temperature);
        total += (double)room[i].score;
    }
    int narrows = how->top_p > 0 && how->top_p < 1;
    int64_t most = how->top_k > 0 && how->top_k < count ? how->top_k : count, kept = 0;
    double point = glmc_uniform(how->seed, draw), sum = 0;
    if (most == count && !narrows) {
        total = 0;
        for (int64_t i = 0; i < count; i++) {
            if ((double)room[i].score < least) room[i].score = 0;
            total += (double)room[i].score;
        }
        return glmc_drawn(room, count, total, point);
    }
    for (int64_t i = count / 2; i-- > 0;) glmc_sink(room, count, i);
    /* The best of those that are left goes to the end of the heap's memory: the first stands last there. */
    for (int64_t left = count; kept < most; kept++) {
        if (most == count && sum >= (double)how->top_p * total) break;
        glmc_scored first = room[0];
        room[0] = room[--left];
        room[left] = first;
        glmc_sink(room, left, 0);
        sum += (double)first.score;
    }
    if (most < count) total = sum;
    /* In order of their weights, as many as are kept. */
    for (int64_t i = 0; i < kept / 2; i++) {
        glmc_scored first = room[count - 1 - i];
        room[count - 1 - i] = room[count - kept + i];
        room[count - kept + i] = first;
    }
    const glmc_scored *order = room + count - kept;
    double share = 0;
    int64_t chosen = 0;
    for (; chosen < kept; chosen++) {
        double weight = (double)order[chosen].score;
        if (chosen > 0 && (weight < least || (narrows && share >= (double)how->top_p * total))) break;
        share += weight;
    }
    return glmc_drawn(order, chosen, share, point);
}

#endif
