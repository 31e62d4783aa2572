// Creation, the way in and out of typed arrays, properties of a tensor, lifetime, threads.
#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <torch/csrc/api/include/torch/version.h>

#include <cstring>

#include "convert.h"

namespace binding {

static const std::pair<const char*, at::ScalarType> kDtypes[] = {
    {"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16}, {"int64", at::kLong},
    {"int32", at::kInt},     {"uint8", at::kByte},     {"bool", at::kBool}};

at::ScalarType dtypeFromName(const std::string& name) {
  for (auto& [known, dtype] : kDtypes)
    if (name == known) return dtype;
  throw std::invalid_argument("expected dtype float32, float64, bfloat16, int64, int32, uint8 or bool, got " + name);
}

at::Device deviceFromName(const std::string& name) {
  const at::Device device(name);
  if (device.is_cuda()) useCuda(device);
  TORCH_CHECK(device.is_cpu() || device.is_cuda() || device.is_meta(), "expected device cpu, cuda or meta, got ", name);
  return device;
}

std::string dtypeName(at::ScalarType dtype) {
  for (auto& [name, known] : kDtypes)
    if (dtype == known) return name;
  return c10::toString(dtype);
}

static at::TensorOptions options(at::ScalarType dtype, at::Device device) {
  return at::TensorOptions().dtype(dtype).device(device);
}

// NOTE: an ArrayBuffer that shrinks gives its pages back while the tensor still reads them.
static void checkFixedSize(const Napi::TypedArray& array) {
  const Napi::Value buffer = array.As<Napi::Object>().Get("buffer");
  if (buffer.As<Napi::Object>().Get("resizable").ToBoolean())
    throw std::invalid_argument("expected an array whose buffer keeps its size, got one over a resizable ArrayBuffer\n"
                                "Take a copy of it, array.slice().");
}

// Asked of the array itself, since node-addon-api's ArrayBuffer refuses shared memory.
static void* bytesOf(const Napi::TypedArray& array) {
  void* bytes = nullptr;
  napi_status status = napi_get_typedarray_info(array.Env(), array, nullptr, nullptr, &bytes, nullptr, nullptr);
  NAPI_THROW_IF_FAILED(array.Env(), status, nullptr);
  return bytes;
}

static void checkBytes(const Napi::TypedArray& array, int64_t bytes) {
  if (static_cast<int64_t>(array.ByteLength()) != bytes)
    throw std::invalid_argument("expected a typed array of " + std::to_string(bytes) + " bytes, got " +
                                std::to_string(array.ByteLength()));
}

// A tensor over the array's own memory: both see each other's writes, and the array lives as long as the tensor.
static Tensor borrow(Napi::TypedArray array, const Shape& shape, at::ScalarType dtype) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (int64_t size : shape) {
    TORCH_CHECK(size >= 0, "expected a shape of sizes that are 0 or more, got ", at::IntArrayRef(shape));
    TORCH_CHECK(!__builtin_mul_overflow(bytes, size, &bytes), "expected a shape of the array's size, got ", at::IntArrayRef(shape));
  }
  checkBytes(array, bytes);
  checkFixedSize(array);
  if (bytes == 0) return at::empty(shape, options(dtype, at::kCPU));
  auto& environment = Environment::of(array.Env());
  auto* reference = new Napi::ObjectReference(Napi::Persistent(array.As<Napi::Object>()));
  auto release = [borrowed = environment.borrowed, reference](void*) {
    std::lock_guard<std::mutex> lock(borrowed->mutex);
    if (!borrowed->closed) borrowed->released.push_back(reference);
  };
  return at::from_blob(bytesOf(array), shape, release, options(dtype, at::kCPU));
}

// NOTE: libtorch counts the elements of integers in int64: it divides by a step below 1, which is 0 there, and a range beyond
// int64 wraps around.
static Tensor arange(at::Scalar start, at::Scalar end, at::Scalar step, at::ScalarType dtype, at::Device device) {
  const double from = start.toDouble(), to = end.toDouble(), by = step.toDouble(), count = (to - from) / by;
  constexpr double exact = 0x1p53, most = static_cast<double>(kMostElements);
  TORCH_CHECK(count <= most, "expected at most 2^38 elements, got ", from, " to ", to, " by ", by);
  if (at::isIntegralType(dtype, true))
    for (double value : {from, to, by})
      TORCH_CHECK(value == std::floor(value) && std::abs(value) <= exact, "expected integers for ", dtypeName(dtype), ", got ", from,
                  " to ", to, " by ", by);
  return at::arange(start, end, step, options(dtype, device));
}

// NOTE: a blocking copy waits until the GPU has done all that it was asked for before. From memory of the CPU, which CUDA has copied
// aside before it returns, none is needed; to the CPU it is.
Tensor onDevice(const Tensor& tensor, const at::Device& device) {
  return tensor.to(tensor.options().device(device), tensor.is_cpu());
}

void defineMemory(Napi::Object& exports) {
  define(exports, "borrow", borrow);
  define(exports, "copyTo", [](Tensor tensor, Napi::TypedArray array) {
    Tensor source = tensor.detach().cpu().contiguous();
    checkBytes(array, static_cast<int64_t>(source.nbytes()));
    if (source.nbytes()) std::memcpy(bytesOf(array), source.const_data_ptr(), source.nbytes());
  });
  define(exports, "item", [](Tensor tensor) {
    TORCH_CHECK(tensor.numel() == 1, "expected a tensor of one element, got shape ", tensor.sizes());
    if (tensor.scalar_type() != at::kLong) return tensor.item<double>();
    int64_t value = tensor.item<int64_t>();
    TORCH_CHECK(value >= -(1LL << 53) && value <= (1LL << 53),
                "expected an integer that a number holds exactly, got ", value, "\ntoTypedArray gives it as a BigInt.");
    return static_cast<double>(value);
  });

  define(exports, "empty", [](Shape shape, at::ScalarType dtype, at::Device device) {
    return at::empty(shape, options(dtype, device));
  });
  define(exports, "full", [](Shape shape, at::Scalar value, at::ScalarType dtype, at::Device device) {
    return at::full(shape, value, options(dtype, device));
  });
  define(exports, "arange", arange);
  define(exports, "eye", [](int64_t n, at::ScalarType dtype, at::Device device) { return at::eye(n, options(dtype, device)); });

  define(exports, "shape", [](Tensor tensor) { return tensor.sizes().vec(); });
  define(exports, "strides", [](Tensor tensor) { return tensor.strides().vec(); });
  define(exports, "dtype", [](Tensor tensor) { return dtypeName(tensor.scalar_type()); });
  define(exports, "device", [](Tensor tensor) { return tensor.device().str(); });
  // In one call, without a string, as it is asked of every op's inputs: whether the kernels of our own take it.
  define(exports, "takesFused", [](Tensor tensor) {
    return tensor.is_cpu() && (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
  });
  define(exports, "isContiguous", [](Tensor tensor) { return tensor.is_contiguous(); });
  define(exports, "sharesMemory", [](Tensor a, Tensor b) { return a.is_alias_of(b); });
  define(exports, "toDtype", [](Tensor tensor, at::ScalarType dtype) { return tensor.to(dtype); });
  define(exports, "toDevice", onDevice);
  define(exports, "contiguous", [](Tensor tensor) { return tensor.contiguous(); });
  define(exports, "clone", [](Tensor tensor) { return tensor.clone(); });

  define(exports, "dispose", [](Napi::Value handle) {
    auto& environment = Environment::of(handle.Env());
    environment.tensors.release(numberFrom(handle, "a tensor"));
    environment.dropReleased();
  });
  exports.Set("liveTensors", Napi::Function::New(exports.Env(), [](const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(Environment::of(info.Env()).tensors.live()));
  }));
  define(exports, "setNumThreads", [](int64_t threads) {
    // NOTE: a thread's first parallel op would otherwise replace its number by the one that any thread set last; libtorch
    // and the addon each have such a first op, as what remembers it is an inline function's.
    TORCH_CHECK(threads >= 1 && threads <= 1024, "expected 1 to 1,024 threads, got ", threads);
    at::get_num_threads();
    at::internal::lazy_init_num_threads();
    at::set_num_threads(static_cast<int>(threads));
  });
  define(exports, "getNumThreads", []() { return static_cast<int64_t>(at::get_num_threads()); });
  define(exports, "version", []() { return std::string(TORCH_VERSION); });
  define(exports, "cpuCapability", []() { return at::get_cpu_capability(); });
}

}  // namespace binding
