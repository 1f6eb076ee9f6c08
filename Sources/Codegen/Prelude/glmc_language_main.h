/* The program around a language model that was compiled to an executable: continues texts, answers, and turns text to tokens. Included last,
 * and only there. */
#ifndef GLMC_LANGUAGE_MAIN_H
#define GLMC_LANGUAGE_MAIN_H

#include <signal.h>
#include <sys/resource.h>

#include "glmc_console.h"
#include "glmc_generate.h"

/* What the command line asks for. */
typedef struct glmc_request {
    const char *prompt, *system, *tokens, *text, *file, *decode;
    int chats, tokenizes, is_json, threads;
    glmc_sampling how;
} glmc_request;

static volatile int glmc_was_interrupted;
static void glmc_interrupt(int number) {
    (void)number;
    if (glmc_was_interrupted) _exit(130);
    glmc_was_interrupted = 1;
}
static void glmc_listen(int flags) {
    struct sigaction action = {.sa_handler = glmc_interrupt, .sa_flags = flags};
    sigaction(SIGINT, &action, NULL);
}

static int glmc_language_usage(const glmc_model *model, const char *program) {
    const char *lines[] = {
        " --prompt TEXT [flags]       continue a text\n", " --chat [--prompt TEXT]      answer: TEXT, or every line of standard input\n",
        " --tokens 1,2,3 [flags]      continue tokens\n",
        " tokenize --text TEXT | --file FILE | --decode 1,2,3\n",
    };
    printf("usage:\n");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        printf("  ");
        glmc_put(stdout, program);
        fputs(lines[i], stdout);
    }
    printf("flags:\n"
           "  --system TEXT          the system message of a chat\n"
           "  --max-new N            new tokens at most (default: as many as the context holds)\n"
           "  --temperature T        draw the next token; without it, the most probable one is taken\n"
           "  --top-k K, --top-p P, --min-p P, --repeat-penalty R, --seed S\n"
           "  --stop TEXT            end there; may be repeated\n"
           "  --lookup[=N]           guess up to N tokens (7) from what occurred before, and check them in one step\n"
           "  --json                 print the answer and its figures, tokens or text as JSON\n"
           "  --threads N            0: one per processor\n"
           "A text has at most %lld tokens, prompt and answer together.%s%s\n",
           (long long)glmc_model_language(model)->context, glmc_model_language(model)->tokenizer ? "" : " The model has no tokenizer: it takes tokens only.",
           glmc_model_language(model)->framing ? "" : " It has no chat template.");
    return glmc_finish();
}

__attribute__((noreturn)) static void glmc_misuse(const char *what, const char *word) {
    fputs("error: '", stderr);
    glmc_put(stderr, word);
    fprintf(stderr, "' %s; --help says what is\n", what);
    exit(2);
}

static uint64_t glmc_whole_number(const char *flag, const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || errno || *text < '0' || *text > '9') glmc_misuse(flag, text);
    return value;
}

/* A number above 0: the settings take 0 for none. */
static float glmc_positive(const char *flag, const char *text, double most) {
    float value = (float)glmc_number(flag, text, most);
    if (value <= 0) glmc_misuse("must be above 0", flag);
    return value;
}

static void glmc_take_word(glmc_request *request, const char *flag, const char *value) {
    glmc_sampling *how = &request->how;
    if (!strcmp(flag, "--prompt")) request->prompt = value;
    else if (!strcmp(flag, "--system")) request->system = value;
    else if (!strcmp(flag, "--tokens")) request->tokens = value;
    else if (!strcmp(flag, "--text")) request->text = value;
    else if (!strcmp(flag, "--file")) request->file = value;
    else if (!strcmp(flag, "--decode")) request->decode = value;
    else if (!strcmp(flag, "--max-new")) {
        how->most_tokens = glmc_whole_number("is no number for --max-new", value);
        if (!how->most_tokens) glmc_misuse("is no number for --max-new, which is at least 1", value);
    }
    else if (!strcmp(flag, "--seed")) how->seed = glmc_whole_number("is no number for --seed", value);
    else if (!strcmp(flag, "--top-k")) how->top_k = (int32_t)glmc_number(flag, value, INT32_MAX);
    else if (!strcmp(flag, "--temperature")) how->temperature = (float)glmc_number(flag, value, 1e6);
    else if (!strcmp(flag, "--top-p")) how->top_p = glmc_positive(flag, value, 1);
    else if (!strcmp(flag, "--min-p")) how->min_p = (float)glmc_number(flag, value, 1);
    else if (!strcmp(flag, "--repeat-penalty")) how->repeat_penalty = glmc_positive(flag, value, 1e6);
    else if (!strcmp(flag, "--threads")) request->threads = (int)glmc_number(flag, value, 1024);
    else glmc_misuse("is not understood", flag);
}

