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
  return {.data = const_cast<void*>(x.const_data_ptr()), .count = H, .rowStride = H * D, .headStride = D};
}

// How a projection [.., (H + 2K) D] holds q of H heads, k and v of K: q0 k0 v0 q1 .. when `perHead`, else all q, all k, all v.
struct Layout {
  int64_t H, K, D;
  bool perHead;

  int64_t heads(int part) const { return part == 0 ? H : K; }
  int64_t width() const { return (H + 2 * K) * D; }

  Heads partOf(const Tensor& qkv, int part) const {
    char* data = static_cast<char*>(const_cast<void*>(qkv.const_data_ptr()));
    const int64_t before = part == 0 ? 0 : perHead ? part : H + (part - 1) * K;
    return {.data = data + before * D * static_cast<int64_t>(qkv.element_size()),
            .count = heads(part),
            .rowStride = width(),
            .headStride = perHead ? 3 * D : D};
  }
};

static void rotateRows(const RotaryArguments& args, int64_t N) {
  int64_t heads = 0;
  for (int part = 0; part < args.parts; part++) heads += args.from[part].count;
  forRows(N, heads * args.D, [&](int64_t begin, int64_t end, int) { rotaryKernels().rotate(args, begin, end); });
}

class SplitQkv : public torch::autograd::Function<SplitQkv> {
 public:
  static Tensors forward(AutogradContext* context, const Tensor& qkv, const Optional& cos, const Optional& sin, int64_t H, int64_t K,
                         bool perHead, bool adjacent) {
    const Layout layout{.H = H, .K = K, .D = qkv.size(-1) / (H + 2 * K), .perHead = perHead};
    RotaryArguments args = arguments(qkv, cos, sin, layout, adjacent, false);
    Tensors parts;
    for (int part = 0; part < 3; part++) {
      Shape shape = qkv.sizes().vec();
      shape.back() = layout.heads(part);
      shape.push_back(layout.D);
      parts.push_back(at::empty(shape, qkv.options()));
      args.from[part] = layout.partOf(qkv, part);
      args.to[part] = headsOf(parts[part]);
    }
    rotateRows(args, qkv.numel() / layout.width());
    context->save_for_backward({cos.value_or(Tensor()), sin.value_or(Tensor())});
    context->saved_data["perHead"] = perHead;
    context->saved_data["adjacent"] = adjacent;
    return parts;
  }

  static Tensors backward(AutogradContext* context, Tensors grads) {
    auto saved = context->get_saved_variables();
    const Tensor &gradQ = grads[0], &gradK = grads[1];
    const Layout layout{.H = gradQ.size(-2), .K = gradK.size(-2), .D = gradQ.size(-1), .perHead = context->saved_data["perHead"].toBool()};
    Shape shape = gradQ.sizes().vec();
    shape.pop_back();
    shape.back() = layout.width();
    Tensor gradQkv = at::empty(shape, gradQ.options());
    RotaryArguments args = arguments(gradQkv, saved[0], saved[1], layout, context->saved_data["adjacent"].toBool(), true);
    for (int part = 0; part < 3; part++) {
      grads[part] = grads[part].contiguous();
      args.from[part] = headsOf(grads[part]);
      args.to[part] = layout.partOf(gradQkv, part);
    }
    rotateRows(args, gradQkv.numel() / layout.width());
    return {gradQkv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }

 private:
  // All but the places of the heads.
  static RotaryArguments arguments(const Tensor& qkv, const Optional& cos, const Optional& sin, const Layout& layout, bool adjacent,
                                   bool inverse) {
    return {.type = typeOf(qkv), .D = layout.D, .cos = floats(cos), .sin = floats(sin), .adjacent = adjacent, .inverse = inverse, .parts = 3};
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
    const RotaryArguments args{.type = typeOf(x),
                               .D = x.size(-1),
                               .cos = floats(cos),
                               .sin = floats(sin),
                               .adjacent = adjacent,
                               .inverse = inverse,
                               .parts = 1,
                               .from = {headsOf(x)},
                               .to = {headsOf(out)}};
    rotateRows(args, x.numel() / (x.size(-2) * args.D));
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

static void checkHeads(const Tensor& qkv, int64_t H, int64_t K, bool perHead) {
  constexpr int64_t most = 1 << 24;  // of heads, so that sums of them stay what they are
  TORCH_CHECK(H > 0 && K > 0 && H <= most && H % K == 0, "expected heads that are a multiple of kvHeads, got ", H, " and ", K);
  TORCH_CHECK(!perHead || H == K, "expected as many kvHeads as heads in layout perHead, got ", K, " and ", H,
              "\nLayout blocks takes fewer.");
  const bool fits = qkv.dim() > 0 && qkv.size(-1) > 0 && qkv.size(-1) % (H + 2 * K) == 0;
  if (H == K) TORCH_CHECK(fits, "expected qkv [.., 3C] with C a multiple of ", H, " heads, got ", qkv.sizes());
  TORCH_CHECK(fits, "expected qkv [.., (H + 2K) D] for ", H, " heads and ", K, " kvHeads, got ", qkv.sizes());
}

void defineRotary(Napi::Object& exports) {
  define(exports, "fusedSplitQkv", [](Tensor qkv, int64_t H, int64_t K, bool perHead, Optional cos, Optional sin, bool adjacent) {
    typeOf(qkv);
    checkHeads(qkv, H, K, perHead);
    TORCH_CHECK(cos.has_value() == sin.has_value(), "expected cos and sin or neither, got ", cos ? "cos" : "sin", " alone");
    const int64_t N = qkv.numel() / qkv.size(-1), D = qkv.size(-1) / (H + 2 * K);
    if (cos) cos = anglesOf("cos", *cos, N, D);
    if (sin) sin = anglesOf("sin", *sin, N, D);
    return SplitQkv::apply(qkv.contiguous(), cos, sin, H, K, perHead, adjacent);
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
