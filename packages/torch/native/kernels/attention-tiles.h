// What the attention kernels are made of, for one instruction set: vectors of LANES floats, 2^x, conversion, transposing, and
// the product of small matrices in register tiles.
// A "word" is what one lane multiplies in one step: a float, or a pair of bfloat16 (AVX512_BF16's dot product, twice the
// rate on AMD). The code is the same for both: depths are counted in words.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// GCC 12 and 13 warn of the undefined third operand inside their own intrinsics.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define INLINE static inline __attribute__((always_inline))

namespace binding::KERNEL_NAMESPACE {

#if defined(__AVX512F__)
constexpr int LANES = 16, maxTileVectors = 4;
#elif defined(__AVX2__)
constexpr int LANES = 8, maxTileVectors = 2;
#elif defined(__aarch64__)
constexpr int LANES = 4, maxTileVectors = 4;
#else
constexpr int LANES = 4, maxTileVectors = 2;
#endif
constexpr int tileRows = 6;

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

struct BFloat16 {
  uint16_t bits;
};

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

INLINE Floats toFloats(Halves bits) { return (Floats)(__builtin_convertvector(bits, Ints) << 16); }
// To nearest, ties to even; NaN stays NaN.
INLINE Halves toHalves(Floats x) {
#if defined(__AVX512BF16__)
  return (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
  Ints bits = (Ints)x;
  Ints rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return __builtin_convertvector((x == x ? rounded : bits | 0x400000) >> 16, Halves);
#endif
}
// Lane i: (low[i], high[i]).
INLINE Ints interleave(Halves low, Halves high) {
  return __builtin_convertvector(low, Ints) | __builtin_convertvector(high, Ints) << 16;
}

INLINE Floats loadFloats(const float* from) { return load<Floats>(from); }
INLINE Floats loadFloats(const BFloat16* from) { return toFloats(load<Halves>(from)); }
INLINE void storeFloats(float* to, Floats x) { store(to, x); }
INLINE void storeFloats(BFloat16* to, Floats x) { store(to, toHalves(x)); }

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
  return (Floats)((Ints)p + ((Ints)shifted << 23));
}

// The two kinds of products.
struct FloatWords {
  using Word = float;
  using Element = float;
  static constexpr int pack = 1, exponentDegree = 5;
  INLINE Floats step(Floats sum, float a, Floats b) { return sum + a * b; }
  INLINE Floats round(Floats x) { return x; }
};
#if defined(__AVX512BF16__)
struct PairWords {
  using Word = int32_t;
  using Element = BFloat16;
  static constexpr int pack = 2, exponentDegree = 3;
  INLINE Floats step(Floats sum, int32_t a, Floats b) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(a), (__m512bh)b);
  }
  INLINE Halves round(Floats x) { return toHalves(x); }
};
#endif

// A matrix read one word at a time: word (r, k) at `at[r * row + k * depth]`.
template <class Word>
struct Left {
  const Word* at;
  ptrdiff_t row, depth;
};
template <class Word>
struct Right {
  const Word* at;
  ptrdiff_t step;
};
struct Result {
  float* at;
  ptrdiff_t step;
};

enum Start { zero, add, addScaled };

