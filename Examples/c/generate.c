/* Let a language model continue a text: cc generate.c -o generate && ./generate ./smollm2.so "Once upon a time"      (glmc.h lies beside, or in -I) */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "glmc.h"

static int failed(const char *text) {
    fprintf(stderr, "error: %s\n", text);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) return failed("needs a library that glmc compiled, and a text");
    char error[512] = "";
    void *library = dlopen(argv[1], RTLD_NOW);
    const glmc_model *(*get)(void) = 0;
    if (library) *(void **)&get = dlsym(library, "glmc_model_get");
    if (!get) return failed(dlerror());
    const glmc_language *language = glmc_model_language(get());
    if (!language) return failed("this is no language model");

    int32_t tokens[4096];
    int64_t count = language->encode(language, argv[2], strlen(argv[2]), GLMC_FRAMED, tokens, 4096, error, sizeof error);
    if (count < 0) return failed(error);
    if (count > 4096) return failed("the text is longer than this example has room for");

    glmc_generator *generator;
    glmc_sampling how = {.size = sizeof how, .most_tokens = 100, .temperature = 0.7f, .top_p = 0.9f, .seed = 1};
    if (language->open(get(), 0, 0, &generator, error, sizeof error)) return failed(error);
    glmc_generated piece = {.size = sizeof piece};
    int status = language->start(generator, tokens, (uint64_t)count, &how, error, sizeof error);
    while (!status && !piece.end) {
        status = language->next(generator, &piece, error, sizeof error);
        if (!status) fwrite(piece.text, 1, (size_t)piece.text_bytes, stdout);
        fflush(stdout);
    }
    printf("\n");
    language->close(generator);
    return status ? failed(error) : 0;
}
