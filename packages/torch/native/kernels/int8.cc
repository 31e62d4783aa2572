// Rows to bytes and their products with packed int8 weights; formulas in int8.h.
#include "int8.h"

#include "vectors.h"

namespace binding::KERNEL_NAMESPACE {

typedef int16_t Shorts __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

// How four unsigned bytes times four signed ones are added to a lane, always without saturation: by what one step reads of a row
// (Left, in every lane), of a weight (Right, a channel a lane), and the register tile that fits it.

struct ByBytes {
  static constexpr int rows = 2, blocks = 1;
  struct Left { Ints part[4]; };
  using Right = Left;
  INLINE Left left(const uint8_t* from) {
    return {{from[0] - Ints{}, from[1] - Ints{}, from[2] - Ints{}, from[3] - Ints{}}};
  }
  INLINE Right right(const int8_t* from) {
    const Ints words = load<Ints>(from);
    return {{words << 24 >> 24, words << 16 >> 24, words << 8 >> 24, words >> 24}};
  }
  INLINE Ints add(Ints sum, const Left& a, const Right& b) {
    return sum + a.part[0] * b.part[0] + a.part[1] * b.part[1] + a.part[2] * b.part[2] + a.part[3] * b.part[3];
  }
};

#if defined(__AVX2__)
INLINE Ints wordOf(const uint8_t* from) {
  int32_t word;
  std::memcpy(&word, from, 4);
  return word - Ints{};
}

// Bytes widened to 16 bits, whose products are added by twos.
struct ByPairs {
#if defined(__AVX512F__)
  static constexpr int rows = 6, blocks = 3;
  INLINE Ints products(Ints a, Ints b) { return (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
#else
  static constexpr int rows = 4, blocks = 1;
  INLINE Ints products(Ints a, Ints b) { return (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
#endif
  struct Left { Ints even, odd; };
  using Right = Left;
  INLINE Left left(const uint8_t* from) {
    const Ints word = wordOf(from);
    return {word & 0x00ff00ff, (Ints)((Words)word >> 8) & 0x00ff00ff};
  }
  INLINE Right right(const int8_t* from) {
    const Shorts words = load<Shorts>(from);
    return {(Ints)(words << 8 >> 8), (Ints)(words >> 8)};
  }
  INLINE Ints add(Ints sum, const Left& a, const Right& b) { return sum + products(a.even, b.even) + products(a.odd, b.odd); }
};

// VNNI's own instruction, by name: it belongs to no level of AVX-512, and without one to AVX-VNNI.
struct ByVnni {
#if defined(__AVX512F__)
  static constexpr int rows = 6, blocks = 4;
#else
  static constexpr int rows = 6, blocks = 1;
#endif
  using Left = Ints;
  using Right = Ints;
  INLINE Left left(const uint8_t* from) { return wordOf(from); }
  INLINE Right right(const int8_t* from) { return load<Ints>(from); }
  INLINE Ints add(Ints sum, Left a, Right b) {
#if defined(__AVX512F__)
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#endif
    return sum;
  }
};
#endif

static void pack(const float* weight, int64_t O, int64_t I, const float* smoothing, int8_t* packed, float* scales, float* sums,
                 int64_t begin, int64_t end) {
  const int64_t depth = (I + 3) / 4;
  for (int64_t block = begin; block < end; block++) {
    int8_t* to = packed + block * depth * 4 * kInt8Block;
    std::memset(to, 0, depth * 4 * kInt8Block);
    for (int64_t o = block * kInt8Block; o < O && o < (block + 1) * kInt8Block; o++) {
      const float* row = weight + o * I;
      const auto at = [&](int64_t i) { return smoothing ? row[i] / smoothing[i] : row[i]; };
      float largest = 0, poison = 0;
      for (int64_t i = 0; i < I; i++) {
        const float value = at(i), size = __builtin_fabsf(value);
        largest = size > largest ? size : largest;
        poison += value * 0;  // NaN where a value is NaN or infinite
      }
      const float factor = largest > 0 ? 127 / largest : 0;
      int64_t sum = 0;
      for (int64_t i = 0; i < I; i++) {
        const float value = poison == 0 ? __builtin_rintf(at(i) * factor) : 0;
        const auto byte = static_cast<int8_t>(value > 127 ? 127 : value < -127 ? -127 : value);
        to[(i / 4 * kInt8Block + o % kInt8Block) * 4 + i % 4] = byte;
        sum += byte;
      }
      scales[o] = largest / 127 + poison;
      sums[o] = static_cast<float>(sum) * scales[o];
    }
  }
}

// The first `count` values at `from`, then `rest`.
template <class X>
INLINE Floats loadFirst(const X* from, int64_t count, float rest) {
  if (count >= LANES) return loadFloats(from);
  Floats values = broadcast(rest);
  for (int i = 0; i < count; i++) values[i] = ::load(from[i]);
  return values;
}
template <class Y>
INLINE void storeFirst(Y* to, int64_t count, Floats values) {
  if (count >= LANES) return storeFloats(to, values);
  for (int i = 0; i < count; i++) ::store(to[i], values[i]);
}

INLINE Floats inverse(Floats x) {
#if defined(__AVX512F__)
  return (Floats)_mm512_rcp14_ps((__m512)x);
#else
  return 1.0f / x;
#endif
}

template <Activation activation>
INLINE Floats activated(Floats x) {
  if (activation == Activation::silu) return x * inverse(1.0f + exp2<3>(x * broadcast(-1.44269504f)));
  if (activation == Activation::none) return x;
  // x P(x), the normal distribution P by a polynomial on [-4, 4]: to 1.9e-4 where |x| < 12, a twentieth of a byte's step.
  const Floats near = minimum(maximum(x, broadcast(-4.0f)), broadcast(4.0f)), t = near * near;
  Floats p = broadcast(2.27743e-8f) * t - 1.5982104e-6f;
  p = p * t + 4.7947113e-5f;
  p = p * t - 8.1392686e-4f;
  p = p * t + 8.771916e-3f;
  p = p * t - 6.4571954e-2f;
  p = p * t + 0.3978824f;
  return x * (p * near + 0.5f);
}

template <class X, Activation activation, bool gated>
static void quantizeRows(const Int8Input& in, const Int8Rows& out, float* scratch, int64_t begin, int64_t end) {
  const int64_t I = in.I;
  for (int64_t row = begin; row < end; row++) {
    const X* x = static_cast<const X*>(in.x) + row * (gated ? 2 * I : I);
    const X* inner = gated && in.gate == 2 ? x + I : x;
    const X* outer = in.gate == 2 ? x : x + I;
    Floats low = broadcast(__builtin_inff()), high = -low, poison = {};
    for (int64_t i = 0; i < I; i += LANES) {
      Floats value = activated<activation>(loadFirst(inner + i, I - i, 0));
      if (gated) value *= loadFirst(outer + i, I - i, 0);
      if (in.smoothing) value *= loadFirst(in.smoothing + i, I - i, 0);
      store(scratch + i, value);
      if (I - i < LANES)
        for (int j = static_cast<int>(I - i); j < LANES; j++) value[j] = value[0];
      low = minimum(low, value);
      high = maximum(high, value);
      poison += value * 0.0f;
    }
    float least = low[0], most = high[0], nan = poison[0];
    for (int j = 1; j < LANES; j++) {
      least = low[j] < least ? low[j] : least;
      most = high[j] > most ? high[j] : most;
      nan += poison[j];
    }
    const float range = most - least;
    out.scales[row] = range / 255 + nan;
    out.minima[row] = least;
    const Floats factor = broadcast(range > 0 ? 255 / range : 0), shift = broadcast(0.5f) - broadcast(least) * factor;
    uint8_t* bytes = out.values + row * out.stride;
    for (int64_t i = 0; i < I; i += LANES) {
      const Floats value = load<Floats>(scratch + i) * factor + shift;
      store(bytes + i, __builtin_convertvector(__builtin_convertvector(value, Ints), Bytes));
    }
  }
}

template <class X, bool gated>
static void quantizeAs(const Int8Input& in, const Int8Rows& out, float* scratch, int64_t begin, int64_t end) {
  switch (in.activation) {
    case Activation::none: return quantizeRows<X, Activation::none, gated>(in, out, scratch, begin, end);
    case Activation::gelu: return quantizeRows<X, Activation::gelu, gated>(in, out, scratch, begin, end);
    case Activation::silu: return quantizeRows<X, Activation::silu, gated>(in, out, scratch, begin, end);
  }
}

static void quantize(const Int8Input& in, const Int8Rows& out, float* scratch, int64_t begin, int64_t end) {
  withType(in.type, [&](auto zero) {
    using X = decltype(zero);
    if (in.gate) quantizeAs<X, true>(in, out, scratch, begin, end);
    else quantizeAs<X, false>(in, out, scratch, begin, end);
  });
}

/** What a register tile reads and writes: its rows from the first, its blocks of channels from the first. */
template <class Y>
struct Tile {
  const uint8_t* a;
  int64_t stride;
  const float *rowScales, *minima;
  const int8_t* b;
  int64_t depth;  // in steps of four bytes
  const float *scales, *sums, *bias;
  int64_t channels;  // left from the first on
  Y* y;
  int64_t width;  // of y's rows
};

template <class Dot, int rows, int blocks, class Y>
static void tile(const Tile<Y>& t) {
  constexpr int vectors = blocks * kInt8Block / LANES;
  Ints sums[rows][vectors] = {};
  const int64_t blockBytes = t.depth * 4 * kInt8Block;
  const int8_t* b = t.b;
  const uint8_t* a = t.a;
  for (int64_t k = 0; k < t.depth; k++, a += 4, b += 4 * kInt8Block) {
    typename Dot::Right right[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++)
      right[j] = Dot::right(b + j * LANES / kInt8Block * blockBytes + j * LANES % kInt8Block * 4);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const typename Dot::Left left = Dot::left(a + r * t.stride);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; j++) sums[r][j] = Dot::add(sums[r][j], left, right[j]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; j++) {
    const int64_t at = j * LANES, count = t.channels - at;
    if (count <= 0) break;
    const Floats scales = loadFirst(t.scales + at, count, 0), all = loadFirst(t.sums + at, count, 0);
    const Floats bias = t.bias ? loadFirst(t.bias + at, count, 0) : Floats{};
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const Floats value = __builtin_convertvector(sums[r][j], Floats) * (scales * t.rowScales[r]) + (all * t.minima[r] + bias);
      storeFirst(t.y + r * t.width + at, count, value);
    }
  }
}

template <class Dot, int blocks, int rows, class Y>
static void lastRows(int64_t count, const Tile<Y>& t) {
  if constexpr (rows > 0) {
    if (count == rows) tile<Dot, rows, blocks>(t);
    else lastRows<Dot, blocks, rows - 1>(count, t);
  }
}

template <class Dot, int blocks, class Y>
static void panel(int64_t rows, Tile<Y> t) {
  int64_t left = rows;
  for (; left >= Dot::rows; left -= Dot::rows) {
    tile<Dot, Dot::rows, blocks>(t);
    t.a += Dot::rows * t.stride;
    t.rowScales += Dot::rows;
    t.minima += Dot::rows;
    t.y += Dot::rows * t.width;
  }
  lastRows<Dot, blocks, Dot::rows - 1>(left, t);
}

template <class Dot, int blocks, class Y>
static void lastBlocks(int64_t count, int64_t rows, const Tile<Y>& t) {
  if constexpr (blocks > 0) {
    if (count == blocks) panel<Dot, blocks>(rows, t);
    else lastBlocks<Dot, blocks - 1>(count, rows, t);
  }
}

template <class Dot, class Y>
static void productBy(const Int8Rows& in, const Int8Weight& w, Y* y, int64_t begin, int64_t end, int64_t block, int64_t lastBlock) {
  const int64_t depth = (w.I + 3) / 4;
  while (block < lastBlock) {
    const int64_t channel = block * kInt8Block, blocks = lastBlock - block < Dot::blocks ? lastBlock - block : Dot::blocks;
    const Tile<Y> t{.a = in.values + begin * in.stride,
                    .stride = in.stride,
                    .rowScales = in.scales + begin,
                    .minima = in.minima + begin,
                    .b = w.packed + block * depth * 4 * kInt8Block,
                    .depth = depth,
                    .scales = w.scales + channel,
                    .sums = w.sums + channel,
                    .bias = w.bias ? w.bias + channel : nullptr,
                    .channels = w.O - channel,
                    .y = y + begin * w.O + channel,
                    .width = w.O};
    lastBlocks<Dot, Dot::blocks>(blocks, end - begin, t);
    block += blocks;
  }
}

static void product(const Int8Rows& in, const Int8Weight& w, Type type, void* y, int64_t begin, int64_t end, int64_t firstBlock,
                    int64_t lastBlock) {
  withType(type, [&](auto zero) {
    auto* to = static_cast<decltype(zero)*>(y);
#if defined(__AVX2__)
    if (hasVnni()) productBy<ByVnni>(in, w, to, begin, end, firstBlock, lastBlock);
    else productBy<ByPairs>(in, w, to, begin, end, firstBlock, lastBlock);
#else
    productBy<ByBytes>(in, w, to, begin, end, firstBlock, lastBlock);
#endif
  });
}

extern const Int8Table int8Kernels = {pack, quantize, product};

}  // namespace binding::KERNEL_NAMESPACE
