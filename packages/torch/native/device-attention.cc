// Attention over a packed batch on a GPU, in a constant number of launches and without a mask of length squared: bfloat16 by
// libtorch's flash attention over cuSeqlens, with a window or without; float32 by its memory-efficient one, and with a window
// (which that has for causal attention only) by blocks of queries that see their own, the last and the next block of keys.
// On the meta device the shapes alone. Backward adds up in no fixed order: a run on a GPU does not repeat bit for bit.
// Saved for backward: q, k, v, the output, its log-sum-exp.
#include "device-attention.h"

#include <ATen/ops/_efficient_attention_backward.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

namespace binding {

using torch::autograd::AutogradContext;

struct Sequences {
  Tensor borders;  // int32 [B + 1]
  int64_t longest;
};

// On the device. Every layer asks for the same ones: they travel once a batch. Kept for good, as a thread may outlive the driver.
static Sequences sequencesOn(const at::Device& device, const Shape& cuSeqlens) {
  struct Last {
    at::Device device{at::kCPU};
    Shape cuSeqlens;
    Sequences found;
  };
  static thread_local auto* last = new Last();
  if (last->device == device && last->cuSeqlens == cuSeqlens) return last->found;
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++) longest = std::max(longest, cuSeqlens[i + 1] - cuSeqlens[i]);
  const std::vector<int32_t> borders(cuSeqlens.begin(), cuSeqlens.end());
  *last = {.device = device, .cuSeqlens = cuSeqlens, .found = {onDevice(at::tensor(borders, at::kInt), device), longest}};
  return last->found;
}

class DeviceAttention : public torch::autograd::Function<DeviceAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens,
                        double scale, std::optional<int64_t> window) {
    const auto [borders, longest] = sequencesOn(q.device(), cuSeqlens);
    Tensor output, logsumexp, state, unused;
    if (q.is_meta()) {
      output = at::empty_like(q, at::MemoryFormat::Contiguous);
      logsumexp = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
      state = unused = at::empty({2}, q.options().dtype(at::kLong));
    } else if (isFlash(q)) {
      std::tie(output, logsumexp, state, unused, std::ignore) = at::_flash_attention_forward(
          q, k, v, borders, borders, longest, longest, 0.0, false, false, scale, window, window, std::nullopt, std::nullopt);
    } else {
      std::tie(output, logsumexp, state, unused, std::ignore, std::ignore) =
          at::_efficient_attention_forward(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), std::nullopt, borders, borders, longest,
                                           longest, 0.0, 0, true, scale, std::nullopt, std::nullopt);
      output = output.squeeze(0);
    }
    context->save_for_backward({q, k, v, output, logsumexp, borders, state, unused});
    context->saved_data["longest"] = longest;
    context->saved_data["scale"] = scale;
    context->saved_data["window"] = window;
    return output;
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &output = saved[3], &logsumexp = saved[4], &borders = saved[5];
    const Tensor &state = saved[6], &unused = saved[7];
    const int64_t longest = context->saved_data["longest"].toInt();
    const double scale = context->saved_data["scale"].toDouble();
    const auto window = context->saved_data["window"].toOptional<int64_t>();
    const Tensor gradOutput = grads[0].contiguous();
    Tensor gradQ, gradK, gradV;
    if (q.is_meta()) {
      gradQ = at::empty_like(q), gradK = at::empty_like(k), gradV = at::empty_like(v);
    } else if (isFlash(q)) {
      std::tie(gradQ, gradK, gradV) = at::_flash_attention_backward(gradOutput, q, k, v, output, logsumexp, borders, borders, longest,
                                                                    longest, 0.0, false, state, unused, scale, window, window);
    } else {
      std::tie(gradQ, gradK, gradV, std::ignore) = at::_efficient_attention_backward(
          gradOutput.unsqueeze(0), q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), std::nullopt, output.unsqueeze(0), borders, borders,
          longest, longest, logsumexp, 0.0, state, unused, 0, false, scale, std::nullopt, std::nullopt);
      gradQ = gradQ.squeeze(0), gradK = gradK.squeeze(0), gradV = gradV.squeeze(0);
    }
    return {gradQ, gradK, gradV, Tensor(), Tensor(), Tensor()};
  }

 private:
  static bool isFlash(const Tensor& q) { return q.scalar_type() != at::kFloat; }
};

