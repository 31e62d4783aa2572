// One pass over a parameter for its optimizer step; formulas in adam.h. Bound by memory: 28 bytes a value with a bfloat16
// gradient and copy.
#include "adam.h"

#include "loops.h"

namespace binding::KERNEL_NAMESPACE {

template <class Grad, bool decoupled, bool copied>
static void stepOf(const AdamArguments& a, int64_t begin, int64_t end) {
  float* __restrict param = a.param;
  const Grad* __restrict grad = static_cast<const Grad*>(a.grad);
  float* __restrict average = a.average;
  float* __restrict square = a.square;
  bfloat16* __restrict copy = static_cast<bfloat16*>(a.copy);
  const float kept = 1 - a.lr * a.weightDecay, decay = a.weightDecay, scale = a.gradScale;
  const float ofGrad = a.ofGrad, beta2 = a.beta2, ofSquare = a.ofSquare;
  const float size = a.stepSize, root = 1 / a.rootCorrection, eps = a.eps;
  SIMD
  for (int64_t i = begin; i < end; i++) {
    float p = param[i], g = load(grad[i]) * scale;
    if (decoupled) p *= kept;
    else g += decay * p;
    const float m = average[i] + ofGrad * (g - average[i]);
    const float v = beta2 * square[i] + ofSquare * g * g;
    average[i] = m;
    square[i] = v;
    p -= size * m / (__builtin_sqrtf(v) * root + eps);
    param[i] = p;
    if (copied) store(copy[i], p);
  }
}

static void step(const AdamArguments& a, int64_t begin, int64_t end) {
  withType(a.gradType, [&](auto zero) {
    using Grad = decltype(zero);
    if (a.decoupled) (a.copy ? stepOf<Grad, true, true> : stepOf<Grad, true, false>)(a, begin, end);
    else (a.copy ? stepOf<Grad, false, true> : stepOf<Grad, false, false>)(a, begin, end);
  });
}

// In float32 over short runs, then in double.
static double squares(Type type, const void* values, int64_t begin, int64_t end) {
  double total = 0;
  withType(type, [&](auto zero) {
    const auto* x = static_cast<const decltype(zero)*>(values);
    for (int64_t from = begin; from < end; from += 1024) {
      const int64_t to = from + 1024 < end ? from + 1024 : end;
      float sum = 0;
      SIMD_SUM(sum)
      for (int64_t i = from; i < to; i++) sum += load(x[i]) * load(x[i]);
      total += sum;
    }
  });
  return total;
}

extern const AdamTable adamKernels = {step, squares};

}  // namespace binding::KERNEL_NAMESPACE
