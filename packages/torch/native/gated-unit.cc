// The gated unit (SwiGLU, GeGLU) of either half; formulas in kernels/gated-unit.h. Composed, it keeps three float32 [N, I] in bfloat16.
// Forward and backward of 4,096 rows with I = 2,048 on 2 Zen 4 cores: composed 15 ms, here 6.8 (bfloat16: 25 and 7.8).
#include "kernels/gated-unit.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>

#include "fused.h"

namespace binding {

struct Gate {
  bool first, gelu;

  GatedUnitArguments on(const Tensor& x) const {
    return {.type = typeOf(x), .x = x.const_data_ptr(), .I = x.size(-1) / 2, .first = first, .gelu = gelu};
  }

  Tensor forward(const Tensor& x) const {
    Shape shape = x.sizes().vec();
    shape.back() /= 2;
    Tensor out = at::empty(shape, x.options());
    const GatedUnitArguments args = on(x);
    forRows(rowsOf(x), args.I, [&](int64_t begin, int64_t end, int) { gatedUnitKernels().forward(args, out.mutable_data_ptr(), begin, end); });
    return out;
  }

  Tensor backward(const Tensor& x, const Tensor& gradOut) const {
    Tensor gradX = at::empty_like(x);
    const GatedUnitArguments args = on(x);
    forRows(rowsOf(x), args.I, [&](int64_t begin, int64_t end, int) {
      gatedUnitKernels().backward(args, gradOut.const_data_ptr(), gradX.mutable_data_ptr(), begin, end);
    });
    return gradX;
  }

  void save(AutogradContext* context) const {
    context->saved_data["first"] = first;
    context->saved_data["gelu"] = gelu;
  }
  static Gate saved(AutogradContext* context) {
    return {.first = context->saved_data["first"].toBool(), .gelu = context->saved_data["gelu"].toBool()};
  }

 private:
  static int64_t rowsOf(const Tensor& x) { return x.size(-1) == 0 ? 0 : x.numel() / x.size(-1); }
};

class GatedUnit : public torch::autograd::Function<GatedUnit> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, bool first, bool gelu) {
    const Gate gate{.first = first, .gelu = gelu};
    context->save_for_backward({x});
    gate.save(context);
    return gate.forward(x);
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    const Tensor x = context->get_saved_variables()[0];
    return {Gate::saved(context).backward(x, grads[0].contiguous()), Tensor(), Tensor()};
  }
};

// A linear layer on a gated unit that is there already. It keeps the unit's input x and makes the unit again, half as wide,
// on the way back: a step of 28 layers x 768 with 4,096 tokens in bfloat16 took 459 MiB less at its peak.
class GatedLinear : public torch::autograd::Function<GatedLinear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& unit, const Tensor& weight, bool first,
                        bool gelu) {
    context->save_for_backward({x, weight});
    Gate{.first = first, .gelu = gelu}.save(context);
    return at::linear(unit, weight);
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const Gate gate = Gate::saved(context);
    const Tensor gradOut = grads[0].reshape({-1, weight.size(0)}); // [N, O]
    Tensor gradWeight, gradX;
    if (context->needs_input_grad(2)) gradWeight = at::mm(gradOut.t(), gate.forward(x).reshape({-1, weight.size(1)}));
    if (context->needs_input_grad(0)) gradX = gate.backward(x, at::mm(gradOut, weight));
    return {gradX, Tensor(), gradWeight, Tensor(), Tensor()};
  }
};

// The same by libtorch's ops, on any device: computed in float32 and rounded once. Only x is kept; autograd would keep three
// float32 [N, I] of it.
class DeviceGatedUnit : public torch::autograd::Function<DeviceGatedUnit> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, bool first, bool gelu) {
    context->save_for_backward({x});
    Gate{.first = first, .gelu = gelu}.save(context);
    const auto [gated, other] = halvesOf(x, first);
    const Tensor wide = widened(gated);
    return (gelu ? at::gelu(wide) : at::silu(wide)).mul_(other).to(x.scalar_type());
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    const Tensor x = context->get_saved_variables()[0];
    const Gate gate = Gate::saved(context);
    const auto [gated, other] = halvesOf(x, gate.first);
    const Tensor wide = widened(gated), grad = widened(grads[0]), gradUnit = grad.mul(other);
    Tensor gradX = at::empty_like(x, at::MemoryFormat::Contiguous);
    const auto [gradGated, gradOther] = halvesOf(gradX, gate.first);
    gradGated.copy_(gate.gelu ? at::gelu_backward(gradUnit, wide) : at::silu_backward(gradUnit, wide));
    gradOther.copy_((gate.gelu ? at::gelu(wide) : at::silu(wide)).mul_(grad));
    return {gradX, Tensor(), Tensor()};
  }

 private:
  static Tensor widened(const Tensor& x) { return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x; }
  static std::pair<Tensor, Tensor> halvesOf(const Tensor& x, bool first) {
    const int64_t I = x.size(-1) / 2;
    const Tensor a = x.narrow(-1, 0, I), b = x.narrow(-1, I, I);
    return first ? std::pair(a, b) : std::pair(b, a);
  }
};

void defineGatedUnit(Napi::Object& exports) {
  define(exports, "deviceGatedUnit", [](Tensor x, bool first, bool gelu) {
    TORCH_CHECK(x.dim() > 0 && x.size(-1) % 2 == 0 && x.is_floating_point(), "expected x [.., 2I] of a dtype with a fraction, got ",
                x.scalar_type(), " ", x.sizes());
    return DeviceGatedUnit::apply(x, first, gelu);
  });
  define(exports, "fusedGatedUnit", [](Tensor x, bool first, bool gelu) {
    typeOf(x);
    TORCH_CHECK(x.dim() > 0 && x.size(-1) % 2 == 0, "expected x [.., 2I], got ", x.sizes());
    return GatedUnit::apply(x.contiguous(), first, gelu);
  });
  define(exports, "fusedGatedLinear", [](Tensor x, Tensor unit, Tensor weight, bool first, bool gelu) {
    TORCH_CHECK(typeOf(x) == typeOf(weight) && typeOf(x) == typeOf(unit) && weight.dim() == 2 && x.dim() > 0 &&
                    x.dim() == unit.dim() && x.size(-1) == 2 * unit.size(-1) && unit.size(-1) == weight.size(1) &&
                    x.sizes().slice(0, x.dim() - 1) == unit.sizes().slice(0, x.dim() - 1),
                "expected x [.., 2I], its unit [.., I] and weight [O, I] of one dtype, got ", x.scalar_type(), " ", x.sizes(), ", ",
                unit.scalar_type(), " ", unit.sizes(), " and ", weight.scalar_type(), " ", weight.sizes());
    return GatedLinear::apply(x.contiguous(), unit.detach(), weight, first, gelu);
  });
}

}  // namespace binding
