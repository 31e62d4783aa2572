// Gated units (SwiGLU and GeGLU, https://arxiv.org/abs/2002.05202) on rows of 2I values, the halves a (through act) and b:
//   out = act(a) b;  silu(a) = a sigmoid(a), gelu(a) = a P(a) with P the normal distribution's and p its density
// Saved for backward: x alone, as act costs less made again than kept. Backward, g the gradient of out:
//   da = g b act'(a);  db = g act(a);  silu' = sigmoid(a) + silu(a) (1 - sigmoid(a)), gelu' = P(a) + a p(a)
#pragma once
#include "dispatch.h"

namespace binding {

struct GatedUnitArguments {
  Type type;
  const void* x;  // [N, 2I]
  int64_t I;
  bool first;  // the first half goes through the activation, else the last
  bool gelu;   // else silu
};

struct GatedUnitTable {
  void (*forward)(const GatedUnitArguments&, void* out, int64_t begin, int64_t end);
  void (*backward)(const GatedUnitArguments&, const void* gradOut, void* gradX, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(GatedUnitTable, gatedUnitKernels)