/* Reads `NAME VALUE` and `NAME=VALUE`; the stops are stored in `stops`. */
static void glmc_read_words(glmc_request *request, int argc, char **argv, const char **stops) {
    for (int i = 1; i < argc; i++) {
        char flag[64];
        const char *equals = strchr(argv[i], '='), *value;
        size_t length = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        if (i == 1 && !strcmp(argv[i], "tokenize")) request->tokenizes = 1;
        else if (!strcmp(argv[i], "--chat")) request->chats = 1;
        else if (!strcmp(argv[i], "--json")) request->is_json = 1;
        else if (!strcmp(argv[i], "--lookup")) request->how.draft_tokens = GLMC_USUAL_DRAFT;
        else if (!strncmp(argv[i], "--lookup=", 9)) request->how.draft_tokens = (uint32_t)glmc_positive("--lookup", argv[i] + 9, GLMC_MOST_DRAFT);
        else {
            if (strncmp(argv[i], "--", 2) != 0 || length >= sizeof flag) glmc_misuse("is not understood", argv[i]);
            memcpy(flag, argv[i], length);
            flag[length] = 0;
            if (!equals && i + 1 == argc) glmc_misuse("is not understood, or needs a value", argv[i]);
            value = equals ? equals + 1 : argv[++i];
            if (!strcmp(flag, "--stop") && !*value) glmc_misuse("takes a text that is not empty", flag);
            else if (!strcmp(flag, "--stop")) stops[request->how.stop_count++] = value;
            else glmc_take_word(request, flag, value);
        }
    }
    request->how.stops = stops;
}

/* The numbers of a list with commas or blanks between them; *count says how many. */
static int32_t *glmc_read_tokens(const char *text, uint64_t *count) {
    int32_t *tokens = glmc_allocate((strlen(text) / 2 + 1) * sizeof *tokens);
    *count = 0;
    for (const char *at = text; *at;) {
        char *end;
        long long value = strtoll(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || value > INT32_MAX) glmc_misuse("is no list of tokens, such as 1,2,3", text);
        tokens[(*count)++] = (int32_t)value;
        at = end + strspn(end, " \n");
        if (*at != ',') continue;
        at += 1 + strspn(at + 1, " \n");
        if (!*at) glmc_misuse("is no list of tokens, such as 1,2,3", text);
    }
    return tokens;
}

static int32_t *glmc_tokens_of(const glmc_language *language, const char *text, uint64_t bytes, uint32_t flags, uint64_t *count) {
    char error[1024] = "";
    int64_t room = (int64_t)(bytes / 2 + 16), found;
    for (;;) {
        int32_t *tokens = glmc_allocate((uint64_t)room * sizeof *tokens);
        found = language->encode(language, text, bytes, flags, tokens, room, error, sizeof error);
        if (found < 0) glmc_die("%s", error);
        *count = (uint64_t)found;
        if (found <= room) return tokens;
        free(tokens);
        room = found;
    }
}

static double glmc_peak_mb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024e-6;
}

static double glmc_rate(uint64_t count, int64_t ns) { return ns > 0 ? (double)count * 1e9 / (double)ns : 0; }

/* Prints an answer with the keys of `glmc generate --json`. */
static void glmc_print_reply(const glmc_generated *last, const glmc_buffer *text, const glmc_buffer *tokens) {
    static const char *const ends[] = {"", "token", "text", "count", "context", "interrupted"};
    const int32_t *numbers = (const int32_t *)(const void *)tokens->data;
    printf("{\"prompt_tokens\":%llu,\"tokens\":[", (unsigned long long)last->prompt_tokens);
    for (uint64_t i = 0; i < tokens->count / sizeof *numbers; i++) printf(i ? ",%d" : "%d", numbers[i]);
    printf("],\"text\":");
    glmc_put_json((const char *)text->data, text->count);
    printf(",\"end\":\"%s\",\"ttft_ms\":%.3f,\"prefill_tokens_per_s\":%.3f,\"decode_tokens_per_s\":%.3f,\"accepted_per_step\":%.3f,\"peak_rss_mb\":%.3f}\n", ends[last->end],
           (double)last->prompt_ns * 1e-6, glmc_rate(last->prompt_tokens - last->kept_tokens, last->prompt_ns),
           glmc_rate(last->new_tokens > 0 ? last->new_tokens - 1 : 0, last->decode_ns), last->steps ? (double)(last->new_tokens - 1) / (double)last->steps : 1.0, glmc_peak_mb());
}

