// Softmax cross entropy of rows of V logits, with the bias added here, in float32:
//   z = logits + bias;  loss = log(sum(exp(z))) - z[label];  gradient of z = softmax(z) - onehot(label)
// The gradient takes the place of the logits, so that a chunk of them needs no second buffer. A row whose label is `ignored`
// has loss and gradient zero.
#pragma once
#include "dispatch.h"

namespace binding {

struct CrossEntropyArguments {
  Type type;
  void* logits;  // [R, V]; overwritten by their gradient when `gradients`
  int64_t V;
  const float* bias;  // [V] or null
  const int64_t* labels;
  int64_t ignored;
  float* losses;  // [R]
  bool gradients;
};

struct CrossEntropyTable {
  /** `scratch` holds V floats; the gradient of the bias is added to `gradBias` [V] (or null). */
  void (*rows)(const CrossEntropyArguments&, float* gradBias, float* scratch, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(CrossEntropyTable, crossEntropyKernels)
