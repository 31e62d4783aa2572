// What the attention kernels are made of, for one instruction set: the product of small matrices in register tiles, and
// transposing.
// A "word" is what one lane multiplies in one step: a float, or a pair of bfloat16 (AVX512_BF16's dot product, twice the
// rate on AMD). The code is the same for both: depths are counted in words.
#pragma once
#include <cstddef>

#include "vectors.h"

namespace binding::KERNEL_NAMESPACE {

// Registers: 32 on AVX-512 and arm64, 16 elsewhere.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int maxTileVectors = 4;
#else
constexpr int maxTileVectors = 2;
#endif
constexpr int tileRows = 6;

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
  using Element = bfloat16;
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
