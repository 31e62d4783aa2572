// What the kernels' loops are made of: loads and stores of either type as float32, and exp, all inlined into loops that the
// compiler vectorizes (vectors.h has those that name their vectors). Included by kernel files only, inside no namespace:
// everything is of internal linkage.
#pragma once
#include <cstring>

#include "dispatch.h"

#define SIMD _Pragma("omp simd")
#define SIMD_SUM(...) SIMD_SUM_(omp simd reduction(+ : __VA_ARGS__))
#define SIMD_MAX(...) SIMD_SUM_(omp simd reduction(max : __VA_ARGS__))
#define SIMD_SUM_(text) SIMD_SUM__(text)
#define SIMD_SUM__(text) _Pragma(#text)

namespace {

struct bfloat16 {
  uint16_t bits;
};

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float load(float value) { return value; }
inline float load(bfloat16 value) { return floatOf(static_cast<uint32_t>(value.bits) << 16); }

inline void store(float& to, float value) { to = value; }
/** Rounds to nearest, ties to even; NaN stays NaN. */
inline void store(bfloat16& to, float value) {
  uint32_t bits = bitsOf(value);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to.bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
}

/** e^x to 2 units in the last place; below -87 it stays at the smallest normal number, above 88 at 2^127. NaN stays NaN. */
inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifter = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  float shifted = x * 1.44269504f + shifter;
  float n = shifted - shifter;
  float r = x - n * 0.693359375f;  // ln 2 in two parts, Cody and Waite
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691e-4f;  // Cephes expf
  p = p * r + 1.3981999e-3f;
  p = p * r + 8.3334519e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666666e-1f;
  p = p * r + 5.0000001e-1f;
  p = p * r * r + r + 1.0f;
  return p * floatOf((bitsOf(shifted) + 127) << 23);
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/** Calls fn with a value of the C++ type that `type` names. */
template <class Fn>
inline void withType(binding::Type type, Fn fn) {
  if (type == binding::Type::float32) fn(float{});
  else fn(bfloat16{});
}

}  // namespace
