/* glmc_scalar.h: what the operators of the loop language mean on scalars. Everything is a static inline function without side
 * effects, so loops over it can be vectorised. */
#ifndef GLMC_SCALAR_H
#define GLMC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define GLMC_INLINE static __host__ __device__ inline __attribute__((unused))
typedef __half glmc_f16;
#else
#define GLMC_INLINE static inline __attribute__((unused, always_inline))
typedef _Float16 glmc_f16;
#endif
typedef struct { uint16_t bits; } glmc_bf16;
typedef uint8_t glmc_bool;

GLMC_INLINE int glmc_popcount(uint64_t a)
{
    int count = 0;
    for (; a; a &= a - 1) count++;
    return count;
}

/* Integer division is defined everywhere: by zero it gives 0, and the one overflow wraps. */
#define GLMC_INTEGER(S, T)                                                                              \
    GLMC_INLINE T glmc_minimum_##S(T a, T b) { return a < b ? a : b; }                                  \
    GLMC_INLINE T glmc_maximum_##S(T a, T b) { return a > b ? a : b; }                                  \
    GLMC_INLINE T glmc_power_##S(T a, T b) { return (T)pow((double)a, (double)b); }                     \
    GLMC_INLINE T glmc_shiftLeft_##S(T a, T b) { return (uint64_t)b >= sizeof(T) * 8 ? 0 : (T)((uint64_t)a << b); } \
    GLMC_INLINE T glmc_floor_##S(T a) { return a; }                                                     \
    GLMC_INLINE T glmc_ceil_##S(T a) { return a; }                                                      \
    GLMC_INLINE T glmc_truncate_##S(T a) { return a; }                                                  \
    GLMC_INLINE T glmc_round_##S(T a) { return a; }                                                     \
    GLMC_INLINE T glmc_popcount_##S(T a) { return (T)glmc_popcount((uint64_t)a & (~(uint64_t)0 >> (64 - sizeof(T) * 8))); }

#define GLMC_SIGNED(S, T)                                                                               \
    GLMC_INTEGER(S, T)                                                                                  \
    GLMC_INLINE T glmc_divide_##S(T a, T b) { return b == 0 ? 0 : b == -1 ? (T)(0 - (uint64_t)a) : (T)(a / b); } \
    GLMC_INLINE T glmc_remainder_##S(T a, T b) { return b == 0 || b == -1 ? 0 : (T)(a % b); }           \
    GLMC_INLINE T glmc_absolute_##S(T a) { return a < 0 ? (T)(0 - (uint64_t)a) : a; }                   \
    GLMC_INLINE T glmc_sign_##S(T a) { return (T)((a > 0) - (a < 0)); }                                 \
    GLMC_INLINE T glmc_shiftRight_##S(T a, T b) { return (uint64_t)b >= sizeof(T) * 8 ? (T)(a < 0 ? -1 : 0) : (T)(a >> b); }

#define GLMC_UNSIGNED(S, T)                                                                             \
    GLMC_INTEGER(S, T)                                                                                  \
    GLMC_INLINE T glmc_divide_##S(T a, T b) { return b == 0 ? 0 : (T)(a / b); }                         \
    GLMC_INLINE T glmc_remainder_##S(T a, T b) { return b == 0 ? 0 : (T)(a % b); }                      \
    GLMC_INLINE T glmc_absolute_##S(T a) { return a; }                                                  \
    GLMC_INLINE T glmc_sign_##S(T a) { return (T)(a != 0); }                                            \
    GLMC_INLINE T glmc_shiftRight_##S(T a, T b) { return b >= sizeof(T) * 8 ? 0 : (T)(a >> b); }

GLMC_SIGNED(i8, int8_t)
GLMC_SIGNED(i16, int16_t)
GLMC_SIGNED(i32, int32_t)
GLMC_SIGNED(i64, int64_t)
GLMC_UNSIGNED(u8, uint8_t)
GLMC_UNSIGNED(u16, uint16_t)
GLMC_UNSIGNED(u32, uint32_t)
GLMC_UNSIGNED(u64, uint64_t)