static void glmc_print_figures(const glmc_generated *last) {
    char rate[64] = "";
    if (last->new_tokens > 1 && last->decode_ns > 0) snprintf(rate, sizeof rate, " at %.1f tokens/s", glmc_rate(last->new_tokens - 1, last->decode_ns));
    fprintf(stderr, "%llu tokens of prompt (%llu known) in %.0f ms, %llu new%s, %.0f MB\n", (unsigned long long)last->prompt_tokens,
            (unsigned long long)last->kept_tokens, (double)last->prompt_ns * 1e-6, (unsigned long long)last->new_tokens, rate, glmc_peak_mb());
}

/* Writes what follows the tokens to standard output, and adds it to `answer`. */
static void glmc_reply(const glmc_language *language, glmc_generator *generator, const glmc_request *request, const int32_t *tokens, uint64_t count,
                       glmc_buffer *answer) {
    char error[1024] = "";
    glmc_generated generated = {.size = sizeof generated};
    glmc_buffer chosen = {0};
    if (language->start(generator, tokens, count, &request->how, error, sizeof error)) glmc_die("%s", error);
    do {
        if (language->next(generator, &generated, error, sizeof error)) glmc_die("%s", error);
        glmc_append(answer, generated.text, generated.text_bytes);
        if (generated.token >= 0) glmc_append(&chosen, &generated.token, sizeof generated.token);
        if (request->is_json) continue;
        if (language->tokenizer) glmc_say(generated.text, generated.text_bytes);
        else if (generated.token >= 0) printf(generated.new_tokens > 1 ? ",%d" : "%d", generated.token);
        if (fflush(stdout) != 0) glmc_die("cannot write to standard output: %s", strerror(errno));
    } while (generated.end == GLMC_END_NONE);
    if (chosen.failed || answer->failed) glmc_die("no memory for the answer");
    if (request->is_json) glmc_print_reply(&generated, answer, &chosen);
    else printf("\n");
    fflush(stdout);
    glmc_print_figures(&generated);
    glmc_release(&chosen);
}

/* Answers the user's last content and adds the answer to the conversation. */
static void glmc_answer(const glmc_language *language, glmc_generator *generator, const glmc_request *request, char **contents, uint32_t *count) {
    char error[1024] = "";
    const char *const *said = (const char *const *)contents;
    int64_t bytes = language->chat(language, request->system, said, *count, NULL, 0, error, sizeof error);
    if (bytes < 0) glmc_die("%s", error);
    char *text = glmc_allocate((uint64_t)bytes + 1);
    language->chat(language, request->system, said, *count, text, bytes, error, sizeof error);
    uint64_t tokens;
    int32_t *prompt = glmc_tokens_of(language, text, (uint64_t)bytes, 0, &tokens);
    glmc_buffer answer = {0};
    glmc_reply(language, generator, request, prompt, tokens, &answer);
    glmc_append(&answer, "", 1);
    if (answer.failed) glmc_die("no memory for the answer");
    contents[(*count)++] = (char *)answer.data;
    free(text);
    free(prompt);
}

/* Answers every line of standard input. */
static void glmc_converse(const glmc_language *language, glmc_generator *generator, const glmc_request *request) {
    char **contents = 0, *line = 0;
    uint32_t count = 0;
    size_t room = 0;
    while (!glmc_was_interrupted) {
        if (isatty(0)) fputs("> ", stderr);
        /* Ctrl-C ends the waiting for a line, but cuts no writing short. */
        glmc_listen(0);
        ssize_t length = getline(&line, &room, stdin);
        glmc_listen(SA_RESTART);
        if (length < 0) break;
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = 0;
        if (length == 0) continue;
        contents = realloc(contents, (count + 2) * sizeof *contents);
        char *said = strdup(line);
        if (!contents || !said) glmc_die("no memory for the conversation");
        contents[count++] = said;
        glmc_answer(language, generator, request, contents, &count);
    }
    for (uint32_t i = 0; i < count; i++) free(contents[i]);
    free(contents);
    free(line);
}

