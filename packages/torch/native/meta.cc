// What libtorch's C++ lacks of the meta device, where a tensor has a shape and no values: ops of the encoders whose shapes it knows
// in Python only. With these, a model runs there as it does on a GPU, op by op.
#include <ATen/ExpandUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

namespace binding {

using at::Tensor;

static Tensor indexSelect(const Tensor& x, int64_t dim, const Tensor& index) {
  auto shape = x.sizes().vec();
  if (!shape.empty()) shape[c10::maybe_wrap_dim(dim, x.dim())] = index.numel();
  return at::empty(shape, x.options());
}

static Tensor& absOut(const Tensor& x, Tensor& out) {
  out.resize_(x.sizes());
  return out;
}

static Tensor& complexOut(const Tensor& real, const Tensor& imaginary, Tensor& out) {
  out.resize_(at::infer_size(real.sizes(), imaginary.sizes()));
  return out;
}

static Tensor embeddingDenseBackward(const Tensor& grad, const Tensor&, int64_t rows, int64_t, bool) {
  return at::empty({rows, grad.size(-1)}, grad.options());
}

using Optional = std::optional<Tensor>;

// The sizes of mean and inverse deviation: 1 in the dimensions that are normalised.
static std::vector<int64_t> statisticsShape(const Tensor& x, at::IntArrayRef normalized) {
  auto shape = x.sizes().vec();
  std::fill(shape.end() - static_cast<int64_t>(normalized.size()), shape.end(), 1);
  return shape;
}

static std::tuple<Tensor, Tensor, Tensor> layerNorm(const Tensor& x, at::IntArrayRef normalized, const Optional&, const Optional&, double) {
  const auto shape = statisticsShape(x, normalized);
  return {at::empty_like(x, at::MemoryFormat::Contiguous), at::empty(shape, x.options()), at::empty(shape, x.options())};
}

static std::tuple<Tensor, Tensor, Tensor> layerNormBackward(const Tensor&, const Tensor& x, at::IntArrayRef, const Tensor&, const Tensor&,
                                                            const Optional& weight, const Optional& bias, std::array<bool, 3> wanted) {
  const auto like = [](bool isWanted, const Optional& of) { return isWanted && of && of->defined() ? at::empty_like(*of) : Tensor(); };
  return {like(wanted[0], x), like(wanted[1], weight), like(wanted[2], bias)};
}

static std::tuple<Tensor, Tensor> rmsNorm(const Tensor& x, at::IntArrayRef normalized, const Optional&, std::optional<double>) {
  return {at::empty_like(x, at::MemoryFormat::Contiguous), at::empty(statisticsShape(x, normalized), x.options())};
}

static std::tuple<Tensor, Tensor> rmsNormBackward(const Tensor&, const Tensor& x, at::IntArrayRef, const Tensor&, const Optional& weight,
                                                  std::array<bool, 2> wanted) {
  return {wanted[0] ? at::empty_like(x) : Tensor(), wanted[1] && weight && weight->defined() ? at::empty_like(*weight) : Tensor()};
}

static Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const auto shape = at::infer_size(at::infer_size(condition.sizes(), a.sizes()), b.sizes());
  return at::empty(shape, (a.dim() > 0 ? a : b).options());
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("index_select", indexSelect);
  library.impl("abs.out", absOut);
  library.impl("embedding_dense_backward", embeddingDenseBackward);
  library.impl("complex.out", complexOut);
  library.impl("where.self", where);
  // As a GPU has it: elsewhere it is made of ops.
  library.impl("_fused_rms_norm", rmsNorm);
  library.impl("_fused_rms_norm_backward", rmsNormBackward);
  library.impl("native_layer_norm", layerNorm);
  library.impl("native_layer_norm_backward", layerNormBackward);
}

}  // namespace binding