/* One rounding where the processor has the instruction; a library call would cost more than it is worth. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define GLMC_FUSED(X, a, b, c) __builtin_fma##X(a, b, c)
#elif defined(__CUDACC__)
#define GLMC_FUSED(X, a, b, c) fma##X(a, b, c)
#else
#define GLMC_FUSED(X, a, b, c) ((a) * (b) + (c))
#endif

/* Floats: a NaN operand of minimum or maximum gives NaN, in reductions over lanes, too. */
#ifndef __cplusplus
#pragma omp declare reduction(glmc_minimum : float, double : omp_out = ((omp_out < omp_in) | (omp_out != omp_out)) ? omp_out : omp_in) initializer(omp_priv = omp_orig)
#pragma omp declare reduction(glmc_maximum : float, double : omp_out = ((omp_out > omp_in) | (omp_out != omp_out)) ? omp_out : omp_in) initializer(omp_priv = omp_orig)
#endif
#define GLMC_FLOAT(S, T, X)                                                                             \
    GLMC_INLINE T glmc_minimum_##S(T a, T b) { return ((a < b) | (a != a)) ? a : b; }                     \
    GLMC_INLINE T glmc_maximum_##S(T a, T b) { return ((a > b) | (a != a)) ? a : b; }                     \
    GLMC_INLINE T glmc_remainder_##S(T a, T b) { return fmod##X(a, b); }                                \
    GLMC_INLINE T glmc_power_##S(T a, T b) { return pow##X(a, b); }                                     \
    GLMC_INLINE T glmc_atan2_##S(T a, T b) { return atan2##X(a, b); }                                   \
    GLMC_INLINE T glmc_absolute_##S(T a) { return fabs##X(a); }                                         \
    GLMC_INLINE T glmc_sign_##S(T a) { return a != a ? a : (T)((a > 0) - (a < 0)); }                    \
    GLMC_INLINE T glmc_sqrt_##S(T a) { return sqrt##X(a); }                                   \
    GLMC_INLINE T glmc_reciprocal_##S(T a) { return (T)1 / a; }                                         \
    GLMC_INLINE T glmc_reciprocalSqrt_##S(T a) { return (T)1 / sqrt##X(a); }                  \
    GLMC_INLINE T glmc_exp_##S(T a) { return exp##X(a); }                                               \
    GLMC_INLINE T glmc_log_##S(T a) { return log##X(a); }                                               \
    GLMC_INLINE T glmc_log1p_##S(T a) { return log1p##X(a); }                                           \
    GLMC_INLINE T glmc_expm1_##S(T a) { return expm1##X(a); }                                           \
    GLMC_INLINE T glmc_sin_##S(T a) { return sin##X(a); }                                               \
    GLMC_INLINE T glmc_cos_##S(T a) { return cos##X(a); }                                               \
    GLMC_INLINE T glmc_tan_##S(T a) { return tan##X(a); }                                               \
    GLMC_INLINE T glmc_asin_##S(T a) { return asin##X(a); }                                             \
    GLMC_INLINE T glmc_acos_##S(T a) { return acos##X(a); }                                             \
    GLMC_INLINE T glmc_atan_##S(T a) { return atan##X(a); }                                             \
    GLMC_INLINE T glmc_sinh_##S(T a) { return sinh##X(a); }                                             \
    GLMC_INLINE T glmc_cosh_##S(T a) { return cosh##X(a); }                                             \
    GLMC_INLINE T glmc_tanh_##S(T a) { return tanh##X(a); }                                             \
    GLMC_INLINE T glmc_asinh_##S(T a) { return asinh##X(a); }                                           \
    GLMC_INLINE T glmc_acosh_##S(T a) { return acosh##X(a); }                                           \
    GLMC_INLINE T glmc_atanh_##S(T a) { return atanh##X(a); }                                           \
    GLMC_INLINE T glmc_erf_##S(T a) { return erf##X(a); }                                               \
    GLMC_INLINE T glmc_floor_##S(T a) { return floor##X(a); }                                           \
    GLMC_INLINE T glmc_ceil_##S(T a) { return ceil##X(a); }                                             \
    GLMC_INLINE T glmc_truncate_##S(T a) { return trunc##X(a); }                                        \
    GLMC_INLINE T glmc_round_##S(T a) { return rint##X(a); }                                            \
    GLMC_INLINE T glmc_fma_##S(T a, T b, T c) { return GLMC_FUSED(X, a, b, c); }                        \
    /* Truncation, saturating; NaN gives 0. */                                                          \
    GLMC_INLINE int64_t glmc_i64_##S(T a) { return a >= (T)9223372036854775808.0 ? INT64_MAX : a < (T)-9223372036854775808.0 ? INT64_MIN : a != a ? 0 : (int64_t)a; } \
    GLMC_INLINE uint64_t glmc_u64_##S(T a) { return a >= (T)18446744073709551616.0 ? UINT64_MAX : a >= (T)9223372036854775808.0 ? (uint64_t)a : a > (T)0 ? (uint64_t)glmc_i64_##S(a) : 0; } \
    GLMC_INLINE int32_t glmc_i32_##S(T a) { return a >= (T)2147483648.0 ? INT32_MAX : a < (T)-2147483648.0 ? INT32_MIN : a != a ? 0 : (int32_t)a; } \
    /* Rounding half to even, saturating to lo...hi; NaN gives lo. */                                   \
    GLMC_INLINE int32_t glmc_saturate_##S(T a, T lo, T hi) { T r = rint##X(a); r = r > lo ? r : lo; return (int32_t)(r < hi ? r : hi); } \
    GLMC_INLINE int32_t glmc_saturate_i32_##S(T a) { return a == a ? glmc_i32_##S(rint##X(a)) : INT32_MIN; }