static void glmc_read_file(const char *path, glmc_buffer *text) {
    FILE *file = fopen(path, "rb");
    if (!file) glmc_die("cannot open '%s': %s", path, strerror(errno));
    uint8_t block[65536];
    for (size_t got; (got = fread(block, 1, sizeof block, file)) > 0;) glmc_append(text, block, got);
    if (ferror(file) || text->failed) glmc_die("cannot read '%s'", path);
    fclose(file);
}

static int glmc_tokenize(const glmc_language *language, const glmc_request *request) {
    char error[1024] = "";
    uint64_t count;
    if (request->decode) {
        int32_t *tokens = glmc_read_tokens(request->decode, &count);
        int64_t bytes = language->decode(language, tokens, (int64_t)count, GLMC_SHOW_SPECIAL, NULL, 0, error, sizeof error);
        if (bytes < 0) glmc_die("%s", error);
        char *text = glmc_allocate((uint64_t)bytes + 1);
        language->decode(language, tokens, (int64_t)count, GLMC_SHOW_SPECIAL, text, bytes, error, sizeof error);
        if (request->is_json) {
            printf("{\"text\":");
            glmc_put_json(text, (uint64_t)bytes);
            putchar('}');
        } else fwrite(text, 1, (size_t)bytes, stdout);
        free(text);
        free(tokens);
    } else {
        glmc_buffer text = {0};
        if (request->file) glmc_read_file(request->file, &text);
        else glmc_append(&text, request->text, strlen(request->text));
        int32_t *tokens = glmc_tokens_of(language, (const char *)text.data, text.count, GLMC_FRAMED, &count);
        if (request->is_json) printf("{\"tokens\":[");
        for (uint64_t i = 0; i < count; i++) printf(i ? ",%d" : "%d", tokens[i]);
        if (request->is_json) printf("]}");
        free(tokens);
        glmc_release(&text);
    }
    printf("\n");
    return glmc_finish();
}

/* Continues a text, or answers. */
static int glmc_talk(const glmc_model *model, const glmc_request *request) {
    const glmc_language *language = glmc_model_language(model);
    char error[1024] = "";
    glmc_generator *generator = 0;
    glmc_listen(SA_RESTART);
    char path[PATH_MAX];
    if (language->open(model, request->threads, glmc_beside(model->weights_file, path), &generator, error, sizeof error)) glmc_die("%s", error);
    if (request->chats && request->prompt) {
        char *contents[2] = {(char *)(uintptr_t)request->prompt, 0};
        uint32_t count = 1;
        glmc_answer(language, generator, request, contents, &count);
        free(contents[1]);
    } else if (request->chats) {
        glmc_converse(language, generator, request);
    } else {
        uint64_t count;
        int32_t *tokens = request->tokens ? glmc_read_tokens(request->tokens, &count)
                                          : glmc_tokens_of(language, request->prompt, strlen(request->prompt), GLMC_FRAMED, &count);
        glmc_buffer answer = {0};
        glmc_reply(language, generator, request, tokens, count, &answer);
        glmc_release(&answer);
        free(tokens);
    }
    language->close(generator);
    int status = glmc_finish();
    return glmc_was_interrupted ? 130 : status;
}

static int glmc_language_main(const glmc_model *model, int argc, char **argv) {
    glmc_request request = {.how = {.size = sizeof request.how, .interrupted = &glmc_was_interrupted}};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return glmc_language_usage(model, argv[0]);
    const char **stops = glmc_allocate((uint64_t)argc * sizeof *stops);
    glmc_read_words(&request, argc, argv, stops);
    int asked = request.tokenizes ? (request.text != 0) + (request.file != 0) + (request.decode != 0)
              : request.chats     ? !request.tokens
                                  : (request.prompt != 0) + (request.tokens != 0);
    if (request.system && !request.chats) glmc_misuse("means nothing without --chat", "--system");
    if (asked != 1) {
        fputs(request.tokenizes ? "error: give one of --text, --file and --decode\n" : "error: give one of --prompt, --tokens and --chat; --help explains them\n", stderr);
        exit(2);
    }
    int status = request.tokenizes ? glmc_tokenize(glmc_model_language(model), &request) : glmc_talk(model, &request);
    free(stops);
    return status;
}

#endif
