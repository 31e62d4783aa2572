// GPUs: what loads CUDA's half of libtorch (cuda.cc), and who asks for it.
#pragma once
#include <c10/core/Device.h>

#include <string>

namespace binding {

// Loads CUDA where it is not, and throws, saying what lacks and how to get it, where `device` cannot be used.
void useCuda(const at::Device& device);

// NOTE: libtorch looks once for what knows CUDA, in the first backward pass among others, and never sees what is loaded after
// that. Where a GPU answers, CUDA is therefore loaded before it; where none does, this does nothing.
void loadCudaWhereItIs();

// libtorch's words for a GPU that is full, with what this process holds of it and the way out; other messages as they are.
std::string outOfMemoryText(const std::string& message);

}  // namespace binding
