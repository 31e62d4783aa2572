// Handles: how JavaScript names a native object. A handle is a number, slot + generation * 2^24, so that a handle kept
// after its object was freed is told apart from the object that took its slot. One table a kind and environment
// (main thread or worker). Generations start elsewhere in each environment, so that a handle of another one is refused.
#pragma once
// A worker that is being terminated cannot be thrown at; without this, node-addon-api ends the whole process.
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <napi.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace binding {

template <class T>
class Table {
 public:
  Table(const char* kind, uint32_t firstGeneration) : kind_(kind), firstGeneration_(firstGeneration) {}

  double put(T object) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      if (slot >= kSlots) throw std::runtime_error("internal: more than 16 million live handles");
      slots_.emplace_back();
      slots_.back().generation = firstGeneration_;
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].object = std::move(object);
    slots_[slot].used = true;
    live_++;
    return static_cast<double>(slots_[slot].generation) * kSlots + slot;
  }

  T& get(double handle) {
    Entry* entry = find(handle);
    if (!entry)
      throw std::invalid_argument(std::string("expected a live ") + kind_ +
                                  ", got one that was disposed or belongs to another thread");
    return entry->object;
  }

  // Freeing twice is harmless: the generation has moved on.
  void release(double handle) {
    Entry* entry = find(handle);
    if (!entry) return;
    entry->object = T();
    entry->used = false;
    entry->generation = (entry->generation + 1) % kGenerations;
    free_.push_back(static_cast<uint32_t>(entry - slots_.data()));
    live_--;
  }

  int64_t live() const { return live_; }

  // A double holds 53 bits: 24 of the slot, 29 of the generation, which wraps.
  static constexpr uint32_t kSlots = 1u << 24;
  static constexpr uint32_t kGenerations = 1u << 29;

 private:
  struct Entry {
    T object;
    uint32_t generation = 0;
    bool used = false;
  };

  Entry* find(double handle) {
    if (!(handle >= 0 && handle < static_cast<double>(kGenerations) * kSlots && handle == std::floor(handle))) return nullptr;
    auto key = static_cast<uint64_t>(handle);
    uint64_t slot = key % kSlots;
    if (slot >= slots_.size()) return nullptr;
    Entry& entry = slots_[slot];
    return entry.used && entry.generation == key / kSlots ? &entry : nullptr;
  }

  const char* kind_;
  uint32_t firstGeneration_;
  std::vector<Entry> slots_;
  std::vector<uint32_t> free_;
  int64_t live_ = 0;
};

// What one JavaScript environment owns. References to typed arrays whose memory a tensor borrows are let go on the
// JavaScript thread only, so the tensor's deleter, which may run anywhere, just queues them.
class Environment {
 public:
  Table<at::Tensor> tensors{"tensor", firstGeneration()};
  Table<at::Generator> generators{"generator", firstGeneration()};

  struct Borrowed {
    std::mutex mutex;
    std::vector<Napi::ObjectReference*> released;
    bool closed = false;
  };
  std::shared_ptr<Borrowed> borrowed = std::make_shared<Borrowed>();

  void dropReleased() {
    std::vector<Napi::ObjectReference*> released;
    {
      std::lock_guard<std::mutex> lock(borrowed->mutex);
      released.swap(borrowed->released);
    }
    for (auto* reference : released) delete reference;
  }

  ~Environment() {
    std::lock_guard<std::mutex> lock(borrowed->mutex);
    borrowed->closed = true;
  }

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

 private:
  // Spread over the range by the golden ratio; the first is just below the wrap, which is so passed early and in every test.
  static uint32_t firstGeneration() {
    static std::atomic<uint32_t> tables{0};
    return (Table<at::Tensor>::kGenerations - 1000 + tables++ * 0x9E3779B1u) % Table<at::Tensor>::kGenerations;
  }
};

}  // namespace binding
