// Optimizer steps over all parameters in one call, and the global gradient norm. Fixed order, no atomics: a step
// repeats bit for bit.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include "convert.h"

namespace binding {

// The 2-norm of all gradients laid end to end, in float32 at least.
static Tensor globalNorm(const Tensors& grads) {
  at::NoGradGuard guard;
  Tensors norms;
  for (auto& grad : grads)
    norms.push_back(at::linalg_vector_norm(grad, 2, std::nullopt, false, grad.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  return at::linalg_vector_norm(at::stack(norms), 2);
}

// Runs a fused step on the parameters that have a gradient; each keeps its own count of steps, as in PyTorch.
// NOTE: the fused CPU kernels walk raw memory and take every tensor for contiguous.
template <class Step>
static void stepWhereGrad(const Tensors& params, const Tensors& averages, const Tensors& squares, const Tensors& steps, Step step) {
  at::NoGradGuard guard;
  Tensors p, g, m, v, t;
  for (size_t i = 0; i < params.size(); i++) {
    if (!params[i].grad().defined()) continue;
    TORCH_CHECK(params[i].is_contiguous(), "expected contiguous parameters, got one of shape ", params[i].sizes(),
                " and strides ", params[i].strides());
    p.push_back(params[i]);
    g.push_back(params[i].grad().contiguous());
    m.push_back(averages[i]);
    v.push_back(squares[i]);
    t.push_back(steps[i]);
    steps[i].add_(1);
  }
  if (!p.empty()) step(p, g, m, v, t);
}

void defineOptim(Napi::Object& exports) {
  define(exports, "clipGradNorm_", [](Tensors params, double maxNorm) {
    at::NoGradGuard guard;
    Tensors grads;
    for (auto& param : params)
      if (param.grad().defined()) grads.push_back(param.grad());
    if (grads.empty()) return 0.0;
    double norm = globalNorm(grads).item<double>();
    double scale = maxNorm / (norm + 1e-6);
    if (scale < 1)
      for (auto& grad : grads) grad.mul_(scale);
    return norm;
  });
  define(exports, "adamW_", [](Tensors params, Tensors averages, Tensors squares, Tensors steps, double lr, double beta1,
                               double beta2, double weightDecay, double eps) {
    stepWhereGrad(params, averages, squares, steps, [&](auto& p, auto& g, auto& m, auto& v, auto& t) {
      at::_fused_adamw_(p, g, m, v, {}, t, lr, beta1, beta2, weightDecay, eps, false, false);
    });
  });
  define(exports, "adam_", [](Tensors params, Tensors averages, Tensors squares, Tensors steps, double lr, double beta1,
                              double beta2, double weightDecay, double eps) {
    stepWhereGrad(params, averages, squares, steps, [&](auto& p, auto& g, auto& m, auto& v, auto& t) {
      at::_fused_adam_(p, g, m, v, {}, t, lr, beta1, beta2, weightDecay, eps, false, false);
    });
  });
}

}  // namespace binding
