// Flash attention (Dao et al. 2022) for one group of query blocks, compiled once per instruction set.
//   forward   S = scale Q KT, P = exp(S - logsumexp), O = P V          saved: O, logsumexp
//   backward  dV = PT dO, dS = P * (dO VT - rowsum(dO * O)), dQ = scale dS K, dK = scale dST Q; P is made again
// Scores stand transposed, [keys, queries]: keys and values are then read one word at a time, in rows as they come, the
// softmax over keys works on whole vectors of queries, and only queries are ever transposed.
// On two Zen 4 cores 1.3-1.6 times libtorch's rate in float32, 2-4 times in bfloat16 (bench/kernels-attention.mjs).
#include "attention-staging.h"

namespace binding::KERNEL_NAMESPACE {

// Scores to weights, in the running maximum's scale; `rescale` is what earlier sums are to be multiplied by.
template <class M, bool masked>
void softmaxBlock(const Block& block, float scale, float* scores, typename M::Word* weights, float* maxima, float* sums,
                  float* rescale) {
  for (int64_t j = 0; j < block.columns; j += LANES) {
    float* column = scores + j;
    Floats old = load<Floats>(maxima + j), top = broadcast(noScore);
    for (int64_t r = 0; r < block.rows; r++) {
      Floats score = load<Floats>(column + r * queries) * scale;
      if constexpr (masked) {
        score = seen(block, r, j) ? score : broadcast(noScore);
      }
      top = maximum(top, score);
    }
    top = maximum(old, top);
    Floats factor = exp2<M::exponentDegree>(old - top), sum = load<Floats>(sums + j) * factor;
    auto weight = [&](int64_t r) {
      Floats p = exp2<M::exponentDegree>(load<Floats>(column + r * queries) * scale - top);
      if constexpr (masked) p = seen(block, r, j) ? p : Floats{};
      sum += p;
      return p;
    };
    for (int64_t r = 0; r < block.rows; r += M::pack) {
      auto p = M::round(weight(r));
      if constexpr (M::pack == 1) store(weights + r * queries + j, p);
      else store(weights + r / 2 * queries + j, interleave(p, r + 1 < block.rows ? M::round(weight(r + 1)) : Halves{}));
    }
    store(maxima + j, top);
    store(sums + j, sum);
    store(rescale + j, factor);
  }
}

template <class M>
struct ForwardScratch {
  using Word = typename M::Word;
  Arena arena;
  Word *keys, *values, *rows, *turned, *weights;
  float *scores, *output, *outputRows, *maxima, *sums, *rescale;
  ForwardScratch(char* memory, const Sizes<M>& sizes, int64_t keyCount) : arena{memory} {
    keys = arena.take<Word>(keyCount * sizes.paddedWords);
    values = arena.take<Word>((keyCount + 1) / M::pack * sizes.padded);
    rows = arena.take<Word>(queries * sizes.paddedWords);
    turned = arena.take<Word>(queries * sizes.paddedWords);
    scores = arena.take<float>(keysABlock * queries);
    weights = M::pack == 1 ? reinterpret_cast<Word*>(scores) : arena.take<Word>(keysABlock / M::pack * queries);
    output = arena.take<float>(sizes.padded * queries);
    outputRows = arena.take<float>(sizes.padded * queries);
    maxima = arena.take<float>(queries);
    sums = arena.take<float>(queries);
    rescale = arena.take<float>(queries);
  }
};

template <class M, class In>
void forward(const AttentionTask& task, const AttentionGroup& group, char* memory) {
  using Word = typename M::Word;
  Sizes<M> sizes(task.width);
  KeyRange all(task, group);
  ForwardScratch<M> scratch(memory, sizes, all.count());
  stageRows<M, In>(task.k, group.start + all.first, group.head, all.count(), all.count(), sizes, scratch.keys);
  stageColumns<M, In>(task.v, group.start + all.first, group.head, all.count(), sizes, scratch.values);
  float scale = task.scale * log2e;
  for (int64_t i = group.firstBlock; i < group.lastBlock; i++) {
    QueryBlock block(task, group, i);
    int64_t head = block.head, count = block.count, columns = roundUp(count, LANES), token = group.start + block.first;
    stageRows<M, In>(task.q, token, head, count, columns, sizes, scratch.rows);
    transpose(columns, sizes.paddedWords, scratch.rows, sizes.paddedWords, scratch.turned, queries);
    for (int64_t i = 0; i < queries; i++) scratch.maxima[i] = noScore, scratch.sums[i] = 0;

    KeyRange range(task, group, block.first, block.last());
    // Blocks begin at an even distance from the first staged key, where pairs begin.
    int64_t firstKey = range.first - (range.first - all.first) % M::pack;
    Right<Word> turned{scratch.turned, queries};
    for (int64_t key = firstKey; key < range.last; key += keysABlock) {
      Block scores{block.first, columns, key, least(keysABlock, range.last - key), task.window};
      Left<Word> keys{scratch.keys + (key - all.first) * sizes.paddedWords, sizes.paddedWords, 1};
      product<M, zero>(scores.rows, columns, sizes.words, keys, turned, {scratch.scores, queries});
      auto softmax = scores.cut() ? softmaxBlock<M, true> : softmaxBlock<M, false>;
      softmax(scores, scale, scratch.scores, scratch.weights, scratch.maxima, scratch.sums, scratch.rescale);
      Left<Word> values{scratch.values + (key - all.first) / M::pack * sizes.padded, 1, sizes.padded};
      auto weigh = key == firstKey ? product<M, zero> : product<M, addScaled>;
      weigh(sizes.width, columns, (scores.rows + M::pack - 1) / M::pack, values, {scratch.weights, queries},
            {scratch.output, queries}, scratch.rescale);
    }

    float* logsumexp = task.logsumexp + head * task.tokens + token;
    for (int64_t i = 0; i < count; i++) {
      logsumexp[i] = scratch.maxima[i] + __builtin_log2f(scratch.sums[i]);
      scratch.sums[i] = 1 / scratch.sums[i];
    }
    writeTurned<In>(scratch.output, scratch.sums, scratch.outputRows, columns, sizes.width, task.output, token, head, count);
  }
}

// Scores and dO VT to P and dS, in the forms that their three products read.
template <class M>
struct GradientBlock {
  typename M::Word *p, *ds;  // rows of words along queries
  typename M::Word* dsDown;  // words along keys
};

template <class M, bool masked>
void gradientBlock(const Block& block, float scale, const float* scores, const float* gradWeights, const float* logsumexp,
                   const float* delta, const GradientBlock<M>& to) {
  using Element = typename M::Element;
  for (int64_t j = 0; j < block.columns; j += LANES) {
    Floats lse = load<Floats>(logsumexp + j), shift = load<Floats>(delta + j);
    auto row = [&](int64_t r) {
      int64_t i = r * queries + j;
      Floats p = exp2<M::exponentDegree>(load<Floats>(scores + i) * scale - lse);
      if constexpr (masked) p = seen(block, r, j) ? p : Floats{};
      Floats ds = p * (load<Floats>(gradWeights + i) - shift);
      auto rounded = M::round(ds);
      store(reinterpret_cast<Element*>(to.p) + i, M::round(p));
      store(reinterpret_cast<Element*>(to.ds) + i, rounded);
      return rounded;
    };
    for (int64_t r = 0; r < block.rows; r += M::pack) {
      auto ds = row(r);
      if constexpr (M::pack == 2) {
        Halves next = r + 1 < block.rows ? row(r + 1) : Halves{};
        store(to.dsDown + r / 2 * queries + j, interleave(ds, next));
      }
    }
  }
}

template <class M>
struct BackwardScratch {
  using Word = typename M::Word;
  Arena arena;
  Word *keys, *values, *keysDown;
  Word *q, *gradOutput, *qDown, *gradOutputDown, *qTurned, *gradOutputTurned;
  float *gradKeys, *scores, *gradWeights, *gradQ, *gradQRows, *logsumexp, *delta, *rowScale;
  GradientBlock<M> block;
  BackwardScratch(char* memory, const Sizes<M>& sizes, int64_t length, int64_t keyCount) : arena{memory} {
    constexpr bool pairs = M::pack == 2;
    keys = arena.take<Word>(keyCount * sizes.paddedWords);
    values = arena.take<Word>(keyCount * sizes.paddedWords);
    keysDown = pairs ? arena.take<Word>((keyCount + 1) / 2 * sizes.padded) : keys;
    gradKeys = arena.take<float>(2 * length * sizes.padded);
    q = arena.take<Word>(queries * sizes.paddedWords);
    gradOutput = arena.take<Word>(queries * sizes.paddedWords);
    qDown = pairs ? arena.take<Word>(queries / 2 * sizes.padded) : q;
    gradOutputDown = pairs ? arena.take<Word>(queries / 2 * sizes.padded) : gradOutput;
    qTurned = arena.take<Word>(queries * sizes.paddedWords);
    gradOutputTurned = arena.take<Word>(queries * sizes.paddedWords);
    scores = arena.take<float>(keysABlock * queries);
    gradWeights = arena.take<float>(keysABlock * queries);
    block.p = pairs ? arena.take<Word>(keysABlock * queries / 2) : reinterpret_cast<Word*>(scores);
    block.ds = pairs ? arena.take<Word>(keysABlock * queries / 2) : reinterpret_cast<Word*>(gradWeights);
    block.dsDown = pairs ? arena.take<Word>(keysABlock * queries / 2) : block.ds;
    gradQ = arena.take<float>(sizes.padded * queries);
    gradQRows = arena.take<float>(sizes.padded * queries);
    logsumexp = arena.take<float>(queries);
    delta = arena.take<float>(queries);
    rowScale = arena.take<float>(queries);
  }
};

template <class In>
float rowDot(const In* a, const In* b, int64_t width) {
  Floats sum{};
  for (int64_t c = 0; c < width; c += LANES) sum += loadSome(a + c, width - c) * loadSome(b + c, width - c);
  float total = 0;
  for (int i = 0; i < LANES; i++) total += sum[i];
  return total;
}

template <class M, class In>
void backward(const AttentionTask& task, const AttentionGroup& group, char* memory, float* partial) {
  using Word = typename M::Word;
  Sizes<M> sizes(task.width);
  KeyRange all(task, group);
  BackwardScratch<M> scratch(memory, sizes, group.length, all.count());
  stageRows<M, In>(task.k, group.start + all.first, group.head, all.count(), all.count(), sizes, scratch.keys);
  stageRows<M, In>(task.v, group.start + all.first, group.head, all.count(), all.count(), sizes, scratch.values);
  if (M::pack == 2) stageColumns<M, In>(task.k, group.start + all.first, group.head, all.count(), sizes, scratch.keysDown);
  float* gradK = partial ? partial : scratch.gradKeys;
  float* gradV = gradK + group.length * sizes.padded;
  std::memset(gradK, 0, 2 * group.length * sizes.padded * sizeof(float));
  for (int64_t i = 0; i < queries; i++) scratch.rowScale[i] = task.scale;

  for (int64_t index = group.firstBlock; index < group.lastBlock; index++) {
    QueryBlock block(task, group, index);
    int64_t head = block.head, count = block.count, columns = roundUp(count, LANES), token = group.start + block.first;
    stageRows<M, In>(task.q, token, head, count, columns, sizes, scratch.q);
    stageRows<M, In>(task.gradOutput, token, head, count, columns, sizes, scratch.gradOutput);
    transpose(columns, sizes.paddedWords, scratch.q, sizes.paddedWords, scratch.qTurned, queries);
    transpose(columns, sizes.paddedWords, scratch.gradOutput, sizes.paddedWords, scratch.gradOutputTurned, queries);
    if (M::pack == 2) {
      stageColumns<M, In>(task.q, token, head, count, sizes, scratch.qDown);
      stageColumns<M, In>(task.gradOutput, token, head, count, sizes, scratch.gradOutputDown);
    }
    for (int64_t i = 0; i < columns; i++) {
      const In *output = rowOf<const In>(task.output, token + i, head), *grad = rowOf<const In>(task.gradOutput, token + i, head);
      prefetchAhead(output, task.output.tokenStep, sizes.width);
      scratch.logsumexp[i] = i < count ? task.logsumexp[head * task.tokens + token + i] : 0;
      scratch.delta[i] = i < count ? rowDot(output, grad, sizes.width) : 0;
    }

    KeyRange range(task, group, block.first, block.last());
    int64_t firstKey = range.first - (range.first - all.first) % M::pack;
    int64_t queryWords = (count + M::pack - 1) / M::pack;
    for (int64_t key = firstKey; key < range.last; key += keysABlock) {
      Block scores{block.first, columns, key, least(keysABlock, range.last - key), task.window};
      int64_t staged = key - all.first;
      Left<Word> keys{scratch.keys + staged * sizes.paddedWords, sizes.paddedWords, 1};
      Left<Word> values{scratch.values + staged * sizes.paddedWords, sizes.paddedWords, 1};
      product<M, zero>(scores.rows, columns, sizes.words, keys, {scratch.qTurned, queries}, {scratch.scores, queries});
      product<M, zero>(scores.rows, columns, sizes.words, values, {scratch.gradOutputTurned, queries},
                       {scratch.gradWeights, queries});
      auto gradients = scores.cut() ? gradientBlock<M, true> : gradientBlock<M, false>;
      gradients(scores, task.scale * log2e, scratch.scores, scratch.gradWeights, scratch.logsumexp, scratch.delta, scratch.block);
      Left<Word> p{scratch.block.p, queries / M::pack, 1}, ds{scratch.block.ds, queries / M::pack, 1};
      product<M, add>(scores.rows, sizes.padded, queryWords, p, {scratch.gradOutputDown, sizes.padded},
                      {gradV + key * sizes.padded, sizes.padded});
      product<M, add>(scores.rows, sizes.padded, queryWords, ds, {scratch.qDown, sizes.padded},
                      {gradK + key * sizes.padded, sizes.padded});
      Left<Word> keysDown{scratch.keysDown + staged / M::pack * sizes.padded, 1, sizes.padded};
      auto addGradQ = key == firstKey ? product<M, zero> : product<M, add>;
      addGradQ(sizes.width, columns, (scores.rows + M::pack - 1) / M::pack, keysDown, {scratch.block.dsDown, queries},
               {scratch.gradQ, queries}, nullptr);
    }
    writeTurned<In>(scratch.gradQ, scratch.rowScale, scratch.gradQRows, columns, sizes.width, task.gradQ, token, head, count);
  }
  if (partial) return;
  writeRows<In>(gradK, task.scale, sizes.width, task.gradK, group.start, group.head, group.length);
  writeRows<In>(gradV, 1, sizes.width, task.gradV, group.start, group.head, group.length);
}

template <class M>
int64_t forwardScratch(const AttentionTask& task, int64_t length) {
  return ForwardScratch<M>(nullptr, Sizes<M>(task.width), length).arena.bytes;
}

template <class M>
int64_t backwardScratch(const AttentionTask& task, int64_t length) {
  return BackwardScratch<M>(nullptr, Sizes<M>(task.width), length, length).arena.bytes;
}

static int64_t partialSize(const AttentionTask& task, int64_t length) { return 2 * length * roundUp(task.width, LANES); }

template <class In>
void addPartials(const AttentionTask& task, const AttentionGroup& group, const float* partials, int64_t count, int64_t step,
                 int64_t firstKey, int64_t lastKey) {
  int64_t padded = roundUp(task.width, LANES);
  for (int which = 0; which < 2; which++)
    for (int64_t key = firstKey; key < lastKey; key++)
      for (int64_t c = 0; c < task.width; c += LANES) {
        const float* from = partials + (which * group.length + key) * padded + c;
        Floats sum = load<Floats>(from);
        for (int64_t i = 1; i < count; i++) sum += load<Floats>(from + i * step);
        const HeadRows& to = which == 0 ? task.gradK : task.gradV;
        float scale = which == 0 ? task.scale : 1;
        storeSome(rowOf<In>(to, group.start + key, group.head) + c, sum * scale, task.width - c);
      }
}

template <class M, class In>
constexpr AttentionKernels kernelsOf() {
  return {.forwardScratch = forwardScratch<M>,
          .forward = forward<M, In>,
          .backwardScratch = backwardScratch<M>,
          .backward = backward<M, In>,
          .partialSize = partialSize,
          .addPartials = addPartials<In>};
}

#if defined(__AVX512BF16__)
static constexpr AttentionKernels pairKernels = kernelsOf<PairWords, bfloat16>();
static constexpr const AttentionKernels* pairs = &pairKernels;
#else
static constexpr const AttentionKernels* pairs = nullptr;
#endif

extern const AttentionTable attentionKernels = {kernelsOf<FloatWords, float>(), kernelsOf<FloatWords, bfloat16>(), pairs};

}  // namespace binding::KERNEL_NAMESPACE
