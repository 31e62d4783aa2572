// Cuts a packed batch into parts of equal cost, one a thread: sequences, their heads of keys and the query blocks that read them
// in order, cut where the cost so far passes each part's share. A thread meets a head of keys once, so it stages it once; the
// cut depends on lengths, heads and thread count alone, so a run repeats bit for bit.
#pragma once
#include <algorithm>
#include <vector>

#include "attention.h"

namespace binding {

struct AttentionPlan {
  std::vector<AttentionGroup> groups;
  std::vector<size_t> partEnds;  // the groups of part p end before this one
  int64_t longest = 0;           // tokens of the longest sequence

  size_t partBegin(size_t part) const { return part == 0 ? 0 : partEnds[part - 1]; }
};

inline bool isWholeHead(const AttentionGroup& group, int64_t queryHeads) {
  return group.firstBlock == 0 && group.lastBlock == queryHeads * queryBlocks(group.length);
}
inline bool areOneHead(const AttentionGroup& a, const AttentionGroup& b) { return a.start == b.start && a.head == b.head; }

// Scores that a block computes, and as much again for staging as `stagingKeys` more keys.
inline int64_t attentionCost(int64_t length, int64_t firstQuery, int64_t window) {
  constexpr int64_t lanes = 16, stagingKeys = 32;
  int64_t queries = std::min(attentionQueries, length - firstQuery);
  int64_t keys = std::min(length, firstQuery + queries + window) - std::max<int64_t>(0, firstQuery - window);
  return (queries + lanes - 1) / lanes * lanes * (keys + stagingKeys);
}

inline AttentionPlan planAttention(const std::vector<int64_t>& cuSeqlens, int64_t heads, int64_t queryHeads, int64_t window,
                                   int64_t threads) {
  AttentionPlan plan;
  auto eachBlock = [&](auto fn) {
    for (size_t i = 0; i + 1 < cuSeqlens.size(); i++) {
      int64_t length = cuSeqlens[i + 1] - cuSeqlens[i], blocks = queryBlocks(length);
      for (int64_t head = 0; head < heads; head++)
        for (int64_t block = 0; block < queryHeads * blocks; block++)
          fn(AttentionGroup{.start = cuSeqlens[i], .length = length, .head = head, .firstBlock = block, .lastBlock = block + 1},
             attentionCost(length, block % blocks * attentionQueries, window));
    }
  };
  int64_t total = 0;
  eachBlock([&](const AttentionGroup& block, int64_t cost) {
    total += cost;
    plan.longest = std::max(plan.longest, block.length);
  });
  constexpr int64_t leastCost = 32768;  // what is worth waking a thread for
  int64_t parts = std::clamp<int64_t>(total / leastCost, 1, threads), done = 0;
  plan.partEnds.resize(parts);
  eachBlock([&](const AttentionGroup& block, int64_t cost) {
    size_t part = static_cast<size_t>((done + cost / 2) * parts / total);
    bool joins = plan.partEnds[part] > 0 && areOneHead(plan.groups.back(), block);
    if (joins) plan.groups.back().lastBlock = block.lastBlock;
    else plan.groups.push_back(block);
    plan.partEnds[part] = plan.groups.size();
    done += cost;
  });
  for (size_t part = 1; part < plan.partEnds.size(); part++)
    plan.partEnds[part] = std::max(plan.partEnds[part], plan.partEnds[part - 1]);
  return plan;
}

}  // namespace binding
