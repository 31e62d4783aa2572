// Optimizer steps over all parameters in one call, and the global gradient norm. Fixed order, no atomics: a step
// repeats bit for bit. The fused step reads bfloat16 gradients as they are, scales them as clipping asks, and writes the
// bfloat16 copies that the next step computes with: one pass, where conversion, scaling, libtorch's fused step and
// copying are four.
#include "kernels/adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include "fused.h"

namespace binding {

// The 2-norm of all gradients laid end to end, in float32 at least.
static Tensor globalNorm(const Tensors& grads) {
  at::NoGradGuard guard;
  Tensors norms;
  for (auto& grad : grads)
    norms.push_back(at::linalg_vector_norm(grad, 2, std::nullopt, false, grad.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  return at::linalg_vector_norm(at::stack(norms), 2);
}

static void checkContiguous(const Tensor& param) {
  TORCH_CHECK(param.is_contiguous(), "expected contiguous parameters, got one of shape ", param.sizes(), " and strides ",
              param.strides());
}

// Runs a fused step on the parameters that have a gradient; each keeps its own count of steps, as in PyTorch.
// NOTE: the fused CPU kernels walk raw memory and take every tensor for contiguous.
template <class Step>
static void stepWhereGrad(const Tensors& params, const Tensors& averages, const Tensors& squares, const Tensors& steps, Step step) {
  at::NoGradGuard guard;
  Tensors p, g, m, v, t;
  for (size_t i = 0; i < params.size(); i++) {
    if (!params[i].grad().defined()) continue;
    checkContiguous(params[i]);
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
      pieces.push_back({i, begin, std::min(begin + longest, tensors[i].numel())});
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

struct AdamSettings {
  double lr, beta1, beta2, weightDecay, eps, gradScale;
  bool decoupled;
};

// All lists are by parameter; gradients are float32 or bfloat16, copies bfloat16 where there is one.
static void fusedAdam(const Tensors& params, const Tensors& grads, const Tensors& averages, const Tensors& squares,
                      const Tensors& steps, const std::vector<Optional>& copies, const AdamSettings& settings) {
  at::NoGradGuard guard;
  Tensors dense;
  std::vector<AdamArguments> work;
  for (size_t i = 0; i < params.size(); i++) {
    const Tensor& param = params[i];
    checkContiguous(param);
    checkContiguous(averages[i]);
    checkContiguous(squares[i]);
    if (copies[i])
      TORCH_CHECK(copies[i]->is_contiguous() && copies[i]->sizes() == param.sizes() && copies[i]->scalar_type() == at::kBFloat16,
                  "expected a contiguous bfloat16 copy ", param.sizes(), ", got ", copies[i]->scalar_type(), " ", copies[i]->sizes());
    dense.push_back(grads[i].contiguous());
    steps[i].add_(1);
    const double step = steps[i].item<double>();
    AdamArguments args{};
    args.param = mutableFloats(param);
    args.grad = dense.back().const_data_ptr();
    args.gradType = typeOf(dense.back());
    args.average = mutableFloats(averages[i]);
    args.square = mutableFloats(squares[i]);
    args.copy = copies[i] ? copies[i]->mutable_data_ptr() : nullptr;
    args.gradScale = static_cast<float>(settings.gradScale);
    args.beta2 = static_cast<float>(settings.beta2);
    args.ofGrad = static_cast<float>(1 - settings.beta1);
    args.ofSquare = static_cast<float>(1 - settings.beta2);
    args.lr = static_cast<float>(settings.lr);
    args.weightDecay = static_cast<float>(settings.weightDecay);
    args.eps = static_cast<float>(settings.eps);
    args.stepSize = static_cast<float>(settings.lr / (1 - std::pow(settings.beta1, step)));
    args.rootCorrection = static_cast<float>(std::sqrt(1 - std::pow(settings.beta2, step)));
    args.decoupled = settings.decoupled;
    work.push_back(args);
  }
  forPieces(piecesOf(params), [&](const Piece& piece, int64_t) { adamKernels().step(work[piece.tensor], piece.begin, piece.end); });
}

void defineOptim(Napi::Object& exports) {
  define(exports, "fusedNormOfAll", fusedNorm);
  define(exports, "fusedAdam_", [](Tensors params, Tensors grads, Tensors averages, Tensors squares, Tensors steps,
                                   std::vector<Optional> copies, double lr, double beta1, double beta2, double weightDecay, double eps, double gradScale,
                                   bool decoupled) {
    fusedAdam(params, grads, averages, squares, steps, copies, {lr, beta1, beta2, weightDecay, eps, gradScale, decoupled});
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
