// Heads out of a projection, turned by their rotary angles (https://arxiv.org/abs/2104.09864) on the way: for each pair
// (a, b) of a head, the components (2j, 2j + 1) when `adjacent`, (j, j + D/2) otherwise, with the token's cos_j and sin_j,
//   a' = a cos - b sin;  b' = b cos + a sin
// The way back is the same with -sin. Saved for backward: cos and sin [N, D/2] alone.
#pragma once
#include "dispatch.h"

namespace binding {

/** Heads [N, count, D] somewhere in memory; strides count elements, and the D values of a head lie side by side. */
struct Heads {
  void* data;
  int64_t count, rowStride, headStride;
};

struct RotaryArguments {
  Type type;
  int64_t D;
  const float* cos;  // [N, D/2], or null: then nothing turns
  const float* sin;
  bool adjacent, inverse;
  int parts;  // of `from` and `to`; the third, the values, does not turn
  Heads from[3], to[3];
};

struct RotaryTable {
  void (*rotate)(const RotaryArguments&, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(RotaryTable, rotaryKernels)
