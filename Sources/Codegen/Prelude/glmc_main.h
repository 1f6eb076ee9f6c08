/* The program around a model that was compiled to an executable. Included last, and only there. */
#ifndef GLMC_MAIN_H
#define GLMC_MAIN_H

#include "glmc_console.h"
#include "glmc_session.h"

/* Whether an input may be left out. */
#ifdef GLMC_DEFAULTS_H
#define glmc_is_optional(info) (((info)->flags & GLMC_OPTIONAL) != 0)
#else
#define glmc_is_optional(info) 0
#endif

static const char *const glmc_npy_types[] = {0, "f4", "u1", "i1", "u2", "i2", "i4", "i8", 0, "b1", "f2", "f8", "u4", "u8", "c8", "c16", "V2",
                                             "u1", "u1", "u1", "u1", "u1", "i1", "u1", "u1", "u1", "i1"};

/* Reads a .npy file (little-endian, row-major) into a tensor of the type that the model takes. */
static void glmc_read_npy(const char *path, const glmc_tensor_info *info, glmc_tensor *tensor) {
    struct stat kind;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = descriptor < 0 ? 0 : fdopen(descriptor, "rb");
    if (!file) glmc_die("cannot open '%s': %s", path, strerror(errno));
    if (fstat(descriptor, &kind) != 0 || !S_ISREG(kind.st_mode)) glmc_die("'%s' is not a regular file", path);
    unsigned char start[12];
    char header[65536];
    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6) != 0) glmc_die("'%s' is no .npy file", path);
    size_t length = start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        if (fread(start + 10, 1, 2, file) != 2) glmc_die("'%s' is cut short", path);
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (length >= sizeof header || fread(header, 1, length, file) != length) glmc_die("'%s' is cut short", path);
    header[length] = 0;
    const char *type = strstr(header, "'descr':"), *shape = strstr(header, "'shape':"), *expected = glmc_npy_types[info->dtype];
    if (!type || !shape || !strchr(shape, '(')) glmc_die("'%s' is no .npy file", path);
    type = strchr(type + 8, '\'');
    if (!type || strlen(type) < 4 || !expected || strncmp(type + 2, expected, strlen(expected)) != 0 || type[2 + strlen(expected)] != '\'' || type[1] == '>')
        glmc_die("'%s' does not hold the type that input '%s' takes (%s, little-endian)", path, info->name, expected ? expected : "none of numpy's");
    if (strstr(header, "'fortran_order': True")) glmc_die("'%s' is in Fortran order; save a C-ordered array", path);
    tensor->dtype = info->dtype;
    tensor->device = info->device;
    tensor->rank = 0;
    for (const char *at = strchr(shape, '(') + 1; *at && *at != ')';) {
        char *end;
        long long size = strtoll(at, &end, 10);
        if (end == at || size < 0 || tensor->rank == GLMC_MAX_RANK) glmc_die("'%s' has a shape that cannot be passed", path);
        tensor->shape[tensor->rank++] = size;
        for (at = end; *at == ',' || *at == ' ';) at++;
    }
    int64_t bytes = glmc_tensor_bytes(tensor->dtype, tensor->rank, tensor->shape);
    if (bytes < 0) glmc_die("'%s' is too large", path);
    tensor->bytes = (uint64_t)bytes;
    tensor->data = glmc_allocate(tensor->bytes);
    if (fread(tensor->data, 1, (size_t)bytes, file) != (size_t)bytes) glmc_die("'%s' is cut short", path);
    fclose(file);
}

static void glmc_write_npy(const char *folder, const char *name, const glmc_tensor *tensor) {
    char path[4096], header[512];
    if (snprintf(path, sizeof path, "%s/%s.npy", folder, name) >= (int)sizeof path) glmc_die("the name of output '%s' is too long", name);
    for (char *at = path + strlen(folder) + 1; *at; at++)
        if (*at == '/') *at = '_';
    const char *type = glmc_npy_types[tensor->dtype];
    int used = snprintf(header, sizeof header, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", strchr("bV", type[0]) || type[1] == '1' ? "|" : "<", type);
    for (int i = 0; i < tensor->rank; i++) used += snprintf(header + used, sizeof header - (size_t)used, "%lld, ", (long long)tensor->shape[i]);
    used += snprintf(header + used, sizeof header - (size_t)used, ")}");
    while ((10 + used + 1) % 64) header[used++] = ' ';
    header[used++] = '\n';
    unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(used & 255), (unsigned char)(used >> 8)};
    struct stat kind;
    if (stat(path, &kind) == 0 && !S_ISREG(kind.st_mode)) glmc_die("cannot write '%s': it is not a regular file", path);
    FILE *file = fopen(path, "wb");
    size_t bytes = (size_t)glmc_tensor_bytes(tensor->dtype, tensor->rank, tensor->shape);
    if (!file || fwrite(start, 1, 10, file) != 10 || fwrite(header, 1, (size_t)used, file) != (size_t)used || fwrite(tensor->data, 1, bytes, file) != bytes || fclose(file) != 0)
        glmc_die("cannot write '%s': %s", path, strerror(errno));
}

static void glmc_describe(const char *kind, const glmc_tensor_info *info) {
    printf("  %s ", kind);
    glmc_put(stdout, info->name);
    printf(": type %s, shape (", glmc_npy_types[info->dtype] ? glmc_npy_types[info->dtype] : "?");
    for (int i = 0; i < info->rank; i++) {
        if (i) printf(", ");
        glmc_put(stdout, info->dims[i]);
    }
    printf(glmc_is_optional(info) ? "), optional\n" : ")\n");
}

