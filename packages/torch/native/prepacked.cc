// Chains of linear layers with packed weights (kernels/prepacked.h): each thread takes some rows through all layers of the chain, so that what lies
// between two products stays in its second-level cache; where there are few rows the threads divide the channels of each product.
#include "kernels/prepacked.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "fused.h"
#include "kernels/norm.h"

namespace binding {

/** Rows of a thread above which it keeps them to itself, and the bytes of a chain's inner rows that it keeps in its cache. */
constexpr int64_t kOwnRows = 48, kInnerBytes = 384 * 1024, kMostTileRows = 96;

static int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/** One linear layer and what becomes of its input before it. */
struct PrepackedLayer {
  Storage storage;
  int64_t channels;
  Activation activation;
  int gate;
  Optional smoothing, scales, sums, bias;
  Tensor packed;

  int64_t blocks() const { return packed.size(0); }
  PrepackedWeight weight(int64_t I) const {
    return {.storage = storage,
            .O = channels,
            .I = I,
            .packed = static_cast<const uint8_t*>(packed.const_data_ptr()),
            .scales = floats(scales),
            .sums = floats(sums),
            .bias = floats(bias)};
  }
  RowInput input(Type type, const void* x, int64_t I) const {
    return {.type = type, .x = x, .I = I, .activation = activation, .gate = gate, .smoothing = floats(smoothing)};
  }
};

static Storage storageOf(at::ScalarType dtype) {
  TORCH_CHECK(dtype == at::kByte || isFused(dtype), "expected a packed weight of uint8, float32 or bfloat16, got ", dtype);
  TORCH_CHECK(dtype != at::kBFloat16 || instructionSet() == InstructionSet::avx512bf16, "expected float32 or int8 weights on a processor ",
              "without AVX512_BF16, got bfloat16");
  return dtype == at::kByte ? Storage::int8 : dtype == at::kFloat ? Storage::float32 : Storage::bfloat16;
}

static Shape packedShape(Storage storage, int64_t O, int64_t I) {
  return {(O + kBlockChannels - 1) / kBlockChannels, stepsOf(storage, I), kBlockChannels, kStepBytes / storedBytes(storage)};
}

/** `parts`: packed, bias [O] or none; in int8 also scales [O], sums [O] and smoothing [I] or none. */
static PrepackedLayer layerOf(const std::vector<Optional>& parts, int64_t O, const std::string& activation, const std::string& gate,
                              int64_t width) {
  TORCH_CHECK(parts.size() == 5 && parts[0], "expected the five parts of a packed layer, got ", parts.size());
  TORCH_CHECK(activation == "none" || activation == "gelu" || activation == "silu", "expected activation none, gelu or silu, got ",
              activation);
  TORCH_CHECK(gate == "none" || gate == "first" || gate == "last", "expected gate none, first or last, got ", gate);
  const int64_t I = gate == "none" ? width : width / 2;
  TORCH_CHECK(gate == "none" || width % 2 == 0, "expected the two halves of a gated unit, got width ", width);
  const Tensor& packed = *parts[0];
  const Storage storage = storageOf(packed.scalar_type());
  TORCH_CHECK(packed.is_cpu() && packed.is_contiguous() && packed.sizes() == at::IntArrayRef(packedShape(storage, O, I)),
              "expected a packed weight for inputs of width ", I, " and ", O, " channels, got ", packed.scalar_type(), " ", packed.sizes());
  const bool isInt8 = storage == Storage::int8;
  TORCH_CHECK(isInt8 == parts[2].has_value() && isInt8 == parts[3].has_value(), "expected scales and sums with int8 weights alone");
  return {.storage = storage,
          .channels = O,
          .activation = activation == "gelu" ? Activation::gelu : activation == "silu" ? Activation::silu : Activation::none,
          .gate = gate == "first" ? 1 : gate == "last" ? 2 : 0,
          .smoothing = vectorOf("smoothing", parts[4], I),
          .scales = vectorOf("scales", parts[2], O),
          .sums = vectorOf("sums", parts[3], O),
          .bias = vectorOf("bias", parts[1], O),
          .packed = packed};
}

/** Memory for stored rows. */
class RowMemory {
 public:
  RowMemory(int64_t rows, int64_t bytes)
      : stride_(roundUp(bytes, 64) + 64), values_(at::empty({rows * stride_}, at::kByte)), both_(at::empty({2, rows}, at::kFloat)) {}
  StoredRows rows(Storage storage) const {
    return {.storage = storage,
            .stride = stride_,
            .values = values_.mutable_data_ptr<uint8_t>(),
            .scales = mutableFloats(both_),
            .minima = mutableFloats(both_) + both_.size(1)};
  }

