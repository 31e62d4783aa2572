// RMSNorm and LayerNorm with the addition before them; formulas in norm.h. A row of a model's width stays in the first-level
// cache, so each pass over it but the first costs arithmetic only.
#include "norm.h"

#include "loops.h"

namespace binding::KERNEL_NAMESPACE {

template <class Y>
static void addRow(const float* __restrict x, const Y* __restrict y, float* __restrict sum, int64_t C) {
  SIMD
  for (int64_t i = 0; i < C; i++) sum[i] = x[i] + load(y[i]);
}

static void forward(const NormForward& a, int64_t begin, int64_t end) {
  const int64_t C = a.C;
  const float* __restrict weight = a.weight;
  const float* __restrict bias = a.bias;
  for (int64_t row = begin; row < end; row++) {
    const float* __restrict s = a.x + row * C;
    if (a.y) {
      float* sum = a.sum + row * C;
      withType(a.yType, [&](auto zero) { addRow(s, static_cast<const decltype(zero)*>(a.y) + row * C, sum, C); });
      s = sum;
    }
    float mean = 0;
    if (a.center) {
      float total = 0;
      SIMD_SUM(total)
      for (int64_t i = 0; i < C; i++) total += s[i];
      mean = total / C;
      a.mean[row] = mean;
    }
    float squares = 0;
    SIMD_SUM(squares)
    for (int64_t i = 0; i < C; i++) squares += (s[i] - mean) * (s[i] - mean);
    const float rstd = 1 / __builtin_sqrtf(squares / C + a.eps);
    a.rstd[row] = rstd;
    float* __restrict normed = a.normed + row * C;
    if (bias) {
      SIMD
      for (int64_t i = 0; i < C; i++) normed[i] = (s[i] - mean) * rstd * weight[i] + bias[i];
    } else {
      SIMD
      for (int64_t i = 0; i < C; i++) normed[i] = (s[i] - mean) * rstd * weight[i];
    }
  }
}

template <class Y>
static void copyRow(const float* __restrict from, Y* __restrict to, int64_t C) {
  SIMD
  for (int64_t i = 0; i < C; i++) store(to[i], from[i]);
}

static void backward(const NormBackward& a, float* __restrict gradWeight, float* __restrict gradBias, int64_t begin, int64_t end) {
  const int64_t C = a.C;
  const float* __restrict weight = a.weight;
  for (int64_t row = begin; row < end; row++) {
    const float* __restrict s = a.sum + row * C;
    const float* __restrict g = a.gradNormed + row * C;
    float* __restrict gradX = a.gradX + row * C;
    const float rstd = a.rstd[row], mean = a.center ? a.mean[row] : 0;
    float gw = 0, gwz = 0;
    SIMD_SUM(gw, gwz)
    for (int64_t i = 0; i < C; i++) {
      const float z = (s[i] - mean) * rstd;
      gw += g[i] * weight[i];
      gwz += g[i] * weight[i] * z;
      gradWeight[i] += g[i] * z;
    }
    if (gradBias) {
      SIMD
      for (int64_t i = 0; i < C; i++) gradBias[i] += g[i];
    }
    const float shift = a.center ? gw / C : 0, slope = gwz / C;
    if (a.gradSum) {
      const float* __restrict direct = a.gradSum + row * C;
      SIMD
      for (int64_t i = 0; i < C; i++)
        gradX[i] = direct[i] + rstd * (g[i] * weight[i] - shift - (s[i] - mean) * rstd * slope);
    } else {
      SIMD
      for (int64_t i = 0; i < C; i++) gradX[i] = rstd * (g[i] * weight[i] - shift - (s[i] - mean) * rstd * slope);
    }
    if (a.gradY)
      withType(a.yType, [&](auto zero) { copyRow(gradX, static_cast<decltype(zero)*>(a.gradY) + row * C, C); });
  }
}

extern const NormTable normKernels = {forward, backward};

}  // namespace binding::KERNEL_NAMESPACE