GLMC_FLOAT(f32, float, f)
GLMC_FLOAT(f64, double, )

GLMC_INLINE float glmc_f32_bf16(glmc_bf16 a) { uint32_t bits = (uint32_t)a.bits << 16; float x; memcpy(&x, &bits, 4); return x; }
GLMC_INLINE glmc_bf16 glmc_bf16_f32(float a)
{
    uint32_t bits;
    memcpy(&bits, &a, 4);
    uint16_t rounded = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    glmc_bf16 result;
    result.bits = a != a ? 0x7fc0 : rounded;
    return result;
}

#define GLMC_MEMORY(S, T)                                                                               \
    GLMC_INLINE T glmc_load_##S(const void *p) { T v; memcpy(&v, p, sizeof v); return v; }              \
    GLMC_INLINE void glmc_store_##S(void *p, T v) { memcpy(p, &v, sizeof v); }

GLMC_MEMORY(i32, int32_t)
GLMC_MEMORY(f32, float)
GLMC_MEMORY(i64, int64_t)
GLMC_MEMORY(f64, double)

/* The same bits as another type: glmc_bits_TO_FROM. */
#define GLMC_BITS(S, T, R, U) GLMC_INLINE T glmc_bits_##S##_##R(U a) { T v; memcpy(&v, &a, sizeof v); return v; }
#define GLMC_BITS_BOTH(S, T, R, U) GLMC_BITS(S, T, R, U) GLMC_BITS(R, U, S, T)

GLMC_BITS_BOTH(i16, int16_t, u16, uint16_t)
GLMC_BITS_BOTH(i16, int16_t, f16, glmc_f16)
GLMC_BITS_BOTH(i16, int16_t, bf16, glmc_bf16)
GLMC_BITS_BOTH(u16, uint16_t, f16, glmc_f16)
GLMC_BITS_BOTH(u16, uint16_t, bf16, glmc_bf16)
GLMC_BITS_BOTH(f16, glmc_f16, bf16, glmc_bf16)
GLMC_BITS_BOTH(i32, int32_t, u32, uint32_t)
GLMC_BITS_BOTH(i32, int32_t, f32, float)
GLMC_BITS_BOTH(u32, uint32_t, f32, float)
GLMC_BITS_BOTH(i64, int64_t, u64, uint64_t)
GLMC_BITS_BOTH(i64, int64_t, f64, double)
GLMC_BITS_BOTH(u64, uint64_t, f64, double)