 private:
  int64_t stride_;
  Tensor values_, both_;
};

static float* scratchOf(const Tensor& scratch) { return mutableFloats(scratch) + at::get_thread_num() * scratch.size(1); }
static Tensor makeScratch(int64_t I) { return at::empty({at::get_num_threads(), roundUp(I, 16)}, at::kFloat); }

/** fn(first block, last block) on the channels of a product of so many rows, divided among the threads. */
template <class Fn>
static void forBlocks(int64_t rows, int64_t I, int64_t blocks, Fn fn) {
  constexpr int64_t kPanel = 4;  // blocks that the widest register tile takes together
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 20) / std::max<int64_t>(1, rows * I * kPanel * kBlockChannels));
  at::parallel_for(0, (blocks + kPanel - 1) / kPanel, grain,
                   [&](int64_t begin, int64_t end) { fn(begin * kPanel, std::min(end * kPanel, blocks)); });
}

/** Rows through linear layers one after another. `end(y, begin, end)` takes the last one's, float32, row `begin` of all at `y`. */
class Chain {
 public:
  Chain(const Tensor& x, std::vector<PrepackedLayer> layers) : x_(x), layers_(std::move(layers)) {
    int64_t width = x.size(-1);
    rows_ = width == 0 ? 0 : x.numel() / width;
    for (const PrepackedLayer& layer : layers_) {
      const int64_t I = layer.gate ? width / 2 : width;
      widths_.push_back(I);
      widest_ = std::max(widest_, I);
      widestBytes_ = std::max(widestBytes_, I * storedBytes(layer.storage));
      width = layer.channels;
      widestResult_ = std::max(widestResult_, width);
    }
  }

  template <class End>
  void run(End end) const {
    if (rows_ == 0) return;
    const int64_t threads = at::get_num_threads();
    if (rows_ >= threads * kOwnRows || threads == 1) byRows(threads, end);
    else byChannels(end);
  }

 private:
  template <class End>
  void byRows(int64_t threads, End end) const {
    const int64_t most = std::clamp<int64_t>(kInnerBytes / (4 * widestResult_) / 6 * 6, 12, kMostTileRows);
    const int64_t tiles = roundUp((rows_ + most - 1) / most, std::min(threads, rows_)), height = (rows_ + tiles - 1) / tiles;
    at::parallel_for(0, tiles, 1, [&](int64_t firstTile, int64_t lastTile) {
      const RowMemory memory(height, widestBytes_);
      const Tensor scratch = at::empty({roundUp(widest_, 16)}, at::kFloat);
      const Tensor results = at::empty({2, height * widestResult_}, at::kFloat);
      for (int64_t tile = firstTile; tile < lastTile; tile++) {
        const int64_t begin = std::min(tile * height, rows_), count = std::min(rows_ - begin, height);
        if (count == 0) return;
        Type type = typeOf(x_);
        const void* x = static_cast<const char*>(x_.const_data_ptr()) + begin * x_.size(-1) * x_.element_size();
        for (size_t i = 0; i < layers_.size(); i++) {
          float* y = mutableFloats(results) + i % 2 * height * widestResult_;
          prepackedKernels().store(layers_[i].input(type, x, widths_[i]), memory.rows(layers_[i].storage), mutableFloats(scratch), 0, count);
          prepackedKernels().product(memory.rows(layers_[i].storage), layers_[i].weight(widths_[i]), Type::float32, y, 0, count, 0, layers_[i].blocks());
          type = Type::float32;
          x = y;
        }
        end(static_cast<const float*>(x), begin, begin + count);
      }
    });
  }

  template <class End>
  void byChannels(End end) const {
    const RowMemory memory(rows_, widestBytes_);
    const Tensor scratch = makeScratch(widest_), results = at::empty({2, rows_ * widestResult_}, at::kFloat);
    Type type = typeOf(x_);
    const void* x = x_.const_data_ptr();
    for (size_t i = 0; i < layers_.size(); i++) {
      const RowInput input = layers_[i].input(type, x, widths_[i]);
      const PrepackedWeight weight = layers_[i].weight(widths_[i]);
      float* y = mutableFloats(results) + i % 2 * rows_ * widestResult_;
      forRows(rows_, widths_[i], [&](int64_t begin, int64_t end, int) {
        prepackedKernels().store(input, memory.rows(layers_[i].storage), scratchOf(scratch), begin, end);
      });
      forBlocks(rows_, widths_[i], layers_[i].blocks(), [&](int64_t first, int64_t last) {
        prepackedKernels().product(memory.rows(layers_[i].storage), weight, Type::float32, y, 0, rows_, first, last);
      });
      type = Type::float32;
      x = y;
    }
    const int64_t width = layers_.back().channels;
    forRows(rows_, width, [&](int64_t begin, int64_t stop, int) { end(static_cast<const float*>(x) + begin * width, begin, stop); });
  }