// [N, K, D] -> [N, H, D]: each head as often as query heads read it.
static Tensor repeatHeads(const Tensor& x, int64_t H) {
  const int64_t N = x.size(0), K = x.size(1), D = x.size(2);
  return K == H ? x : x.unsqueeze(2).expand({N, K, H / K, D}).reshape({N, H, D});
}

// Blocks of W rows, at least as long as the window, so that what a query sees lies in its own block and the two beside it.
static Tensor blockAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens, double scale, int64_t window) {
  const int64_t N = q.size(0), H = q.size(1), D = q.size(2), W = std::min(std::max<int64_t>(window, 64), N);
  const int64_t blocks = (N + W - 1) / W, padding = blocks * W - N;
  std::vector<int32_t> sequence(blocks * W, -1);
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++)
    std::fill(sequence.begin() + cuSeqlens[i], sequence.begin() + cuSeqlens[i + 1], static_cast<int32_t>(i));
  const Tensor ofRow = onDevice(at::tensor(sequence, at::kInt), q.device()), place = at::arange(blocks * W, ofRow.options());
  // [N, ..] -> [blocks, 3 W, ..], a view of rows padded at both ends
  const auto around = [&](const Tensor& x) {
    std::vector<int64_t> pads(2 * x.dim(), 0);
    pads[2 * x.dim() - 2] = W, pads[2 * x.dim() - 1] = W + blocks * W - x.size(0);
    return at::constant_pad_nd(x, pads, -1).unfold(0, 3 * W, W).movedim(-1, 1);
  };
  const Tensor keyPlace = around(place), keySequence = around(ofRow);                                   // [blocks, 3 W]
  const Tensor queryPlace = place.view({blocks, W, 1}), querySequence = ofRow.view({blocks, W, 1});
  const Tensor distance = queryPlace.sub(keyPlace.unsqueeze(1)).abs();
  // A row of padding sees itself, lest it see nothing.
  const Tensor sees = querySequence.eq(keySequence.unsqueeze(1)).logical_and(distance.le(window)).logical_or(distance.eq(0));
  const Tensor queries = at::constant_pad_nd(q, {0, 0, 0, 0, 0, padding}).view({blocks, W, H, D}).transpose(1, 2);
  const Tensor output = at::scaled_dot_product_attention(queries, around(repeatHeads(k, H)).transpose(1, 2),
                                                         around(repeatHeads(v, H)).transpose(1, 2), sees.unsqueeze(1), 0.0, false, scale);
  return output.transpose(1, 2).reshape({blocks * W, H, D}).narrow(0, 0, N);
}

Tensor deviceAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens, double scale,
                       std::optional<int64_t> window) {
  const bool wide = q.scalar_type() == at::kFloat || q.scalar_type() == at::kDouble;
  if (wide && window && !q.is_meta()) return blockAttention(q, k, v, cuSeqlens, scale, *window);
  // Kernels read heads of a multiple of 8 values; zeros beside them change no product.
  const int64_t H = q.size(1), D = q.size(2), width = (D + 7) / 8 * 8;
  const auto ready = [&](const Tensor& x) {
    const Tensor heads = wide ? repeatHeads(x, H) : x;
    return width == D ? (heads.stride(2) == 1 ? heads : heads.contiguous()) : at::constant_pad_nd(heads, {0, width - D});
  };
  const Tensor output = DeviceAttention::apply(ready(q), ready(k), ready(v), cuSeqlens, scale, window);
  return width == D ? output : output.narrow(2, 0, D);
}

}  // namespace binding
