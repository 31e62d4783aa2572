// Optimizer steps over all parameters in one call, and the global gradient norm. Fixed order, no atomics: a step
// repeats bit for bit. The fused step reads bfloat16 gradients as they are, scales them as clipping asks, and writes the
// bfloat16 copies that the next step computes with: one pass, where conversion, scaling, libtorch's fused step and
// copying are four.
#include "kernels/adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <map>

#include "fused.h"

namespace binding {

// The 2-norm of all gradients laid end to end, in float32 at least: a few launches on a GPU, for each dtype.
static Tensor globalNorm(const Tensors& grads) {
  at::NoGradGuard guard;
  std::map<at::ScalarType, Tensors> byType;
  for (auto& grad : grads) byType[grad.scalar_type()].push_back(grad);
  Tensors norms;
  for (auto& [dtype, some] : byType)
    for (auto& norm : at::_foreach_norm(some, 2, dtype == at::kDouble ? at::kDouble : at::kFloat)) norms.push_back(norm);
  return at::linalg_vector_norm(at::stack(norms), 2);
}

// What a step works on, each list by parameter; where a copy is given it is bfloat16.
struct AdamTensors {
  const Tensors &params, &grads, &averages, &squares, &steps;
  const std::vector<Optional>& copies;
};

static void checkLike(const char* what, const Tensor& x, const Tensor& param, at::ScalarType dtype) {
  TORCH_CHECK(x.is_contiguous() && x.sizes() == param.sizes() && x.scalar_type() == dtype && x.device() == param.device(),
              "expected ", what, " ", dtype, " ", param.sizes(), " on ", param.device(), ", contiguous, like its parameter, got ",
              x.scalar_type(), " ", x.sizes(), " on ", x.device(), " with strides ", x.strides());
}

// NOTE: the kernels, libtorch's too, walk raw memory and take every tensor for contiguous and of its parameter's size. So all is
// looked at before anything is stepped: a step that is refused has changed nothing.
static void checkAdam(const AdamTensors& of) {
  const size_t count = of.params.size();
  TORCH_CHECK(of.grads.size() == count && of.averages.size() == count && of.squares.size() == count && of.steps.size() == count &&
                  of.copies.size() == count,
              "internal: expected lists of ", count, " parameters");
  for (size_t i = 0; i < count; i++) {
    const Tensor &param = of.params[i], &grad = of.grads[i], &step = of.steps[i];
    TORCH_CHECK(param.is_floating_point(), "expected parameters of a dtype with a fraction, got ", param.scalar_type());
    TORCH_CHECK(param.is_contiguous(), "expected contiguous parameters, got one of shape ", param.sizes(), " and strides ",
                param.strides());
    checkLike("a running mean", of.averages[i], param, param.scalar_type());
    checkLike("a running mean of squares", of.squares[i], param, param.scalar_type());
    if (of.copies[i]) checkLike("a copy", *of.copies[i], param, at::kBFloat16);
    TORCH_CHECK(grad.is_floating_point() && grad.sizes() == param.sizes() && grad.device() == param.device(),
                "expected a gradient ", param.sizes(), " on ", param.device(), ", got ", grad.scalar_type(), " ", grad.sizes(), " on ",
                grad.device());
    TORCH_CHECK(step.dim() == 0 && step.scalar_type() == at::kFloat && step.device() == param.device(),
                "expected a count of steps Float [] on ", param.device(), ", got ", step.scalar_type(), " ", step.sizes(), " on ",
                step.device());
  }
}

// Runs libtorch's fused step on the parameters that have a gradient; each keeps its own count of steps, as in PyTorch.
template <class Step>
static void stepWhereGrad(const Tensors& params, const Tensors& averages, const Tensors& squares, const Tensors& steps, Step step) {
  at::NoGradGuard guard;
  Tensors grads;
  for (auto& param : params) grads.push_back(param.grad().defined() ? param.grad() : param);
  const std::vector<Optional> noCopies(params.size());
  checkAdam({.params = params, .grads = grads, .averages = averages, .squares = squares, .steps = steps, .copies = noCopies});
  Tensors p, g, m, v, t;
  for (size_t i = 0; i < params.size(); i++) {
    if (!params[i].grad().defined()) continue;
    TORCH_CHECK(grads[i].scalar_type() == params[i].scalar_type(), "internal: expected a gradient of its parameter's dtype");
    p.push_back(params[i]);
    g.push_back(params[i].grad().contiguous());
    m.push_back(averages[i]);
    v.push_back(squares[i]);
    t.push_back(steps[i]);
    steps[i].add_(1);
  }
  if (!p.empty()) step(p, g, m, v, t);
}

// A run of values of one tensor; the runs of all tensors are what threads divide among them.
struct Piece {
  size_t tensor;
  int64_t begin, end;
};

// The same whatever the number of threads, so that sums over pieces are too.
static std::vector<Piece> piecesOf(const Tensors& tensors) {
  constexpr int64_t longest = 1 << 16;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors.size(); i++)
    for (int64_t begin = 0; begin < tensors[i].numel(); begin += longest)
      pieces.push_back({.tensor = i, .begin = begin, .end = std::min(begin + longest, tensors[i].numel())});
  return pieces;
}

