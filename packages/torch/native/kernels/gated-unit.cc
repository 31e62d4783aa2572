// Gated units; formulas in gated-unit.h.
#include "gated-unit.h"

#include "loops.h"

namespace binding::KERNEL_NAMESPACE {

struct Silu {
  static inline float value(float x, float& slope) {
    const float s = sigmoid(x), value = x * s;
    slope = s + value * (1 - s);
    return value;
  }
};

struct Gelu {
  // The error function by Abramowitz and Stegun 7.1.26, to 1.5e-7.
  static inline float value(float x, float& slope) {
    const float z = __builtin_fabsf(x) * 0.70710678f, bell = exponential(-z * z);
    const float t = 1 / (1 + 0.3275911f * z);
    const float tail =
        0.5f * bell * t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float p = x < 0 ? tail : 1 - tail;
    slope = p + x * bell * 0.39894228f;
    return x * p;
  }
};

template <class Activation, class T>
static void forwardRow(const T* __restrict a, const T* __restrict b, T* __restrict out, int64_t I) {
  SIMD
  for (int64_t i = 0; i < I; i++) {
    float slope;
    store(out[i], Activation::value(load(a[i]), slope) * load(b[i]));
  }
}

template <class Activation, class T>
static void backwardRow(const T* __restrict a, const T* __restrict b, const T* __restrict gradOut, T* __restrict gradA,
                        T* __restrict gradB, int64_t I) {
  SIMD
  for (int64_t i = 0; i < I; i++) {
    float slope;
    const float g = load(gradOut[i]), value = Activation::value(load(a[i]), slope);
    store(gradA[i], g * load(b[i]) * slope);
    store(gradB[i], g * value);
  }
}

/** Calls fn with values of the activation and of the type of the numbers. */
template <class Fn>
static void withKind(const GatedUnitArguments& args, Fn fn) {
  withType(args.type, [&](auto zero) {
    if (args.gelu) fn(Gelu{}, zero);
    else fn(Silu{}, zero);
  });
}

static void forward(const GatedUnitArguments& args, void* out, int64_t begin, int64_t end) {
  withKind(args, [&](auto activation, auto zero) {
    using T = decltype(zero);
    const int64_t I = args.I;
    for (int64_t row = begin; row < end; row++) {
      const T* halves = static_cast<const T*>(args.x) + row * 2 * I;
      const T *a = halves + (args.first ? 0 : I), *b = halves + (args.first ? I : 0);
      forwardRow<decltype(activation)>(a, b, static_cast<T*>(out) + row * I, I);
    }
  });
}

static void backward(const GatedUnitArguments& args, const void* gradOut, void* gradX, int64_t begin, int64_t end) {
  withKind(args, [&](auto activation, auto zero) {
    using T = decltype(zero);
    const int64_t I = args.I, a = args.first ? 0 : I, b = args.first ? I : 0;
    for (int64_t row = begin; row < end; row++) {
      const T* halves = static_cast<const T*>(args.x) + row * 2 * I;
      T* grads = static_cast<T*>(gradX) + row * 2 * I;
      const T* gradRow = static_cast<const T*>(gradOut) + row * I;
      backwardRow<decltype(activation)>(halves + a, halves + b, gradRow, grads + a, grads + b, I);
    }
  });
}

extern const GatedUnitTable gatedUnitKernels = {forward, backward};

}  // namespace binding::KERNEL_NAMESPACE
