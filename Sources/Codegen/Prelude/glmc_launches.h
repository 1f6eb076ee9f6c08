/* The launches of an entry point as data, and the loop that does them. Included by the main file of every artifact. */
#ifndef GLMC_LAUNCHES_H
#define GLMC_LAUNCHES_H

#include "glmc_frame.h"

/* Does part `part` of `parts` with the buffers at `operands`. */
typedef void glmc_kernel(glmc_frame *frame, void *const *operands, int part, int parts);

/* `offset` bytes behind a pointer of the body. */
typedef struct glmc_operand { uint64_t base : 20, offset : 44; } glmc_operand;

/* Its operands end where those of the next launch begin. */
typedef struct glmc_launch { uint32_t kernel, operands; } glmc_launch;

/* Launches that may run at once, up to the first of the next region; `work` is a position among the body's amounts of work. */
typedef struct glmc_region_info { uint32_t launch, work; } glmc_region_info;

/* Launches and regions have one row more than there are, where the last one ends. */
typedef struct glmc_launches {
    glmc_kernel *const *kernels; /* of the artifact */
    const glmc_operand *operands;
    const glmc_launch *launches;
    const glmc_region_info *regions;
    uint32_t most_operands;      /* of one launch */
} glmc_launches;

/* Does part `part` of `parts` of the launches first..<last. */
__attribute__((unused)) static void glmc_launch_all(glmc_frame *frame, const glmc_worker *worker, const glmc_launches *table, void *const *bases,
                                                    uint32_t first, uint32_t last, int part, int parts) {
    void *operands[table->most_operands + 1];
    for (uint32_t i = first; i < last; i++) {
        const glmc_launch *launch = table->launches + i;
        const glmc_operand *operand = table->operands + launch->operands;
        uint32_t count = launch[1].operands - launch->operands;
        for (uint32_t k = 0; k < count; k++) operands[k] = (unsigned char *)bases[operand[k].base] + operand[k].offset;
        GLMC_KERNEL(frame, worker->number, (int)i, table->kernels[launch->kernel](frame, operands, part, parts));
    }
}

/* Does the regions first..<last with the other threads. */
__attribute__((unused)) static void glmc_run_regions(glmc_frame *frame, glmc_worker *worker, const glmc_launches *table, void *const *bases,
                                                      const int64_t *work, uint32_t first, uint32_t last) {
    for (uint32_t i = first; i < last; i++) {
        const glmc_region_info *region = table->regions + i;
        GLMC_PARALLEL(worker, work[region->work]) { glmc_launch_all(frame, worker, table, bases, region->launch, region[1].launch, part, parts); }
    }
}

#endif
