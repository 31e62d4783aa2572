// Which of the kernels' compilations runs (kernels/dispatch.h): the best that this processor has, until another is asked for.
#include "kernels/dispatch.h"

#include <algorithm>
#include <atomic>

#include "convert.h"

namespace binding {

static const char* const kNames[] = {"portable", "avx2", "avx512", "avx512bf16"};

// Each set includes the ones before it.
static InstructionSet bestSet() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return InstructionSet::portable;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return InstructionSet::avx2;
  return __builtin_cpu_supports("avx512bf16") ? InstructionSet::avx512bf16 : InstructionSet::avx512;
#else
  return InstructionSet::portable;
#endif
}

static std::atomic<InstructionSet> chosen{bestSet()};

InstructionSet instructionSet() { return chosen.load(std::memory_order_relaxed); }

static std::vector<std::string> available() {
  return {kNames, kNames + static_cast<int>(bestSet()) + 1};
}

void defineDispatch(Napi::Object& exports) {
  define(exports, "instructionSet", []() { return std::string(kNames[static_cast<int>(instructionSet())]); });
  define(exports, "instructionSets", available);
  define(exports, "setInstructionSet", [](std::string name) {
    auto names = available();
    auto found = std::find(names.begin(), names.end(), name);
    TORCH_CHECK(found != names.end(), "expected an instruction set that this processor has, ", at::ArrayRef<std::string>(names),
                ", got ", name);
    chosen = static_cast<InstructionSet>(found - names.begin());
  });
}

}  // namespace binding
