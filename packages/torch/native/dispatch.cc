// Which of the kernels' compilations runs (kernels/dispatch.h): the best that this processor has, until another is asked for.
#include "kernels/dispatch.h"

#include <algorithm>
#include <atomic>

#include "convert.h"

namespace binding {

static const char* const kNames[] = {"portable", "avx2", "avx2vnni", "avx512", "avx512vnni", "avx512bf16"};

static bool supports(InstructionSet set) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  switch (set) {
    case InstructionSet::avx2: return avx2;
    case InstructionSet::avx2vnni: return avx2 && __builtin_cpu_supports("avxvnni");
    case InstructionSet::avx512: return avx512;
    case InstructionSet::avx512vnni: return vnni;
    case InstructionSet::avx512bf16: return vnni && __builtin_cpu_supports("avx512bf16");
    default: return true;
  }
#else
  return set == InstructionSet::portable;
#endif
}

/** From the slowest to the best. */
static std::vector<InstructionSet> supported() {
  std::vector<InstructionSet> sets;
  for (int i = 0; i <= static_cast<int>(InstructionSet::avx512bf16); i++)
    if (supports(static_cast<InstructionSet>(i))) sets.push_back(static_cast<InstructionSet>(i));
  return sets;
}

static std::atomic<InstructionSet> chosen{supported().back()};

InstructionSet instructionSet() { return chosen.load(std::memory_order_relaxed); }

bool hasVnni() {
  const InstructionSet set = instructionSet();
  return set == InstructionSet::avx2vnni || set == InstructionSet::avx512vnni || set == InstructionSet::avx512bf16;
}

static std::vector<std::string> available() {
  std::vector<std::string> names;
  for (const InstructionSet set : supported()) names.push_back(kNames[static_cast<int>(set)]);
  return names;
}

void defineDispatch(Napi::Object& exports) {
  define(exports, "instructionSet", []() { return std::string(kNames[static_cast<int>(instructionSet())]); });
  define(exports, "instructionSets", available);
  define(exports, "setInstructionSet", [](std::string name) {
    auto names = available();
    auto found = std::find(names.begin(), names.end(), name);
    TORCH_CHECK(found != names.end(), "expected an instruction set that this processor has, ", at::ArrayRef<std::string>(names),
                ", got ", name);
    chosen = supported()[found - names.begin()];
  });
}

}  // namespace binding
