// Gradients: libtorch's autograd, driven tensor by tensor. Grad mode belongs to the thread.
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "convert.h"

namespace binding {

static std::optional<Tensor> defined(const Tensor& tensor) {
  return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
}

void defineAutograd(Napi::Object& exports) {
  define(exports, "requiresGrad", [](Tensor x) { return x.requires_grad(); });
  define(exports, "requiresGrad_", [](Tensor x, bool flag) { x.requires_grad_(flag); });
  define(exports, "isLeaf", [](Tensor x) { return x.is_leaf(); });
  define(exports, "detach", [](Tensor x) { return x.detach(); });
  define(exports, "grad", [](Tensor x) { return defined(x.grad()); });
  define(exports, "setGrad", [](Tensor x, std::optional<Tensor> grad) {
    if (grad)
      TORCH_CHECK(grad->sizes() == x.sizes() && grad->scalar_type() == x.scalar_type() && grad->device() == x.device(),
                  "expected a gradient like its tensor, ", x.scalar_type(), " ", x.sizes(), " on ", x.device(), ", got ",
                  grad->scalar_type(), " ", grad->sizes(), " on ", grad->device());
    x.mutable_grad() = grad ? *grad : Tensor();
  });
  define(exports, "backward", [](Tensor x, std::optional<Tensor> gradient, bool retainGraph) {
    loadCudaWhereItIs();
    x.backward(gradient ? *gradient : Tensor(), retainGraph);
  });
  // Gradients of `outputs` with respect to `inputs`; an input the outputs do not depend on gives undefined.
  define(exports, "gradients", [](Tensors outputs, Tensors inputs, std::optional<Tensors> gradOutputs) {
    loadCudaWhereItIs();
    auto grads = torch::autograd::grad(outputs, inputs, gradOutputs ? *gradOutputs : Tensors{}, std::nullopt, false, true);
    std::vector<std::optional<Tensor>> result;
    for (auto& grad : grads) result.push_back(defined(grad));
    return result;
  });
  define(exports, "isGradEnabled", []() { return c10::GradMode::is_enabled(); });
  define(exports, "setGradEnabled", [](bool enabled) { c10::GradMode::set_enabled(enabled); });
}

}  // namespace binding
