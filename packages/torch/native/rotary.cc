// Query, key and value heads out of one projection, or heads alone, turned by rotary angles; formulas in kernels/rotary.h.
// One pass each way, where the composed ops take about ten over q and k, and gather the gradient of the projection by `cat`.
// Forward and backward of 4,096 rows, 12 heads of 64, on 2 Zen 4 cores: composed 32 ms, here 6.6 (bfloat16: 36 and 4.0).
#include "kernels/rotary.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "fused.h"

namespace binding {

// [.., H, D], contiguous.
static Heads headsOf(const Tensor& x) {
  const int64_t H = x.size(-2), D = x.size(-1);
  return {const_cast<void*>(x.const_data_ptr()), H * D, D};
}

// Part 0, 1 or 2 of a contiguous projection [.., 3HD]: q0 k0 v0 q1 .. when `perHead`, else all q, all k, all v.
static Heads partOf(const Tensor& qkv, int64_t part, int64_t H, int64_t D, bool perHead) {
  char* data = static_cast<char*>(const_cast<void*>(qkv.const_data_ptr()));
  const int64_t offset = part * (perHead ? D : H * D);
  return {data + offset * static_cast<int64_t>(qkv.element_size()), 3 * H * D, perHead ? 3 * D : D};
}

static void rotateRows(const RotaryArguments& args, int64_t N) {
  forRows(N, args.parts * args.H * args.D, [&](int64_t begin, int64_t end, int) { rotaryKernels().rotate(args, begin, end); });
}

class SplitQkv : public torch::autograd::Function<SplitQkv> {
 public:
  static Tensors forward(AutogradContext* context, const Tensor& qkv, const Optional& cos, const Optional& sin, int64_t H,
                         bool perHead, bool adjacent) {
    const int64_t D = qkv.size(-1) / (3 * H);
    Shape shape = qkv.sizes().vec();
    shape.back() = H;
    shape.push_back(D);
    Tensors parts{at::empty(shape, qkv.options()), at::empty(shape, qkv.options()), at::empty(shape, qkv.options())};
    RotaryArguments args{typeOf(qkv), H, D, floats(cos), floats(sin), adjacent, false, 3, {}, {}};
    for (int part = 0; part < 3; part++) {
      args.from[part] = partOf(qkv, part, H, D, perHead);
      args.to[part] = headsOf(parts[part]);
    }
    rotateRows(args, qkv.numel() / (3 * H * D));
    context->save_for_backward({cos.value_or(Tensor()), sin.value_or(Tensor())});
    context->saved_data["perHead"] = perHead;
    context->saved_data["adjacent"] = adjacent;
    return parts;
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const int64_t H = grads[0].size(-2), D = grads[0].size(-1);
    Shape shape = grads[0].sizes().vec();
    shape.pop_back();
    shape.back() = 3 * H * D;
    Tensor gradQkv = at::empty(shape, grads[0].options());
    const bool adjacent = context->saved_data["adjacent"].toBool();
    RotaryArguments args{typeOf(gradQkv), H, D, floats(saved[0]), floats(saved[1]), adjacent, true, 3, {}, {}};
    for (int part = 0; part < 3; part++) {
      grads[part] = grads[part].contiguous();
      args.from[part] = headsOf(grads[part]);
      args.to[part] = partOf(gradQkv, part, H, D, context->saved_data["perHead"].toBool());
    }
    rotateRows(args, gradQkv.numel() / (3 * H * D));
    return {gradQkv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& cos, const Tensor& sin, bool adjacent) {
    context->save_for_backward({cos, sin});
    context->saved_data["adjacent"] = adjacent;
    return turned(x, cos, sin, adjacent, false);
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    Tensor gradX = turned(grads[0].contiguous(), saved[0], saved[1], context->saved_data["adjacent"].toBool(), true);
    return {gradX, Tensor(), Tensor(), Tensor()};
  }

 private:
  static Tensor turned(const Tensor& x, const Tensor& cos, const Tensor& sin, bool adjacent, bool inverse) {
    Tensor out = at::empty_like(x);
    const int64_t H = x.size(-2), D = x.size(-1);
    RotaryArguments args{typeOf(x), H, D, floats(cos), floats(sin), adjacent, inverse, 1, {headsOf(x)}, {headsOf(out)}};
    rotateRows(args, x.numel() / (H * D));
    return out;
  }
};

// Angles of N tokens for heads of width D.
static Tensor anglesOf(const char* name, const Tensor& angles, int64_t N, int64_t D) {
  TORCH_CHECK(D % 2 == 0 && angles.scalar_type() == at::kFloat && angles.is_cpu() && angles.dim() > 0 && angles.size(-1) * 2 == D &&
                  angles.numel() == N * (D / 2),
              "expected ", name, " float32 [", N, ", D/2] on the CPU for heads of width ", D, ", got ", angles.scalar_type(), " ",
              angles.sizes(), " on ", angles.device());
  return angles.contiguous();
}

void defineRotary(Napi::Object& exports) {
  define(exports, "fusedSplitQkv", [](Tensor qkv, int64_t heads, bool perHead, Optional cos, Optional sin, bool adjacent) {
    typeOf(qkv);
    TORCH_CHECK(heads > 0 && qkv.dim() > 0 && qkv.size(-1) > 0 && qkv.size(-1) % (3 * heads) == 0,
                "expected qkv [.., 3C] with C a multiple of ", heads, " heads, got ", qkv.sizes());
    const int64_t N = qkv.numel() / qkv.size(-1), D = qkv.size(-1) / (3 * heads);
    if (cos) cos = anglesOf("cos", *cos, N, D);
    if (sin) sin = anglesOf("sin", *sin, N, D);
    return SplitQkv::apply(qkv.contiguous(), cos, sin, heads, perHead, adjacent);
  });
  define(exports, "fusedRotary", [](Tensor x, Tensor cos, Tensor sin, bool adjacent) {
    typeOf(x);
    TORCH_CHECK(x.dim() >= 2 && x.size(-1) > 0 && x.size(-2) > 0, "expected x [.., H, D], got ", x.sizes());
    const int64_t D = x.size(-1), N = x.numel() / (x.size(-2) * D);
    cos = anglesOf("cos", cos, N, D);
    sin = anglesOf("sin", sin, N, D);
    return Rotary::apply(x.contiguous(), cos, sin, adjacent);
  });
}

}  // namespace binding
