/* glmc_vector.h: the operators of the loop language on one vector register of f32 or i32 lanes (GLMC_LANES of them), and on the
 * narrower types that are converted from and to it. Arithmetic, comparisons and shifts are the compiler's own on vector types;
 * here are the rest, one section per instruction set. */
#ifndef GLMC_VECTOR_H
#define GLMC_VECTOR_H

#include "glmc_scalar.h"
#include "glmc_vector_math.h"

/* Keeps an accumulator in its register from here to its next use (see Statement.pin). */
#if defined(__x86_64__)
#define GLMC_PIN(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define GLMC_PIN(v) __asm__("" : "+w"(v))
#else
#define GLMC_PIN(v) ((void)0)
#endif

#define GLMC_VECTOR_TYPES(N)                                                                            \
    typedef float f32x##N __attribute__((vector_size(4 * N), may_alias));                               \
    typedef int32_t i32x##N __attribute__((vector_size(4 * N), may_alias));                             \
    typedef uint32_t u32x##N __attribute__((vector_size(4 * N), may_alias));                            \
    typedef _Float16 f16x##N __attribute__((vector_size(2 * N), may_alias));                            \
    typedef uint16_t bf16x##N __attribute__((vector_size(2 * N), may_alias));                           \
    typedef uint8_t u8x##N __attribute__((vector_size(N), may_alias));                                  \
    typedef int8_t i8x##N __attribute__((vector_size(N), may_alias));

#define GLMC_VECTOR_MEMORY(S, T, N)                                                                            \
    GLMC_INLINE S##x##N glmc_load_##S##x##N(const void *p) { S##x##N v; memcpy(&v, p, sizeof v); return v; } \
    GLMC_INLINE void glmc_store_##S##x##N(void *p, S##x##N v) { memcpy(p, &v, sizeof v); }

#define GLMC_ACCESS(S, T, N)                                                                            \
    GLMC_VECTOR_MEMORY(S, T, N)                                                                                \
    /* x - 0 is x for every x, negative zero included, so compilers drop the subtraction and leave a broadcast. */ \
    GLMC_INLINE S##x##N glmc_set_##S##x##N(T x) { return x - (S##x##N){0}; }

/* Tails where the instruction set has no masks. */
#define GLMC_PARTIAL(S, T, N)                                                                           \
    GLMC_INLINE S##x##N glmc_loadn_##S##x##N(const void *from, int64_t n) { const T *p = from; S##x##N v = {0}; for (int64_t i = 0; i < n; i++) v[i] = p[i]; return v; } \
    GLMC_INLINE void glmc_storen_##S##x##N(void *to, S##x##N v, int64_t n) { T *p = to; for (int64_t i = 0; i < n; i++) p[i] = v[i]; }

