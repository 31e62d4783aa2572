// Products and decompositions of matrices, and the layers and losses of torch.nn.functional.
#include <ATen/ops/_scaled_dot_product_attention_math.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/segment_reduce.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/zeros.h>

#include "convert.h"

namespace binding {

static at::Reduction::Reduction reductionFrom(const std::string& name) {
  if (name == "none") return at::Reduction::None;
  if (name == "mean") return at::Reduction::Mean;
  if (name == "sum") return at::Reduction::Sum;
  throw std::invalid_argument("expected reduction none, mean or sum, got " + name);
}

// NOTE: libtorch's flash kernel reads as many rows of v as k has, and divides by the number of heads.
static Tensor scaledDotProductAttention(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& mask,
                                        std::optional<double> scale) {
  TORCH_CHECK(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2 && q.size(-1) == k.size(-1) && k.size(-2) == v.size(-2),
              "expected q [.., T, D], k [.., S, D] and v [.., S, E], got ", q.sizes(), ", ", k.sizes(), " and ", v.sizes());
  if (q.numel() == 0 || k.numel() == 0 || v.numel() == 0)
    return std::get<0>(at::_scaled_dot_product_attention_math(q, k, v, mask, 0.0, false, {}, scale));
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale);
}

// Writes into `out` as it is.
static void matmulOut(const Tensor& a, const Tensor& b, Tensor out) {
  const Tensor like = at::matmul(at::empty(a.sizes(), a.options().device(at::kMeta)), at::empty(b.sizes(), b.options().device(at::kMeta)));
  TORCH_CHECK(out.sizes() == like.sizes(), "expected out of shape ", like.sizes(), ", got ", out.sizes());
  at::matmul_out(out, a, b);
}

// The mean of each sequence's rows, [N, C] -> [B, C], in one launch; that of none is NaN, as of any mean.
static Tensor segmentMean(const Tensor& x, const Shape& cuSeqlens) {
  TORCH_CHECK(x.dim() == 2 && x.is_floating_point() && !cuSeqlens.empty() && cuSeqlens.front() == 0 && cuSeqlens.back() == x.size(0),
              "expected x [N, C] of a dtype with a fraction and cuSeqlens from 0 to N, got ", x.scalar_type(), " ", x.sizes(), " and ",
              at::IntArrayRef(cuSeqlens));
  Shape lengths;
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++) {
    lengths.push_back(cuSeqlens[i + 1] - cuSeqlens[i]);
    TORCH_CHECK(lengths.back() >= 0, "expected cuSeqlens that do not fall, got ", at::IntArrayRef(cuSeqlens));
  }
  const int64_t B = static_cast<int64_t>(lengths.size());
  if (B == 0 || x.numel() == 0) return at::full({B, x.size(1)}, NAN, x.options());
  // No kernel of the meta device: another op of these shapes, and as many.
  if (x.is_meta()) return at::zeros({B, x.size(1)}, x.options()).index_add(0, at::empty({x.size(0)}, x.options().dtype(at::kLong)), x);
  return at::segment_reduce(x.contiguous(), "mean", onDevice(at::tensor(lengths, at::kLong), x.device()), {}, {}, 0, true);
}

// Values side by side as complex numbers, turned by angles that broadcast with them: one product forward and one back.
static Tensor turnPairs(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  TORCH_CHECK(x.dim() > 0 && x.size(-1) % 2 == 0 && cos.sizes() == sin.sizes() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble) &&
                  cos.scalar_type() == x.scalar_type() && sin.scalar_type() == x.scalar_type(),
              "expected x [.., D] of float32 or float64 with D even, and cos and sin [.., D/2] of its dtype, got ", x.scalar_type(), " ", x.sizes(), ", ",
              cos.scalar_type(), " ", cos.sizes(), " and ", sin.scalar_type(), " ", sin.sizes());
  const Tensor pairs = x.unflatten(-1, {x.size(-1) / 2, 2}), dense = pairs.stride(-1) == 1 ? pairs : pairs.contiguous();
  return at::view_as_real(at::view_as_complex(dense).mul(at::complex(cos, sin))).flatten(-2);
}

void defineNn(Napi::Object& exports) {
  define(exports, "turnPairs", turnPairs);
  define(exports, "segmentMean", segmentMean);
  using Optional = std::optional<Tensor>;
  define(exports, "matmul", &Tensor::matmul);
  define(exports, "matmulOut", matmulOut);
  define(exports, "linalgEigh", [](Tensor x) { return at::linalg_eigh(x, "L"); });
  define(exports, "linalgQr", [](Tensor x) { return at::linalg_qr(x, "reduced"); });
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
  define(exports, "scaledDotProductAttention", scaledDotProductAttention);
}

}  // namespace binding
