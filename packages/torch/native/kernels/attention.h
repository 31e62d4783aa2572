// Attention over packed sequences on the CPU: the work as plain pointers, and the kernels of one instruction set.
// A group is a run of query blocks of one sequence whose heads read one head of keys and values; its result depends on nothing
// outside that sequence. With grouped heads (Ainslie et al. 2023) those are several: query head h reads head h / queryHeads.
// Who calls cuts the batch into groups (attention-plan.h), hands out scratch memory and runs the threads.
#pragma once
#include "dispatch.h"

namespace binding {

// Queries a block: the unit in which work is cut.
constexpr int64_t attentionQueries = 64;

// [N, heads, D] with the values of a head side by side; steps in values.
struct HeadRows {
  void* data;
  int64_t tokenStep, headStep;
};

struct AttentionTask {
  HeadRows q, k, v, output;
  HeadRows gradOutput{}, gradQ{}, gradK{}, gradV{};  // backward only
  float* logsumexp;                          // [H, N], of the scaled scores, base 2
  int64_t tokens, width;                     // N, D
  int64_t queryHeads;                        // that read one head of k and v
  int64_t window;                            // a query sees the keys at a distance up to this
  float scale;                               // above 0
};

struct AttentionGroup {
  int64_t start, length, head;    // the sequence's first token, its tokens; the head of k and v
  int64_t firstBlock, lastBlock;  // counted through its query heads, one after another
};

static inline int64_t queryBlocks(int64_t length) { return (length + attentionQueries - 1) / attentionQueries; }

// For one type of input. Scratch sizes are in bytes, for groups of sequences up to `length`.
struct AttentionKernels {
  int64_t (*forwardScratch)(const AttentionTask&, int64_t length);
  void (*forward)(const AttentionTask&, const AttentionGroup&, char* scratch);
  int64_t (*backwardScratch)(const AttentionTask&, int64_t length);
  // Writes gradQ of the group's queries. The gradients of keys and values: where the group is all of their head, they go to
  // gradK and gradV; else into `partial` [2, length, padded D] float32, zeroed here, for `addPartials`.
  void (*backward)(const AttentionTask&, const AttentionGroup&, char* scratch, float* partial);
  int64_t (*partialSize)(const AttentionTask&, int64_t length);
  // gradK and gradV of keys [firstKey, lastKey) from `count` partials that lie `step` floats apart, added in order.
  void (*addPartials)(const AttentionTask&, const AttentionGroup&, const float* partials, int64_t count, int64_t step,
                      int64_t firstKey, int64_t lastKey);
};

struct AttentionTable {
  AttentionKernels float32;
  AttentionKernels bfloat16;              // multiplied in float32
  const AttentionKernels* bfloat16Pairs;  // by AVX512_BF16's dot products; null without them
};

}  // namespace binding

DECLARE_KERNELS(AttentionTable, attentionKernels)
