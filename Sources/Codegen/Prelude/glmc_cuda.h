/* glmc_cuda.h: what a CUDA artifact needs besides the operators.
 *
 * Compiled by nvcc, kernels run on the device. Compiled by a C++ compiler with GLMC_EMULATE, the same source runs on the host, block
 * after block and thread after thread: that checks the code where there is no GPU. Kernels work for any number of threads; those with
 * a barrier are emulated with one. */
#ifndef GLMC_CUDA_H
#define GLMC_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef GLMC_EMULATE
#define __global__ static
#define __restrict__ __restrict
struct glmc_index { int64_t x; };
static thread_local glmc_index blockIdx, threadIdx, blockDim, gridDim;
typedef void *cudaStream_t;
static inline void __syncthreads(void) {}
#define GLMC_LAUNCH(kernel, blocks, threads, barrier, stream, ...)                                      \
    do {                                                                                                \
        gridDim.x = (barrier) ? 1 : 3;                                                                  \
        blockDim.x = (barrier) ? 1 : 5;                                                                 \
        (void)(stream);                                                                                 \
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)                                      \
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++) kernel(__VA_ARGS__);         \
    } while (0)
#define GLMC_LAST_ERROR() 0
#else
#include <cuda_runtime.h>
#define GLMC_LAUNCH(kernel, blocks, threads, barrier, stream, ...) kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#define GLMC_LAST_ERROR() ((int)cudaGetLastError())
#endif

#endif
