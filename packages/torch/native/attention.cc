// Attention over a packed batch: softmax(q kT * scale) v within each sequence, never across a border; with a window a query
// sees only the keys at a distance up to it. Of H query heads, H / K in a row read one of K heads of keys and values.
//   q [N, H, D], k, v [N, K, D], cuSeqlens [B + 1] -> [N, H, D]; saved for backward: q, k, v, the output, its log-sum-exp [H, N].
// On the CPU our own flash kernels (kernels/attention.cc), float32 and bfloat16. Other dtypes, and NEOBERT_FUSED=0: libtorch's
// CPU flash attention, one call for neighbouring sequences of equal length. Elsewhere device-attention.cc.
#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "convert.h"
#include "device-attention.h"
#include "kernels/attention-plan.h"

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
    else runs.push_back({.start = cuSeqlens[i], .count = 1, .length = length});
  }
  return runs;
}

// NOTE: the flash kernels assume that the values of a head lie side by side, and do not check it.
static Tensor withDenseRows(const Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

// [N, H, D] -> [count, H, length, D], a view.
static Tensor rowsOf(const Tensor& x, const Run& run) {
  return x.narrow(0, run.start, run.count * run.length).unflatten(0, {run.count, run.length}).transpose(1, 2);
}

// [count, K, length, D] -> [count, H, length, D]: each head as often as query heads read it, for kernels that want as many.
static Tensor repeatHeads(const Tensor& x, int64_t H) {
  int64_t K = x.size(1);
  if (K == H) return x;
  return x.unsqueeze(2).expand({x.size(0), K, H / K, x.size(2), x.size(3)}).flatten(1, 2);
}

// The way back: the sums over the query heads that read one head.
static Tensor sumHeads(const Tensor& x, int64_t K) {
  return x.size(1) == K ? x : x.unflatten(1, {K, x.size(1) / K}).sum(2);
}

// 0 where |i - j| <= window, else -inf; [length, length].
static std::optional<Tensor> windowMask(const Tensor& like, int64_t length, const std::optional<int64_t>& window) {
  if (!window || *window >= length - 1) return std::nullopt;
  Tensor inside = at::ones({length, length}, like.options().dtype(at::kBool)).tril(*window).triu(-*window);
  return at::zeros({length, length}, like.options()).masked_fill(inside.logical_not(), -INFINITY);
}

class LibtorchAttention : public torch::autograd::Function<LibtorchAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Shape& cuSeqlens, double scale, std::optional<int64_t> window) {
    Tensor output = at::empty(q.sizes(), q.options());
    Tensors saved{q, k, v, output};
    for (auto& run : runsOfEqualLength(cuSeqlens)) {
      auto [rows, logsumexp] = at::_scaled_dot_product_flash_attention_for_cpu(
          rowsOf(q, run), repeatHeads(rowsOf(k, run), q.size(1)), repeatHeads(rowsOf(v, run), q.size(1)), 0.0, false,
          windowMask(q, run.length, window), scale);
      rowsOf(output, run).copy_(rows);
      saved.push_back(logsumexp);
    }
    context->save_for_backward(saved);
    context->saved_data["cuSeqlens"] = cuSeqlens;
    context->saved_data["scale"] = scale;
    context->saved_data["window"] = window;
    return output;
  }

  static Tensors backward(torch::autograd::AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &output = saved[3];
    Tensor gradOutput = grads[0].contiguous();
    Tensor gradQ = at::empty(q.sizes(), q.options()), gradK = at::empty(k.sizes(), k.options());
    Tensor gradV = at::empty(v.sizes(), v.options());
    auto window = context->saved_data["window"].toOptional<int64_t>();
    size_t next = 4;
    for (auto& run : runsOfEqualLength(context->saved_data["cuSeqlens"].toIntVector())) {
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          rowsOf(gradOutput, run), rowsOf(q, run), repeatHeads(rowsOf(k, run), q.size(1)), repeatHeads(rowsOf(v, run), q.size(1)),
          rowsOf(output, run), saved[next++], 0.0, false, windowMask(q, run.length, window),
          context->saved_data["scale"].toDouble());
      rowsOf(gradQ, run).copy_(dq);
      rowsOf(gradK, run).copy_(sumHeads(dk, k.size(1)));
      rowsOf(gradV, run).copy_(sumHeads(dv, k.size(1)));
    }
    return {gradQ, gradK, gradV, Tensor(), Tensor(), Tensor()};
  }
};

