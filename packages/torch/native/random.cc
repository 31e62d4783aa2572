// Seeded generators, whose whole state can be saved and put back, and the ops that draw from them.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/randperm.h>

#include <cstring>

#include "convert.h"

namespace binding {

static at::Generator makeGenerator(int64_t seed, at::Device device) {
  at::Generator generator = !device.is_cuda() ? at::make_generator<at::CPUGeneratorImpl>()
                                              : at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(static_cast<uint64_t>(seed));
  return generator;
}

// NOTE: libtorch takes a state whose place lies anywhere up to the end of its table of 624 numbers, and then reads on behind it.
static void setState(at::Generator generator, const Tensor& state) {
  if (generator.device().is_cpu() && state.is_cpu() && state.is_contiguous() && state.nbytes() >= 24) {
    int32_t left;   // until the table is made anew
    uint64_t next;  // to be taken
    const char* bytes = static_cast<const char*>(state.const_data_ptr());
    std::memcpy(&left, bytes + 8, sizeof(left));
    std::memcpy(&next, bytes + 16, sizeof(next));
    TORCH_CHECK(left >= 1 && left <= 624 && next <= 624 && left + next <= 625, "expected a generator's state, got one with ", left,
                " numbers left after ", next, " of 624");
  }
  generator.set_state(state);
}

void defineRandom(Napi::Object& exports) {
  using at::Generator;
  define(exports, "makeGenerator", makeGenerator);
  define(exports, "disposeGenerator", [](Napi::Value handle) {
    Environment::of(handle.Env()).generators.release(numberFrom(handle, "a generator"));
  });
  define(exports, "setSeed", [](Generator generator, int64_t seed) { generator.set_current_seed(static_cast<uint64_t>(seed)); });
  define(exports, "generatorState", [](Generator generator) { return generator.get_state(); });
  define(exports, "setGeneratorState", setState);
  define(exports, "normal_", [](Tensor x, double mean, double std, std::optional<Generator> generator) {
    x.normal_(mean, std, generator);
  });
  define(exports, "uniform_", [](Tensor x, double low, double high, std::optional<Generator> generator) {
    x.uniform_(low, high, generator);
  });
  define(exports, "bernoulli_", [](Tensor x, double p, std::optional<Generator> generator) { x.bernoulli_(p, generator); });
  define(exports, "randint_", [](Tensor x, int64_t low, int64_t high, std::optional<Generator> generator) {
    x.random_(low, high, generator);
  });
  define(exports, "randperm", [](int64_t n, std::optional<Generator> generator, at::Device device) {
    return at::randperm(n, generator, at::TensorOptions().dtype(at::kLong).device(device));
  });
  define(exports, "manualSeed", [](int64_t seed) {
    loadCudaWhereItIs();
    at::manual_seed(static_cast<uint64_t>(seed));
  });
}

}  // namespace binding