template <class M, Start start, int rows, int vectors>
INLINE void tile(Left<typename M::Word> a, Right<typename M::Word> b, int64_t depth, Result c, const float* columnScale) {
  Floats sum[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
      sum[r][j] = start == zero ? Floats{} : load<Floats>(c.at + r * c.step + j * LANES);
      if (start == addScaled) sum[r][j] *= load<Floats>(columnScale + j * LANES);
    }
  for (int64_t k = 0; k < depth; k++) {
    Floats right[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) right[j] = load<Floats>(b.at + k * b.step + j * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int j = 0; j < vectors; j++) sum[r][j] = M::step(sum[r][j], a.at[r * a.row + k * a.depth], right[j]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) store(c.at + r * c.step + j * LANES, sum[r][j]);
}

template <class M, Start start, int vectors>
void panel(int64_t rows, Left<typename M::Word> a, Right<typename M::Word> b, int64_t depth, Result c, const float* columnScale) {
  int64_t r = 0;
  auto left = [&] { return Left<typename M::Word>{a.at + r * a.row, a.row, a.depth}; };
  auto result = [&] { return Result{c.at + r * c.step, c.step}; };
  for (; r + tileRows <= rows; r += tileRows) tile<M, start, tileRows, vectors>(left(), b, depth, result(), columnScale);
  switch (rows - r) {
    case 5: return tile<M, start, 5, vectors>(left(), b, depth, result(), columnScale);
    case 4: return tile<M, start, 4, vectors>(left(), b, depth, result(), columnScale);
    case 3: return tile<M, start, 3, vectors>(left(), b, depth, result(), columnScale);
    case 2: return tile<M, start, 2, vectors>(left(), b, depth, result(), columnScale);
    case 1: return tile<M, start, 1, vectors>(left(), b, depth, result(), columnScale);
  }
}

// c[r][n] = sum over k of a[r][k] * b[k][n], started at zero, at c, or at c with its columns scaled.
// `columns` is a multiple of LANES; `depth` is in words.
template <class M, Start start>
void product(int64_t rows, int64_t columns, int64_t depth, Left<typename M::Word> a, Right<typename M::Word> b, Result c,
             const float* columnScale = nullptr) {
  int64_t vectors = columns / LANES, panels = (vectors + maxTileVectors - 1) / maxTileVectors;
  for (int64_t p = 0; p < panels; p++) {
    int64_t from = vectors * p / panels * LANES, wide = vectors * (p + 1) / panels - from / LANES;
    Right<typename M::Word> right{b.at + from, b.step};
    Result result{c.at + from, c.step};
    const float* scale = columnScale ? columnScale + from : nullptr;
    if (wide == 1) panel<M, start, 1>(rows, a, right, depth, result, scale);
    if (wide == 2) panel<M, start, 2>(rows, a, right, depth, result, scale);
    if constexpr (maxTileVectors == 4) {
      if (wide == 3) panel<M, start, 3>(rows, a, right, depth, result, scale);
      if (wide == 4) panel<M, start, 4>(rows, a, right, depth, result, scale);
    }
  }
}

// to[c][r] = from[r][c] of one LANES x LANES block of words: log2(LANES) rounds of interleaving row i with row i + LANES / 2.
INLINE void transposeBlock(const Ints* from, Ints* to) {
  Ints rows[LANES], next[LANES], lowIndex, highIndex;
  for (int i = 0; i < LANES; i++) {
    lowIndex[i] = i / 2 + i % 2 * LANES;
    highIndex[i] = LANES / 2 + i / 2 + i % 2 * LANES;
    rows[i] = from[i];
  }
  for (int round = 1; round < LANES; round *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES / 2; i++) {
#if defined(__clang__)
      for (int j = 0; j < LANES; j++) {
        next[2 * i][j] = j % 2 ? rows[i + LANES / 2][j / 2] : rows[i][j / 2];
        next[2 * i + 1][j] = j % 2 ? rows[i + LANES / 2][LANES / 2 + j / 2] : rows[i][LANES / 2 + j / 2];
      }
#else
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + LANES / 2], lowIndex);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + LANES / 2], highIndex);
#endif
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) rows[i] = next[i];
  }
  for (int i = 0; i < LANES; i++) to[i] = rows[i];
}

// to[c * toStep + r] = from[r * fromStep + c]; both counts are multiples of LANES.
template <class Word>
void transpose(int64_t rows, int64_t columns, const Word* from, ptrdiff_t fromStep, Word* to, ptrdiff_t toStep) {
  Ints block[LANES], turned[LANES];
  for (int64_t r = 0; r < rows; r += LANES)
    for (int64_t c = 0; c < columns; c += LANES) {
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) block[i] = load<Ints>(from + (r + i) * fromStep + c);
      transposeBlock(block, turned);
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) store(to + (c + i) * toStep + r, turned[i]);
    }
}

}  // namespace binding::KERNEL_NAMESPACE
