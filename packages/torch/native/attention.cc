// Attention over a packed batch: softmax(q kT * scale) v within each sequence, never across a border.
//   q, k, v [N, H, D], cuSeqlens [B + 1] -> [N, H, D]; saved for backward: q, k, v, the output and its log-sum-exp [N, H].
// Neighbouring sequences of equal length share one call of libtorch's CPU flash attention (memory O(N), forward and
// backward); elsewhere than on the CPU each run of equal lengths goes through scaled_dot_product_attention.
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include "convert.h"

namespace binding {

struct Run {
  int64_t start, count, length;
};

static std::vector<Run> runsOfEqualLength(const Shape& cuSeqlens) {
  std::vector<Run> runs;
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++) {
    int64_t length = cuSeqlens[i + 1] - cuSeqlens[i];
    if (length == 0) continue;
    if (!runs.empty() && runs.back().length == length) runs.back().count++;
    else runs.push_back({cuSeqlens[i], 1, length});
  }
  return runs;
}

// [N, H, D] -> [count, H, length, D], a view.
static Tensor rowsOf(const Tensor& x, const Run& run) {
  return x.narrow(0, run.start, run.count * run.length).unflatten(0, {run.count, run.length}).transpose(1, 2);
}

class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Shape& cuSeqlens, double scale) {
    Tensor output = at::empty(q.sizes(), q.options());
    Tensors saved{q, k, v, output};
    for (auto& run : runsOfEqualLength(cuSeqlens)) {
      auto [rows, logsumexp] = at::_scaled_dot_product_flash_attention_for_cpu(rowsOf(q, run), rowsOf(k, run), rowsOf(v, run),
                                                                               0.0, false, {}, scale);
      rowsOf(output, run).copy_(rows);
      saved.push_back(logsumexp);
    }
    context->save_for_backward(saved);
    context->saved_data["cuSeqlens"] = cuSeqlens;
    context->saved_data["scale"] = scale;
    return output;
  }

  static Tensors backward(torch::autograd::AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &output = saved[3];
    Tensor gradOutput = grads[0].contiguous();
    Tensor gradQ = at::empty(q.sizes(), q.options()), gradK = at::empty(k.sizes(), k.options()), gradV = at::empty(v.sizes(), v.options());
    size_t next = 4;
    for (auto& run : runsOfEqualLength(context->saved_data["cuSeqlens"].toIntVector())) {
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          rowsOf(gradOutput, run), rowsOf(q, run), rowsOf(k, run), rowsOf(v, run), rowsOf(output, run), saved[next++], 0.0, false,
          {}, context->saved_data["scale"].toDouble());
      rowsOf(gradQ, run).copy_(dq);
      rowsOf(gradK, run).copy_(dk);
      rowsOf(gradV, run).copy_(dv);
    }
    return {gradQ, gradK, gradV, Tensor(), Tensor()};
  }
};

// NOTE: the flash kernels assume that the values of a head lie side by side, and do not check it.
static Tensor withDenseRows(const Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

static Tensor packedAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens, double scale) {
  TORCH_CHECK(q.dim() == 3 && q.sizes() == k.sizes() && q.sizes() == v.sizes(), "expected q, k and v of one shape [N, H, D], got ",
              q.sizes(), ", ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK(q.is_floating_point() && q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
              "expected q, k and v of one dtype with a fraction, got ", q.scalar_type(), ", ", k.scalar_type(), " and ",
              v.scalar_type());
  TORCH_CHECK(!cuSeqlens.empty() && cuSeqlens.front() == 0 && cuSeqlens.back() == q.size(0),
              "expected cuSeqlens from 0 to N = ", q.size(0), ", got ", at::IntArrayRef(cuSeqlens));
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++)
    TORCH_CHECK(cuSeqlens[i] <= cuSeqlens[i + 1], "expected cuSeqlens that do not fall, got ", at::IntArrayRef(cuSeqlens));
  if (q.size(0) == 0) return q.clone();
  if (q.is_cpu()) return PackedAttention::apply(withDenseRows(q), withDenseRows(k), withDenseRows(v), cuSeqlens, scale);
  Tensors parts;
  for (auto& run : runsOfEqualLength(cuSeqlens)) {
    Tensor rows = at::scaled_dot_product_attention(rowsOf(q, run), rowsOf(k, run), rowsOf(v, run), {}, 0.0, false, scale);
    parts.push_back(rows.transpose(1, 2).flatten(0, 1));
  }
  return at::cat(parts, 0);
}

void defineAttention(Napi::Object& exports) { define(exports, "packedAttention", packedAttention); }

}  // namespace binding
