// A caching allocator under libtorch's CPU tensors: blocks that are freed wait here for the next tensor of about their size.
// The C library gives large blocks back to the kernel at every free, and their pages then cost a fault and zeroing each when a
// step asks for them again. Large blocks are asked for in huge pages. Small ones stay with the C library.
//
// What is held, in use and waiting, stays below 17/16 of the most that was ever in use at once, so that batches of ever
// new lengths do not pile up memory: beyond that, the blocks that have waited longest go back first.
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>
#if defined(__linux__)
#include <sys/sysinfo.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_map>

#include "convert.h"

// Under AddressSanitizer what waits, and what of a block is more than was asked for, is nobody's.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size)
#define ASAN_UNPOISON_MEMORY_REGION(data, size)
#endif

namespace binding {

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = take(bytes);
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

  struct Stats {
    int64_t allocated, peak, cached;
  };
  Stats stats() {
    std::lock_guard<std::mutex> lock(mutex_);
    return {static_cast<int64_t>(allocated_), static_cast<int64_t>(peak_), static_cast<int64_t>(cached_)};
  }

  void emptyCache() {
    std::lock_guard<std::mutex> lock(mutex_);
    while (cached_ > 0) giveBackOldest();
  }

  void setLimit(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    limit_ = bytes;
  }

  // NOTE: never destroyed, since tensors of any thread may be freed until the very end of the process.
  static CachingAllocator& instance() {
    static auto* allocator = new CachingAllocator();
    return *allocator;
  }

 private:
  static constexpr size_t kSmallest = 1 << 16, kHugePage = 1 << 21, kAlignment = 64;

  struct Waiting {
    void* data;
    uint64_t since;
  };

  // An eighth of a power of two: a block is at most that much larger than what it holds.
  static size_t classOf(size_t bytes) {
    size_t step = kSmallest / 8;
    while (step * 16 < bytes) step *= 2;
    return (bytes + step - 1) / step * step;
  }

  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    if (bytes < kSmallest) return c10::alloc_cpu(bytes);
    std::lock_guard<std::mutex> lock(mutex_);
    checkFits(bytes);
    size_t size = classOf(bytes);
    void* data;
    auto found = waiting_.lower_bound(size);
    if (found != waiting_.end() && found->first <= size + size / 4) {
      size = found->first;
      // The one freed last, whose pages are the likeliest to be in a cache.
      data = found->second.back().data;
      found->second.pop_back();
      if (found->second.empty()) waiting_.erase(found);
      cached_ -= size;
    } else {
      const size_t limit = std::max(peak_, allocated_ + size) / 16 * 17;
      while (cached_ > 0 && allocated_ + cached_ + size > limit) giveBackOldest();
      data = fresh(size);
      if (!data) {
        while (cached_ > 0) giveBackOldest();
        data = fresh(size);
      }
      checkFits(bytes, data);
    }
    sizes_.emplace(data, size);
    allocated_ += size;
    peak_ = std::max(peak_, allocated_);
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    ASAN_POISON_MEMORY_REGION(static_cast<char*>(data) + bytes, size - bytes);
    return data;
  }

  // NOTE: a system that hands out more memory than it has ends the process when that is written to.
  void checkFits(size_t bytes, bool found = true) const {
    TORCH_CHECK_WITH(OutOfMemoryError, found && bytes <= limit_ && allocated_ <= limit_ - bytes,
                     "can't allocate memory for a tensor of ", bytes, " bytes beside the ", allocated_,
                     " in use\nUse smaller batches, or compute blocks again instead of keeping them.");
  }

  static size_t memoryOfSystem() {
#if defined(__linux__)
    struct sysinfo info;
    if (sysinfo(&info) == 0) return (info.totalram + info.totalswap) * info.mem_unit;
#endif
    return SIZE_MAX;
  }

  static void* fresh(size_t size) {
    void* data = nullptr;
    const bool huge = size >= kHugePage;
    if (posix_memalign(&data, huge ? kHugePage : kAlignment, size) != 0) return nullptr;
#if defined(MADV_HUGEPAGE)
    if (huge) madvise(data, size, MADV_HUGEPAGE);
#endif
    return data;
  }

  void giveBackOldest() {
    auto oldest = waiting_.begin();
    for (auto at = waiting_.begin(); at != waiting_.end(); at++)
      if (at->second.front().since < oldest->second.front().since) oldest = at;
    ASAN_UNPOISON_MEMORY_REGION(oldest->second.front().data, oldest->first);
    std::free(oldest->second.front().data);
    cached_ -= oldest->first;
    oldest->second.erase(oldest->second.begin());
    if (oldest->second.empty()) waiting_.erase(oldest);
  }

  static void release(void* data) {
    if (!data) return;
    auto& self = instance();
    std::unique_lock<std::mutex> lock(self.mutex_);
    auto held = self.sizes_.find(data);
    if (held == self.sizes_.end()) {
      lock.unlock();
      return c10::free_cpu(data);
    }
    const size_t size = held->second;
    self.sizes_.erase(held);
    self.allocated_ -= size;
    ASAN_POISON_MEMORY_REGION(data, size);
    self.cached_ += size;
    self.waiting_[size].push_back({data, self.clock_++});
  }

  std::mutex mutex_;
  std::unordered_map<void*, size_t> sizes_;         // of the blocks in use
  std::map<size_t, std::vector<Waiting>> waiting_;  // by class, the one freed last at the end
  uint64_t clock_ = 0;
  size_t allocated_ = 0, peak_ = 0, cached_ = 0;    // bytes of blocks of kSmallest and more
  size_t limit_ = memoryOfSystem();                 // of allocated_
};

void defineAllocator(Napi::Object& exports) {
  static std::once_flag installed;
  std::call_once(installed, [] { c10::SetAllocator(c10::DeviceType::CPU, &CachingAllocator::instance(), 1); });
  define(exports, "memoryStats", []() {
    auto [allocated, peak, cached] = CachingAllocator::instance().stats();
    return Shape{allocated, peak, cached};
  });
  define(exports, "setMemoryLimit", [](int64_t bytes) {
    TORCH_CHECK(bytes >= 0, "expected 0 bytes or more, got ", bytes);
    CachingAllocator::instance().setLimit(static_cast<size_t>(bytes));
  });
  define(exports, "emptyCache", []() { CachingAllocator::instance().emptyCache(); });
}

}  // namespace binding
