// Ops that move, cut, join and index, one line each.
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include <algorithm>

#include "convert.h"

namespace binding {

// NOTE: libtorch makes a list of the parts, however many are asked for, before it looks at any.
static void checkParts(int64_t parts) { TORCH_CHECK(parts <= kMostParts, "expected at most 2^22 parts, got ", parts); }

// NOTE: libtorch multiplies sizes and repeats without looking at overflow.
static Tensor repeat(const Tensor& x, const Shape& repeats) {
  const auto added = static_cast<int64_t>(repeats.size()) - x.dim();
  int64_t count = 1;
  for (size_t i = 0; i < repeats.size(); i++) {
    const auto dim = static_cast<int64_t>(i) - added;
    TORCH_CHECK(repeats[i] <= kMostElements && !__builtin_mul_overflow(count, repeats[i], &count) &&
                    !__builtin_mul_overflow(count, dim >= 0 ? x.size(dim) : 1, &count) && count <= kMostElements,
                "expected a tensor of at most 2^38 elements, got ", x.sizes(), " repeated ", at::IntArrayRef(repeats));
  }
  return x.repeat(repeats);
}

// A diagonal beyond every matrix's corners stays there; libtorch adds rows and columns to it.
static int64_t inside(int64_t diagonal) { return std::clamp<int64_t>(diagonal, -kMostElements, kMostElements); }

void defineShape(Napi::Object& exports) {
  define(exports, "reshape", [](Tensor x, Shape shape) { return x.reshape(shape); });
  define(exports, "view", [](Tensor x, Shape shape) { return x.view(shape); });
  define(exports, "flatten", [](Tensor x, int64_t start, int64_t end) { return x.flatten(start, end); });
  define(exports, "transpose", [](Tensor x, int64_t a, int64_t b) { return x.transpose(a, b); });
  define(exports, "permute", [](Tensor x, Shape dims) { return x.permute(dims); });
  define(exports, "unsqueeze", [](Tensor x, int64_t dim) { return x.unsqueeze(dim); });
  define(exports, "squeeze", [](Tensor x, std::optional<int64_t> dim) { return dim ? x.squeeze(*dim) : x.squeeze(); });
  define(exports, "expand", [](Tensor x, Shape shape) { return x.expand(shape); });
  define(exports, "repeat", repeat);
  define(exports, "flip", [](Tensor x, Shape dims) { return x.flip(dims); });
  define(exports, "narrow", [](Tensor x, int64_t dim, int64_t start, int64_t length) { return x.narrow(dim, start, length); });
  define(exports, "select", [](Tensor x, int64_t dim, int64_t index) { return x.select(dim, index); });
  define(exports, "split", [](Tensor x, Shape sizes, int64_t dim) { return x.split_with_sizes(sizes, dim); });
  define(exports, "chunk", [](Tensor x, int64_t chunks, int64_t dim) {
    checkParts(chunks);
    return x.chunk(chunks, dim);
  });
  define(exports, "unbind", [](Tensor x, int64_t dim) {
    checkParts(x.size(dim));
    return x.unbind(dim);
  });
  define(exports, "cat", [](Tensors tensors, int64_t dim) { return at::cat(tensors, dim); });
  define(exports, "stack", [](Tensors tensors, int64_t dim) { return at::stack(tensors, dim); });
  define(exports, "indexSelect", [](Tensor x, int64_t dim, Tensor index) { return x.index_select(dim, index); });
  define(exports, "gather", [](Tensor x, int64_t dim, Tensor index) { return x.gather(dim, index); });
  define(exports, "maskedSelect", [](Tensor x, Tensor mask) { return x.masked_select(mask); });
  define(exports, "nonzero", [](Tensor x) { return x.nonzero(); });
  define(exports, "tril", [](Tensor x, int64_t diagonal) { return x.tril(inside(diagonal)); });
  define(exports, "triu", [](Tensor x, int64_t diagonal) { return x.triu(inside(diagonal)); });
  define(exports, "indexAdd_", [](Tensor x, int64_t dim, Tensor index, Tensor source) { x.index_add_(dim, index, source); });
  define(exports, "indexCopy_", [](Tensor x, int64_t dim, Tensor index, Tensor source) { x.index_copy_(dim, index, source); });
}

}  // namespace binding
