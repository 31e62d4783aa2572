// Vectors of LANES floats for the kernels that name them: loads and stores of either type, maximum and minimum, and 2^x.
#pragma once
#include "loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// GCC 12 and 13 warn of the undefined third operand inside their own intrinsics.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define INLINE static inline __attribute__((always_inline))

namespace binding::KERNEL_NAMESPACE {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));  // of bits, whose sums may wrap around
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

template <class V, class T>
INLINE V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}
template <class V, class T>
INLINE void store(T* to, V v) {
  std::memcpy(to, &v, sizeof(V));
}

INLINE Floats broadcast(float x) { return x - Floats{}; }

// NOTE: where one side is NaN the result is b.
INLINE Floats maximum(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

INLINE Floats minimum(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

INLINE Floats toFloats(Halves bits) { return (Floats)(__builtin_convertvector(bits, Ints) << 16); }
// To nearest, ties to even; NaN stays NaN.
INLINE Halves toHalves(Floats x) {
#if defined(__AVX512BF16__)
  return (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
  Words bits = (Words)x;
  Words rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return __builtin_convertvector((x == x ? rounded : bits | 0x400000) >> 16, Halves);
#endif
}
// Lane i: (low[i], high[i]).
INLINE Ints interleave(Halves low, Halves high) {
  return __builtin_convertvector(low, Ints) | __builtin_convertvector(high, Ints) << 16;
}

INLINE Floats loadFloats(const float* from) { return load<Floats>(from); }
INLINE Floats loadFloats(const bfloat16* from) { return toFloats(load<Halves>(from)); }
INLINE void storeFloats(float* to, Floats x) { store(to, x); }
INLINE void storeFloats(bfloat16* to, Floats x) { store(to, toHalves(x)); }

// 2^x, relative error 8e-8 (degree 5) or 8e-5 (degree 3, below bfloat16's); 2^-126 below -126, NaN for NaN.
// The polynomials are the minimax ones on [-1/2, 1/2] (Remez).
template <int degree>
INLINE Floats exp2(Floats x) {
  static_assert(degree == 3 || degree == 5);
  x = maximum(broadcast(-126.0f), x);
  const Floats shift = broadcast(12582912.0f);  // 1.5 * 2^23: the sum's low bits are x rounded
  Floats shifted = x + shift, r = x - (shifted - shift), p;
  if (degree == 5) {
    p = broadcast(1.3276472e-3f) * r + 9.6755413e-3f;
    p = p * r + 5.5507133e-2f;
    p = p * r + 2.4022120e-1f;
    p = p * r + 6.9314697e-1f;
    p = p * r + 1.0000001f;
  } else {
    p = broadcast(5.5171669e-2f) * r + 2.4261112e-1f;
    p = p * r + 6.9326099e-1f;
    p = p * r + 9.9992807e-1f;
  }
  return (Floats)((Words)p + ((Words)shifted << 23));
}

}  // namespace binding::KERNEL_NAMESPACE
