// Cross entropy of a linear layer over a vocabulary, in chunks of rows, so that its logits [M, V] never stand in memory at once:
//   sum over rows of -log softmax(x weightT + bias)[label];  x [M, C], weight [V, C], bias [V], labels [M]
// Products are in the weight's dtype, the softmax in float32 (kernels/cross-entropy.h). Where gradients are wanted, the forward
// pass makes them of each chunk while its logits are there: backward only scales them, and no product is made twice.
// Saved for backward: the gradients of x, weight and bias.
#include "kernels/cross-entropy.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>

#include "fused.h"

namespace binding {

constexpr int64_t kIgnored = -100, kChunkBytes = 128 << 20, kDeviceChunkBytes = 512 << 20;

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Optional& bias, const Tensor& labels,
                        bool wantsGradients) {
    const int64_t M = x.size(0), V = weight.size(0), C = weight.size(1);
    const int64_t rowsAtMost = std::max<int64_t>(1, kChunkBytes / std::max<int64_t>(1, V * weight.element_size()));
    const int64_t chunks = (M + rowsAtMost - 1) / rowsAtMost, R = chunks ? (M + chunks - 1) / chunks : 0;
    const Tensor input = x.to(weight.scalar_type());
    Tensor losses = at::empty({M}, at::kFloat), logits = at::empty({R, V}, weight.options());
    Tensor scratch = at::empty({at::get_num_threads(), V}, at::kFloat);
    Tensor gradX, gradWeight, gradBias;
    if (wantsGradients) {
      gradX = at::empty({M, C}, weight.options());
      // Several chunks' gradients of a bfloat16 weight are added in float32.
      const bool direct = chunks == 1 || (chunks > 1 && weight.scalar_type() == at::kFloat);
      gradWeight = direct ? at::empty({V, C}, weight.options()) : at::zeros({V, C}, at::kFloat);
      if (bias) gradBias = partialSums(V);
    }
    for (int64_t start = 0; start < M; start += R) {
      const int64_t rows = std::min(R, M - start);
      Tensor part = input.narrow(0, start, rows), logitsOfPart = logits.narrow(0, 0, rows);
      at::mm_out(logitsOfPart, part, weight.t());
      const CrossEntropyArguments args{.type = typeOf(weight),
                                       .logits = logitsOfPart.mutable_data_ptr(),
                                       .V = V,
                                       .bias = floats(bias),
                                       .labels = labels.const_data_ptr<int64_t>() + start,
                                       .ignored = kIgnored,
                                       .losses = mutableFloats(losses) + start,
                                       .gradients = wantsGradients};
      forRows(rows, V, [&](int64_t begin, int64_t end, int thread) {
        float* bias = gradBias.defined() ? mutableFloats(gradBias) + thread * V : nullptr;
        crossEntropyKernels().rows(args, bias, mutableFloats(scratch) + thread * V, begin, end);
      });
      if (!wantsGradients) continue;
      Tensor gradPart = gradX.narrow(0, start, rows);
      at::mm_out(gradPart, logitsOfPart, weight);
      if (chunks > 1 && weight.scalar_type() != at::kFloat) gradWeight.add_(at::mm(logitsOfPart.t(), part));
      else if (start == 0) at::mm_out(gradWeight, logitsOfPart.t(), part);
      else gradWeight.addmm_(logitsOfPart.t(), part);
    }
    if (wantsGradients) {
      context->save_for_backward({gradX, gradWeight, gradBias.defined() ? gradBias.sum(0) : gradBias});
      context->saved_data["xType"] = static_cast<int64_t>(x.scalar_type());
      context->saved_data["weightType"] = static_cast<int64_t>(weight.scalar_type());
    }
    return losses.sum();
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    auto typeAt = [&](const char* name) { return static_cast<at::ScalarType>(context->saved_data[name].toInt()); };
    Tensor gradX = saved[0].to(typeAt("xType")).mul(grads[0]);  // in this order: rounded once less where x is float32
    Tensor gradWeight = saved[1].mul(grads[0]).to(typeAt("weightType"));
    Tensor gradBias = saved[2].defined() ? saved[2].mul(grads[0]) : Tensor();
    return {gradX, gradWeight, gradBias, Tensor(), Tensor()};
  }
};

