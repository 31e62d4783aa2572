// Elementwise, comparison and reduction ops, one line each: libtorch's own op of that name.
#include <ATen/ops/gelu.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>

#include "convert.h"

namespace binding {

using at::Scalar;
using OptionalDims = std::optional<Shape>;

// Reductions over `dims`, or over everything when it is left out.
static at::OptionalIntArrayRef over(const OptionalDims& dims) {
  return dims ? at::OptionalIntArrayRef(*dims) : at::OptionalIntArrayRef();
}

void defineElementwise(Napi::Object& exports) {
  define(exports, "neg", &Tensor::neg);
  define(exports, "abs", &Tensor::abs);
  define(exports, "exp", &Tensor::exp);
  define(exports, "log", &Tensor::log);
  define(exports, "sqrt", &Tensor::sqrt);
  define(exports, "rsqrt", &Tensor::rsqrt);
  define(exports, "square", &Tensor::square);
  define(exports, "reciprocal", &Tensor::reciprocal);
  define(exports, "sin", &Tensor::sin);
  define(exports, "cos", &Tensor::cos);
  define(exports, "tanh", &Tensor::tanh);
  define(exports, "erf", &Tensor::erf);
  define(exports, "sigmoid", &Tensor::sigmoid);
  define(exports, "relu", &Tensor::relu);
  define(exports, "round", [](Tensor x) { return x.round(); });
  define(exports, "floor", &Tensor::floor);
  define(exports, "silu", [](Tensor x) { return at::silu(x); });
  define(exports, "gelu", [](Tensor x, std::string approximate) { return at::gelu(x, approximate); });
  define(exports, "isnan", &Tensor::isnan);
  define(exports, "isfinite", &Tensor::isfinite);
  define(exports, "logicalNot", &Tensor::logical_not);
  define(exports, "logicalAnd", &Tensor::logical_and);
  define(exports, "logicalOr", &Tensor::logical_or);

  define(exports, "add", [](Tensor a, Tensor b, Scalar alpha) { return a.add(b, alpha); });
  define(exports, "sub", [](Tensor a, Tensor b, Scalar alpha) { return a.sub(b, alpha); });
  define(exports, "mul", [](Tensor a, Tensor b) { return a.mul(b); });
  define(exports, "div", [](Tensor a, Tensor b) { return a.div(b); });
  define(exports, "pow", [](Tensor a, Tensor b) { return a.pow(b); });
  define(exports, "maximum", &Tensor::maximum);
  define(exports, "minimum", &Tensor::minimum);
  define(exports, "addScalar", [](Tensor a, Scalar b) { return a.add(b); });
  define(exports, "mulScalar", [](Tensor a, Scalar b) { return a.mul(b); });
  define(exports, "divScalar", [](Tensor a, Scalar b) { return a.div(b); });
  define(exports, "powScalar", [](Tensor a, Scalar b) { return a.pow(b); });
  define(exports, "clamp", [](Tensor x, std::optional<Scalar> low, std::optional<Scalar> high) { return x.clamp(low, high); });
  define(exports, "maskedFill", [](Tensor x, Tensor mask, Scalar value) { return x.masked_fill(mask, value); });
  define(exports, "where", [](Tensor condition, Tensor a, Tensor b) { return at::where(condition, a, b); });

  define(exports, "eq", [](Tensor a, Tensor b) { return a.eq(b); });
  define(exports, "ne", [](Tensor a, Tensor b) { return a.ne(b); });
  define(exports, "lt", [](Tensor a, Tensor b) { return a.lt(b); });
  define(exports, "le", [](Tensor a, Tensor b) { return a.le(b); });
  define(exports, "gt", [](Tensor a, Tensor b) { return a.gt(b); });
  define(exports, "ge", [](Tensor a, Tensor b) { return a.ge(b); });
  define(exports, "eqScalar", [](Tensor a, Scalar b) { return a.eq(b); });
  define(exports, "neScalar", [](Tensor a, Scalar b) { return a.ne(b); });
  define(exports, "ltScalar", [](Tensor a, Scalar b) { return a.lt(b); });
  define(exports, "leScalar", [](Tensor a, Scalar b) { return a.le(b); });
  define(exports, "gtScalar", [](Tensor a, Scalar b) { return a.gt(b); });
  define(exports, "geScalar", [](Tensor a, Scalar b) { return a.ge(b); });

  define(exports, "sum", [](Tensor x, OptionalDims dims, bool keepdim) { return x.sum(over(dims), keepdim); });
  define(exports, "mean", [](Tensor x, OptionalDims dims, bool keepdim) { return x.mean(over(dims), keepdim); });
  define(exports, "variance", [](Tensor x, OptionalDims dims, int64_t correction, bool keepdim) {
    return x.var(over(dims), std::optional<Scalar>(correction), keepdim);
  });
  define(exports, "norm", [](Tensor x, double p, OptionalDims dims, bool keepdim) {
    return x.norm(p, dims ? *dims : Shape{}, keepdim);
  });
  define(exports, "amax", [](Tensor x, OptionalDims dims, bool keepdim) { return x.amax(dims ? *dims : Shape{}, keepdim); });
  define(exports, "amin", [](Tensor x, OptionalDims dims, bool keepdim) { return x.amin(dims ? *dims : Shape{}, keepdim); });
  define(exports, "argmax", [](Tensor x, std::optional<int64_t> dim, bool keepdim) { return x.argmax(dim, keepdim); });
  define(exports, "all", [](Tensor x) { return x.all(); });
  define(exports, "any", [](Tensor x) { return x.any(); });
  define(exports, "cumsum", [](Tensor x, int64_t dim) { return x.cumsum(dim); });
  define(exports, "logsumexp", [](Tensor x, Shape dims, bool keepdim) { return x.logsumexp(dims, keepdim); });
  define(exports, "softmax", [](Tensor x, int64_t dim) { return at::softmax(x, dim); });
  define(exports, "logSoftmax", [](Tensor x, int64_t dim) { return at::log_softmax(x, dim); });
  define(exports, "topk", [](Tensor x, int64_t k, int64_t dim, bool largest) { return x.topk(k, dim, largest); });
  define(exports, "sort", [](Tensor x, int64_t dim, bool descending) { return x.sort(std::optional<bool>(true), dim, descending); });

  define(exports, "add_", [](Tensor a, Tensor b, Scalar alpha) { a.add_(b, alpha); });
  define(exports, "mul_", [](Tensor a, Tensor b) { a.mul_(b); });
  define(exports, "div_", [](Tensor a, Tensor b) { a.div_(b); });
  define(exports, "addScalar_", [](Tensor a, Scalar b) { a.add_(b); });
  define(exports, "mulScalar_", [](Tensor a, Scalar b) { a.mul_(b); });
  define(exports, "divScalar_", [](Tensor a, Scalar b) { a.div_(b); });
  define(exports, "fill_", [](Tensor a, Scalar value) { a.fill_(value); });
  define(exports, "copy_", [](Tensor a, Tensor source) { a.copy_(source); });
}

}  // namespace binding