/* 8- and 4-bit floats. KIND: 0 infinities and NaNs as in IEEE 754; 1 all ones is NaN, no infinity; 2 the pattern of -0 is NaN; 3 neither. */
GLMC_INLINE float glmc_narrow_decode(uint8_t bits, int exponent_bits, int mantissa_bits, int bias, int kind)
{
    int sign_bit = 1 << (exponent_bits + mantissa_bits), top = (1 << exponent_bits) - 1;
    int exponent = (bits >> mantissa_bits) & top, mantissa = bits & ((1 << mantissa_bits) - 1);
    float sign = exponent_bits < 8 && (bits & sign_bit) ? -1.0f : 1.0f;
    if (kind == 1 && (bits & (sign_bit - 1)) == sign_bit - 1) return NAN;
    if (kind == 2 && bits == 0x80) return NAN;
    if (kind == 0 && exponent == top) return mantissa ? NAN : sign * INFINITY;
    if (exponent_bits == 8) return ldexpf(1.0f, exponent - bias);
    return sign * (exponent ? ldexpf((float)(mantissa + (1 << mantissa_bits)), exponent - bias - mantissa_bits)
                            : ldexpf((float)mantissa, 1 - bias - mantissa_bits));
}

/* The nearest pattern, ties to even. Out of range: the largest finite value when saturating, else infinity or NaN. */
GLMC_INLINE uint8_t glmc_narrow_encode(float a, int exponent_bits, int mantissa_bits, int bias, int kind, int saturate)
{
    int sign_bit = exponent_bits < 8 ? 1 << (exponent_bits + mantissa_bits) : 0;
    int all = exponent_bits < 8 ? sign_bit - 1 : 255;
    int nan = kind == 2 ? 0x80 : kind == 3 ? 0 : all;
    int infinity = ((1 << exponent_bits) - 1) << mantissa_bits;
    int largest = kind == 0 ? infinity - 1 : kind == 1 ? all - 1 : all;
    if (a != a) return (uint8_t)nan;
    int sign = signbit(a) ? sign_bit : 0;
    float magnitude = fabsf(a);
    float limit = glmc_narrow_decode((uint8_t)largest, exponent_bits, mantissa_bits, bias, kind);
    float step = limit - glmc_narrow_decode((uint8_t)(largest - 1), exponent_bits, mantissa_bits, bias, kind);
    float beyond = exponent_bits == 8 ? limit : limit + step / 2;
    if (magnitude > beyond || (magnitude == beyond && (largest & 1))) {
        if (saturate || kind == 3) return (uint8_t)(sign | largest);
        return (uint8_t)(kind == 0 ? sign | infinity : kind == 1 ? sign | nan : nan);
    }
    int low = 0, high = largest;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (glmc_narrow_decode((uint8_t)middle, exponent_bits, mantissa_bits, bias, kind) <= magnitude) low = middle; else high = middle;
    }
    float below = magnitude - glmc_narrow_decode((uint8_t)low, exponent_bits, mantissa_bits, bias, kind);
    float above = glmc_narrow_decode((uint8_t)high, exponent_bits, mantissa_bits, bias, kind) - magnitude;
    int pattern = below < above || (below == above && !(low & 1)) ? low : high;
    return (uint8_t)(kind == 2 && pattern == 0 ? 0 : sign | pattern);
}

#define GLMC_NARROW(S, E, M, B, K)                                                                      \
    GLMC_INLINE float glmc_f32_##S(uint8_t a) { return glmc_narrow_decode(a, E, M, B, K); }             \
    /* Saturates, but keeps infinity where the format has one. */                                       \
    GLMC_INLINE uint8_t glmc_##S##_f32(float a) { return glmc_narrow_encode(a, E, M, B, K, !__builtin_isinf(a)); }

GLMC_NARROW(f8e4m3fn, 4, 3, 7, 1)
GLMC_NARROW(f8e4m3fnuz, 4, 3, 8, 2)
GLMC_NARROW(f8e5m2, 5, 2, 15, 0)
GLMC_NARROW(f8e5m2fnuz, 5, 2, 16, 2)
GLMC_NARROW(f8e8m0, 8, 0, 127, 1)
GLMC_NARROW(f4e2m1, 2, 1, 1, 3)

#endif
