// How often each of libtorch's ops is dispatched, in all threads: about what a GPU would have to launch. Counting slows every op
// down, so it is on only between startOpCounts and stopOpCounts.
#include <ATen/record_function.h>

#include <map>
#include <mutex>

#include "convert.h"

namespace binding {

static std::mutex counting;
static std::map<std::string, int64_t> counts;
static std::optional<at::CallbackHandle> counter;

static std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
  const std::lock_guard<std::mutex> lock(counting);
  counts[function.name()]++;
  return nullptr;
}

// ["aten::add 3", ..]
static std::vector<std::string> stopOpCounts() {
  if (counter) at::removeCallback(*counter);
  counter.reset();
  const std::lock_guard<std::mutex> lock(counting);
  std::vector<std::string> lines;
  for (auto& [name, times] : counts) lines.push_back(name + " " + std::to_string(times));
  counts.clear();
  return lines;
}

void defineOpCounts(Napi::Object& exports) {
  define(exports, "startOpCounts", []() {
    stopOpCounts();
    counter = at::addGlobalCallback(at::RecordFunctionCallback(count).scopes({at::RecordScope::FUNCTION}));
  });
  define(exports, "stopOpCounts", stopOpCounts);
}

}  // namespace binding
