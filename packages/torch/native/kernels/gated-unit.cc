// The gated unit; formulas in gated-unit.h.
#include "gated-unit.h"

#include "vector.h"

namespace binding::KERNEL_NAMESPACE {

template <class T>
static void forwardRow(const T* __restrict a, const T* __restrict b, T* __restrict out, int64_t I) {
  SIMD
  for (int64_t i = 0; i < I; i++) {
    const float x = load(a[i]);
    store(out[i], x * sigmoid(x) * load(b[i]));
  }
}

template <class T>
static void backwardRow(const T* __restrict a, const T* __restrict b, const T* __restrict gradOut, T* __restrict gradA,
                        T* __restrict gradB, int64_t I) {
  SIMD
  for (int64_t i = 0; i < I; i++) {
    const float x = load(a[i]), g = load(gradOut[i]);
    const float s = sigmoid(x), silu = x * s;
    store(gradA[i], g * load(b[i]) * (s + silu * (1 - s)));
    store(gradB[i], g * silu);
  }
}

static void forward(Type type, const void* x, void* out, int64_t I, bool first, int64_t begin, int64_t end) {
  withType(type, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = begin; row < end; row++) {
      const T* halves = static_cast<const T*>(x) + row * 2 * I;
      forwardRow(halves + (first ? 0 : I), halves + (first ? I : 0), static_cast<T*>(out) + row * I, I);
    }
  });
}

static void backward(Type type, const void* x, const void* gradOut, void* gradX, int64_t I, bool first, int64_t begin, int64_t end) {
  withType(type, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = begin; row < end; row++) {
      const T* halves = static_cast<const T*>(x) + row * 2 * I;
      T* grads = static_cast<T*>(gradX) + row * 2 * I;
      const int64_t a = first ? 0 : I, b = first ? I : 0;
      backwardRow(halves + a, halves + b, static_cast<const T*>(gradOut) + row * I, grads + a, grads + b, I);
    }
  });
}

extern const GatedUnitTable gatedUnitKernels = {forward, backward};

}  // namespace binding::KERNEL_NAMESPACE
