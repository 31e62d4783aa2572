// Rows stored for products with packed weights, and these products; formulas in prepacked.h.
#include "prepacked.h"

#include "vectors.h"

namespace binding::KERNEL_NAMESPACE {

typedef int16_t Shorts __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

// How a step of four bytes of a row (Left, the same in every lane) and of a weight (Right, a channel a lane) is added to the sums, and
// the register tile that fits it.

#if defined(__AVX512F__)
constexpr int wideBlocks = 4;
#else
constexpr int wideBlocks = 1;
#endif
#if defined(__AVX2__) || defined(__aarch64__)
constexpr int wideRows = 6;
#else
constexpr int wideRows = 2;
#endif

struct ByFloats {
  static constexpr int rows = wideRows, blocks = wideBlocks;
  using Sum = Floats;
  using Left = Floats;
  using Right = Floats;
  INLINE Left left(const uint8_t* from) {
    float value;
    std::memcpy(&value, from, 4);
    return broadcast(value);
  }
  INLINE Right right(const uint8_t* from) { return load<Floats>(from); }
  INLINE Floats add(Floats sum, Left a, Right b) { return sum + a * b; }
};

#if defined(__AVX512BF16__)
struct ByHalves {
  static constexpr int rows = wideRows, blocks = wideBlocks;
  using Sum = Floats;
  using Left = Ints;
  using Right = Ints;
  INLINE Left left(const uint8_t* from) {
    int32_t pair;
    std::memcpy(&pair, from, 4);
    return pair - Ints{};
  }
  INLINE Right right(const uint8_t* from) { return load<Ints>(from); }
  INLINE Floats add(Floats sum, Left a, Right b) { return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
};
#endif

// Four unsigned bytes times four signed ones, always without saturation.

struct ByBytes {
  static constexpr int rows = 2, blocks = 1;
  using Sum = Ints;
  struct Left { Ints part[4]; };
  using Right = Left;
  INLINE Left left(const uint8_t* from) {
    return {{from[0] - Ints{}, from[1] - Ints{}, from[2] - Ints{}, from[3] - Ints{}}};
  }
  INLINE Right right(const uint8_t* from) {
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
  using Sum = Ints;
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
  INLINE Right right(const uint8_t* from) {
    const Shorts words = load<Shorts>(from);
    return {(Ints)(words << 8 >> 8), (Ints)(words >> 8)};
  }
  INLINE Ints add(Ints sum, const Left& a, const Right& b) { return sum + products(a.even, b.even) + products(a.odd, b.odd); }
};

// VNNI's own instruction, by name: it belongs to no level of AVX-512, and without one to AVX-VNNI.
struct ByVnni {
  static constexpr int rows = wideRows, blocks = wideBlocks;
  using Sum = Ints;
  using Left = Ints;
  using Right = Ints;
  INLINE Left left(const uint8_t* from) { return wordOf(from); }
  INLINE Right right(const uint8_t* from) { return load<Ints>(from); }
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

static void packBytes(const float* weight, int64_t O, int64_t I, const float* smoothing, uint8_t* to, float* scales, float* sums,
                      int64_t block) {
  for (int64_t o = block * kBlockChannels; o < O && o < (block + 1) * kBlockChannels; o++) {
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
      to[(i / 4 * kBlockChannels + o % kBlockChannels) * 4 + i % 4] = static_cast<uint8_t>(byte);
      sum += byte;
    }
    scales[o] = largest / 127 + poison;
    sums[o] = static_cast<float>(sum) * scales[o];
  }
}

template <class E>
static void packFloats(const float* weight, int64_t O, int64_t I, E* to, int64_t block) {
  constexpr int64_t perStep = kStepBytes / sizeof(E);
  for (int64_t o = block * kBlockChannels; o < O && o < (block + 1) * kBlockChannels; o++)
    for (int64_t i = 0; i < I; i++)
      ::store(to[(i / perStep * kBlockChannels + o % kBlockChannels) * perStep + i % perStep], weight[o * I + i]);
}

static void pack(Storage storage, const float* weight, int64_t O, int64_t I, const float* smoothing, uint8_t* packed, float* scales,
                 float* sums, int64_t begin, int64_t end) {
  const int64_t bytes = stepsOf(storage, I) * kBlockChannels * kStepBytes;
  for (int64_t block = begin; block < end; block++) {
    uint8_t* to = packed + block * bytes;
    std::memset(to, 0, bytes);
    switch (storage) {
      case Storage::int8: packBytes(weight, O, I, smoothing, to, scales, sums, block); break;
      case Storage::bfloat16: packFloats(weight, O, I, reinterpret_cast<bfloat16*>(to), block); break;
      case Storage::float32: packFloats(weight, O, I, reinterpret_cast<float*>(to), block); break;
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

/** e^-x, at most 2^127; NaN stays NaN. */
template <int degree>
INLINE Floats inverseExponential(Floats x) {
  return exp2<degree>(minimum(broadcast(127.0f), x * broadcast(-1.44269504f)));
}

// To a fraction of a byte's step, which is some 0.4 % of a row's range.
template <Activation activation>
INLINE Floats nearly(Floats x) {
  if (activation == Activation::silu) return x * inverse(1.0f + inverseExponential<3>(x));
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

// To float32's own error.
template <Activation activation>
INLINE Floats exactly(Floats x) {
  if (activation == Activation::silu) return x / (1.0f + inverseExponential<5>(x));
  if (activation == Activation::none) return x;
  // The error function by Abramowitz and Stegun 7.1.26, to 1.5e-7.
  const Floats z = maximum(x, -x) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * z);
  Floats p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Floats tail = 0.5f * p * t * inverseExponential<5>(z * z);
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

/** Calls fn(i, how many of LANES, the values from i on) along a row, after activation, gate and smoothing. */
template <class X, Activation activation, bool gated, bool exact, class Fn>
INLINE void forValues(const RowInput& in, int64_t row, Fn fn) {
  const int64_t I = in.I;
  const X* x = static_cast<const X*>(in.x) + row * (gated ? 2 * I : I);
  const X* inner = gated && in.gate == 2 ? x + I : x;
  const X* outer = in.gate == 2 ? x : x + I;
  for (int64_t i = 0; i < I; i += LANES) {
    const Floats given = loadFirst(inner + i, I - i, 0);
    Floats value = exact ? exactly<activation>(given) : nearly<activation>(given);
    if (gated) value *= loadFirst(outer + i, I - i, 0);
    if (in.smoothing) value *= loadFirst(in.smoothing + i, I - i, 0);
    fn(i, I - i, value);
  }
}

template <class E, class X, Activation activation, bool gated>
static void storeFloats(const RowInput& in, const StoredRows& out, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; row++) {
    E* to = reinterpret_cast<E*>(out.values + row * out.stride);
    forValues<X, activation, gated, true>(in, row, [&](int64_t i, int64_t, Floats value) __attribute__((always_inline)) { storeFloats(to + i, value); });
  }
}

template <class X, Activation activation, bool gated>
static void storeBytes(const RowInput& in, const StoredRows& out, float* scratch, int64_t begin, int64_t end) {
  const int64_t I = in.I;
  for (int64_t row = begin; row < end; row++) {
    Floats low = broadcast(__builtin_inff()), high = -low, poison = {};
    forValues<X, activation, gated, false>(in, row, [&](int64_t i, int64_t left, Floats value) __attribute__((always_inline)) {
      store(scratch + i, value);
      if (left < LANES)
        for (int j = static_cast<int>(left); j < LANES; j++) value[j] = value[0];
      low = minimum(low, value);
      high = maximum(high, value);
      poison += value * 0.0f;
    });
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

template <class X, Activation activation, bool gated>
static void storeAs(const RowInput& in, const StoredRows& out, float* scratch, int64_t begin, int64_t end) {
  switch (out.storage) {
    case Storage::int8: return storeBytes<X, activation, gated>(in, out, scratch, begin, end);
    case Storage::bfloat16: return storeFloats<bfloat16, X, activation, gated>(in, out, begin, end);
    case Storage::float32: return storeFloats<float, X, activation, gated>(in, out, begin, end);
  }
}

template <class X, bool gated>
static void storeActivated(const RowInput& in, const StoredRows& out, float* scratch, int64_t begin, int64_t end) {
  switch (in.activation) {
    case Activation::none: return storeAs<X, Activation::none, gated>(in, out, scratch, begin, end);
    case Activation::gelu: return storeAs<X, Activation::gelu, gated>(in, out, scratch, begin, end);
    case Activation::silu: return storeAs<X, Activation::silu, gated>(in, out, scratch, begin, end);
  }
}

static void storeRows(const RowInput& in, const StoredRows& out, float* scratch, int64_t begin, int64_t end) {
  withType(in.type, [&](auto zero) {
    using X = decltype(zero);
    if (in.gate) storeActivated<X, true>(in, out, scratch, begin, end);
    else storeActivated<X, false>(in, out, scratch, begin, end);
  });
}

/** What a register tile reads and writes: its rows from the first, its blocks of channels from the first. */
template <class Y>
struct Tile {
  const uint8_t* a;
  int64_t stride;
  const float *rowScales, *minima;
  const uint8_t* b;
  int64_t steps;
  const float *scales, *sums, *bias;
  int64_t channels;  // left from the first on
  Y* y;
  int64_t width;  // of y's rows
};

// With `ahead` the next panel of the weight is fetched meanwhile: it lies behind this one, in runs too short for the processor's own
// foresight. A text of 14 tokens spent half its time waiting for weights before.
template <class Dot, int rows, int blocks, bool ahead, class Y>
static void tile(const Tile<Y>& t) {
  constexpr int vectors = blocks * kBlockChannels / LANES;
  constexpr bool isInt8 = __is_same(typename Dot::Sum, Ints);
  typename Dot::Sum sums[rows][vectors] = {};
  const int64_t blockBytes = t.steps * kStepBytes * kBlockChannels;
  const uint8_t* b = t.b;
  const uint8_t* a = t.a;
  for (int64_t k = 0; k < t.steps; k++, a += kStepBytes, b += kStepBytes * kBlockChannels) {
    typename Dot::Right right[vectors];
    if constexpr (ahead) {
#pragma GCC unroll 8
      for (int j = 0; j < blocks; j++) __builtin_prefetch(b + (blocks + j) * blockBytes, 0, 2);
    }
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++)
      right[j] = Dot::right(b + j * LANES / kBlockChannels * blockBytes + j * LANES % kBlockChannels * kStepBytes);
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
    const Floats bias = t.bias ? loadFirst(t.bias + at, count, 0) : Floats{};
    Floats scales = {}, all = {};
    if constexpr (isInt8) {
      scales = loadFirst(t.scales + at, count, 0);
      all = loadFirst(t.sums + at, count, 0);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      Floats value;
      if constexpr (isInt8) value = __builtin_convertvector(sums[r][j], Floats) * (scales * t.rowScales[r]) + (all * t.minima[r] + bias);
      else value = sums[r][j] + bias;
      storeFirst(t.y + r * t.width + at, count, value);
    }
  }
}

template <class Dot, int blocks, int rows, bool ahead, class Y>
static void lastRows(int64_t count, const Tile<Y>& t) {
  if constexpr (rows > 0) {
    if (count != rows) lastRows<Dot, blocks, rows - 1, ahead>(count, t);
    else tile<Dot, rows, blocks, ahead>(t);
  }
}

template <class Dot, int blocks, class Y>
static void panel(int64_t rows, Tile<Y> t) {
  if (rows < Dot::rows) return lastRows<Dot, blocks, Dot::rows - 1, true>(rows, t);
  tile<Dot, Dot::rows, blocks, true>(t);
  int64_t left = rows;
  while ((left -= Dot::rows) > 0) {
    t.a += Dot::rows * t.stride;
    t.y += Dot::rows * t.width;
    if (t.rowScales) {
      t.rowScales += Dot::rows;
      t.minima += Dot::rows;
    }
    if (left < Dot::rows) return lastRows<Dot, blocks, Dot::rows - 1, false>(left, t);
    tile<Dot, Dot::rows, blocks, false>(t);
  }
}

template <class Dot, int blocks, class Y>
static void lastBlocks(int64_t count, int64_t rows, const Tile<Y>& t) {
  if constexpr (blocks > 0) {
    if (count == blocks) panel<Dot, blocks>(rows, t);
    else lastBlocks<Dot, blocks - 1>(count, rows, t);
  }
}

template <class Dot, class Y>
static void productBy(const StoredRows& in, const PrepackedWeight& w, Y* y, int64_t begin, int64_t end, int64_t block, int64_t lastBlock) {
  const bool isInt8 = w.storage == Storage::int8;
  const int64_t steps = stepsOf(w.storage, w.I);
  while (block < lastBlock) {
    const int64_t channel = block * kBlockChannels, blocks = lastBlock - block < Dot::blocks ? lastBlock - block : Dot::blocks;
    const Tile<Y> t{.a = in.values + begin * in.stride,
                    .stride = in.stride,
                    .rowScales = isInt8 ? in.scales + begin : nullptr,
                    .minima = isInt8 ? in.minima + begin : nullptr,
                    .b = w.packed + block * steps * kStepBytes * kBlockChannels,
                    .steps = steps,
                    .scales = isInt8 ? w.scales + channel : nullptr,
                    .sums = isInt8 ? w.sums + channel : nullptr,
                    .bias = w.bias ? w.bias + channel : nullptr,
                    .channels = w.O - channel,
                    .y = y + begin * w.O + channel,
                    .width = w.O};
    lastBlocks<Dot, Dot::blocks>(blocks, end - begin, t);
    block += blocks;
  }
}

static void product(const StoredRows& in, const PrepackedWeight& w, Type type, void* y, int64_t begin, int64_t end, int64_t firstBlock,
                    int64_t lastBlock) {
  withType(type, [&](auto zero) {
    auto* to = static_cast<decltype(zero)*>(y);
    if (w.storage == Storage::float32) return productBy<ByFloats>(in, w, to, begin, end, firstBlock, lastBlock);
#if defined(__AVX512BF16__)
    if (w.storage == Storage::bfloat16) return productBy<ByHalves>(in, w, to, begin, end, firstBlock, lastBlock);
#endif
#if defined(__AVX2__)
    if (hasVnni()) productBy<ByVnni>(in, w, to, begin, end, firstBlock, lastBlock);
    else productBy<ByPairs>(in, w, to, begin, end, firstBlock, lastBlock);
#else
    productBy<ByBytes>(in, w, to, begin, end, firstBlock, lastBlock);
#endif
  });
}

extern const PrepackedTable prepackedKernels = {pack, storeRows, product};

}  // namespace binding::KERNEL_NAMESPACE
