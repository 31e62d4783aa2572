// Products of rows with int8 matrices. A row x of I values is stored in bytes with a scale and a minimum of its own, and each
// channel o of a weight w [O, I] in signed bytes with a scale of its own:
//   x[i] = scale * q[i] + minimum, q 0 .. 255;   w[o][i] = scales[o] * p[o][i], p -127 .. 127
//   y[o] = scale * scales[o] * sum_i q[i] p[o][i] + minimum * sums[o] + bias[o];   sums[o] = scales[o] * sum_i p[o][i]
// The sums of bytes are exact whole numbers with every instruction set, so a row's result does not depend on its neighbours.
// With `smoothing` s the row x[i] s[i] is stored, and the weight was packed as w[o][i] / s[i] (Xiao et al. 2023, arXiv 2211.10438).
#pragma once
#include "dispatch.h"

namespace binding {

/** Channels that stand together in a packed weight [ceil(O / 16), ceil(I / 4), 16, 4]; what is beyond O and I is 0. */
constexpr int64_t kInt8Block = 16;

struct Int8Weight {
  int64_t O, I;
  const int8_t* packed;
  const float* scales;  // [O]
  const float* sums;    // [O]
  const float* bias;    // [O] or null
};

enum class Activation { none, gelu, silu };

/** What becomes of a row of float values before it is stored in bytes. */
struct Int8Input {
  Type type;
  const void* x;  // [rows, I], or [rows, 2 I] where gated
  int64_t I;
  Activation activation;
  int gate;                // 0: not gated; 1: the first half of a row goes through the activation, times the other; 2: the last
  const float* smoothing;  // [I] or null
};

/** Rows in bytes, `stride` apart: a multiple of 4 with at least 64 bytes after the last row's values. */
struct Int8Rows {
  int64_t stride;
  uint8_t* values;
  float* scales;
  float* minima;
};

struct Int8Table {
  /** Packs the blocks begin .. end of a float32 weight [O, I], and writes the scales and sums of their channels. */
  void (*pack)(const float* weight, int64_t O, int64_t I, const float* smoothing, int8_t* packed, float* scales, float* sums, int64_t begin,
               int64_t end);
  /** Rows begin .. end to bytes. `scratch` [I] is the calling thread's. A row that holds NaN or infinity gets the scale NaN. */
  void (*quantize)(const Int8Input&, const Int8Rows&, float* scratch, int64_t begin, int64_t end);
  /** Rows begin .. end and blocks of channels times the weight: y [rows, O]. */
  void (*product)(const Int8Rows&, const Int8Weight&, Type, void* y, int64_t begin, int64_t end, int64_t firstBlock, int64_t lastBlock);
};

}  // namespace binding

DECLARE_KERNELS(Int8Table, int8Kernels)