// The kernels for this processor and dtype. AMD's AVX512_BF16 multiplies twice as fast as its float32; Intel's (without AMX) at
// half the speed, so there bfloat16 is multiplied in float32.
static const AttentionKernels& kernelsFor(at::ScalarType dtype) {
  const AttentionTable& table = attentionKernels();
  if (dtype == at::kFloat) return table.float32;
#if defined(__x86_64__)
  if (table.bfloat16Pairs && __builtin_cpu_is("amd")) return *table.bfloat16Pairs;
#endif
  return table.bfloat16;
}

static HeadRows headRows(const Tensor& x) { return {.data = x.data_ptr(), .tokenStep = x.stride(0), .headStep = x.stride(1)}; }

static AttentionTask attentionTask(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& output,
                                   const Tensor& logsumexp, double scale, std::optional<int64_t> window) {
  return {.q = headRows(q),
          .k = headRows(k),
          .v = headRows(v),
          .output = headRows(output),
          .logsumexp = logsumexp.data_ptr<float>(),
          .tokens = q.size(0),
          .width = q.size(2),
          .queryHeads = q.size(1) / k.size(1),
          .window = std::min(window.value_or(q.size(0)), q.size(0)),
          .scale = static_cast<float>(scale)};
}

// fn(part, group index, scratch) for every group, each part's on a thread of its own.
template <class Fn>
static void runPlan(const AttentionPlan& plan, int64_t scratchBytes, Fn fn) {
  int64_t parts = static_cast<int64_t>(plan.partEnds.size());
  Tensor scratch = at::empty({parts, scratchBytes}, at::kByte);
  char* memory = static_cast<char*>(scratch.data_ptr());
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++)
      for (size_t i = plan.partBegin(part); i < plan.partEnds[part]; i++) fn(i, memory + part * scratchBytes);
  });
}

class FusedAttention : public torch::autograd::Function<FusedAttention> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Shape& cuSeqlens, double scale, std::optional<int64_t> window) {
    Tensor output = at::empty(q.sizes(), q.options());
    Tensor logsumexp = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
    AttentionTask task = attentionTask(q, k, v, output, logsumexp, scale, window);
    AttentionPlan plan = planAttention(cuSeqlens, k.size(1), task.queryHeads, task.window, at::get_num_threads());
    const AttentionKernels& kernels = kernelsFor(q.scalar_type());
    runPlan(plan, kernels.forwardScratch(task, plan.longest),
            [&](size_t i, char* scratch) { kernels.forward(task, plan.groups[i], scratch); });
    context->save_for_backward({q, k, v, output, logsumexp});
    context->saved_data["cuSeqlens"] = cuSeqlens;
    context->saved_data["scale"] = scale;
    context->saved_data["window"] = window;
    return output;
  }

  static Tensors backward(torch::autograd::AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    Tensor gradOutput = withDenseRows(grads[0]);
    Tensor gradQ = at::empty(q.sizes(), q.options()), gradK = at::empty(k.sizes(), k.options());
    Tensor gradV = at::empty(v.sizes(), v.options());
    AttentionTask task = attentionTask(q, k, v, saved[3], saved[4], context->saved_data["scale"].toDouble(),
                                       context->saved_data["window"].toOptional<int64_t>());
    task.gradOutput = headRows(gradOutput);
    task.gradQ = headRows(gradQ), task.gradK = headRows(gradK), task.gradV = headRows(gradV);
    AttentionPlan plan = planAttention(context->saved_data["cuSeqlens"].toIntVector(), k.size(1), task.queryHeads, task.window,
                                       at::get_num_threads());
    const AttentionKernels& kernels = kernelsFor(q.scalar_type());

    // Where a head is cut between threads, each leaves its share of gradK and gradV; a part cuts at most two heads.
    std::vector<int64_t> partialOf(plan.groups.size(), -1);
    int64_t partials = 0, longestCut = 0;
    for (size_t i = 0; i < plan.groups.size(); i++)
      if (!isWholeHead(plan.groups[i], task.queryHeads)) partialOf[i] = partials++, longestCut = std::max(longestCut, plan.groups[i].length);
    int64_t partialSize = kernels.partialSize(task, longestCut);
    Tensor shares = at::empty({partials, partialSize}, at::kFloat);
    float* share = shares.data_ptr<float>();
    runPlan(plan, kernels.backwardScratch(task, plan.longest), [&](size_t i, char* scratch) {
      kernels.backward(task, plan.groups[i], scratch, partialOf[i] < 0 ? nullptr : share + partialOf[i] * partialSize);
    });
    for (size_t i = 0; i < plan.groups.size();) {
      size_t next = i + 1;
      while (next < plan.groups.size() && areOneHead(plan.groups[i], plan.groups[next])) next++;
      if (partialOf[i] >= 0) {
        const AttentionGroup& head = plan.groups[i];
        at::parallel_for(0, head.length, 1024, [&](int64_t begin, int64_t end) {
          kernels.addPartials(task, head, share + partialOf[i] * partialSize, next - i, partialSize, begin, end);
        });
      }
      i = next;
    }
    return {gradQ, gradK, gradV, Tensor(), Tensor(), Tensor()};
  }
};

