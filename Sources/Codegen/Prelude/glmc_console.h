/* What the programs that artifacts can be print and read: text of others, errors, numbers. */
#ifndef GLMC_CONSOLE_H
#define GLMC_CONSOLE_H

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "glmc.h"

/* Bytes of the character at `at` that a terminal may show as it is: printable ASCII, or UTF-8 that is no control or formatting character. 0: none. */
static int glmc_visible(const unsigned char *at) {
    if (*at < 0x80) return *at >= 0x20 && *at < 0x7f;
    int more = *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : *at >= 0xf0 && *at < 0xf5 ? 3 : 0;
    uint32_t code = *at & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t hidden[][2] = {{0x80, 0x9f}, {0xad, 0xad}, {0x600, 0x605}, {0x61c, 0x61c}, {0x6dd, 0x6dd}, {0x70f, 0x70f}, {0x890, 0x891}, {0x8e2, 0x8e2},
                                         {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0x10ffff}};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (code >= hidden[i][0] && code <= hidden[i][1]) return 0;
    static const uint32_t least[] = {0x80, 0x80, 0x800, 0x10000};
    return more && code >= least[more] ? more + 1 : 0;
}

/* Prints text of the model or of a file; what is not visible in it as \xNN. */
static void glmc_put(FILE *to, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int count = glmc_visible(at);
        if (count) fwrite(at, 1, (size_t)count, to);
        else fprintf(to, "\\x%02x", *at);
        at += count ? count : 1;
    }
}

/* Writes what a model says: as it is, but on a terminal without what moves the cursor or hides text. */
__attribute__((unused)) static void glmc_say(const char *text, uint64_t bytes) {
    if (!isatty(1)) {
        fwrite(text, 1, (size_t)bytes, stdout);
        return;
    }
    for (uint64_t at = 0; at < bytes;) {
        int is_plain = text[at] == '\n' || text[at] == '\t', count = is_plain ? 1 : glmc_visible((const unsigned char *)text + at);
        if (count) fwrite(text + at, 1, (size_t)count, stdout);
        else printf("\\x%02x", (unsigned char)text[at]);
        at += count ? (uint64_t)count : 1;
    }
}

/* Prints UTF-8 text as a JSON string. */
__attribute__((unused)) static void glmc_put_json(const char *text, uint64_t bytes) {
    putchar('"');
    for (uint64_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 0x20 || c == 0x7f) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

__attribute__((noreturn, format(printf, 1, 2))) static void glmc_die(const char *format, ...) {
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fputs("error: ", stderr);
    glmc_put(stderr, text);
    fputc('\n', stderr);
    exit(1);
}

/* The end of a program whose results were printed: 0 when they have arrived. */
static int glmc_finish(void) {
    if (fflush(stdout) != 0 || ferror(stdout)) glmc_die("cannot write to standard output: %s", strerror(errno));
    return 0;
}

/* The path of a file in the program's folder; null where there is no such file or its path is too long. */
static const char *glmc_beside(const char *file, char path[PATH_MAX]) {
    ssize_t length = file ? readlink("/proc/self/exe", path, PATH_MAX - 1) : -1;
    while (length > 0 && path[length - 1] != '/') length--;
    if (length <= 0 || (size_t)length + strlen(file) >= PATH_MAX) return 0;
    strcpy(path + length, file);
    return path;
}

static void *glmc_allocate(uint64_t bytes) {
    void *at = bytes < SIZE_MAX / 2 ? aligned_alloc(GLMC_ALIGNMENT, (size_t)(bytes / GLMC_ALIGNMENT + 1) * GLMC_ALIGNMENT) : 0;
    if (!at) glmc_die("no memory for %llu bytes", (unsigned long long)bytes);
    return at;
}

/* The value of a flag: a number from 0 to `most`. */
static double glmc_number(const char *flag, const char *text, double most) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= most)) {
        fprintf(stderr, "error: %s takes a number from 0 to %g, not '", flag, most);
        glmc_put(stderr, text);
        fputs("'\n", stderr);
        exit(2);
    }
    return value;
}

#endif
