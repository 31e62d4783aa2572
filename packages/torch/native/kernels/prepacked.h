// Products of rows with weights that were packed beforehand, for inference. A weight w [O, I] is stored in one of three types; a row x
// of I values is stored in the same type, after the activation that may come before the product, and then multiplied.
// In int8 a row has bytes with a scale and a minimum of its own, and each channel o of the weight signed bytes with a scale of its own:
//   x[i] = scale * q[i] + minimum, q 0 .. 255;   w[o][i] = scales[o] * p[o][i], p -127 .. 127
//   y[o] = scale * scales[o] * sum_i q[i] p[o][i] + minimum * sums[o] + bias[o];   sums[o] = scales[o] * sum_i p[o][i]
// The sums of bytes are exact whole numbers with every instruction set. With `smoothing` s the row x[i] s[i] is stored, and the weight
// was packed as w[o][i] / s[i] (Xiao et al. 2023, arXiv 2211.10438). In float32 and bfloat16 sums are float32, in the order of i. In all
// types a row's result does not depend on its neighbours.
#pragma once
#include "dispatch.h"

namespace binding {

/** What weights and rows are stored in. bfloat16 needs the instruction set avx512bf16. */
enum class Storage { int8, bfloat16, float32 };

inline int64_t storedBytes(Storage storage) { return storage == Storage::int8 ? 1 : storage == Storage::bfloat16 ? 2 : 4; }

/** Channels that stand together in a packed weight, and bytes of each that do. What is beyond O and I is 0. */
constexpr int64_t kBlockChannels = 16, kStepBytes = 4;

/** Steps of a row of I values. */
inline int64_t stepsOf(Storage storage, int64_t I) { return (I * storedBytes(storage) + kStepBytes - 1) / kStepBytes; }

struct PrepackedWeight {
  Storage storage;
  int64_t O, I;
  const uint8_t* packed;  // [ceil(O / 16), steps, 16, 4]
  const float* scales;    // int8: [O]
  const float* sums;      // int8: [O]
  const float* bias;      // [O] or null
};

enum class Activation { none, gelu, silu };

/** What becomes of a row of values before it is stored. */
struct RowInput {
  Type type;
  const void* x;  // [rows, I], or [rows, 2 I] where gated
  int64_t I;
  Activation activation;
  int gate;                // 0: not gated; 1: the first half of a row goes through the activation, times the other; 2: the last
  const float* smoothing;  // [I] or null
};

/** Stored rows, `stride` bytes apart: a multiple of 4 with at least 64 bytes after a row's values. */
struct StoredRows {
  Storage storage;
  int64_t stride;
  uint8_t* values;
  float* scales;  // int8
  float* minima;  // int8
};

struct PrepackedTable {
  /** Packs the blocks begin .. end of a float32 weight [O, I]; in int8 writes the scales and sums of their channels too. */
  void (*pack)(Storage, const float* weight, int64_t O, int64_t I, const float* smoothing, uint8_t* packed, float* scales, float* sums,
               int64_t begin, int64_t end);
  /** Stores rows begin .. end. `scratch` [I] is the calling thread's. In int8 a row that holds NaN or infinity gets the scale NaN. */
  void (*store)(const RowInput&, const StoredRows&, float* scratch, int64_t begin, int64_t end);
  /** Rows begin .. end and blocks of channels times the weight: y [rows, O]. */
  void (*product)(const StoredRows&, const PrepackedWeight&, Type, void* y, int64_t begin, int64_t end, int64_t firstBlock, int64_t lastBlock);
};

}  // namespace binding

DECLARE_KERNELS(PrepackedTable, prepackedKernels)
