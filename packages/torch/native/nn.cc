// Products, and the layers and losses of torch.nn.functional.
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "convert.h"

namespace binding {

static at::Reduction::Reduction reductionFrom(const std::string& name) {
  if (name == "none") return at::Reduction::None;
  if (name == "mean") return at::Reduction::Mean;
  if (name == "sum") return at::Reduction::Sum;
  throw std::invalid_argument("expected reduction none, mean or sum, got " + name);
}

void defineNn(Napi::Object& exports) {
  using Optional = std::optional<Tensor>;
  define(exports, "matmul", &Tensor::matmul);
  define(exports, "matmulOut", [](Tensor a, Tensor b, Tensor out) { at::matmul_out(out, a, b); });
  define(exports, "linear", [](Tensor x, Tensor weight, Optional bias) { return at::linear(x, weight, bias); });
  define(exports, "embedding", [](Tensor weight, Tensor indices) { return at::embedding(weight, indices); });
  define(exports, "layerNorm", [](Tensor x, Shape shape, Optional weight, Optional bias, double eps) {
    return at::layer_norm(x, shape, weight, bias, eps);
  });
  define(exports, "rmsNorm", [](Tensor x, Shape shape, Optional weight, double eps) { return at::rms_norm(x, shape, weight, eps); });
  define(exports, "crossEntropy", [](Tensor x, Tensor target, std::string reduction, int64_t ignoreIndex, double labelSmoothing) {
    return at::cross_entropy_loss(x, target, {}, reductionFrom(reduction), ignoreIndex, labelSmoothing);
  });
  define(exports, "binaryCrossEntropyWithLogits", [](Tensor x, Tensor target, std::string reduction) {
    return at::binary_cross_entropy_with_logits(x, target, {}, {}, reductionFrom(reduction));
  });
  define(exports, "mseLoss", [](Tensor x, Tensor target, std::string reduction) {
    return at::mse_loss(x, target, reductionFrom(reduction));
  });
  define(exports, "scaledDotProductAttention", [](Tensor q, Tensor k, Tensor v, Optional mask, std::optional<double> scale) {
    return at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale);
  });
}

}  // namespace binding