static Tensor linearCrossEntropy(const Tensor& x, const Tensor& weight, const Optional& bias, const Tensor& labels) {
  typeOf(x);
  typeOf(weight);
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1), "expected x [M, C] and weight [V, C], got ",
              x.sizes(), " and ", weight.sizes());
  TORCH_CHECK(labels.dim() == 1 && labels.size(0) == x.size(0) && labels.scalar_type() == at::kLong && labels.is_cpu(),
              "expected int64 labels [", x.size(0), "] on the CPU, got ", labels.scalar_type(), " ", labels.sizes(), " on ",
              labels.device());
  const Tensor dense = labels.contiguous();
  for (int64_t row = 0; row < dense.size(0); row++) {
    const int64_t label = dense.const_data_ptr<int64_t>()[row];
    const bool known = label >= 0 && label < weight.size(0);
    TORCH_CHECK(known || label == kIgnored, "expected labels from 0 to ", weight.size(0) - 1, " or ",
                kIgnored, ", got ", label, " in row ", row);
  }
  const Optional addend = vectorOf("bias", bias, weight.size(0));
  const bool wanted = at::GradMode::is_enabled() &&
                      (x.requires_grad() || weight.requires_grad() || (addend && addend->requires_grad()));
  return LinearCrossEntropy::apply(x.contiguous(), weight.contiguous(), addend, dense, wanted);
}

// The same by libtorch's ops, on any device. A label out of range is libtorch's to refuse there: looking would wait for the GPU.
class ChunkedCrossEntropy : public torch::autograd::Function<ChunkedCrossEntropy> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Optional& bias, const Tensor& labels,
                        bool wantsGradients) {
    const int64_t M = x.size(0), V = weight.size(0);
    const int64_t rowsAtMost = std::max<int64_t>(1, kDeviceChunkBytes / std::max<int64_t>(1, V * static_cast<int64_t>(sizeof(float))));
    const Tensor input = x.to(weight.scalar_type()), counts = labels.ne(kIgnored), known = labels.clamp_min(0);
    Tensor loss = at::zeros({}, x.options().dtype(at::kFloat));
    Tensor gradX, gradWeight, gradBias;
    if (wantsGradients) {
      gradX = at::empty(x.sizes(), input.options());
      gradWeight = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
      if (bias) gradBias = at::zeros({V}, loss.options());
    }
    for (int64_t start = 0; start < M; start += rowsAtMost) {
      const int64_t rows = std::min(rowsAtMost, M - start);
      const Tensor part = input.narrow(0, start, rows), labelsOfPart = known.narrow(0, start, rows).unsqueeze(1);
      const Tensor countsOfPart = counts.narrow(0, start, rows).unsqueeze(1);
      Tensor logits = at::mm(part, weight.t()).to(at::kFloat);  // [rows, V]
      if (bias) logits.add_(*bias);
      const Tensor logSums = logits.logsumexp(1, true);
      loss.add_(logSums.sub(logits.gather(1, labelsOfPart)).mul_(countsOfPart).sum());
      if (!wantsGradients) continue;
      logits.sub_(logSums).exp_();
      logits.scatter_add_(1, labelsOfPart, at::full({1, 1}, -1.0, logits.options()).expand({rows, 1}));
      logits.mul_(countsOfPart);
      if (bias) gradBias.add_(logits.sum(0));
      const Tensor gradLogits = logits.to(weight.scalar_type());
      gradX.narrow(0, start, rows).copy_(at::mm(gradLogits, weight));
      gradWeight.add_(at::mm(gradLogits.t(), part));
    }
    if (wantsGradients) {
      context->save_for_backward({gradX, gradWeight, gradBias});
      context->saved_data["xType"] = static_cast<int64_t>(x.scalar_type());
      context->saved_data["weightType"] = static_cast<int64_t>(weight.scalar_type());
    }
    return loss;
  }

  static Tensors backward(AutogradContext* context, Tensors grads) { return LinearCrossEntropy::backward(context, grads); }
};

static Tensor chunkedLinearCrossEntropy(const Tensor& x, const Tensor& weight, const Optional& bias, const Tensor& labels) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1) && x.is_floating_point() && weight.is_floating_point(),
              "expected x [M, C] and weight [V, C] of dtypes with a fraction, got ", x.scalar_type(), " ", x.sizes(), " and ",
              weight.scalar_type(), " ", weight.sizes());
  TORCH_CHECK(labels.dim() == 1 && labels.size(0) == x.size(0) && labels.scalar_type() == at::kLong, "expected int64 labels [",
              x.size(0), "], got ", labels.scalar_type(), " ", labels.sizes());
  TORCH_CHECK(!bias || (bias->dim() == 1 && bias->size(0) == weight.size(0) && bias->is_floating_point()), "expected a bias [",
              weight.size(0), "]");
  for (const Tensor& other : {weight, labels, bias.value_or(x)})
    TORCH_CHECK(other.device() == x.device(), "expected all on one device, got ", x.device(), " and ", other.device());
  const bool wanted =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad()));
  return ChunkedCrossEntropy::apply(x, weight, bias, labels, wanted);
}

void defineCrossEntropy(Napi::Object& exports) {
  define(exports, "fusedLinearCrossEntropy", linearCrossEntropy);
  define(exports, "chunkedLinearCrossEntropy", chunkedLinearCrossEntropy);
}

}  // namespace binding