#define GLMC_COMMON(N)                                                                                  \
    GLMC_ACCESS(f32, float, N)                                                                          \
    GLMC_ACCESS(i32, int32_t, N)                                                                        \
    GLMC_ACCESS(u8, uint8_t, N)                                                                         \
    GLMC_ACCESS(i8, int8_t, N)                                                                          \
    GLMC_VECTOR_MEMORY(f16, _Float16, N)                                                                       \
    GLMC_VECTOR_MEMORY(bf16, uint16_t, N)                                                                      \
    GLMC_VECTOR_MATH(f32x##N, f32x##N, i32x##N)                                                         \
    GLMC_INLINE f32x##N glmc_select_f32x##N(i32x##N m, f32x##N a, f32x##N b) { return (f32x##N)((m & (i32x##N)a) | (~m & (i32x##N)b)); } \
    GLMC_INLINE i32x##N glmc_select_i32x##N(i32x##N m, i32x##N a, i32x##N b) { return (m & a) | (~m & b); } \
    GLMC_INLINE i32x##N glmc_shiftRight_i32x##N(i32x##N a, i32x##N b) { return a >> glmc_select_i32x##N((b & ~31) == 0, b, (i32x##N){0} + 31); } \
    GLMC_INLINE f32x##N glmc_absolute_f32x##N(f32x##N a) { return (f32x##N)((i32x##N)a & 0x7fffffff); } \
    GLMC_INLINE f32x##N glmc_reciprocal_f32x##N(f32x##N a) { return 1.0f / a; }                         \
    GLMC_INLINE f32x##N glmc_reciprocalSqrt_f32x##N(f32x##N a) { return 1.0f / glmc_sqrt_f32x##N(a); }  \
    GLMC_INLINE f32x##N glmc_cast_f32_i32x##N(i32x##N a) { return __builtin_convertvector(a, f32x##N); } \
    GLMC_INLINE i32x##N glmc_cast_i32_f32x##N(f32x##N a) { return __builtin_convertvector(a, i32x##N); } \
    GLMC_INLINE f32x##N glmc_cast_f32_bf16x##N(bf16x##N a) { return (f32x##N)(__builtin_convertvector(a, u32x##N) << 16); } \
    GLMC_INLINE bf16x##N glmc_cast_bf16_f32x##N(f32x##N a)                                              \
    {                                                                                                   \
        u32x##N bits = (u32x##N)a, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;                \
        u32x##N nan = (u32x##N)(a != a);                                                                \
        return __builtin_convertvector((nan & 0x7fc0) | (~nan & rounded), bf16x##N);                    \
    }                                                                                                   \
    GLMC_INLINE float glmc_horizontal_add_f32x##N(f32x##N a) { float s[N]; memcpy(s, &a, sizeof s); for (int w = N / 2; w; w /= 2) for (int i = 0; i < w; i++) s[i] += s[i + w]; return s[0]; } \
    GLMC_INLINE float glmc_horizontal_maximum_f32x##N(f32x##N a) { float s[N]; memcpy(s, &a, sizeof s); for (int w = N / 2; w; w /= 2) for (int i = 0; i < w; i++) s[i] = glmc_maximum_f32(s[i], s[i + w]); return s[0]; } \
    GLMC_INLINE float glmc_horizontal_minimum_f32x##N(f32x##N a) { float s[N]; memcpy(s, &a, sizeof s); for (int w = N / 2; w; w /= 2) for (int i = 0; i < w; i++) s[i] = glmc_minimum_f32(s[i], s[i + w]); return s[0]; }

/* Sums of products of bytes in N lanes: of unsigned and signed ones, of signed ones, and of the four-bit halves of bytes with signed ones. Exact, of signed ones where
 * the second is not -128.
 * R is a register of P bytes, M the prefix of its instructions and Q the suffix of those on all its bits. */
#ifdef __AVX512VNNI__
/* The instruction multiplies unsigned by signed: a signed factor is moved by 128, and what that adds taken off. */
#define GLMC_BYTE_DOTS(N, P, R, M, Q)                                                                                                  \
    GLMC_INLINE i32x##N glmc_dot_i32x##N(u8x##P a, i8x##P b, i32x##N c) { return (i32x##N)M##_dpbusd_epi32((R)c, (R)a, (R)b); }        \
    GLMC_INLINE i32x##N glmc_dot_i8_i32x##N(i8x##P a, i8x##P b, i32x##N c)                                                             \
    {                                                                                                                                  \
        const R middle = M##_set1_epi8(-128);                                                                                          \
        R moved = M##_dpbusd_epi32((R)c, M##_xor_##Q((R)a, middle), (R)b);                                                             \
        return (i32x##N)M##_sub_epi32(moved, M##_dpbusd_epi32(M##_setzero_##Q(), middle, (R)b));                                       \
    }                                                                                                                                  \
    GLMC_INLINE i32x##N glmc_dot_nibbles_i32x##N(u8x##P a, i8x##P b, i8x##P c, i32x##N d)                                              \
    {                                                                                                                                  \
        const R mask = M##_set1_epi8(15);                                                                                              \
        R lower = M##_and_##Q((R)a, mask), upper = M##_and_##Q(M##_srli_epi16((R)a, 4), mask);                                         \
        return (i32x##N)M##_dpbusd_epi32(M##_dpbusd_epi32((R)d, lower, (R)b), upper, (R)c);                                            \
    }
#else
/* Unsigned ones are widened to 16 bits, even bytes and odd ones, whose products are added to their neighbours' in 32. A signed one is a magnitude, and its sign goes to the
 * other: two such products fit into 16 bits, and so do four of codes below 16. */
#define GLMC_SIGNED_BY_mm256(b, a) _mm256_sign_epi8(b, a)
#define GLMC_SIGNED_BY_mm512(b, a) _mm512_mask_sub_epi8(b, _mm512_movepi8_mask(a), _mm512_setzero_si512(), b)
#define GLMC_BYTE_DOTS(N, P, R, M, Q)                                                                                                  \
    GLMC_INLINE i32x##N glmc_dot_i32x##N(u8x##P a, i8x##P b, i32x##N c)                                                                \
    {                                                                                                                                  \
        R even = M##_madd_epi16(M##_and_##Q((R)a, M##_set1_epi16(255)), M##_srai_epi16(M##_slli_epi16((R)b, 8), 8));                    \
        R odd = M##_madd_epi16(M##_srli_epi16((R)a, 8), M##_srai_epi16((R)b, 8));                                                      \
        return (i32x##N)M##_add_epi32((R)c, M##_add_epi32(even, odd));                                                                 \
    }                                                                                                                                  \
    GLMC_INLINE i32x##N glmc_dot_i8_i32x##N(i8x##P a, i8x##P b, i32x##N c)                                                             \
    {                                                                                                                                  \
        R pairs = M##_maddubs_epi16(M##_abs_epi8((R)a), GLMC_SIGNED_BY##M((R)b, (R)a));                                                \
        return (i32x##N)M##_add_epi32((R)c, M##_madd_epi16(pairs, M##_set1_epi16(1)));                                                 \
    }                                                                                                                                  \
    GLMC_INLINE i32x##N glmc_dot_nibbles_i32x##N(u8x##P a, i8x##P b, i8x##P c, i32x##N d)                                              \
    {                                                                                                                                  \
        const R mask = M##_set1_epi8(15);                                                                                              \
        R lower = M##_and_##Q((R)a, mask), upper = M##_and_##Q(M##_srli_epi16((R)a, 4), mask);                                         \
        R sums = M##_add_epi16(M##_maddubs_epi16(lower, (R)b), M##_maddubs_epi16(upper, (R)c));                                        \
        return (i32x##N)M##_add_epi32((R)d, M##_madd_epi16(sums, M##_set1_epi16(1)));                                                  \
    }
#endif

/* Half registers of AVX-512, whole ones of AVX2. */
#if GLMC_VECTOR_BITS >= 256
#include <immintrin.h>
GLMC_VECTOR_TYPES(8)
GLMC_VECTOR_TYPES(32)
GLMC_ACCESS(u8, uint8_t, 32)
GLMC_ACCESS(i8, int8_t, 32)
GLMC_INLINE f32x8 glmc_sqrt_f32x8(f32x8 a) { return (f32x8)_mm256_sqrt_ps((__m256)a); }
GLMC_INLINE f32x8 glmc_fma_f32x8(f32x8 a, f32x8 b, f32x8 c) { return (f32x8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
GLMC_COMMON(8)
#if GLMC_VECTOR_BITS == 512
#define GLMC_TAIL8(n) ((__mmask8)((1u << (n)) - 1u))
/* Through a whole register R of elements that the masked moves LOAD and STORE know. */
#define GLMC_MASKED8(S, R, LOAD, STORE) \
    GLMC_INLINE S##x8 glmc_loadn_##S##x8(const void *p, int64_t n) { R r = LOAD(GLMC_TAIL8(n), p); S##x8 v; memcpy(&v, &r, sizeof v); return v; } \
    GLMC_INLINE void glmc_storen_##S##x8(void *p, S##x8 v, int64_t n) { R r = {0}; memcpy(&r, &v, sizeof v); STORE(p, GLMC_TAIL8(n), r); }
GLMC_INLINE f32x8 glmc_loadn_f32x8(const float *p, int64_t n) { return (f32x8)_mm256_maskz_loadu_ps(GLMC_TAIL8(n), p); }
GLMC_INLINE void glmc_storen_f32x8(float *p, f32x8 v, int64_t n) { _mm256_mask_storeu_ps(p, GLMC_TAIL8(n), (__m256)v); }
GLMC_MASKED8(i32, __m256i, _mm256_maskz_loadu_epi32, _mm256_mask_storeu_epi32)
GLMC_MASKED8(u8, __m128i, _mm_maskz_loadu_epi8, _mm_mask_storeu_epi8)
GLMC_MASKED8(i8, __m128i, _mm_maskz_loadu_epi8, _mm_mask_storeu_epi8)
GLMC_MASKED8(f16, __m128i, _mm_maskz_loadu_epi16, _mm_mask_storeu_epi16)
GLMC_MASKED8(bf16, __m128i, _mm_maskz_loadu_epi16, _mm_mask_storeu_epi16)
#else
GLMC_PARTIAL(f32, float, 8)
GLMC_PARTIAL(i32, int32_t, 8)
GLMC_PARTIAL(u8, uint8_t, 8)
GLMC_PARTIAL(i8, int8_t, 8)
GLMC_PARTIAL(f16, _Float16, 8)
GLMC_PARTIAL(bf16, uint16_t, 8)
#endif
GLMC_INLINE f32x8 glmc_maximum_f32x8(f32x8 a, f32x8 b) { return glmc_select_f32x8(b != b, b, (f32x8)_mm256_max_ps((__m256)b, (__m256)a)); }
GLMC_INLINE f32x8 glmc_minimum_f32x8(f32x8 a, f32x8 b) { return glmc_select_f32x8(b != b, b, (f32x8)_mm256_min_ps((__m256)b, (__m256)a)); }
GLMC_INLINE i32x8 glmc_maximum_i32x8(i32x8 a, i32x8 b) { return (i32x8)_mm256_max_epi32((__m256i)a, (__m256i)b); }
GLMC_INLINE i32x8 glmc_minimum_i32x8(i32x8 a, i32x8 b) { return (i32x8)_mm256_min_epi32((__m256i)a, (__m256i)b); }
GLMC_INLINE f32x8 glmc_floor_f32x8(f32x8 a) { return (f32x8)_mm256_floor_ps((__m256)a); }
GLMC_INLINE f32x8 glmc_ceil_f32x8(f32x8 a) { return (f32x8)_mm256_ceil_ps((__m256)a); }
GLMC_INLINE f32x8 glmc_truncate_f32x8(f32x8 a) { return (f32x8)_mm256_round_ps((__m256)a, 11); }
GLMC_INLINE f32x8 glmc_round_f32x8(f32x8 a) { return (f32x8)_mm256_round_ps((__m256)a, 8); }
GLMC_INLINE i32x8 glmc_cast_i32_u8x8(u8x8 a) { int64_t b; memcpy(&b, &a, 8); return (i32x8)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(b)); }
GLMC_INLINE i32x8 glmc_cast_i32_i8x8(i8x8 a) { int64_t b; memcpy(&b, &a, 8); return (i32x8)_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(b)); }
GLMC_INLINE f32x8 glmc_cast_f32_u8x8(u8x8 a) { return (f32x8)_mm256_cvtepi32_ps((__m256i)glmc_cast_i32_u8x8(a)); }
GLMC_INLINE f32x8 glmc_cast_f32_i8x8(i8x8 a) { return (f32x8)_mm256_cvtepi32_ps((__m256i)glmc_cast_i32_i8x8(a)); }
GLMC_INLINE f32x8 glmc_cast_f32_f16x8(f16x8 a) { return (f32x8)_mm256_cvtph_ps((__m128i)a); }
GLMC_INLINE f16x8 glmc_cast_f16_f32x8(f32x8 a) { return (f16x8)_mm256_cvtps_ph((__m256)a, 0); }
GLMC_INLINE u8x8 glmc_saturate_u8_f32x8(f32x8 a)
{
    __m256 x = _mm256_min_ps(_mm256_max_ps((__m256)a, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return __builtin_convertvector((i32x8)_mm256_cvtps_epi32(x), u8x8);
}
GLMC_INLINE i8x8 glmc_saturate_i8_f32x8(f32x8 a)
{
    __m256 x = _mm256_min_ps(_mm256_max_ps((__m256)a, _mm256_set1_ps(-128.0f)), _mm256_set1_ps(127.0f));
    return __builtin_convertvector((i32x8)_mm256_cvtps_epi32(x), i8x8);
}
GLMC_BYTE_DOTS(8, 32, __m256i, _mm256, si256)
#endif

#if GLMC_VECTOR_BITS == 512
#define GLMC_LANES 16
GLMC_VECTOR_TYPES(16)
GLMC_VECTOR_TYPES(64)
GLMC_ACCESS(u8, uint8_t, 64)
GLMC_ACCESS(i8, int8_t, 64)
GLMC_INLINE f32x16 glmc_sqrt_f32x16(f32x16 a) { return (f32x16)_mm512_sqrt_ps((__m512)a); }
GLMC_INLINE f32x16 glmc_fma_f32x16(f32x16 a, f32x16 b, f32x16 c) { return (f32x16)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
GLMC_COMMON(16)
#define GLMC_TAIL(n) ((__mmask16)((1u << (n)) - 1u))
GLMC_INLINE f32x16 glmc_loadn_f32x16(const float *p, int64_t n) { return (f32x16)_mm512_maskz_loadu_ps(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_f32x16(float *p, f32x16 v, int64_t n) { _mm512_mask_storeu_ps(p, GLMC_TAIL(n), (__m512)v); }
GLMC_INLINE i32x16 glmc_loadn_i32x16(const int32_t *p, int64_t n) { return (i32x16)_mm512_maskz_loadu_epi32(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_i32x16(int32_t *p, i32x16 v, int64_t n) { _mm512_mask_storeu_epi32(p, GLMC_TAIL(n), (__m512i)v); }
GLMC_INLINE u8x16 glmc_loadn_u8x16(const uint8_t *p, int64_t n) { return (u8x16)_mm_maskz_loadu_epi8(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_u8x16(uint8_t *p, u8x16 v, int64_t n) { _mm_mask_storeu_epi8(p, GLMC_TAIL(n), (__m128i)v); }
GLMC_INLINE i8x16 glmc_loadn_i8x16(const int8_t *p, int64_t n) { return (i8x16)_mm_maskz_loadu_epi8(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_i8x16(int8_t *p, i8x16 v, int64_t n) { _mm_mask_storeu_epi8(p, GLMC_TAIL(n), (__m128i)v); }
GLMC_INLINE f16x16 glmc_loadn_f16x16(const void *p, int64_t n) { return (f16x16)_mm256_maskz_loadu_epi16(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_f16x16(void *p, f16x16 v, int64_t n) { _mm256_mask_storeu_epi16(p, GLMC_TAIL(n), (__m256i)v); }
GLMC_INLINE bf16x16 glmc_loadn_bf16x16(const void *p, int64_t n) { return (bf16x16)_mm256_maskz_loadu_epi16(GLMC_TAIL(n), p); }
GLMC_INLINE void glmc_storen_bf16x16(void *p, bf16x16 v, int64_t n) { _mm256_mask_storeu_epi16(p, GLMC_TAIL(n), (__m256i)v); }
/* The instruction returns its second operand where either is NaN, so that only a NaN of `b` must be seen to. */
GLMC_INLINE f32x16 glmc_maximum_f32x16(f32x16 a, f32x16 b) { return glmc_select_f32x16(b != b, b, (f32x16)_mm512_max_ps((__m512)b, (__m512)a)); }
GLMC_INLINE f32x16 glmc_minimum_f32x16(f32x16 a, f32x16 b) { return glmc_select_f32x16(b != b, b, (f32x16)_mm512_min_ps((__m512)b, (__m512)a)); }
GLMC_INLINE i32x16 glmc_maximum_i32x16(i32x16 a, i32x16 b) { return (i32x16)_mm512_max_epi32((__m512i)a, (__m512i)b); }
GLMC_INLINE i32x16 glmc_minimum_i32x16(i32x16 a, i32x16 b) { return (i32x16)_mm512_min_epi32((__m512i)a, (__m512i)b); }
GLMC_INLINE f32x16 glmc_floor_f32x16(f32x16 a) { return (f32x16)_mm512_roundscale_ps((__m512)a, 9); }
GLMC_INLINE f32x16 glmc_ceil_f32x16(f32x16 a) { return (f32x16)_mm512_roundscale_ps((__m512)a, 10); }
GLMC_INLINE f32x16 glmc_truncate_f32x16(f32x16 a) { return (f32x16)_mm512_roundscale_ps((__m512)a, 11); }
GLMC_INLINE f32x16 glmc_round_f32x16(f32x16 a) { return (f32x16)_mm512_roundscale_ps((__m512)a, 8); }
GLMC_INLINE f32x16 glmc_cast_f32_u8x16(u8x16 a) { return (f32x16)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32((__m128i)a)); }
GLMC_INLINE f32x16 glmc_cast_f32_i8x16(i8x16 a) { return (f32x16)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)a)); }
GLMC_INLINE i32x16 glmc_cast_i32_u8x16(u8x16 a) { return (i32x16)_mm512_cvtepu8_epi32((__m128i)a); }
GLMC_INLINE i32x16 glmc_cast_i32_i8x16(i8x16 a) { return (i32x16)_mm512_cvtepi8_epi32((__m128i)a); }
GLMC_INLINE f32x16 glmc_cast_f32_f16x16(f16x16 a) { return (f32x16)_mm512_cvtph_ps((__m256i)a); }
GLMC_INLINE f16x16 glmc_cast_f16_f32x16(f32x16 a) { return (f16x16)_mm512_cvtps_ph((__m512)a, 0); }
/* Clamping before the conversion keeps it in range; max_ps with the bound second turns NaN into the lower bound. */
GLMC_INLINE u8x16 glmc_saturate_u8_f32x16(f32x16 a)
{
    __m512 x = _mm512_min_ps(_mm512_max_ps((__m512)a, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
    return (u8x16)_mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x));
}
GLMC_INLINE i8x16 glmc_saturate_i8_f32x16(f32x16 a)
{
    __m512 x = _mm512_min_ps(_mm512_max_ps((__m512)a, _mm512_set1_ps(-128.0f)), _mm512_set1_ps(127.0f));
    return (i8x16)_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x));
}
/* The first lanes. */
GLMC_INLINE f32x8 glmc_low_f32x16(f32x16 a) { return (f32x8)_mm512_castps512_ps256((__m512)a); }
GLMC_INLINE i32x8 glmc_low_i32x16(i32x16 a) { return (i32x8)_mm512_castsi512_si256((__m512i)a); }
GLMC_INLINE bf16x16 glmc_low_bf16x32(bf16x32 a) { return (bf16x16)_mm512_castsi512_si256((__m512i)a); }
GLMC_INLINE i8x32 glmc_low_i8x64(i8x64 a) { return (i8x32)_mm512_castsi512_si256((__m512i)a); }
GLMC_INLINE u8x32 glmc_low_u8x64(u8x64 a) { return (u8x32)_mm512_castsi512_si256((__m512i)a); }
#ifdef __AVX512BF16__
GLMC_VECTOR_MEMORY(bf16, uint16_t, 32)
GLMC_INLINE f32x8 glmc_dot_f32x8(bf16x16 a, bf16x16 b, f32x8 c) { return (f32x8)_mm256_dpbf16_ps((__m256)c, (__m256bh)a, (__m256bh)b); }
GLMC_INLINE f32x16 glmc_dot_f32x16(bf16x32 a, bf16x32 b, f32x16 c) { return (f32x16)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
#endif
GLMC_BYTE_DOTS(16, 64, __m512i, _mm512, si512)

#elif GLMC_VECTOR_BITS == 256
#define GLMC_LANES 8

#elif GLMC_VECTOR_BITS == 128 && defined(__ARM_NEON)
#include <arm_neon.h>
#define GLMC_LANES 4
GLMC_VECTOR_TYPES(4)
GLMC_VECTOR_TYPES(16)
GLMC_ACCESS(u8, uint8_t, 16)
GLMC_ACCESS(i8, int8_t, 16)
GLMC_INLINE f32x4 glmc_sqrt_f32x4(f32x4 a) { return (f32x4)vsqrtq_f32((float32x4_t)a); }
GLMC_INLINE f32x4 glmc_fma_f32x4(f32x4 a, f32x4 b, f32x4 c) { return (f32x4)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
GLMC_COMMON(4)
GLMC_PARTIAL(f32, float, 4)
GLMC_PARTIAL(i32, int32_t, 4)
GLMC_PARTIAL(u8, uint8_t, 4)
GLMC_PARTIAL(i8, int8_t, 4)
GLMC_PARTIAL(f16, _Float16, 4)
GLMC_PARTIAL(bf16, uint16_t, 4)
GLMC_INLINE f32x4 glmc_maximum_f32x4(f32x4 a, f32x4 b) { return (f32x4)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
GLMC_INLINE f32x4 glmc_minimum_f32x4(f32x4 a, f32x4 b) { return (f32x4)vminq_f32((float32x4_t)a, (float32x4_t)b); }
GLMC_INLINE i32x4 glmc_maximum_i32x4(i32x4 a, i32x4 b) { return (i32x4)vmaxq_s32((int32x4_t)a, (int32x4_t)b); }
GLMC_INLINE i32x4 glmc_minimum_i32x4(i32x4 a, i32x4 b) { return (i32x4)vminq_s32((int32x4_t)a, (int32x4_t)b); }
GLMC_INLINE f32x4 glmc_floor_f32x4(f32x4 a) { return (f32x4)vrndmq_f32((float32x4_t)a); }
GLMC_INLINE f32x4 glmc_ceil_f32x4(f32x4 a) { return (f32x4)vrndpq_f32((float32x4_t)a); }
GLMC_INLINE f32x4 glmc_truncate_f32x4(f32x4 a) { return (f32x4)vrndq_f32((float32x4_t)a); }
GLMC_INLINE f32x4 glmc_round_f32x4(f32x4 a) { return (f32x4)vrndnq_f32((float32x4_t)a); }
GLMC_INLINE i32x4 glmc_cast_i32_u8x4(u8x4 a) { return __builtin_convertvector(a, i32x4); }
GLMC_INLINE i32x4 glmc_cast_i32_i8x4(i8x4 a) { return __builtin_convertvector(a, i32x4); }
GLMC_INLINE f32x4 glmc_cast_f32_u8x4(u8x4 a) { return __builtin_convertvector(a, f32x4); }
GLMC_INLINE f32x4 glmc_cast_f32_i8x4(i8x4 a) { return __builtin_convertvector(a, f32x4); }
GLMC_INLINE f32x4 glmc_cast_f32_f16x4(f16x4 a) { return __builtin_convertvector(a, f32x4); }
GLMC_INLINE f16x4 glmc_cast_f16_f32x4(f32x4 a) { return __builtin_convertvector(a, f16x4); }
GLMC_INLINE u8x4 glmc_saturate_u8_f32x4(f32x4 a)
{
    float32x4_t x = vminq_f32(vmaxnmq_f32((float32x4_t)a, vdupq_n_f32(0.0f)), vdupq_n_f32(255.0f));
    return __builtin_convertvector((i32x4)vcvtnq_s32_f32(x), u8x4);
}
GLMC_INLINE i8x4 glmc_saturate_i8_f32x4(f32x4 a)
{
    float32x4_t x = vminq_f32(vmaxnmq_f32((float32x4_t)a, vdupq_n_f32(-128.0f)), vdupq_n_f32(127.0f));
    return __builtin_convertvector((i32x4)vcvtnq_s32_f32(x), i8x4);
}
#ifdef __ARM_FEATURE_DOTPROD
/* u8 x s8: the instruction multiplies equal signs, so `a` is moved by 128 and the difference added back. */
GLMC_INLINE i32x4 glmc_dot_i32x4(u8x16 a, i8x16 b, i32x4 c)
{
    int8x16_t moved = vreinterpretq_s8_u8(veorq_u8((uint8x16_t)a, vdupq_n_u8(0x80)));
    int32x4_t sum = vdotq_s32((int32x4_t)c, moved, (int8x16_t)b);
    int32x4_t weight = vdotq_s32(vdupq_n_s32(0), vdupq_n_s8(1), (int8x16_t)b);
    return (i32x4)vaddq_s32(sum, vshlq_n_s32(weight, 7));
}
GLMC_INLINE i32x4 glmc_dot_i8_i32x4(i8x16 a, i8x16 b, i32x4 c) { return (i32x4)vdotq_s32((int32x4_t)c, (int8x16_t)a, (int8x16_t)b); }
GLMC_INLINE i32x4 glmc_dot_nibbles_i32x4(u8x16 a, i8x16 b, i8x16 c, i32x4 d)
{
    int8x16_t lower = vreinterpretq_s8_u8(vandq_u8((uint8x16_t)a, vdupq_n_u8(15))), upper = vreinterpretq_s8_u8(vshrq_n_u8((uint8x16_t)a, 4));
    return (i32x4)vdotq_s32(vdotq_s32((int32x4_t)d, lower, (int8x16_t)b), upper, (int8x16_t)c);
}
#endif
#endif

#endif
