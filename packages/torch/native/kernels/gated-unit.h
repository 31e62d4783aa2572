// The gated unit (SwiGLU, https://arxiv.org/abs/2002.05202) on rows of 2I values, the halves a (through silu) and b:
//   out = silu(a) b;  silu(a) = a sigmoid(a)
// Saved for backward: x alone, as sigmoid costs less made again than kept. Backward, g the gradient of out:
//   da = g b (sigmoid(a) + silu(a) (1 - sigmoid(a)));  db = g silu(a)
#pragma once
#include "dispatch.h"

namespace binding {

struct GatedUnitTable {
  /** x [N, 2I] -> out [N, I]; `first` says that the first half goes through silu. */
  void (*forward)(Type, const void* x, void* out, int64_t I, bool first, int64_t begin, int64_t end);
  void (*backward)(Type, const void* x, const void* gradOut, void* gradX, int64_t I, bool first, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(GatedUnitTable, gatedUnitKernels)
