// Softmax cross entropy in place; formulas in cross-entropy.h.
#include "cross-entropy.h"

#include "loops.h"

namespace binding::KERNEL_NAMESPACE {

template <class T>
static float readRow(const T* __restrict logits, const float* __restrict bias, float* __restrict z, int64_t V) {
  float largest = -__builtin_huge_valf();
  if (bias) {
    SIMD_MAX(largest)
    for (int64_t i = 0; i < V; i++) {
      z[i] = load(logits[i]) + bias[i];
      largest = z[i] > largest ? z[i] : largest;
    }
  } else {
    SIMD_MAX(largest)
    for (int64_t i = 0; i < V; i++) {
      z[i] = load(logits[i]);
      largest = z[i] > largest ? z[i] : largest;
    }
  }
  return largest;
}

template <class T>
static void writeRow(T* __restrict gradient, float* __restrict gradBias, const float* __restrict e, float factor, int64_t V) {
  if (gradBias) {
    SIMD
    for (int64_t i = 0; i < V; i++) {
      const float g = e[i] * factor;
      store(gradient[i], g);
      gradBias[i] += g;
    }
  } else {
    SIMD
    for (int64_t i = 0; i < V; i++) store(gradient[i], e[i] * factor);
  }
}

static void rows(const CrossEntropyArguments& args, float* gradBias, float* __restrict z, int64_t begin, int64_t end) {
  withType(args.type, [&](auto zero) {
    using T = decltype(zero);
    const int64_t V = args.V;
    for (int64_t row = begin; row < end; row++) {
      T* logits = static_cast<T*>(args.logits) + row * V;
      const int64_t label = args.labels[row];
      if (label == args.ignored) {
        args.losses[row] = 0;
        if (args.gradients) std::memset(logits, 0, V * sizeof(T));
        continue;
      }
      const float largest = readRow(logits, args.bias, z, V);
      const float own = z[label] - largest;
      float total = 0;
      SIMD_SUM(total)
      for (int64_t i = 0; i < V; i++) {
        z[i] = exponential(z[i] - largest);
        total += z[i];
      }
      args.losses[row] = __builtin_logf(total) - own;
      if (!args.gradients) continue;
      z[label] -= total;
      writeRow(logits, gradBias, z, 1 / total, V);
    }
  });
}

extern const CrossEntropyTable crossEntropyKernels = {rows};

}  // namespace binding::KERNEL_NAMESPACE
