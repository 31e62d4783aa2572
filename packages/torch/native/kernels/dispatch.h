// How a kernel is built several times and chosen once. Every .cc file of this folder is compiled for each instruction set that
// binding.gyp lists, into the namespace KERNEL_NAMESPACE, and defines there constant tables of function pointers; the addon
// calls through the table of the best set that this processor has. Elsewhere than on x86-64 there is only `portable`.
//
// Rules of such a file: it works on a range of rows, and its caller divides the rows among threads; everything in it but the
// tables is of internal linkage or in its namespace, and it includes neither libtorch nor templates of the standard library.
// NOTE: of an inline function that several files share the linker keeps any one copy, and if that is the AVX-512 one, an
// older processor stops at it.
#pragma once
#include <cstdint>

namespace binding {

enum class InstructionSet { portable, avx2, avx2vnni, avx512, avx512vnni, avx512bf16 };

/** The set in use: the best that is compiled and that this processor and its system support, or the one asked for since. */
InstructionSet instructionSet();

/** Whether it has products of bytes (VNNI). A level of its own beside each width: its code names them, the compiler does not. */
bool hasVnni();

/** What the values of a tensor are. Kernels compute in float32 and round once, on storing. */
enum class Type { float32, bfloat16 };

}  // namespace binding

// Declares the table `name` of every instruction set, and `name()`, which gives the one to use here.
#if defined(__x86_64__)
#define DECLARE_KERNELS(Table, name)                                    \
  namespace binding::portable { extern const Table name; }              \
  namespace binding::avx2 { extern const Table name; }                  \
  namespace binding::avx512 { extern const Table name; }                \
  namespace binding::avx512bf16 { extern const Table name; }            \
  namespace binding {                                                   \
  static inline const Table& name() {                                   \
    switch (instructionSet()) {                                         \
      case InstructionSet::avx512bf16: return avx512bf16::name;         \
      case InstructionSet::avx512vnni:                                  \
      case InstructionSet::avx512: return avx512::name;                 \
      case InstructionSet::avx2vnni:                                    \
      case InstructionSet::avx2: return avx2::name;                     \
      default: return portable::name;                                   \
    }                                                                   \
  }                                                                     \
  }
#else
#define DECLARE_KERNELS(Table, name)                                    \
  namespace binding::portable { extern const Table name; }              \
  namespace binding {                                                   \
  static inline const Table& name() { return portable::name; }          \
  }
#endif