  Tensor x_;
  std::vector<PrepackedLayer> layers_;
  std::vector<int64_t> widths_;
  int64_t rows_ = 0, widest_ = 0, widestBytes_ = 0, widestResult_ = 0;
};

using Parts = std::vector<std::vector<Optional>>;

static std::vector<PrepackedLayer> chainOf(const Tensor& x, const Parts& parts, const Shape& channels,
                                           const std::vector<std::string>& activations, const std::vector<std::string>& gates) {
  typeOf(x);
  TORCH_CHECK(x.dim() > 0 && !parts.empty() && parts.size() == channels.size() && parts.size() == activations.size() &&
                  parts.size() == gates.size(),
              "expected x [.., I] and channels, an activation and a gate for every layer, got ", x.sizes(), " and ", parts.size(), " layers, ",
              activations.size(), " activations, ", gates.size(), " gates");
  std::vector<PrepackedLayer> layers;
  int64_t width = x.size(-1);
  for (size_t i = 0; i < parts.size(); i++) {
    layers.push_back(layerOf(parts[i], channels[i], activations[i], gates[i], width));
    width = layers.back().channels;
  }
  return layers;
}

static Shape shapeOf(const Tensor& x, int64_t width) {
  Shape shape = x.sizes().vec();
  shape.back() = width;
  return shape;
}

/** Several layers on the same rows, which are stored once. */
static Tensors linears(const Tensor& x, const std::vector<PrepackedLayer>& layers, at::ScalarType dtype) {
  const int64_t I = x.size(-1) / (layers[0].gate ? 2 : 1), rows = x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
  const Storage storage = layers[0].storage;
  const int64_t bytes = I * storedBytes(storage);
  Tensors results;
  std::vector<PrepackedWeight> weights;
  std::vector<int64_t> firstBlocks{0};
  for (const PrepackedLayer& layer : layers) {
    TORCH_CHECK(layer.storage == storage, "expected weights of one type, got two");
    results.push_back(at::empty(shapeOf(x, layer.channels), dtype));
    weights.push_back(layer.weight(I));
    firstBlocks.push_back(firstBlocks.back() + layer.blocks());
  }
  if (rows == 0) return results;
  const Type type = typeOf(results[0]);
  const RowInput input = layers[0].input(typeOf(x), x.const_data_ptr(), I);
  const int64_t threads = at::get_num_threads();
  if (rows >= threads * kOwnRows || threads == 1) {
    const int64_t tiles = roundUp((rows + kMostTileRows - 1) / kMostTileRows, std::min(threads, rows)), height = (rows + tiles - 1) / tiles;
    at::parallel_for(0, tiles, 1, [&](int64_t firstTile, int64_t lastTile) {
      const RowMemory memory(height, bytes);
      const Tensor scratch = at::empty({roundUp(I, 16)}, at::kFloat);
      for (int64_t tile = firstTile; tile < lastTile; tile++) {
        const int64_t begin = std::min(tile * height, rows), count = std::min(rows - begin, height);
        if (count == 0) return;
        RowInput own = input;
        own.x = static_cast<const char*>(input.x) + begin * x.size(-1) * x.element_size();
        prepackedKernels().store(own, memory.rows(storage), mutableFloats(scratch), 0, count);
        for (size_t i = 0; i < layers.size(); i++) {
          auto* y = static_cast<char*>(results[i].mutable_data_ptr()) + begin * layers[i].channels * results[i].element_size();
          prepackedKernels().product(memory.rows(storage), weights[i], type, y, 0, count, 0, layers[i].blocks());
        }
      }
    });
    return results;
  }
  const RowMemory memory(rows, bytes);
  const Tensor scratch = makeScratch(I);
  forRows(rows, I, [&](int64_t begin, int64_t end, int) { prepackedKernels().store(input, memory.rows(storage), scratchOf(scratch), begin, end); });
  forBlocks(rows, I, firstBlocks.back(), [&](int64_t first, int64_t last) {
    for (size_t i = 0; i < layers.size(); i++) {
      const int64_t from = std::max(first, firstBlocks[i]), to = std::min(last, firstBlocks[i + 1]);
      if (from >= to) continue;
      prepackedKernels().product(memory.rows(storage), weights[i], type, results[i].mutable_data_ptr(), 0, rows, from - firstBlocks[i], to - firstBlocks[i]);
    }
  });
  return results;
}

