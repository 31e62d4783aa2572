// Attention over a packed batch where it is not the CPU that computes (device-attention.cc).
#pragma once
#include "convert.h"

namespace binding {

// What packedAttention gives (attention.cc): q [N, H, D], k and v [N, K, D], checked, with tokens.
Tensor deviceAttention(const Tensor& q, const Tensor& k, const Tensor& v, const Shape& cuSeqlens, double scale,
                       std::optional<int64_t> window);

}  // namespace binding
