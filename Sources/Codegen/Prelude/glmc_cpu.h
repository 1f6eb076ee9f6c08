/* Which instructions this processor and its operating system offer, asked by name. */
#ifndef GLMC_CPU_H
#define GLMC_CPU_H

#include <stdint.h>
#include <string.h>

/* The code that decides whether the processor will do must itself run on any processor, whatever flags this file is compiled with. */
#if defined(__x86_64__)
#define GLMC_ANY_CPU __attribute__((target("arch=x86-64,no-avx,no-bmi,no-bmi2,no-lzcnt,no-popcnt,no-movbe,no-sse3")))
#else
#define GLMC_ANY_CPU
#endif

#if defined(__x86_64__)
#include <cpuid.h>

/* Name as gcc's -m flags have it; CPUID leaf (7.0, 7.1 or 1), register (0 = eax ... 3 = edx), bit; XCR0 bits that the system must save. */
typedef struct glmc_cpu_row { const char *name; uint8_t leaf, subleaf, reg, bit; uint8_t saved; } glmc_cpu_row;
static const glmc_cpu_row glmc_cpu_rows[] = {
    {"sse3", 1, 0, 2, 0, 0},          {"ssse3", 1, 0, 2, 9, 0},           {"sse4.1", 1, 0, 2, 19, 0},       {"sse4.2", 1, 0, 2, 20, 0},
    {"movbe", 1, 0, 2, 22, 0},        {"popcnt", 1, 0, 2, 23, 0},         {"fma", 1, 0, 2, 12, 6},          {"avx", 1, 0, 2, 28, 6},
    {"f16c", 1, 0, 2, 29, 6},         {"bmi", 7, 0, 1, 3, 0},             {"avx2", 7, 0, 1, 5, 6},          {"bmi2", 7, 0, 1, 8, 0},
    {"avx512f", 7, 0, 1, 16, 0xe6},   {"avx512dq", 7, 0, 1, 17, 0xe6},    {"avx512ifma", 7, 0, 1, 21, 0xe6}, {"avx512cd", 7, 0, 1, 28, 0xe6},
    {"avx512bw", 7, 0, 1, 30, 0xe6},  {"avx512vl", 7, 0, 1, 31, 0xe6},    {"avx512vbmi", 7, 0, 2, 1, 0xe6}, {"avx512vbmi2", 7, 0, 2, 6, 0xe6},
    {"gfni", 7, 0, 2, 8, 0},          {"avx512vnni", 7, 0, 2, 11, 0xe6},  {"avx512bitalg", 7, 0, 2, 12, 0xe6}, {"avx512vpopcntdq", 7, 0, 2, 14, 0xe6},
    {"avx512fp16", 7, 0, 3, 23, 0xe6}, {"avxvnni", 7, 1, 0, 4, 6},        {"avx512bf16", 7, 1, 0, 5, 0xe6},
};
#define GLMC_CPU_ROWS ((int)(sizeof glmc_cpu_rows / sizeof *glmc_cpu_rows))

GLMC_ANY_CPU __attribute__((unused)) static int glmc_cpu_row_works(const glmc_cpu_row *row) {
    unsigned regs[4] = {0, 0, 0, 0};
    if (!__get_cpuid_count(row->leaf, row->subleaf, &regs[0], &regs[1], &regs[2], &regs[3])) return 0;
    if (!(regs[row->reg] >> row->bit & 1)) return 0;
    if (row->saved == 0) return 1;
    unsigned a = 0, b = 0, c = 0, d = 0, low = 0, high = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return (low & row->saved) == row->saved;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* Name as in -march=armv8-a+NAME (neon: simd); AT_HWCAP (16) or AT_HWCAP2 (26), bit. */
typedef struct glmc_cpu_row { const char *name; uint8_t vector, bit; } glmc_cpu_row;
static const glmc_cpu_row glmc_cpu_rows[] = {
    {"neon", 16, 1}, {"fp16", 16, 10}, {"dotprod", 16, 20}, {"sve", 16, 22}, {"sve2", 26, 1}, {"i8mm", 26, 13}, {"bf16", 26, 14},
};
#define GLMC_CPU_ROWS ((int)(sizeof glmc_cpu_rows / sizeof *glmc_cpu_rows))

__attribute__((unused)) static int glmc_cpu_row_works(const glmc_cpu_row *row) { return (int)(getauxval(row->vector) >> row->bit & 1); }

#else
typedef struct glmc_cpu_row { const char *name; } glmc_cpu_row;
static const glmc_cpu_row glmc_cpu_rows[] = {{""}};
#define GLMC_CPU_ROWS 0
__attribute__((unused)) static int glmc_cpu_row_works(const glmc_cpu_row *row) { (void)row; return 0; }
#endif

/* Whether the feature `name`[0..<length] can be used here; an unknown name cannot. */
GLMC_ANY_CPU __attribute__((unused)) static int glmc_cpu_has(const char *name, size_t length) {
    for (int i = 0; i < GLMC_CPU_ROWS; i++) {
        if (strlen(glmc_cpu_rows[i].name) == length && memcmp(glmc_cpu_rows[i].name, name, length) == 0)
            return glmc_cpu_row_works(&glmc_cpu_rows[i]);
    }
    return 0;
}

#endif
