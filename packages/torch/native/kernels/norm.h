// RMSNorm and LayerNorm over rows of C values, optionally of the sum of two inputs:
//   s = x + y;  normed = (s - mean) * rstd * weight + bias;  rstd = 1 / sqrt(mean((s - mean)^2) + eps)
// RMSNorm is the same with mean = 0. x, s and normed are float32, y is of `yType` or absent (then s is x itself).
// Saved for backward: s (kept anyway, it is the residual stream) and rstd and mean [N]. Backward, g the gradient of normed:
//   ds = gradSum + rstd * (g w - mean(g w) - z mean(g w z)), z = (s - mean) * rstd;  dw += g z;  db += g
#pragma once
#include "dispatch.h"

namespace binding {

struct NormForward {
  int64_t C;
  bool center;  // LayerNorm
  float eps;
  const float* x;
  Type yType;
  const void* y;      // or null
  float* sum;         // where y is given
  const float* weight;
  const float* bias;  // or null
  float* normed;
  float* rstd;
  float* mean;        // used when centred
};

struct NormBackward {
  int64_t C;
  bool center;
  const float* sum;
  const float* rstd;
  const float* mean;
  const float* weight;
  const float* gradNormed;
  const float* gradSum;  // or null
  float* gradX;
  Type yType;
  void* gradY;           // the same values in y's type, or null
};

struct NormTable {
  void (*forward)(const NormForward&, int64_t begin, int64_t end);
  /** Adds the rows' share to gradWeight [C] and gradBias [C] (or null). */
  void (*backward)(const NormBackward&, float* gradWeight, float* gradBias, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(NormTable, normKernels)
