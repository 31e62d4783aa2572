// Which of the kernels' compilations this processor runs (kernels/dispatch.h).
#include "kernels/dispatch.h"

namespace binding {

InstructionSet instructionSet() {
#if defined(__x86_64__)
  static const InstructionSet best = [] {
    auto has512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (has512) return __builtin_cpu_supports("avx512bf16") ? InstructionSet::avx512bf16 : InstructionSet::avx512;
    bool has256 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has256 ? InstructionSet::avx2 : InstructionSet::portable;
  }();
  return best;
#else
  return InstructionSet::portable;
#endif
}

}  // namespace binding
