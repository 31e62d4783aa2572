// What the fused ops share: from tensors to what kernels take, and rows divided among threads.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "convert.h"
#include "kernels/dispatch.h"

namespace binding {

using torch::autograd::AutogradContext;

inline bool isFused(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

inline Type typeOf(const Tensor& x) {
  TORCH_CHECK(x.is_cpu() && isFused(x.scalar_type()), "expected float32 or bfloat16 on the CPU, got ", x.scalar_type(), " on ",
              x.device());
  return x.scalar_type() == at::kFloat ? Type::float32 : Type::bfloat16;
}

// NOTE: autograd takes no undefined tensor for an input, so what may be absent stays optional.
using Optional = std::optional<Tensor>;

// Weights of float32, contiguous and [C].
inline Optional vectorOf(const char* name, const Optional& vector, int64_t C) {
  if (!vector) return std::nullopt;
  TORCH_CHECK(vector->dim() == 1 && vector->size(0) == C && vector->scalar_type() == at::kFloat && vector->is_cpu(), "expected ",
              name, " float32 [", C, "] on the CPU, got ", vector->scalar_type(), " ", vector->sizes(), " on ", vector->device());
  return vector->contiguous();
}

inline const float* floats(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
inline const float* floats(const Optional& x) { return x ? floats(*x) : nullptr; }
inline float* mutableFloats(const Tensor& x) { return x.defined() ? x.mutable_data_ptr<float>() : nullptr; }

// fn(begin, end, thread) on equal parts of the rows, the same for every run with this many threads; small work stays on one.
template <class Fn>
void forRows(int64_t rows, int64_t width, Fn fn) {
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(width, 1));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) { fn(begin, end, at::get_thread_num()); });
}

// Zeros [threads, C] for sums over rows: each thread adds to its own, and `sum(0)` adds those in order.
inline Tensor partialSums(int64_t C) { return at::zeros({at::get_num_threads(), C}, at::kFloat); }

}  // namespace binding