void definePrepacked(Napi::Object& exports) {
  define(exports, "prepack", [](Tensor weight, at::ScalarType dtype, Optional smoothing) {
    TORCH_CHECK(weight.is_cpu() && weight.scalar_type() == at::kFloat && weight.dim() == 2, "expected a float32 weight [O, I] on the CPU, got ",
                weight.scalar_type(), " ", weight.sizes(), " on ", weight.device());
    const Tensor rows = weight.contiguous();
    const int64_t O = rows.size(0), I = rows.size(1);
    const Storage storage = storageOf(dtype);
    const Optional divisor = vectorOf("smoothing", smoothing, I);
    TORCH_CHECK(!divisor || storage == Storage::int8, "expected smoothing with int8 alone");
    Tensor packed = at::empty(packedShape(storage, O, I), dtype);
    Tensors parts{packed};
    if (storage == Storage::int8)
      for (int i = 0; i < 2; i++) parts.push_back(at::empty({O}, at::kFloat));
    at::parallel_for(0, packed.size(0), 1, [&](int64_t begin, int64_t end) {
      prepackedKernels().pack(storage, floats(rows), O, I, floats(divisor), static_cast<uint8_t*>(packed.mutable_data_ptr()),
                              storage == Storage::int8 ? mutableFloats(parts[1]) : nullptr,
                              storage == Storage::int8 ? mutableFloats(parts[2]) : nullptr, begin, end);
    });
    return parts;
  });
  define(exports, "prepackedLinears", [](Tensor x, Parts parts, Shape channels, std::string activation, std::string gate, at::ScalarType dtype) {
    TORCH_CHECK(isFused(dtype), "expected dtype float32 or bfloat16, got ", dtype);
    TORCH_CHECK(x.dim() > 0 && !parts.empty() && parts.size() == channels.size(), "expected x [.., I] and at least one layer, got ", x.sizes(), " and ", parts.size());
    typeOf(x);
    std::vector<PrepackedLayer> layers;
    for (size_t i = 0; i < parts.size(); i++) layers.push_back(layerOf(parts[i], channels[i], activation, gate, x.size(-1)));
    return linears(x.contiguous(), layers, dtype);
  });
  define(exports, "prepackedChain", [](Tensor x, Parts parts, Shape channels, std::vector<std::string> activations, std::vector<std::string> gates) {
    const auto layers = chainOf(x, parts, channels, activations, gates);
    const int64_t width = layers.back().channels;
    Tensor y = at::empty(shapeOf(x, width), at::kFloat);
    Chain(x.contiguous(), layers).run([&](const float* rows, int64_t begin, int64_t end) {
      std::memcpy(mutableFloats(y) + begin * width, rows, (end - begin) * width * sizeof(float));
    });
    return y;
  });
  define(exports, "prepackedChainAddNorm",
         [](Tensor residual, Tensor x, Parts parts, Shape channels, std::vector<std::string> activations, std::vector<std::string> gates,
            Tensor weight, Optional bias, bool center, double eps) {
           const auto layers = chainOf(x, parts, channels, activations, gates);
           const int64_t C = layers.back().channels;
           const Shape shape = shapeOf(x, C);
           TORCH_CHECK(residual.is_cpu() && residual.scalar_type() == at::kFloat && residual.sizes() == at::IntArrayRef(shape),
                       "expected a float32 residual ", at::IntArrayRef(shape), " on the CPU, got ", residual.scalar_type(), " ",
                       residual.sizes());
           const Tensor base = residual.contiguous();
           Tensor sum = at::empty_like(base), normed = at::empty_like(base);
           Tensor statistics = at::empty({2, C == 0 ? 0 : base.numel() / C}, at::kFloat);
           const Optional norm = vectorOf("weight", weight, C), shift = vectorOf("bias", bias, C);
           const NormForward args{.C = C,
                                  .center = center,
                                  .eps = static_cast<float>(eps),
                                  .x = floats(base),
                                  .yType = Type::float32,
                                  .y = nullptr,
                                  .sum = mutableFloats(sum),
                                  .weight = floats(norm),
                                  .bias = floats(shift),
                                  .normed = mutableFloats(normed),
                                  .rstd = mutableFloats(statistics),
                                  .mean = mutableFloats(statistics) + statistics.size(1)};
           Chain(x.contiguous(), layers).run([&](const float* rows, int64_t begin, int64_t end) {
             NormForward own = args;
             own.y = rows - begin * C;
             normKernels().forward(own, begin, end);
           });
           return Tensors{sum, normed};
         });
}

}  // namespace binding
