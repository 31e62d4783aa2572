// Rotary positions with the split of heads; formulas in rotary.h.
#include "rotary.h"

#include "loops.h"

namespace binding::KERNEL_NAMESPACE {

static void turnAdjacent(const float* __restrict from, float* __restrict to, const float* __restrict cos,
                         const float* __restrict sin, float sign, int64_t pairs) {
  SIMD
  for (int64_t j = 0; j < pairs; j++) {
    const float a = from[2 * j], b = from[2 * j + 1], s = sign * sin[j];
    to[2 * j] = a * cos[j] - b * s;
    to[2 * j + 1] = b * cos[j] + a * s;
  }
}

// A pair of bfloat16 values as one word: the first in its low half (x86 and arm64 are little-endian).
static void turnAdjacent(const bfloat16* from, bfloat16* to, const float* __restrict cos, const float* __restrict sin,
                         float sign, int64_t pairs) {
  const char* __restrict words = reinterpret_cast<const char*>(from);
  char* __restrict turned = reinterpret_cast<char*>(to);
  SIMD
  for (int64_t j = 0; j < pairs; j++) {
    uint32_t word;
    std::memcpy(&word, words + 4 * j, 4);
    const float a = floatOf(word << 16), b = floatOf(word & 0xffff0000u), s = sign * sin[j];
    bfloat16 first, second;
    store(first, a * cos[j] - b * s);
    store(second, b * cos[j] + a * s);
    word = first.bits | static_cast<uint32_t>(second.bits) << 16;
    std::memcpy(turned + 4 * j, &word, 4);
  }
}

template <class T>
static void turnHalves(const T* __restrict from, T* __restrict to, const float* __restrict cos, const float* __restrict sin,
                       float sign, int64_t pairs) {
  SIMD
  for (int64_t j = 0; j < pairs; j++) {
    const float a = load(from[j]), b = load(from[j + pairs]), s = sign * sin[j];
    store(to[j], a * cos[j] - b * s);
    store(to[j + pairs], b * cos[j] + a * s);
  }
}

static void rotate(const RotaryArguments& args, int64_t begin, int64_t end) {
  withType(args.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t D = args.D, pairs = D / 2;
    const float sign = args.inverse ? -1.0f : 1.0f;
    for (int64_t row = begin; row < end; row++) {
      const float* cos = args.cos ? args.cos + row * pairs : nullptr;
      const float* sin = args.cos ? args.sin + row * pairs : nullptr;
      for (int part = 0; part < args.parts; part++) {
        const Heads &source = args.from[part], &target = args.to[part];
        for (int64_t head = 0; head < source.count; head++) {
          const T* from = static_cast<const T*>(source.data) + row * source.rowStride + head * source.headStride;
          T* to = static_cast<T*>(target.data) + row * target.rowStride + head * target.headStride;
          if (!cos || part == 2) std::memcpy(to, from, D * sizeof(T));
          else if (args.adjacent) turnAdjacent(from, to, cos, sin, sign, pairs);
          else turnHalves(from, to, cos, sin, sign, pairs);
        }
      }
    }
  });
}

extern const RotaryTable rotaryKernels = {rotate};

}  // namespace binding::KERNEL_NAMESPACE
