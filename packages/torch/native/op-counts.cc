// How often each of libtorch's ops does work, in all threads: about what a GPU would have to launch. An op that is made of others
// counts as those; views and empty memory are no work. Counting slows every op down: it is on between startOpCounts and stopOpCounts.
#include <ATen/core/function_schema.h>
#include <ATen/record_function.h>

#include <map>
#include <mutex>

#include "convert.h"

namespace binding {

static std::mutex counting;
static std::map<std::string, int64_t> counts;
static std::optional<at::CallbackHandle> counter;

// Of each op that this thread is in, whether others have been called in it.
static thread_local std::vector<bool> made;

static bool isWork(const at::RecordFunction& function) {
  if (std::string(function.name()).rfind("aten::empty", 0) == 0) return false;
  const auto schema = function.operator_schema();
  if (!schema) return false;  // a node of the graph
  for (auto& result : schema->returns())
    if (result.alias_info() && !result.alias_info()->isWrite()) return false;
  return true;
}

static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
  if (!made.empty() && isWork(function)) made.back() = true;
  made.push_back(false);
  return nullptr;
}

static void end(const at::RecordFunction& function, at::ObserverContext*) {
  if (made.empty()) return;
  const bool ofOthers = made.back();
  made.pop_back();
  if (ofOthers) {
    if (!made.empty()) made.back() = true;
    return;
  }
  if (!isWork(function)) return;
  const std::lock_guard<std::mutex> lock(counting);
  counts[function.name()]++;
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
    made.clear();
    counter = at::addGlobalCallback(at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::FUNCTION}));
  });
  define(exports, "stopOpCounts", stopOpCounts);
}

}  // namespace binding
