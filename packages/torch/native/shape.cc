// Ops that move, cut, join and index, one line each.
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "convert.h"

namespace binding {

void defineShape(Napi::Object& exports) {
  define(exports, "reshape", [](Tensor x, Shape shape) { return x.reshape(shape); });
  define(exports, "view", [](Tensor x, Shape shape) { return x.view(shape); });
  define(exports, "flatten", [](Tensor x, int64_t start, int64_t end) { return x.flatten(start, end); });
  define(exports, "transpose", [](Tensor x, int64_t a, int64_t b) { return x.transpose(a, b); });
  define(exports, "permute", [](Tensor x, Shape dims) { return x.permute(dims); });
  define(exports, "unsqueeze", [](Tensor x, int64_t dim) { return x.unsqueeze(dim); });
  define(exports, "squeeze", [](Tensor x, std::optional<int64_t> dim) { return dim ? x.squeeze(*dim) : x.squeeze(); });
  define(exports, "expand", [](Tensor x, Shape shape) { return x.expand(shape); });
  define(exports, "repeat", [](Tensor x, Shape repeats) { return x.repeat(repeats); });
  define(exports, "flip", [](Tensor x, Shape dims) { return x.flip(dims); });
  define(exports, "narrow", [](Tensor x, int64_t dim, int64_t start, int64_t length) { return x.narrow(dim, start, length); });
  define(exports, "select", [](Tensor x, int64_t dim, int64_t index) { return x.select(dim, index); });
  define(exports, "split", [](Tensor x, Shape sizes, int64_t dim) { return x.split_with_sizes(sizes, dim); });
  define(exports, "chunk", [](Tensor x, int64_t chunks, int64_t dim) { return x.chunk(chunks, dim); });
  define(exports, "unbind", [](Tensor x, int64_t dim) { return x.unbind(dim); });
  define(exports, "cat", [](Tensors tensors, int64_t dim) { return at::cat(tensors, dim); });
  define(exports, "stack", [](Tensors tensors, int64_t dim) { return at::stack(tensors, dim); });
  define(exports, "indexSelect", [](Tensor x, int64_t dim, Tensor index) { return x.index_select(dim, index); });
  define(exports, "gather", [](Tensor x, int64_t dim, Tensor index) { return x.gather(dim, index); });
  define(exports, "maskedSelect", [](Tensor x, Tensor mask) { return x.masked_select(mask); });
  define(exports, "nonzero", [](Tensor x) { return x.nonzero(); });
  define(exports, "tril", [](Tensor x, int64_t diagonal) { return x.tril(diagonal); });
  define(exports, "triu", [](Tensor x, int64_t diagonal) { return x.triu(diagonal); });
  define(exports, "indexAdd_", [](Tensor x, int64_t dim, Tensor index, Tensor source) { x.index_add_(dim, index, source); });
  define(exports, "indexCopy_", [](Tensor x, int64_t dim, Tensor index, Tensor source) { x.index_copy_(dim, index, source); });
}

}  // namespace binding