// Ours is the faster one with vectors of eight floats or more; with a window it also needs no mask of length squared.
static bool takesFusedAttention(const Tensor& q, double scale, bool windowed) {
  const char* wanted = std::getenv("NEOBERT_FUSED");
  bool off = wanted && std::string(wanted) == "0";
  bool typed = q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16;
  return !off && typed && scale > 0 && (windowed || instructionSet() != InstructionSet::portable);
}

static void checkPackedAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens,
                                 std::optional<int64_t> window) {
  TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(0) == k.size(0) && q.size(2) == k.size(2) &&
                  (q.size(1) == k.size(1) || (k.size(1) > 0 && q.size(1) % k.size(1) == 0)),
              "expected q [N, H, D] with k and v [N, K, D], H a multiple of K, got ", q.sizes(), ", ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK(q.is_floating_point() && q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
              "expected q, k and v of one dtype with a fraction, got ", q.scalar_type(), ", ", k.scalar_type(), " and ",
              v.scalar_type());
  TORCH_CHECK(q.device() == k.device() && q.device() == v.device(), "expected q, k and v on one device, got ", q.device(), ", ",
              k.device(), " and ", v.device());
  TORCH_CHECK(!cuSeqlens.empty() && cuSeqlens.front() == 0 && cuSeqlens.back() == q.size(0),
              "expected cuSeqlens from 0 to N = ", q.size(0), ", got ", at::IntArrayRef(cuSeqlens));
  for (size_t i = 0; i + 1 < cuSeqlens.size(); i++)
    TORCH_CHECK(cuSeqlens[i] <= cuSeqlens[i + 1], "expected cuSeqlens that do not fall, got ", at::IntArrayRef(cuSeqlens));
  TORCH_CHECK(!window || *window >= 0, "expected a window of 0 or more, got ", *window);
}

static Tensor packedAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens, double scale,
                              std::optional<int64_t> window) {
  checkPackedAttention(q, k, v, cuSeqlens, window);
  if (q.numel() == 0) return q.clone();
  if (q.is_cpu()) {
    Tensor denseQ = withDenseRows(q), denseK = withDenseRows(k), denseV = withDenseRows(v);
    if (takesFusedAttention(q, scale, window.has_value()))
      return FusedAttention::apply(denseQ, denseK, denseV, cuSeqlens, scale, window);
    return LibtorchAttention::apply(denseQ, denseK, denseV, cuSeqlens, scale, window);
  }
  return deviceAttention(q, k, v, cuSeqlens, scale, window);
}

void defineAttention(Napi::Object& exports) {
  define(exports, "packedAttention", packedAttention);
  defineAs("packedAttention", exports, "checkPackedAttention", checkPackedAttention);
  // The way of GPUs, for any device: what of it needs no GPU is tested on the CPU.
  define(exports, "deviceAttention", [](Tensor q, Tensor k, Tensor v, Shape cuSeqlens, double scale, std::optional<int64_t> window) {
    checkPackedAttention(q, k, v, cuSeqlens, window);
    return q.numel() == 0 ? q.clone() : deviceAttention(q, k, v, cuSeqlens, scale, window);
  });
}

}  // namespace binding