/* Small outputs in full, of others the first values. */
static void glmc_show(const char *name, const glmc_tensor *tensor) {
    int64_t count = 1;
    glmc_put(stdout, name);
    printf(" (");
    for (int i = 0; i < tensor->rank; i++) {
        count *= tensor->shape[i];
        printf("%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    }
    printf("):");
    for (int64_t i = 0; i < count && i < 8; i++) {
        if (tensor->dtype == GLMC_F32) printf(" %g", (double)((const float *)tensor->data)[i]);
        else if (tensor->dtype == GLMC_F64) printf(" %g", ((const double *)tensor->data)[i]);
        else if (tensor->dtype == GLMC_I64) printf(" %lld", (long long)((const int64_t *)tensor->data)[i]);
        else if (tensor->dtype == GLMC_I32) printf(" %d", ((const int32_t *)tensor->data)[i]);
        else if (glmc_dtype_bits(tensor->dtype) == 8) printf(" %u", ((const uint8_t *)tensor->data)[i]);
    }
    printf("%s\n", count > 8 ? " …" : "");
}

/* The number of the entry point that the command line names, or of the first. */
static uint32_t glmc_asked_entry(const glmc_model *model, int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--entry")) continue;
        for (uint32_t n = 0; n < model->entry_count; n++)
            if (!strcmp(model->entries[n]->name, argv[i + 1])) return n;
        glmc_die("the model has no entry point '%s'", argv[i + 1]);
    }
    return 0;
}

static int glmc_usage(const glmc_model *model, uint32_t number, const char *program) {
    printf("usage: ");
    glmc_put(stdout, program);
    printf(" NAME=FILE.npy … %s[--output FOLDER] [--threads N] [--bench SECONDS]\n", model->entry_count > 1 ? "[--entry NAME] " : "");
    const glmc_entry *entry = model->entries[number];
    if (model->entry_count > 1) {
        printf("entry points:");
        for (uint32_t i = 0; i < model->entry_count; i++) {
            printf(" ");
            glmc_put(stdout, model->entries[i]->name);
        }
        printf("; of ");
        glmc_put(stdout, entry->name);
        printf(":\n");
    }
    for (uint32_t i = 0; i < entry->input_count; i++) glmc_describe("input", &entry->inputs[i]);
    for (uint32_t i = 0; i < entry->output_count; i++) glmc_describe("output", &entry->outputs[i]);
    return glmc_finish();
}

static int glmc_main(const glmc_model *model, int argc, char **argv) {
    const uint32_t number = glmc_asked_entry(model, argc, argv);
    const glmc_entry *entry = model->entries[number];
    glmc_tensor inputs[entry->input_count + 1], outputs[entry->output_count + 1];
    memset(inputs, 0, sizeof inputs);
    memset(outputs, 0, sizeof outputs);
    const char *folder = 0;
    double seconds = -1;
    int threads = 0;
    if (argc < 2 && entry->input_count > 0) return glmc_usage(model, number, argv[0]);
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return glmc_usage(model, number, argv[0]);
        if (!strcmp(argv[i], "--entry") && i + 1 < argc) i++;
        else if (!strcmp(argv[i], "--output") && i + 1 < argc) folder = argv[++i];
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc) threads = (int)glmc_number("--threads", argv[++i], 1024);
        else if (!strcmp(argv[i], "--bench") && i + 1 < argc) seconds = glmc_number("--bench", argv[++i], 1e6);
        else if (equals && argv[i][0] != '-') {
            uint32_t n = 0;
            while (n < entry->input_count && (strlen(entry->inputs[n].name) != (size_t)(equals - argv[i]) || strncmp(entry->inputs[n].name, argv[i], (size_t)(equals - argv[i])) != 0)) n++;
            if (n == entry->input_count) glmc_die("the model has no input '%.*s'", (int)(equals - argv[i]), argv[i]);
            glmc_read_npy(equals + 1, &entry->inputs[n], &inputs[n]);
        } else {
            fputs("error: '", stderr);
            glmc_put(stderr, argv[i]);
            fputs("' is not understood; --help says what is\n", stderr);
            return 2;
        }
    }
    for (uint32_t i = 0; i < entry->input_count; i++)
        if (!inputs[i].data && !glmc_is_optional(&entry->inputs[i])) glmc_die("input '%s' is missing", entry->inputs[i].name);

    char error[1024] = "";
    glmc_session *session = 0;
    char path[PATH_MAX];
    if (glmc_session_open(model, threads, glmc_beside(model->weights_file, path), &session, error, sizeof error)) glmc_die("%s", error);
    if (glmc_session_run(model, session, number, inputs, entry->input_count, outputs, entry->output_count, error, sizeof error)) glmc_die("%s", error);
    for (uint32_t i = 0; i < entry->output_count; i++) {
        if (folder) glmc_write_npy(folder, entry->outputs[i].name, &outputs[i]);
        else glmc_show(entry->outputs[i].name, &outputs[i]);
    }
    if (seconds >= 0) {
        int64_t end = glmc_now_ns() + (int64_t)(seconds * 1e9), best = INT64_MAX, runs = 0, start = glmc_now_ns(), last = start;
        do {
            if (glmc_session_run(model, session, number, inputs, entry->input_count, outputs, entry->output_count, error, sizeof error)) glmc_die("%s", error);
            int64_t now = glmc_now_ns();
            best = now - last < best ? now - last : best;
            last = now;
            runs++;
        } while (last < end);
        printf("%lld runs, best %.3f ms, mean %.3f ms\n", (long long)runs, (double)best * 1e-6, (double)(last - start) * 1e-6 / (double)runs);
    }
    glmc_session_close(model, session);
    for (uint32_t i = 0; i < entry->input_count; i++) free(inputs[i].data);
    return glmc_finish();
}

#endif