template <class Fn>
static void forPieces(const std::vector<Piece>& pieces, Fn fn) {
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) fn(pieces[i], i);
  });
}

static double fusedNorm(const Tensors& tensors) {
  Tensors dense;
  for (auto& tensor : tensors) dense.push_back(tensor.contiguous());
  std::vector<Piece> pieces = piecesOf(dense);
  std::vector<double> squares(pieces.size());
  forPieces(pieces, [&](const Piece& piece, int64_t i) {
    const Tensor& x = dense[piece.tensor];
    squares[i] = adamKernels().squares(typeOf(x), x.const_data_ptr(), piece.begin, piece.end);
  });
  double total = 0;
  for (double square : squares) total += square;
  return std::sqrt(total);
}

using FusedStep = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList, double, double,
                       double, double, double, bool, bool, const Optional&, const Optional&);

struct AdamSettings {
  double lr, beta1, beta2, weightDecay, eps, gradScale;
  bool decoupled;
};

// Parameters are float32, gradients float32 or bfloat16.
static void fusedAdam(const AdamTensors& of, const AdamSettings& settings) {
  at::NoGradGuard guard;
  checkAdam(of);
  for (size_t i = 0; i < of.params.size(); i++)
    TORCH_CHECK(typeOf(of.params[i]) == Type::float32 && isFused(of.grads[i].scalar_type()),
                "expected float32 parameters with gradients of float32 or bfloat16, got ", of.params[i].scalar_type(), " with ",
                of.grads[i].scalar_type());
  Tensors dense;
  std::vector<AdamArguments> work;
  for (size_t i = 0; i < of.params.size(); i++) {
    dense.push_back(of.grads[i].contiguous());
    of.steps[i].add_(1);
    const double step = of.steps[i].item<double>();
    work.push_back({.param = mutableFloats(of.params[i]),
                    .grad = dense.back().const_data_ptr(),
                    .gradType = typeOf(dense.back()),
                    .average = mutableFloats(of.averages[i]),
                    .square = mutableFloats(of.squares[i]),
                    .copy = of.copies[i] ? of.copies[i]->mutable_data_ptr() : nullptr,
                    .gradScale = static_cast<float>(settings.gradScale),
                    .beta2 = static_cast<float>(settings.beta2),
                    .lr = static_cast<float>(settings.lr),
                    .weightDecay = static_cast<float>(settings.weightDecay),
                    .eps = static_cast<float>(settings.eps),
                    .stepSize = static_cast<float>(settings.lr / (1 - std::pow(settings.beta1, step))),
                    .rootCorrection = static_cast<float>(std::sqrt(1 - std::pow(settings.beta2, step))),
                    .ofGrad = static_cast<float>(1 - settings.beta1),
                    .ofSquare = static_cast<float>(1 - settings.beta2),
                    .decoupled = settings.decoupled});
  }
  forPieces(piecesOf(of.params), [&](const Piece& piece, int64_t) { adamKernels().step(work[piece.tensor], piece.begin, piece.end); });
}

