// Adam and AdamW (Kingma & Ba 2015, Loshchilov & Hutter 2019) and the squared norm, on a run of the values of one parameter:
//   g = gradient * gradScale (+ weightDecay * p for Adam);  p -= lr * weightDecay * p for AdamW
//   m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;  p -= stepSize * m / (sqrt(v) / rootCorrection + eps)
// with stepSize = lr / (1 - beta1^t) and rootCorrection = sqrt(1 - beta2^t). `copy`, where there is one, becomes p in bfloat16.
#pragma once
#include "dispatch.h"

namespace binding {

struct AdamArguments {
  float* param;
  const void* grad;
  Type gradType;
  float *average, *square;
  void* copy;  // bfloat16, or null
  float gradScale, beta2, lr, weightDecay, eps, stepSize, rootCorrection;
  float ofGrad, ofSquare;  // 1 - beta1 and 1 - beta2, which float32 would take from rounded betas
  bool decoupled;
};

struct AdamTable {
  void (*step)(const AdamArguments&, int64_t begin, int64_t end);
  double (*squares)(Type, const void* values, int64_t begin, int64_t end);
};

}  // namespace binding

DECLARE_KERNELS(AdamTable, adamKernels)
