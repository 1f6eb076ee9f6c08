/* glmc_vector_math.h: elementary functions on vectors of f32, written once for every vector width and compiler.
 *
 * GLMC_VECTOR_MATH(S, F, I) defines glmc_exp_S, glmc_log_S, glmc_tanh_S, glmc_sigmoid_S and glmc_erf_S for a vector type F of f32
 * and I of i32 with equally many lanes (GCC vector extensions); glmc_fma_S is there already. Largest errors found, against libm in f64 on
 * every 61st f32: exp 1.0 ulp, log 0.8, tanh 1.5, erf 5.4, sigmoid 2.3. NaN gives NaN; infinities and overflow behave as libm's do.
 * The polynomials are minimax fits on the stated ranges, made for this file. */
#ifndef GLMC_VECTOR_MATH_H
#define GLMC_VECTOR_MATH_H

#include <stdint.h>

#define GLMC_VECTOR_MATH(S, F, I) \
    /* lane by lane: mask ? a : b, for masks of all zeros or all ones */ \
    static inline __attribute__((unused)) F glmc_blend_##S(I mask, F a, F b) { return (F)(((I)a & mask) | ((I)b & ~mask)); } \
    static inline __attribute__((unused)) F glmc_splat_##S(float x) { return (F){0} + x; } \
    /* exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; 2^n in two factors, so that denormal results are right */ \
    static inline __attribute__((unused)) F glmc_exp_##S(F x) \
    { \
        F y = glmc_blend_##S((I)(x > 89.0f), glmc_splat_##S(89.0f), x); \
        y = glmc_blend_##S((I)(y < -104.0f), glmc_splat_##S(-104.0f), y); \
        F shifted = glmc_fma_##S(y, glmc_splat_##S(1.44269504089f), glmc_splat_##S(12582912.0f)); /* 1.5 * 2^23: rounds to nearest even */ \
        F n = shifted - 12582912.0f; \
        F r = glmc_fma_##S(n, glmc_splat_##S(-0.693145751953125f), y); \
        r = glmc_fma_##S(n, glmc_splat_##S(-1.428606765330187e-6f), r); \
        F p = glmc_fma_##S(r, glmc_splat_##S(1.381446476e-3f), glmc_splat_##S(8.368780623e-3f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(4.166839426e-2f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(1.666652011e-1f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(4.999999341e-1f)); \
        p = glmc_fma_##S(r * r, p, r); \
        p = p + 1.0f; \
        I e = (I)shifted - 0x4b400000; \
        I half = e >> 1; \
        return p * (F)((half + 127) << 23) * (F)((e - half + 127) << 23); \
    } \
    /* exp for finite x <= 0, to the accuracy of glmc_exp; results below 2^-126 become 0 */ \
    static inline __attribute__((unused)) F glmc_exp_nonpositive_##S(F x) \
    { \
        F y = glmc_blend_##S((I)(x < -87.0f), glmc_splat_##S(-87.0f), x); \
        F shifted = glmc_fma_##S(y, glmc_splat_##S(1.44269504089f), glmc_splat_##S(12582912.0f)); \
        F n = shifted - 12582912.0f; \
        F r = glmc_fma_##S(n, glmc_splat_##S(-0.693145751953125f), y); \
        r = glmc_fma_##S(n, glmc_splat_##S(-1.428606765330187e-6f), r); \
        F p = glmc_fma_##S(r, glmc_splat_##S(1.381446476e-3f), glmc_splat_##S(8.368780623e-3f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(4.166839426e-2f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(1.666652011e-1f)); \
        p = glmc_fma_##S(p, r, glmc_splat_##S(4.999999341e-1f)); \
        p = glmc_fma_##S(r * r, p, r); \
        p = p + 1.0f; \
        F scale = (F)(((I)shifted - 0x4b400000 + 127) << 23); \
        return (F)((I)(p * scale) & (I)(x >= -87.0f)); \
    } \
    /* log(2^e * (1 + f)) = e ln 2 + f - f^2/2 + f^3 P(f), sqrt(1/2) <= 1 + f < sqrt 2 */ \
    static inline __attribute__((unused)) F glmc_log_##S(F x) \
    { \
        I tiny = (I)(x < 1.17549435e-38f); \
        F scaled = glmc_blend_##S(tiny, x * 8388608.0f, x); \
        I bits = (I)scaled - 0x3f3504f3; \
        I e = (bits >> 23) - (tiny & 23); \
        F f = (F)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f; \
        F p = glmc_fma_##S(f, glmc_splat_##S(-7.634429838e-2f), glmc_splat_##S(1.276155034e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(-1.316019507e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(1.420176247e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(-1.662335648e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(2.000122667e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(-2.500082106e-1f)); \
        p = glmc_fma_##S(p, f, glmc_splat_##S(3.333333171e-1f)); \
        F n = __builtin_convertvector(e, F); \
        F square = f * f; \
        p = glmc_fma_##S(p, square * f, n * 1.428606765330187e-6f); \
        p = glmc_fma_##S(square, glmc_splat_##S(-0.5f), p); \
        F y = glmc_fma_##S(n, glmc_splat_##S(0.693145751953125f), p + f); \
        y = glmc_blend_##S((I)(x == 0.0f), glmc_splat_##S(-__builtin_inff()), y); \
        y = glmc_blend_##S((I)(x > 3.40282347e38f), x, y); \
        y = glmc_blend_##S((I)(x < 0.0f), glmc_splat_##S(__builtin_nanf("")), y); \
        return glmc_blend_##S((I)(x != x), x, y); \
    } \
    /* |x| < 0.625: x + x^3 P(x^2); beyond: 1 - 2 / (exp(2|x|) + 1) */ \
    static inline __attribute__((unused)) F glmc_tanh_##S(F x) \
    { \
        I sign = (I)x & (int32_t)0x80000000; \
        F a = (F)((I)x ^ sign); \
        F u = a * a; \
        F p = glmc_fma_##S(u, glmc_splat_##S(-5.591007389e-3f), glmc_splat_##S(2.053881102e-2f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(-5.370965429e-2f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(1.333109221e-1f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(-3.333326951e-1f)); \
        p = glmc_fma_##S(p, u * a, a); \
        F d = glmc_exp_nonpositive_##S(a * -2.0f); \
        F large = (1.0f - d) / (1.0f + d); \
        F y = (F)((I)glmc_blend_##S((I)(a < 0.625f), p, large) | sign); \
        return glmc_blend_##S((I)(x != x), x, y); \
    } \
    /* 1 / (1 + exp(-x)), from exp(-|x|) so that it never overflows */ \
    static inline __attribute__((unused)) F glmc_sigmoid_##S(F x) \
    { \
        I sign = (I)x & (int32_t)0x80000000; \
        F d = glmc_exp_##S((F)((I)x | (int32_t)0x80000000)); \
        F y = glmc_blend_##S(sign >> 31, d, glmc_splat_##S(1.0f)) / (1.0f + d); \
        return glmc_blend_##S((I)(x != x), x, y); \
    } \
    /* x P(x^2) / Q(x^2) for |x| < 3.93, beyond which erf is 1 to the last bit; never beyond 1 */ \
    static inline __attribute__((unused)) F glmc_erf_##S(F x) \
    { \
        F a = glmc_blend_##S((I)(x > 3.93f), glmc_splat_##S(3.93f), x); \
        a = glmc_blend_##S((I)(a < -3.93f), glmc_splat_##S(-3.93f), a); \
        F u = a * a; \
        F p = glmc_fma_##S(u, glmc_splat_##S(2.104667510e-6f), glmc_splat_##S(2.802302372e-4f)); \
        F q = glmc_fma_##S(u, glmc_splat_##S(3.841806720e-5f), glmc_splat_##S(1.104769816e-3f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(3.519618804e-3f)); \
        q = glmc_fma_##S(q, u, glmc_splat_##S(1.447180222e-2f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(5.198176389e-2f)); \
        q = glmc_fma_##S(q, u, glmc_splat_##S(1.116998362e-1f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(1.845614690e-1f)); \
        q = glmc_fma_##S(q, u, glmc_splat_##S(4.968966494e-1f)); \
        p = glmc_fma_##S(p, u, glmc_splat_##S(1.128379147e+0f)); \
        q = glmc_fma_##S(q, u, glmc_splat_##S(1.0f)); \
        F y = a * p / q; \
        y = glmc_blend_##S((I)(y > 1.0f), glmc_splat_##S(1.0f), y); \
        return glmc_blend_##S((I)(y < -1.0f), glmc_splat_##S(-1.0f), y); \
    }

#endif
