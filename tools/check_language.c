/* Continues texts with a linked-in language model, in several threads at once, and compares tokens and scores with expected ones.
 *
 *     cc -DMODEL=model_NAME check_language.c model.a -pthread -lm -o check && ./check FOLDER CALLERS THREADS RUNS TOLERANCE
 *
 * FOLDER/texts.txt holds texts, each as numbers with white space between: how many tokens the prompt has, the prompt, how many follow greedily, these, and the
 * score of every token of the vocabulary behind the last. Each of CALLERS threads has a generator of its own with a team of THREADS, and continues all texts RUNS
 * times, from a text of its own on, so that callers are at different places. Where the model has a tokenizer, what it says is decoded, encoded and decoded again.
 * Prints the largest relative L2 error of scores. Exit status: 0 all right, 1 something differs, 2 something failed. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glmc.h"

const glmc_model *MODEL(void);

enum { MOST_TEXTS = 16, MOST_TOKENS = 256, MOST_CALLERS = 64 };

typedef struct text {
    uint64_t prompt_count, next_count;
    int32_t prompt[MOST_TOKENS], next[MOST_TOKENS];
    float *scores;
} text;

static text texts[MOST_TEXTS];
static int text_count, runs, threads;
static double tolerance;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(2);
}

static uint64_t read_tokens(FILE *file, int32_t *tokens) {
    int count = 0;
    if (fscanf(file, "%d", &count) != 1) return 0;
    if (count < 1 || count > MOST_TOKENS) fail("texts.txt", "has more tokens than there is room for");
    for (int i = 0; i < count; i++)
        if (fscanf(file, "%d", &tokens[i]) != 1) fail("texts.txt", "is cut short");
    return (uint64_t)count;
}

static void read_texts(const char *folder, int64_t vocabulary) {
    char path[4096];
    snprintf(path, sizeof path, "%s/texts.txt", folder);
    FILE *file = fopen(path, "r");
    if (!file) fail(path, "cannot be read");
    for (; text_count < MOST_TEXTS; text_count++) {
        text *t = &texts[text_count];
        if ((t->prompt_count = read_tokens(file, t->prompt)) == 0) break;
        t->next_count = read_tokens(file, t->next);
        t->scores = malloc((size_t)vocabulary * sizeof(float));
        for (int64_t i = 0; i < vocabulary; i++)
            if (!t->scores || fscanf(file, "%f", &t->scores[i]) != 1) fail(path, "is cut short");
    }
    fclose(file);
    if (text_count == 0) fail(path, "holds no text");
}

typedef struct caller {
    pthread_t thread;
    int number, differs;
    double worst;
} caller;

/* ||found - expected|| / ||expected|| */
static double difference(const float *found, const float *expected, int64_t count) {
    double above = 0, below = 0;
    for (int64_t i = 0; i < count; i++) {
        above += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
        below += (double)expected[i] * expected[i];
    }
    return sqrt(above / below);
}

/* Text that went through tokens stays as it is. */
static int survives(const glmc_language *language, const int32_t *tokens, uint64_t count) {
    char first[4096], second[4096], error[512];
    int32_t again[4096];
    int64_t bytes = language->decode(language, tokens, (int64_t)count, 0, first, sizeof first, error, sizeof error);
    if (bytes < 0 || bytes > (int64_t)sizeof first) fail("decode", bytes < 0 ? error : "more than there is room for");
    int64_t found = language->encode(language, first, (uint64_t)bytes, GLMC_NOT_SPECIAL, again, 4096, error, sizeof error);
    if (found < 0 || found > 4096) fail("encode", found < 0 ? error : "more than there is room for");
    return language->decode(language, again, found, 0, second, sizeof second, error, sizeof error) == bytes && memcmp(first, second, (size_t)bytes) == 0;
}

static void continue_text(caller *self, const glmc_language *language, glmc_generator *generator, int number) {
    const text *t = &texts[number];
    char error[512] = "";
    const float *scores = 0;
    glmc_sampling how = {.size = sizeof how, .most_tokens = t->next_count, .ignores_stop_tokens = 1};
    glmc_generated piece = {.size = sizeof piece};
    if (language->start(generator, t->prompt, t->prompt_count, &how, error, sizeof error)) fail("start", error);
    for (uint64_t i = 0; i < t->next_count; i++) {
        if (language->next(generator, &piece, error, sizeof error)) fail("next", error);
        if (piece.token != t->next[i]) {
            fprintf(stderr, "caller %d, text %d: token %d is %d and should be %d\n", self->number, number, (int)i, piece.token, t->next[i]);
            self->differs = 1;
            return;
        }
        if (piece.end && i + 1 < t->next_count) fail("next", "the text ends too early");
    }
    if (language->logits(generator, &scores, error, sizeof error)) fail("logits", error);
    double off = difference(scores, t->scores, language->vocabulary);
    if (!(off <= tolerance)) {
        fprintf(stderr, "caller %d, text %d: scores are off by %g\n", self->number, number, off);
        self->differs = 1;
    }
    if (!(off <= self->worst)) self->worst = off;
    if (language->tokenizer && !survives(language, t->next, t->next_count)) {
        fprintf(stderr, "caller %d, text %d: encoding and decoding change it\n", self->number, number);
        self->differs = 1;
    }
}

static void *work(void *argument) {
    caller *self = argument;
    const glmc_language *language = glmc_model_language(MODEL());
    char error[512] = "";
    glmc_generator *generator = 0;
    if (language->open(MODEL(), threads, 0, &generator, error, sizeof error)) fail("open", error);
    for (int i = 0; i < runs * text_count; i++) continue_text(self, language, generator, (self->number + i) % text_count);
    language->close(generator);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "check FOLDER CALLERS THREADS RUNS TOLERANCE");
    int callers = atoi(argv[2]), differs = 0;
    double worst = 0;
    threads = atoi(argv[3]);
    runs = atoi(argv[4]);
    tolerance = atof(argv[5]);
    if (callers < 1 || callers > MOST_CALLERS) fail("arguments", "more callers than there is room for");
    if (!glmc_model_language(MODEL())) fail("model", "is no language model");
    read_texts(argv[1], glmc_model_language(MODEL())->vocabulary);
    static caller all[MOST_CALLERS];
    for (int i = 0; i < callers; i++) {
        all[i].number = i;
        if (i > 0 && pthread_create(&all[i].thread, 0, work, &all[i])) fail("threads", "none left");
    }
    work(&all[0]);
    for (int i = 0; i < callers; i++) {
        if (i > 0) pthread_join(all[i].thread, 0);
        if (all[i].worst > worst) worst = all[i].worst;
        differs |= all[i].differs;
    }
    for (int i = 0; i < text_count; i++) free(texts[i].scores);
    printf("%.3g\n", worst);
    return differs;
}