// The same step by libtorch's fused kernel, which has one for GPUs too: a few launches for each stretch of parameters, whose
// gradients are copied, scaled and in float32, a stretch at a time.
static void foreachAdam(const AdamTensors& of, const AdamSettings& settings) {
  constexpr int64_t longest = int64_t{1} << 26;  // elements
  at::NoGradGuard guard;
  checkAdam(of);
  for (const Tensor& param : of.params)
    TORCH_CHECK(param.scalar_type() == at::kFloat, "expected float32 parameters, got ", param.scalar_type());
  const size_t count = of.params.size();
  for (size_t begin = 0, end; begin < count; begin = end) {
    int64_t elements = 0;
    Tensors params, grads, scaled, averages, squares, steps, copied, copies;
    for (end = begin; end < count && (end == begin || elements + of.params[end].numel() <= longest); end++) {
      elements += of.params[end].numel();
      params.push_back(of.params[end]), grads.push_back(of.grads[end]), averages.push_back(of.averages[end]);
      squares.push_back(of.squares[end]), steps.push_back(of.steps[end]);
      scaled.push_back(at::empty_like(of.params[end]));
      if (of.copies[end]) copied.push_back(of.params[end]), copies.push_back(*of.copies[end]);
    }
    at::_foreach_copy_(scaled, grads);
    if (settings.gradScale != 1) at::_foreach_mul_(scaled, settings.gradScale);
    at::_foreach_add_(steps, 1);
    auto step = settings.decoupled ? static_cast<FusedStep*>(at::_fused_adamw_) : static_cast<FusedStep*>(at::_fused_adam_);
    step(params, scaled, averages, squares, {}, steps, settings.lr, settings.beta1, settings.beta2, settings.weightDecay, settings.eps,
         false, false, {}, {});
    if (!copies.empty()) at::_foreach_copy_(copies, copied);
  }
}

void defineOptim(Napi::Object& exports) {
  define(exports, "foreachAdam_", [](Tensors params, Tensors grads, Tensors averages, Tensors squares, Tensors steps,
                                     std::vector<Optional> copies, double lr, double beta1, double beta2, double weightDecay,
                                     double eps, double gradScale, bool decoupled) {
    foreachAdam({.params = params, .grads = grads, .averages = averages, .squares = squares, .steps = steps, .copies = copies},
                {.lr = lr, .beta1 = beta1, .beta2 = beta2, .weightDecay = weightDecay, .eps = eps, .gradScale = gradScale,
                 .decoupled = decoupled});
  });
  define(exports, "fusedNormOfAll", fusedNorm);
  define(exports, "fusedAdam_", [](Tensors params, Tensors grads, Tensors averages, Tensors squares, Tensors steps,
                                   std::vector<Optional> copies, double lr, double beta1, double beta2, double weightDecay,
                                   double eps, double gradScale, bool decoupled) {
    fusedAdam({.params = params, .grads = grads, .averages = averages, .squares = squares, .steps = steps, .copies = copies},
              {.lr = lr, .beta1 = beta1, .beta2 = beta2, .weightDecay = weightDecay, .eps = eps, .gradScale = gradScale,
               .decoupled = decoupled});
  });
  defineAs("Adam", exports, "checkAdam", [](Tensors params, Tensors grads, Tensors averages, Tensors squares, Tensors steps,
                                            std::vector<Optional> copies) {
    checkAdam({.params = params, .grads = grads, .averages = averages, .squares = squares, .steps = steps, .copies = copies});
  });
  define(exports, "normOfAll", [](Tensors tensors) { return globalNorm(tensors).item<double>(); });
  define(exports, "adamW_", [](Tensors params, Tensors averages, Tensors squares, Tensors steps, double lr, double beta1,
                               double beta2, double weightDecay, double eps) {
    stepWhereGrad(params, averages, squares, steps, [&](auto& p, auto& g, auto& m, auto& v, auto& t) {
      at::_fused_adamw_(p, g, m, v, {}, t, lr, beta1, beta2, weightDecay, eps, false, false);
    });
  });
  define(exports, "adam_", [](Tensors params, Tensors averages, Tensors squares, Tensors steps, double lr, double beta1,
                              double beta2, double weightDecay, double eps) {
    stepWhereGrad(params, averages, squares, steps, [&](auto& p, auto& g, auto& m, auto& v, auto& t) {
      at::_fused_adam_(p, g, m, v, {}, t, lr, beta1, beta2, weightDecay, eps, false, false);
    });
  });
}

}  // namespace binding
