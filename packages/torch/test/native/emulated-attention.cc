// For `npm run test:cuda-build`, which compiles it into its addon: the attention operators that libtorch has for GPUs alone, for the
// CPU, by the plainest ops and in float32, as their schemas and PyTorch's own callers describe them. So that the way to
// them and back (native/device-attention.cc) runs whole without a GPU.
#include <ATen/ATen.h>
#include <torch/library.h>

namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

struct Forward {
  Tensor output, logsumexp;
};
struct Backward {
  Tensor q, k, v;
};

// softmax(q kT scale) of one sequence, [H, T, T]; heads of k as often as q has them.
Tensor probabilities(const Tensor& q, const Tensor& k, double scale, int64_t window, Tensor* logsumexp = nullptr) {
  Tensor scores = at::matmul(q.transpose(0, 1), k.permute({1, 2, 0})) * scale;
  if (window >= 0) {
    Tensor places = at::arange(q.size(0)), distance = (places.unsqueeze(1) - places.unsqueeze(0)).abs();
    scores = scores.masked_fill(distance > window, -INFINITY);
  }
  if (logsumexp) *logsumexp = scores.logsumexp(-1);
  return scores.softmax(-1);
}

// fn(first row, rows) for each sequence that has any.
template <class Fn>
void forSequences(const Tensor& borders, Fn fn) {
  TORCH_CHECK(borders.scalar_type() == at::kInt, "expected int32 borders, got ", borders.scalar_type());
  for (int64_t i = 0; i + 1 < borders.numel(); i++) {
    const int64_t start = borders[i].item<int64_t>(), rows = borders[i + 1].item<int64_t>() - start;
    if (rows > 0) fn(start, rows);
  }
}

Tensor wide(const Tensor& x, int64_t start, int64_t rows, int64_t H) {
  return x.narrow(0, start, rows).to(at::kFloat).repeat_interleave(H / x.size(1), 1);
}

void check(const Tensor& q, const Tensor& k, const Tensor& v) {
  TORCH_CHECK(q.dim() == 3 && k.sizes() == v.sizes() && q.size(2) % 8 == 0 && q.stride(2) == 1 && k.stride(2) == 1 && v.stride(2) == 1,
              "expected q, k and v [N, H, D] with D a multiple of 8 and dense rows");
}

Forward forward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& borders, double scale, int64_t window) {
  check(q, k, v);
  const int64_t H = q.size(1);
  Forward result{at::zeros(q.sizes(), q.options()), at::zeros({H, q.size(0)}, at::kFloat)};
  forSequences(borders, [&](int64_t start, int64_t rows) {
    Tensor sums;
    const Tensor p = probabilities(wide(q, start, rows, H), wide(k, start, rows, H), scale, window, &sums);
    result.output.narrow(0, start, rows).copy_(at::matmul(p, wide(v, start, rows, H).transpose(0, 1)).transpose(0, 1));
    result.logsumexp.narrow(1, start, rows).copy_(sums);
  });
  return result;
}

Backward backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Forward& saved, const Tensor& borders,
                  double scale, int64_t window) {
  check(q, k, v);
  const int64_t H = q.size(1), K = k.size(1);
  Backward result{at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)};
  TORCH_CHECK(grad.sizes() == q.sizes() && saved.output.sizes() == q.sizes() && saved.logsumexp.size(-1) == q.size(0), "expected what forward gave");
  forSequences(borders, [&](int64_t start, int64_t rows) {
    const auto part = [&](const Tensor& x) { return wide(x, start, rows, H).transpose(0, 1); };  // [H, T, D]
    const Tensor qs = part(q), ks = part(k), vs = part(v), gs = part(grad);
    const Tensor p = probabilities(qs.transpose(0, 1), ks.transpose(0, 1), scale, window);
    const Tensor gradP = at::matmul(gs, vs.transpose(1, 2));
    const Tensor gradS = p * (gradP - (gradP * p).sum(-1, true)) * scale;
    const auto heads = [&](const Tensor& x) { return x.transpose(0, 1).reshape({rows, K, H / K, -1}).sum(2); };
    result.q.narrow(0, start, rows).copy_(at::matmul(gradS, ks).transpose(0, 1));
    result.k.narrow(0, start, rows).copy_(heads(at::matmul(gradS.transpose(1, 2), qs)));
    result.v.narrow(0, start, rows).copy_(heads(at::matmul(p.transpose(1, 2), gs)));
  });
  return result;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> flashForward(const Tensor& q, const Tensor& k, const Tensor& v, const Optional& borders,
                                                                const Optional&, int64_t, int64_t, double dropout, bool causal, bool,
                                                                std::optional<double> scale, std::optional<int64_t> left,
                                                                std::optional<int64_t> right, const Optional&, const Optional&) {
  TORCH_CHECK(q.scalar_type() == at::kBFloat16 && dropout == 0 && !causal && left == right, "expected bfloat16, no dropout, both sides");
  const Forward result = forward(q, k, v, *borders, *scale, left.value_or(-1));
  return {result.output, result.logsumexp, at::zeros({2}, at::kLong), at::zeros({}, at::kLong), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> flashBackward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                 const Tensor& output, const Tensor& logsumexp, const Tensor& borders, const Tensor&,
                                                 int64_t, int64_t, double, bool, const Tensor&, const Tensor&,
                                                 std::optional<double> scale, std::optional<int64_t> left, std::optional<int64_t> right) {
  TORCH_CHECK(left == right, "expected a window on both sides");
  const Backward result = backward(grad, q, k, v, {output, logsumexp}, borders, *scale, left.value_or(-1));
  return {result.q, result.k, result.v};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt> efficientForward(
    const Tensor& q, const Tensor& k, const Tensor& v, const Optional& bias, const Optional& borders, const Optional&,
    std::optional<int64_t> longest, std::optional<int64_t>, double dropout, int64_t mask, bool wantsSums, std::optional<double> scale,
    const Optional&, std::optional<int64_t> window) {
  TORCH_CHECK(q.dim() == 4 && q.size(0) == 1 && q.sizes() == k.sizes() && !bias && dropout == 0 && mask == 0 && wantsSums && !window,
              "expected [1, N, H, D] of as many heads, without bias, dropout, mask or window");
  const Forward result = forward(q[0], k[0], v[0], *borders, *scale, -1);
  return {result.output.unsqueeze(0), result.logsumexp.unsqueeze(0), at::zeros({}, at::kLong), at::zeros({}, at::kLong), *longest, *longest};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficientBackward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                             const Optional&, const Tensor& output, const Optional& borders,
                                                             const Optional&, int64_t, int64_t, const Tensor& logsumexp, double,
                                                             const Tensor&, const Tensor&, int64_t, bool, std::optional<double> scale,
                                                             std::optional<int64_t>, std::optional<int64_t>, bool) {
  const Backward result = backward(grad[0], q[0], k[0], v[0], {output[0], logsumexp[0]}, *borders, *scale, -1);
  return {result.q.unsqueeze(0), result.k.unsqueeze(0), result.v.unsqueeze(0), Tensor()};
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("_flash_attention_forward", flashForward);
  library.impl("_flash_attention_backward", flashBackward);
  library.impl("_efficient_attention_forward", efficientForward);
  library.impl("_efficient_attention_backward", efficientBackward);
}

}  // namespace
