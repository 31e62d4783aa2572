// How the attention kernels lay tokens out: rows and pairs of rows staged densely, results turned and written back, and which
// keys a block of queries sees. Staging costs one pass over K and V a head, against as many products as there are queries.
#pragma once
#include "attention-tiles.h"
#include "attention.h"

namespace binding::KERNEL_NAMESPACE {

constexpr int64_t keysABlock = 64;
constexpr int64_t queries = attentionQueries;
constexpr float noScore = -1e30f, log2e = 1.44269504f;

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t roundUp(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Hands out memory in aligned pieces and counts them; without memory it only counts, and what it hands out is null.
struct Arena {
  char* memory;
  int64_t bytes = 0;
  template <class T>
  T* take(int64_t count) {
    T* taken = memory ? reinterpret_cast<T*>(memory + bytes) : nullptr;
    bytes += roundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    return taken;
  }
};

template <class M>
struct Sizes {
  int64_t width, padded, words, paddedWords;  // a row of D values: as they are, in whole vectors, in words, in vectors of words
  explicit Sizes(int64_t D)
      : width(D), padded(roundUp(D, LANES)), words((D + M::pack - 1) / M::pack), paddedWords(roundUp(words, LANES)) {}
};

template <class T>
INLINE Floats loadSome(const T* from, int64_t count) {
  if (count >= LANES) return loadFloats(from);
  T some[LANES] = {};
  for (int64_t i = 0; i < count; i++) some[i] = from[i];
  return loadFloats(some);
}

INLINE Halves loadHalves(const bfloat16* from, int64_t count) {
  if (count >= LANES) return load<Halves>(from);
  Halves some{};
  for (int64_t i = 0; i < count; i++) some[i] = from[i].bits;
  return some;
}

template <class T>
INLINE void storeSome(T* to, Floats x, int64_t count) {
  if (count >= LANES) return storeFloats(to, x);
  T some[LANES];
  storeFloats(some, x);
  for (int64_t i = 0; i < count; i++) to[i] = some[i];
}

template <class T>
INLINE T* rowOf(const HeadRows& rows, int64_t token, int64_t head) {
  return static_cast<T*>(rows.data) + token * rows.tokenStep + head * rows.headStep;
}

// A head's row of the next token lies H rows further on, where no processor looks by itself: it is asked for this many tokens
// ahead (12 heads of 64, 32 x 128 tokens, Zen 4: 4 % faster in float32, 12 % in bfloat16).
constexpr int64_t tokensAhead = 8;

template <class T>
INLINE void prefetchAhead(const T* row, ptrdiff_t tokenStep, int64_t width) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t c = 0; c < width; c += line) __builtin_prefetch(row + tokensAhead * tokenStep + c);
}

// `count` tokens as rows of words, zeros up to the padded width and for rows up to `allRows`.
template <class M, class In>
void stageRows(const HeadRows& from, int64_t token, int64_t head, int64_t count, int64_t allRows, const Sizes<M>& sizes,
               typename M::Word* to) {
  using Element = typename M::Element;
  int64_t step = sizes.paddedWords * M::pack;
  for (int64_t r = 0; r < allRows; r++) {
    Element* row = reinterpret_cast<Element*>(to) + r * step;
    const In* source = rowOf<const In>(from, token + r, head);
    prefetchAhead(source, from.tokenStep, sizes.width);
    for (int64_t c = 0; c < step; c += LANES) {
      bool empty = r >= count || c >= sizes.width;
      if constexpr (M::pack == 2) store(row + c, empty ? Halves{} : loadHalves(source + c, sizes.width - c));
      else store(row + c, empty ? Floats{} : loadSome(source + c, sizes.width - c));
    }
  }
}

// The same tokens with words that run down the columns: pairs of rows of bfloat16 interleaved, [count / pack, padded].
template <class M, class In>
void stageColumns(const HeadRows& from, int64_t token, int64_t head, int64_t count, const Sizes<M>& sizes, typename M::Word* to) {
  if constexpr (M::pack == 1) {
    stageRows<M, In>(from, token, head, count, count, sizes, to);
  } else {
    for (int64_t r = 0; r < count; r += 2) {
      const In *source = rowOf<const In>(from, token + r, head), *next = source + from.tokenStep;
      prefetchAhead(source, from.tokenStep, sizes.width);
      prefetchAhead(next, from.tokenStep, sizes.width);
      for (int64_t c = 0; c < sizes.padded; c += LANES) {
        Halves low = loadHalves(source + c, sizes.width - c);
        Halves high = r + 1 < count ? loadHalves(next + c, sizes.width - c) : Halves{};
        store(to + r / 2 * sizes.padded + c, interleave(low, high));
      }
    }
  }
}

// Rows of `turned` [D, queries] scaled by their query into rows of `to`; `rows` [queries, padded D] is scratch.
template <class Out>
void writeTurned(const float* turned, const float* rowScale, float* rows, int64_t columns, int64_t width, const HeadRows& to,
                 int64_t token, int64_t head, int64_t count) {
  int64_t padded = roundUp(width, LANES);
  transpose(padded, columns, turned, queries, rows, padded);
  for (int64_t r = 0; r < count; r++)
    for (int64_t c = 0; c < width; c += LANES)
      storeSome(rowOf<Out>(to, token + r, head) + c, load<Floats>(rows + r * padded + c) * rowScale[r], width - c);
}

template <class Out>
void writeRows(const float* rows, float scale, int64_t width, const HeadRows& to, int64_t token, int64_t head, int64_t count) {
  int64_t padded = roundUp(width, LANES);
  for (int64_t r = 0; r < count; r++)
    for (int64_t c = 0; c < width; c += LANES)
      storeSome(rowOf<Out>(to, token + r, head) + c, load<Floats>(rows + r * padded + c) * scale, width - c);
}

// One of a group's blocks: its head of queries, the first of them and their number.
struct QueryBlock {
  int64_t head, first, count;
  QueryBlock(const AttentionTask& task, const AttentionGroup& group, int64_t block) {
    int64_t blocks = queryBlocks(group.length);
    head = group.head * task.queryHeads + block / blocks;
    first = block % blocks * queries;
    count = least(queries, group.length - first);
  }
  int64_t last() const { return first + count; }
};

// The keys that some of the queries [firstQuery, lastQuery) of a sequence see, or some of a group's.
struct KeyRange {
  int64_t first, last;
  KeyRange(const AttentionTask& task, const AttentionGroup& group, int64_t firstQuery, int64_t lastQuery)
      : first(most(firstQuery - task.window, 0)), last(least(lastQuery + task.window, group.length)) {}
  KeyRange(const AttentionTask& task, const AttentionGroup& group) : first(0), last(group.length) {
    QueryBlock from(task, group, group.firstBlock), to(task, group, group.lastBlock - 1);
    if (from.head == to.head) *this = KeyRange(task, group, from.first, to.last());
  }
  int64_t count() const { return last - first; }
};

// One block of scores: `rows` keys from `key` on, `columns` queries from `query` on (padded to whole vectors).
struct Block {
  int64_t query, columns, key, rows, window;
  bool cut() const { return key < query + columns - 1 - window || key + rows - 1 > query + window; }
};

// All bits where the query of each lane sees the key of this row.
INLINE Ints seen(const Block& block, int64_t row, int64_t column) {
  int32_t distance = static_cast<int32_t>(block.key + row - block.query - column);
  Ints lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  int32_t window = static_cast<int32_t>(block.window);
  return (lane >= distance - window) & (lane <= distance + window);
}

}  // namespace binding::KERNEL_NAMESPACE
